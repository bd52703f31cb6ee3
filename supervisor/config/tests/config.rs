//! What a sound file becomes: values, defaults, merging, places; and what a change of it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use supervisor_config::{
    App, Config, Effect, EnvFile, KeyChange, LogFormat, LogLevel, Logs, OnFull, Origin, Output,
    Quota, Stdin, StopSignal, changes, parse,
};
use supervisor_core::{Boot, Exit, Name, Policy, RestartWhen, Span};

const FULL: &str = r#"
[defaults]
namespace = "smd-store"
env = { NODE_ENV = "production", PORT = "1" }
env_file = "common.env?"
restart.delay = "1s"

[app.smd-backend]
command = ["node", "dist/index.js"]
directory = "backend/./src/"
user = "www-data"
group = "www"
env = { PORT = 3001, DEBUG = false, EMPTY = "" }
env_file = [".env", "/etc/smd.env?"]
instances = 4
stdin = "pipe"
boot = "always"
after = ["postgres", "redis", "postgres"]
wait_for = ["tcp:[::1]:5432", "unix:run/x.sock", "file:/srv/./there", "http://db/health?x"]
listen = []

[app.smd-backend.restart]
policy = "on-failure"
max_delay = "1m30s"
stable_after = "250ms"
max_restarts = 5
success = [0, 3, "SIGTERM", "hup"]

[app.smd-backend.stop]
signal = "INT"
timeout = "2s"

[app.smd-backend.logs]
max_size = "unlimited"
max_age = "1d"
keep = 3
max_total = "2GiB"
compress = false
merge = false
format = "timestamp"
on_full = "block"
stdout = "../{app}-{instance}.log"
stderr = "null"

[app."a.b"]
command = 'sh -c "exec sleep 1" -- a\ b'

[daemon]
log_level = "debug"
logs_max_total = "unlimited"
[http]
"#;

fn file(path: &str) -> Origin {
    Origin::File {
        path: PathBuf::from(path),
        daemons_own: true,
    }
}

fn origin() -> Origin {
    file("/etc/supervisor/supervisor.toml")
}

