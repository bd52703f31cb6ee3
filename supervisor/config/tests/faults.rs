//! What a faulty file is told: every fault at once, with its place, key and hint. Each visible
//! message is in a snapshot.

use std::path::{Path, PathBuf};

use supervisor_config::{Origin, parse};

fn file(path: impl Into<PathBuf>) -> Origin {
    Origin::File {
        path: path.into(),
        daemons_own: true,
    }
}

fn faults(text: &str) -> String {
    let origin = file("/etc/supervisor/supervisor.toml");
    let faults = parse(text, &origin).expect_err("the text is faulty");
    faults.to_string().replace("/etc/supervisor/", "")
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    insta::assert_snapshot!(faults(
        r#"
[defaults]
command = "node"
boot = "sometimes"
env = { TZ = "UTC", "A-B" = "x" }

[daemon]
log_level = "debug"
colour = true

[http]
listen = "127.0.0.1:9000"

[http2]

[defualts]

[app.web]
comand = ["node"]
directory = 7
user = "www-data:www-data"
instances = 0
after = ["web", "all", 5]
env = { PORT = 3001, LIST = [1], SUPERVISOR_RUN = "x" }

[app.web.restart]
delay = 5000
max_delay = "1.5s"
stable_after = "400d"
max_restarts = -1
success = [0, 256, "SIGTRM", "15"]
polcy = "always"

[app.web.stop]
signal = "SIGFOO"
timeout = 10

[app."all"]
command = []

[app."a/b"]
command = "node 'it"

[app.empty]

[app.worker]
script = "dist/worker.js"
cwd = "/srv"
kill_timeout = 3000
delay = "1s"
restart = "always"
namespace = "a b"
env_file = [".env", "?", 3]
directory = "~/worker"

[app.worker.loggs]
max_size = "50M"
"#
    ));
}

#[test]
fn what_is_not_carried_out_yet_is_told_key_by_key() {
    insta::assert_snapshot!(faults(
        r#"
[app.a]
command = "node a.js"
stdin = "pipe"
listen = ["127.0.0.1:3001"]
schedule = "0 3 * * *"
timezone = "Europe/Berlin"
ready = { http = "http://127.0.0.1:3001/health", timeout = "30s" }
health = { exec = ["true"], interval = "10s", failures = 3 }
limits = { memory = "512MB", nofile = 65536, cpu = 1.5, umask = "022" }
watch = { paths = ["dist"], debounce = "500ms" }

[notify]
webhook = "http://127.0.0.1/"
"#
    ));
}

#[test]
fn a_wrong_type_is_told_even_where_the_key_is_not_carried_out() {
    insta::assert_snapshot!(faults(
        r#"
[app.a]
command = "node a.js"
stdin = 1
wait_for = "tcp:127.0.0.1:5432"
logs = { max_size = "50M", keep = "ten", compress = "yes", format = "json", on_full = 1, max_age = 7 }
limits = { memory = 512 }
watch = true
http = 1
"#
    ));
}

#[test]
fn what_is_wrong_with_logs() {
    insta::assert_snapshot!(faults(
        r#"
[defaults]
logs = { max_size = "10KB", max_age = "10ms" }

[app.a]
command = "node a.js"
logs = { max_size = "none", max_age = "off", max_total = 0, stdout = "/dev/null", stderr = "logs/" }

[app.b]
command = "node b.js"
logs = { merge = true, stderr = "b.err.log" }

[app.c]
command = "node c.js"
logs = { stdout = "c.log", stderr = "./x/../c.log" }

[app.d]
command = "node d.js"
instances = 4
logs = { stdout = "null", stderr = "d.log" }

[app.e]
command = "node e.js"
logs = { stdout = "{instnace}.log", stderr = "~/e.log" }

[app.f]
command = "node f.js"
logs = { stdout = "f.log.1", stderr = "f.log" }

[daemon]
logs_max_total = "1KB"
"#
    ));
}

#[test]
fn apps_in_the_wrong_place_are_led_to_the_right_one() {
    insta::assert_snapshot!(faults(
        r#"
command = "node a.js"
apps = []
[web]
command = "node web.js"
[app.smd.backend]
command = "node b.js"
[app]
name = "x"
"#
    ));
    insta::assert_snapshot!(faults("[[app]]\nname = 'x'\n"));
}

#[test]
fn a_key_of_two_words_in_quotes_is_not_a_table() {
    insta::assert_snapshot!(faults("[app.a]\ncommand = 'x'\n'restart.delay' = '1s'\n"));
}

#[test]
fn commands_that_need_a_shell_or_say_nothing() {
    insta::assert_snapshot!(faults(
        r#"
[app.a]
command = "cd /srv && node a.js"
[app.b]
command = "node a.js > out.log"
[app.c]
command = ""
[app.d]
command = ["", "x"]
[app.e]
command = ["node", 3000]
[app.f]
command = "node 'a.js"
[app.g]
command = "node \u0000"
[app.h]
command = true
"#
    ));
}

