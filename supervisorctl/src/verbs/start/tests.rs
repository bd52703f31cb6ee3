//! What the words of `start` become.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser as _;

use crate::cli::Cli;
use crate::errors::{CliError, Exit};
use crate::verbs::Verb;

/// A folder with scripts in it and a `PATH` of its own.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new(commands: &[&str]) -> Place {
        let place = Place {
            root: tempfile::tempdir().unwrap(),
        };
        for command in commands {
            place.executable(&format!("bin/{command}"));
        }
        place
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn executable(&self, path: &str) {
        self.file(path, "#!/bin/sh\n");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.root.path().join(path), mode).unwrap();
    }

    /// What `start …` defines here.
    fn start(&self, words: &[&str]) -> Result<String, CliError> {
        let line = [&["supervisorctl", "start"], words].concat();
        let Verb::Start(args) = Cli::try_parse_from(line).unwrap().verb else {
            panic!()
        };
        let path = OsString::from(self.root.path().join("bin"));
        let made = args.text_in(self.root.path().to_owned(), Some(path));
        let hide = |text: String| text.replace(&self.root.path().display().to_string(), "/here");
        made.map(hide).map_err(|error| CliError {
            message: hide(error.message),
            hint: error.hint.map(hide),
            ..error
        })
    }

    fn show(&self, commands: &[&[&str]]) -> String {
        let mut text = String::new();
        for words in commands {
            text.push_str(&format!(
                "$ supervisorctl start {}\n",
                shlex::try_join(words.iter().copied()).unwrap()
            ));
            match self.start(words) {
                Ok(toml) => {
                    toml::from_str::<toml::Table>(&toml).unwrap();
                    text.push_str(&toml);
                }
                Err(error) => {
                    text.push_str(&format!("exit {}\n", error.exit.code()));
                    text.push_str(&error.render(crate::output::Style::Plain));
                }
            }
            text.push('\n');
        }
        text
    }
}

const COMMANDS: &[&str] = &["node", "python3", "bash", "ruby", "perl", "npm"];

#[test]
fn scripts_commands_and_command_lines() {
    let place = Place::new(COMMANDS);
    for script in [
        "dist/index.js",
        "a.cjs",
        "b.mjs",
        "c.py",
        "d.sh",
        "e.rb",
        "f.pl",
        "we ird..name!.js",
    ] {
        place.file(script, "");
    }
    place.executable("server");
    place.executable("all");
    insta::assert_snapshot!(place.show(&[
        &["dist/index.js", "--name", "smd-backend"],
        &["./dist/index.js", "--", "--port", "3001"],
        &["a.cjs"],
        &[
            "b.mjs",
            "--node-args",
            "--max-old-space-size=512 --title='a b'"
        ],
        &["c.py"],
        &["d.sh"],
        &["e.rb"],
        &["f.pl"],
        &["we ird..name!.js"],
        &["server"],
        &["./all"],
        &["npm", "--name", "shop", "--", "run", "start"],
        &["node dist/index.js --port 3001"],
        &["dist/index.js", "--interpreter", "bash"],
        &["server", "--interpreter", "none"],
    ]));
}

#[test]
fn every_option() {
    let place = Place::new(COMMANDS);
    place.file("app/index.js", "");
    insta::assert_snapshot!(place.show(&[
        &[
            "index.js",
            "-n",
            "api",
            "-i",
            "2",
            "--env",
            "PORT=3001",
            "--env",
            "QUOTE=a \"b\"\n'c'",
            "--env-file",
            ".env?",
            "--env-file",
            "/etc/api.env",
            "--cwd",
            "app",
            "--user",
            "www-data",
            "--group",
            "web",
            "--namespace",
            "shop",
            "--no-autorestart",
            "--restart-delay",
            "1500",
            "--max-restarts",
            "5",
            "--kill-timeout",
            "3s",
            "--stop-signal",
            "int",
            "--boot",
            "always",
            "--after",
            "postgres",
            "--after",
            "redis",
            "--interpreter-args",
            "--inspect",
        ],
        &["app/index.js", "-i", "max", "--directory", "/srv"],
        &[
            "app/index.js",
            "--watch",
            "--watch=lib",
            "--ignore-watch",
            "*.log",
            "--watch-delay",
            "500",
            "-c",
            "0 3 * * *",
            "--max-memory-restart",
            "300M",
            "--wait-ready",
            "--listen-timeout",
            "5000",
            "--stop-exit-codes",
            "0",
            "143",
            "--min-uptime",
            "5s",
            "--exp-backoff-restart-delay",
            "100",
            "-k",
            "1600",
            "-o",
            "out.log",
            "-e",
            "/dev/null",
            "--time",
            "--stdin",
            "-u",
            "www-data",
            "--gid",
            "web",
        ],
        &["app/index.js", "-l", "/var/log/api.log", "--stdin=null"],
        &["app/index.js", "--disable-logs"],
        &["app/index.js", "-i", "2", "-o", "logs/out.log", "-e", "err"],
        &[
            "app/index.js",
            "-x",
            "--no-vizion",
            "--no-pmx",
            "--filter-env=AWS",
            "-a"
        ],
    ]));
}