fn read(text: &str) -> Config {
    parse(text, &origin()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn app(text: &str) -> App {
    let config = read(text);
    assert_eq!(config.apps.len(), 1);
    config.apps.into_values().next().expect("one app")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn every_key_arrives() {
    let config = read(FULL);
    let app = &config.apps[&name("smd-backend")];
    assert_eq!(app.name.as_str(), "smd-backend");
    assert_eq!(app.command, ["node", "dist/index.js"]);
    assert_eq!(app.directory, Path::new("/etc/supervisor/backend/src"));
    assert_eq!(
        (app.user.as_deref(), app.group.as_deref()),
        (Some("www-data"), Some("www"))
    );
    assert_eq!(app.namespace, "smd-store");
    let expected = [
        ("NODE_ENV", "production"),
        ("PORT", "3001"),
        ("DEBUG", "false"),
        ("EMPTY", ""),
    ];
    assert_eq!(app.env, env(&expected));
    let files = [
        EnvFile {
            path: "/etc/supervisor/backend/src/.env".into(),
            optional: false,
        },
        EnvFile {
            path: "/etc/smd.env".into(),
            optional: true,
        },
    ];
    assert_eq!(app.env_file, files);
    let waits: Vec<String> = app.wait_for.iter().map(ToString::to_string).collect();
    let expected = [
        "tcp:[::1]:5432",
        "unix:/etc/supervisor/backend/src/run/x.sock",
        "file:/srv/there",
        "http://db/health?x",
    ];
    assert_eq!(waits, expected);
    assert!(app.policy.conditional);
    assert_eq!(app.instances, 4);
    assert_eq!(
        app.stop_signal,
        StopSignal::parse("SIGINT").expect("a signal")
    );
    assert_eq!(app.path, None);
    assert_eq!(app.stdin, Stdin::Pipe);
    assert_eq!(config.daemon.log_level, Some(LogLevel::Debug));
    assert_eq!(config.daemon.logs_max_total, Some(Quota::Unlimited));
    let logs = Logs {
        max_size: None,
        max_age: Span::secs(86_400),
        keep: 3,
        max_total: Some(2 << 30),
        compress: false,
        merge: false,
        format: LogFormat::Timestamp,
        on_full: OnFull::Block,
        stdout: Output::File("/etc/supervisor/backend/{app}-{instance}.log".into()),
        stderr: Output::Null,
    };
    assert_eq!(app.logs, logs);
    let files: Vec<_> = app.log_files().map(|(_, path)| path).collect();
    assert_eq!(files.len(), 4);
    assert_eq!(
        files[3],
        Path::new("/etc/supervisor/backend/smd-backend-3.log")
    );

    let policy = &app.policy;
    assert_eq!(policy.boot, Boot::Always);
    assert_eq!(policy.after, [name("postgres"), name("redis")]);
    assert_eq!(policy.stop.timeout, Span::secs(2));
    let restart = &policy.restart;
    assert_eq!(restart.policy, RestartWhen::OnFailure);
    assert_eq!(restart.delay, Span::secs(1));
    assert_eq!(restart.max_delay, Span::secs(90));
    assert_eq!(restart.stable_after, Span(250));
    assert_eq!(restart.max_restarts, 5);
    let success = [
        Exit::Code(0),
        Exit::Code(3),
        Exit::Signal(15),
        Exit::Signal(1),
    ];
    assert_eq!(restart.success, BTreeSet::from(success));
}

#[test]
fn a_command_in_one_text_is_split_as_a_shell_splits() {
    let config = read(FULL);
    assert_eq!(
        config.apps[&name("a.b")].command,
        ["sh", "-c", "exec sleep 1", "--", "a b"]
    );
    let of = |line: &str| app(&format!("[app.a]\ncommand = {line:?}")).command;
    // What is quoted is not for a shell, whatever it looks like.
    assert_eq!(of("sh -c 'a && b | c'"), ["sh", "-c", "a && b | c"]);
    assert_eq!(
        of(r"find . -exec true {} \;"),
        ["find", ".", "-exec", "true", "{}", ";"]
    );
}

#[test]
fn an_app_of_a_command_alone_has_the_defaults() {
    let app = app("[app.a]\ncommand = 'node a.js'");
    assert_eq!(app.directory, Path::new("/etc/supervisor"));
    assert_eq!(app.policy, Policy::default());
    assert_eq!((app.instances, app.stop_signal), (1, StopSignal::TERM));
    assert_eq!(
        (
            app.user.as_ref(),
            app.group.as_ref(),
            app.namespace.as_str()
        ),
        (None, None, "")
    );
    assert!(app.env.is_empty() && app.env_file.is_empty());
    assert_eq!(app.logs, Logs::default());
    assert_eq!(app.log_files().count(), 0);
}

#[test]
fn an_app_that_merges_does_not_care_where_the_defaults_send_stderr() {
    let config = read(
        "[defaults]\nlogs.stderr = 'null'\n[app.a]\ncommand = 'x'\nlogs.merge = true\n\
         [app.b]\ncommand = 'x'\n",
    );
    assert_eq!(config.apps[&name("a")].logs.stderr, Output::Usual);
    assert_eq!(config.apps[&name("b")].logs.stderr, Output::Null);
}

#[test]
fn more_instances_need_more_files() {
    let of = |path: &str| app(&format!("[app.a]\ncommand = 'x'\nlogs.stdout = '{path}'\n"));
    assert!(of("a-{instance}.log").logs_fit(2).is_ok());
    assert!(of("null").logs_fit(2).is_ok());
    assert!(of("a.log").logs_fit(1).is_ok());
    let (key, problem) = of("logs/a.log").logs_fit(2).expect_err("one file");
    assert_eq!(key, "logs.stdout");
    let hint = problem.hint.expect("a hint");
    assert!(
        hint.contains("/etc/supervisor/logs/a-{instance}.log"),
        "{hint}"
    );
}

#[test]
fn defaults_are_laid_below_each_app() {
    let config = read(
        "[defaults]\ndirectory = 'srv'\nenv_file = '.env'\nafter = ['db']\nrestart.success = [1]\n\
         [app.db]\ncommand = 'x'\n[app.web]\ncommand = 'x'\ndirectory = 'web'\nrestart.delay = '1s'\n",
    );
    let (db, web) = (&config.apps[&name("db")], &config.apps[&name("web")]);
    assert_eq!(db.directory, Path::new("/etc/supervisor/srv"));
    assert_eq!(db.env_file[0].path, Path::new("/etc/supervisor/srv/.env"));
    assert_eq!(web.directory, Path::new("/etc/supervisor/web"));
    assert_eq!(web.env_file[0].path, Path::new("/etc/supervisor/web/.env"));
    assert_eq!(web.policy.restart.success, BTreeSet::from([Exit::Code(1)]));
    // "All wait for the database" does not mean the database.
    assert_eq!((db.policy.after.len(), web.policy.after.len()), (0, 1));
}

#[test]
fn places_are_relative_to_where_the_text_comes_from() {
    let directory = PathBuf::from("/home/ada/shop");
    let origin = Origin::CommandLine {
        directory,
        path: Some("/opt/node/bin:/bin".to_owned()),
    };
    let config = parse("[app.a]\ncommand = 'x'\ndirectory = 'sub'", &origin).expect("sound");
    let app = &config.apps[&name("a")];
    assert_eq!(app.directory, Path::new("/home/ada/shop/sub"));
    assert_eq!(app.path.as_deref(), Some("/opt/node/bin:/bin"));

    let here = std::env::current_dir().expect("a current folder");
    let config = parse("[app.a]\ncommand = 'x'", &file("x.toml")).expect("sound");
    assert_eq!(config.apps[&name("a")].directory, here);
}

#[test]
fn max_instances_is_one_per_cpu() {
    let instances = app("[app.a]\ncommand = 'x'\ninstances = 'max'").instances;
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert_eq!(instances as usize, cpus.min(512));
}

#[test]
fn a_file_without_apps_is_sound() {
    let empty = |config: Config| config.apps.is_empty() && config.daemon.log_level.is_none();
    assert!(empty(read("")));
    assert!(empty(read(
        "# nothing\n[defaults]\nboot = 'never'\n[app]\n"
    )));
}

#[test]
fn an_older_state_reads_with_the_defaults_and_a_newer_one_with_more_keys() {
    let old = r#"{"name":"a","command":["x"],"directory":"/srv","later":{"more":1}}"#;
    let read: App = serde_json::from_str(old).expect("it reads");
    let text = "[app.a]\ncommand = 'x'\ndirectory = '/srv'";
    assert_eq!(read, app(text));
    let mut older = serde_json::to_value(&read).expect("it writes");
    let policy = older["policy"].as_object_mut().expect("its rules");
    assert!(policy.remove("conditional").is_some());
    assert_eq!(
        serde_json::from_value::<App>(older).expect("it reads"),
        read
    );
}

#[test]
fn what_is_waited_for_is_relative_to_the_directory_and_a_socket_must_fit() {
    let config =
        read("[defaults]\nwait_for = ['file:f']\n[app.a]\ncommand = 'x'\ndirectory = '/srv'");
    let app = &config.apps[&name("a")];
    assert_eq!(app.wait_for[0].to_string(), "file:/srv/f");
    assert!(app.policy.conditional);
    let socket = format!("{}/x.sock", "d".repeat(100));
    let text = format!("[app.a]\ncommand = 'x'\ndirectory = '/srv'\nwait_for = ['unix:{socket}']");
    let faults = parse(&text, &origin()).expect_err("it is too long then");
    assert!(faults.to_string().contains("at most 107 bytes"), "{faults}");
}

#[test]
fn the_state_reads_back() {
    for app in read(FULL).apps.values() {
        let text = serde_json::to_string(app).expect("it writes");
        assert_eq!(serde_json::from_str::<App>(&text).expect("it reads"), *app);
    }
}

#[test]
fn each_change_is_told_by_its_key_and_costs_what_it_must() {
    let base = "[app.a]\ncommand = 'x'\n";
    let cases = [
        ("directory = 'd'", "directory", Effect::Process),
        ("user = 'u'", "user", Effect::Process),
        ("group = 'g'", "group", Effect::Process),
        ("env.A = '1'", "env.A", Effect::Process),
        ("stdin = 'pipe'", "stdin", Effect::Process),
        ("env_file = '.env'", "env_file", Effect::Process),
        ("instances = 2", "instances", Effect::Instances),
        ("namespace = 'n'", "namespace", Effect::Policy),
        ("boot = 'never'", "boot", Effect::Policy),
        ("after = ['b']", "after", Effect::Policy),
        ("wait_for = ['file:f']", "wait_for", Effect::Policy),
        ("restart.policy = 'never'", "restart.policy", Effect::Policy),
        ("restart.delay = '1s'", "restart.delay", Effect::Policy),
        (
            "restart.max_delay = '1s'",
            "restart.max_delay",
            Effect::Policy,
        ),
        (
            "restart.stable_after = '1s'",
            "restart.stable_after",
            Effect::Policy,
        ),
        (
            "restart.max_restarts = 1",
            "restart.max_restarts",
            Effect::Policy,
        ),
        ("restart.success = []", "restart.success", Effect::Policy),
        ("stop.signal = 'INT'", "stop.signal", Effect::Policy),
        ("stop.timeout = '1s'", "stop.timeout", Effect::Policy),
        ("logs.max_size = '1MB'", "logs.max_size", Effect::Policy),
        ("logs.max_age = '1h'", "logs.max_age", Effect::Policy),
        ("logs.keep = 0", "logs.keep", Effect::Policy),
        ("logs.max_total = '1MB'", "logs.max_total", Effect::Policy),
        ("logs.compress = false", "logs.compress", Effect::Policy),
        ("logs.format = 'timestamp'", "logs.format", Effect::Policy),
        ("logs.on_full = 'block'", "logs.on_full", Effect::Policy),
        ("logs.merge = true", "logs.merge", Effect::Process),
        ("logs.stdout = 'null'", "logs.stdout", Effect::Process),
        ("logs.stderr = 'e.log'", "logs.stderr", Effect::Process),
    ];
    for (line, key, cost) in cases {
        let changed = changes(&app(base), &app(&format!("{base}{line}\n")));
        let told: Vec<_> = changed.iter().map(|c| (&*c.key, c.effect)).collect();
        assert_eq!(told, [(key, cost)]);
    }
    assert!(changes(&app(base), &app(base)).is_empty());
    let elsewhere = App {
        path: Some("/opt/node/bin".to_owned()),
        ..app(base)
    };
    let changed = changes(&app(base), &elsewhere);
    let told = KeyChange {
        key: "PATH".to_owned(),
        old: None,
        new: Some("…".to_owned()),
        effect: Effect::Process,
    };
    assert_eq!(changed, [told]);
}

#[test]
fn changes_are_told_in_the_words_of_the_file() {
    let old = "[app.a]\ncommand = 'node a.js'\nenv = { A = 'secret', B = '1', C = '1' }\n\
               user = 'www'\nstop.signal = 2\n";
    let long = "x".repeat(1000);
    let new = format!(
        "[app.a]\ncommand = ['node', 'it \"is\"', '{long}', '{long}', '{long}']\n\
         env = {{ A = 'other secret', B = '1', D = '' }}\ninstances = 2\nstdin = 'pipe'\n\
         after = ['b', 'c']\nenv_file = '.env?'\nrestart = {{ delay = '90s', max_delay = '2m', \
         policy = 'never', success = [0, 'TERM'] }}\nstop.timeout = '0s'\n\
         logs = {{ max_size = 'unlimited', max_total = '2GiB', merge = true, stdout = 'null' }}\n"
    );
    let changed = changes(&app(old), &app(&new));
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let said = changed.into_iter().map(|c| {
        let line = format!(
            "{}: {} → {} ({:?})\n",
            c.key,
            text(c.old),
            text(c.new),
            c.effect
        );
        assert!(line.chars().count() < 300, "{line}");
        line
    });
    let said: String = said.collect();
    assert!(!said.contains("secret"), "{said}");
    insta::assert_snapshot!(said);
}