#[test]
fn toml_faults_have_their_place_and_hide_what_follows_them() {
    insta::assert_snapshot!(faults(
        "[app.a]\nboot = 'x'\ncommand = [\"node\"\n[app.b]\nboot = 'y'\n"
    ));
    insta::assert_snapshot!(faults("[app.a]\ncommand = 'x'\ncommand = 'y'\nuser = ''\n"));
    insta::assert_snapshot!(faults("[app.a\n"));
    insta::assert_snapshot!(faults("[app.a]\ncommand = x\nboot = \n"));
}

#[test]
fn circles_are_told_with_their_way() {
    let app = |name, after: &[&str]| format!("[app.{name}]\ncommand = 'x'\nafter = {after:?}\n");
    let text = [
        app("a", &["b", "elsewhere"]),
        app("b", &["c"]),
        app("c", &["b"]),
        app("d", &["e"]),
        app("e", &["f", "d"]),
        app("f", &["a"]),
        app("self", &["self", "a"]),
    ];
    insta::assert_snapshot!(faults(&text.concat()));
}

#[test]
fn a_delay_must_fit_below_the_longest() {
    insta::assert_snapshot!(faults(
        r#"
[defaults.restart]
max_delay = "5s"
[app.a]
command = "x"
restart.delay = "1m"
[app.b]
command = "x"
restart = { delay = "2s", max_delay = "1s" }
[app.c]
command = "x"
restart.delay = "5s"
"#
    ));
}

#[test]
fn faults_of_the_defaults_are_told_once() {
    let text = "[defaults]\nboot = 'x'\n[app.a]\ncommand = 'x'\n[app.b]\ncommand = 'x'\n";
    insta::assert_snapshot!(faults(text));
}

#[test]
fn columns_count_characters() {
    let text = faults("[app.a]\nenv = { A = \"äöü\", B = [] }\ncommand = 'x'\n");
    assert!(
        text.starts_with("supervisor.toml:2:24: app.a.env.B: "),
        "{text}"
    );
    let text = faults("\u{feff}bad = 1\n");
    assert!(text.starts_with("supervisor.toml:1:1: bad: "), "{text}");
    let text = faults("[app.a]\r\ncommand = 'x'\r\nboot = 1\r\n");
    assert!(
        text.starts_with("supervisor.toml:3:8: app.a.boot: "),
        "{text}"
    );
}

#[test]
fn options_of_a_command_have_keys_but_no_lines() {
    let origin = Origin::CommandLine {
        directory: PathBuf::from("/srv"),
        path: None,
    };
    let faults = parse("[app.a]\ncommand = 'x'\nstop.timeout = 5\n", &origin).expect_err("faulty");
    assert_eq!(faults.list[0].line, None);
    insta::assert_snapshot!(faults.to_string());
}

#[test]
fn values_of_variables_are_never_shown() {
    let text = "[app.a]\ncommand = 'x'\nenv = { A = [\"secret\"], B = \"secret\\u0000\", C = 1979-05-27, \
                D = 1.5, 'e f' = \"secret\" }\n";
    let said = faults(text);
    assert_eq!(said.lines().count(), 5, "{said}");
    assert!(!said.contains("secret"), "{said}");

    let origin = Origin::CommandLine {
        directory: PathBuf::from("/srv"),
        path: None,
    };
    let config = parse("[app.a]\ncommand = 'x'\nenv.A = 'secret'\n", &origin).expect("sound");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_file_of_nothing_but_faults_is_told_in_part() {
    let text: String = (0..5000).map(|n| format!("key{n} = 1\n")).collect();
    let faults = parse(&text, &file("x.toml")).expect_err("faulty");
    assert_eq!(faults.list.len(), 201);
    assert_eq!(faults.list[200].message, "and 4800 more faults");

    // As large as a file can be, and nothing in it is TOML.
    let text = "a\n".repeat(1 << 19);
    let faults = parse(&text, &file("x.toml")).expect_err("faulty");
    assert_eq!(faults.list.len(), 201);
}

#[test]
fn long_texts_are_cut() {
    let long = "x".repeat(100_000);
    let text = format!(
        "{long} = 1\n[app.{long}]\ncommand = 'x'\nuser = '{long}:'\nboot = '{long}'\n\
         stop.signal = '{long}'\nstop.timeout = '{long}'\nrestart.delay = '1{long}'\n\
         env.'a {long}' = 1\nafter = ['{long}']\nrestart.max_restarts = 1{}\n",
        "0".repeat(100_000),
    );
    let faults = parse(&text, &file("x.toml")).expect_err("faulty");
    assert_eq!(faults.list.len(), 10, "{faults}");
    for fault in &faults.list {
        assert!(fault.to_string().len() < 500, "{fault}");
    }
}

#[test]
fn a_folder_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Path::new(std::ffi::OsStr::from_bytes(b"/srv/\xff"));
    let faults = parse("", &file(folder.join("x.toml"))).expect_err("faulty");
    assert!(
        faults.to_string().contains("is not valid UTF-8"),
        "{faults}"
    );
}