#[test]
fn typescript_needs_a_runner() {
    let place = Place::new(&["node"]);
    place.file("src/index.ts", "");
    let error = place.start(&["src/index.ts"]).unwrap_err();
    assert_eq!(error.exit, Exit::Failed);
    insta::assert_snapshot!(error.render(crate::output::Style::Plain));
    place.executable("bin/bun");
    assert!(
        place
            .start(&["src/index.ts"])
            .unwrap()
            .contains("command = [\"bun\"")
    );
    place.executable("bin/tsx");
    assert!(
        place
            .start(&["src/index.ts"])
            .unwrap()
            .contains("command = [\"tsx\"")
    );
    place.executable("node_modules/.bin/tsx");
    let text = place.start(&["src/index.ts"]).unwrap();
    assert!(
        text.contains("command = [\"/here/node_modules/.bin/tsx\""),
        "{text}"
    );
}

#[test]
fn what_cannot_be_started_says_why() {
    let place = Place::new(&["node"]);
    for (file, text) in [
        ("ecosystem.config.js", "module.exports = { apps: [] }"),
        ("pm2.config.cjs", ""),
        ("processes.json", "{\"apps\": []}"),
        ("data.json", "{}"),
        ("supervisor.toml", ""),
        ("plain", "x"),
        ("app.php", ""),
        ("dir/x", ""),
    ] {
        place.file(file, text);
    }
    insta::assert_snapshot!(place.show(&[
        &["ecosystem.config.js"],
        &["pm2.config.cjs"],
        &["processes.json"],
        &["data.json"],
        &["supervisor.toml"],
        &["plain"],
        &["app.php"],
        &["./dir"],
        &["dir/"],
        &["dist/missing"],
        &["missing.js"],
        &["missing"],
        &["missing --port 1"],
        &["node a.js && rm -r b"],
        &["node 'a"],
        &[" "],
        &["./plain", "--interpreter", "nope"],
        &["node", "--node-args", "--inspect"],
    ]));
}

#[test]
fn a_script_is_looked_for_where_it_will_run_first() {
    let place = Place::new(&["node"]);
    place.file("index.js", "");
    place.file("app/index.js", "");
    let command = |words: &[&str]| {
        place
            .start(words)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        command(&["index.js"]),
        "command = [\"node\", \"/here/index.js\"]"
    );
    assert_eq!(
        command(&["index.js", "--cwd", "app"]),
        "command = [\"node\", \"/here/app/index.js\"]"
    );
    fs::remove_file(place.root.path().join("app/index.js")).unwrap();
    assert_eq!(
        command(&["index.js", "--cwd", "app"]),
        "command = [\"node\", \"/here/index.js\"]"
    );
}

#[test]
fn what_a_shell_would_do_is_told_how_it_is_done_here() {
    let place = Place::new(COMMANDS);
    place.file("api/server.js", "");
    insta::assert_snapshot!(place.show(&[
        &["node a.js; echo done"],
        &["node a.js >out.log"],
        &["PORT=3000 MODE='a b' node a.js x=y"],
        &["api"],
    ]));
    for line in ["node -e 'a; b'", "node '&&'", "node -e \"x();\""] {
        let text = place.start(&[line]);
        assert!(text.is_ok(), "{line}: {text:?}");
    }
    // A value of its own, or none.
    for words in [
        ["a", "--stdin", "pipe"],
        ["--stdin=pipe", "--", "a"],
        ["node", "--stdin", "null"],
    ] {
        let line = [&["supervisorctl", "start", "npm"][..], &words].concat();
        assert!(Cli::try_parse_from(&line).is_ok(), "{line:?}");
    }
}

#[test]
fn every_key_that_an_option_gives_is_told_by_its_option() {
    fn keys(table: &toml::Table, before: &str, found: &mut Vec<String>) {
        for (key, value) in table {
            let key = format!("{before}{key}");
            match value {
                toml::Value::Table(inner) => keys(inner, &format!("{key}."), found),
                _ => found.push(key),
            }
        }
    }
    let place = Place::new(COMMANDS);
    place.file("a.js", "");
    let all = "a.js -n a -i 2 --env A=1 --env-file e --cwd / -u u --group g --namespace n \
               --stop-exit-codes 1 --restart-delay 1 --max-restarts 1 --min-uptime 1 -k 1 --stop-signal HUP \
               --boot last --after b --stdin --wait-ready --listen-timeout 1 --max-memory-restart 1 -c x \
               --watch --ignore-watch x --watch-delay 1 -o o -e e --time";
    for line in [
        all,
        "a.js -n a --no-autorestart --log l",
        "a.js -n a --disable-logs",
    ] {
        let words: Vec<_> = line.split_whitespace().collect();
        let table: toml::Table = toml::from_str(&place.start(&words).unwrap()).unwrap();
        let mut found = Vec::new();
        keys(table["app"]["a"].as_table().unwrap(), "", &mut found);
        found.retain(|key| key != "command");
        assert!(!found.is_empty());
        for key in found {
            let option = super::faults::option(&key).unwrap_or_else(|| panic!("{key}"));
            assert!(option.starts_with("--"), "{key}: {option}");
        }
    }
}
