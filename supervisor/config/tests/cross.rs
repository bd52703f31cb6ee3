//! What shows only between files, with apps that are known already, and with env files: each fault
//! at the key that is at fault.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

use supervisor_config::{
    Config, Fault, Known, Origin, Problem, Reader, check_env_files, cross_check, parse,
};
use supervisor_core::Name;

fn config(path: &str, text: &str) -> Config {
    let origin = Origin::File {
        path: PathBuf::from(path),
        daemons_own: false,
    };
    parse(text, &origin).unwrap_or_else(|faults| panic!("{faults}"))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn known(name_of: &str, origin: Option<&str>, after: &[&str]) -> (Name, Known) {
    let known = Known {
        origin: origin.map(PathBuf::from),
        after: after.iter().map(|text| name(text)).collect(),
        logs: Vec::new(),
    };
    (name(name_of), known)
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

#[test]
fn names_are_taken_once() {
    let files = [
        config(
            "/etc/a.toml",
            "[app.web]\ncommand = 'x'\n[app.a]\ncommand = 'x'\n",
        ),
        config(
            "/etc/b.toml",
            "[app.b]\ncommand = 'x'\n[app.web]\ncommand = 'x'\n",
        ),
        config(
            "/etc/c.toml",
            "[app.typed]\ncommand = 'x'\n[app.api]\ncommand = 'x'\n",
        ),
    ];
    let known = BTreeMap::from([
        known("a", Some("/etc/a.toml"), &[]),
        known("typed", None, &[]),
        known("api", Some("/srv/api.toml"), &[]),
    ]);
    insta::assert_snapshot!(told(&cross_check(&files, &known)));
    assert_eq!(cross_check(&files[..1], &known), []);
}

#[test]
fn an_app_that_is_waited_for_must_exist_somewhere() {
    let first = "[defaults]\nafter = ['database']\n[app.web]\ncommand = 'x'\nafter = ['api', 'databse']\n\
                 [app.worker]\ncommand = 'x'\n[app.mail]\ncommand = 'x'\nafter = ['gone', 'zzzzzz']\n";
    let files = [
        config("/etc/a.toml", first),
        config("/etc/b.toml", "[app.api]\ncommand = 'x'\n"),
    ];
    let database = known("database", None, &[]);
    // It came from a file that is read, and is not in it any more.
    let gone = known("gone", Some("/etc/b.toml"), &[]);
    let known = BTreeMap::from([database, gone]);
    insta::assert_snapshot!(told(&cross_check(&files, &known)));
    let faults = cross_check(&files, &BTreeMap::new());
    let defaults = faults
        .iter()
        .find(|fault| fault.key.as_deref() == Some("defaults.after[0]"));
    assert_eq!(defaults.and_then(|fault| fault.line), Some(2));
}

#[test]
fn circles_over_files_and_known_apps_are_told_with_their_way() {
    let files = [
        config(
            "/etc/a.toml",
            "[app.web]\ncommand = 'x'\nafter = ['cache', 'api']\n[app.cache]\ncommand = 'x'\n",
        ),
        config(
            "/etc/b.toml",
            "[app.api]\ncommand = 'x'\nafter = ['database']\n[app.x]\ncommand = 'x'\nafter = ['y']\n",
        ),
        config("/etc/c.toml", "[app.y]\ncommand = 'x'\nafter = ['x']\n"),
    ];
    let known = BTreeMap::from([
        known("database", None, &["web"]),
        known("here", None, &["there"]),
        known("there", None, &["here"]),
    ]);
    insta::assert_snapshot!(told(&cross_check(&files, &known)));
}

#[test]
fn a_log_file_belongs_to_one_app() {
    let app =
        |name: &str, logs: &str| format!("[app.{name}]\ncommand = 'x'\nlogs = {{ {logs} }}\n");
    let first = app("a", "stdout = '/l/a.log'") + &app("b", "stderr = '/l/../l/a.log.2.zst'");
    let second = app("c", "stdout = '/l/c-{instance}.log'\ninstances = 4\n")
        .replace("log'\ninstances = 4\n }", "log' }\ninstances = 4");
    let files = [
        config("/etc/a.toml", &first),
        config("/etc/b.toml", &second),
    ];
    let with_logs = |(name, known): (Name, Known), path: &str| {
        let logs = vec![PathBuf::from(path)];
        (name, Known { logs, ..known })
    };
    let theirs = with_logs(known("typed", None, &[]), "/l/c-3.log");
    // It is defined anew, and its file is free.
    let own = with_logs(known("a", Some("/etc/a.toml"), &[]), "/l/a.log");
    // Gone from its file.
    let gone = with_logs(known("gone", Some("/etc/a.toml"), &[]), "/l/c-2.log");
    let known = BTreeMap::from([theirs, own, gone]);
    insta::assert_snapshot!(told(&cross_check(&files, &known)));
    assert_eq!(cross_check(&files[1..], &BTreeMap::new()), []);
}

#[test]
fn faults_are_bounded() {
    let text: String = (0..2000)
        .map(|n| format!("[app.a{n}]\ncommand = 'x'\nafter = ['none{n}']\n"))
        .collect();
    let files = [config("/etc/a.toml", &text), config("/etc/b.toml", &text)];
    assert_eq!(cross_check(&files, &BTreeMap::new()).len(), 200);
}

#[test]
fn what_is_found_out_later_is_told_at_its_key() {
    let config = config(
        "/etc/a.toml",
        "[defaults]\nuser = 'nobody-here'\n\n[app.web]\ncommand = ['nod']\n  directory = '/gone'\n[app.'a.b']\ncommand = 'x'\n",
    );
    let at = |app: &str, key: &str| {
        let fault = config.fault(&name(app), key, Problem::new("it is not there"));
        let excerpt = fault.excerpt.as_ref().map(|excerpt| {
            let place = (excerpt.column, excerpt.width);
            (excerpt.text.clone(), place)
        });
        (fault.to_string(), excerpt)
    };
    let shown = |text: &str, column, width| Some((text.to_owned(), (column, width)));
    assert_eq!(
        at("web", "directory"),
        (
            "/etc/a.toml:6:15: app.web.directory: it is not there".to_owned(),
            shown("  directory = '/gone'", 15, 7)
        )
    );
    assert_eq!(
        at("web", "user"),
        (
            "/etc/a.toml:2:8: defaults.user: it is not there".to_owned(),
            shown("user = 'nobody-here'", 8, 13)
        )
    );
    assert_eq!(
        at("a.b", "group"),
        (
            "/etc/a.toml:7:6: app.\"a.b\": it is not there".to_owned(),
            shown("[app.'a.b']", 6, 5)
        )
    );
    assert_eq!(
        at("nobody", "user"),
        ("/etc/a.toml: it is not there".to_owned(), None)
    );
    assert!(!format!("{config:?}").contains("nobody-here'"));
}

#[test]
fn env_files_are_checked_without_a_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it is there");
    let write = |file: &str, text: &str, mode: u32| {
        fs::write(path.join(file), text).expect("it can be written");
        fs::set_permissions(path.join(file), Permissions::from_mode(mode)).expect("it is ours");
    };
    write("good.env", "A=1\n", 0o600);
    write("bad.env", "A=1\nhush\nB='hush\n", 0o600);
    write("open.env", "A=hush\n", 0o606);
    let text = "[defaults]\nenv_file = 'bad.env'\n[app.a]\ncommand = 'x'\n[app.b]\ncommand = 'x'\n\
                [app.c]\ncommand = 'x'\nenv_file = ['good.env', 'none.env', 'maybe.env?', 'open.env']\n";
    let config = config(&path.join("supervisor.toml").display().to_string(), text);
    let faults = check_env_files(&config, Reader::this());
    let said = told(&faults).replace(&path.display().to_string(), "/srv");
    assert!(!said.contains("hush"), "{said}");
    insta::assert_snapshot!(said.replace("chmod o-w", "chmod go-w"));
}

#[test]
fn the_apps_user_may_own_its_env_file() {
    let nobody = nix::unistd::User::from_name("nobody").ok().flatten();
    let (true, Some(nobody)) = (nix::unistd::geteuid().is_root(), nobody) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().canonicalize().expect("it is there");
    fs::write(path.join(".env"), "A=1\n").expect("it can be written");
    fs::set_permissions(path.join(".env"), Permissions::from_mode(0o600)).expect("it is ours");
    chown(path.join(".env"), Some(nobody.uid.as_raw()), None).expect("root may");
    let file = path.join("supervisor.toml").display().to_string();
    let faults = |user: &str| {
        let text = format!("[app.a]\ncommand = 'x'\nenv_file = '.env'\n{user}\n");
        check_env_files(&config(&file, &text), Reader::this()).len()
    };
    assert_eq!(faults("user = 'nobody'"), 0);
    assert_eq!(faults(&format!("user = '{}'", nobody.uid)), 0);
    assert_eq!(faults("user = 'root'"), 1);
    assert_eq!(faults(""), 1);
}
