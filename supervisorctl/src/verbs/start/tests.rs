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
