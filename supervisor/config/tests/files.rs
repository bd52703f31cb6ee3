//! Files on disk: who may own and write them, what is read of them, and the environment that they
//! make. As root every owner is tried; an ordinary user tries what that user can make.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

use nix::unistd::{Uid, geteuid};
use supervisor_config::{App, Origin, Reader, environment, parse, read};
use tempfile::TempDir;

/// Users that need not exist.
const APP: u32 = 12_345;
const STRANGER: u32 = 12_346;
const ROOT: Reader = Reader {
    euid: 0,
    app_uid: None,
};

fn file(path: PathBuf) -> Origin {
    Origin::File {
        path,
        daemons_own: false,
    }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    /// The folder without links in its path.
    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().expect("it is there")
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        path
    }

    fn app(&self, keys: &str) -> App {
        let origin = file(self.path().join("supervisor.toml"));
        let config = parse(&format!("[app.a]\ncommand = 'x'\n{keys}\n"), &origin);
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        config.apps.into_values().next().expect("one app")
    }

    /// What is said, with this folder as `/srv`.
    fn told(&self, said: &dyn std::fmt::Display) -> String {
        said.to_string()
            .replace(&self.path().display().to_string(), "/srv")
    }
}

/// What `reader` is told of a file with this owner and mode; `None`: it is read.
fn told(reader: Reader, owner: u32, mode: u32) -> Option<String> {
    let folder = Folder::new();
    let path = folder.file("supervisor.toml", "", mode);
    if owner != geteuid().as_raw() {
        chown(&path, Some(owner), None).expect("only root gets here");
    }
    read(&path, reader).err().map(|fault| folder.told(&fault))
}

fn as_root() -> bool {
    geteuid() == Uid::from_raw(0)
}

#[test]
fn a_daemon_of_root_trusts_only_what_root_alone_may_write() {
    if !as_root() {
        // The rules ask for owner and mode only: a file of ours is a stranger's to root.
        let said = told(ROOT, geteuid().as_raw(), 0o600).expect("refused");
        assert!(said.contains("chown root /srv/supervisor.toml"), "{said}");
        return;
    }
    for mode in [0o600, 0o644, 0o755, 0o440] {
        assert_eq!(told(ROOT, 0, mode), None, "{mode:o}");
    }
    let mut said = String::new();
    for (owner, mode) in [
        (0, 0o664),
        (0, 0o646),
        (0, 0o666),
        (0, 0o620),
        (STRANGER, 0o644),
        (STRANGER, 0o666),
    ] {
        let fault = told(ROOT, owner, mode).unwrap_or_else(|| panic!("{owner} {mode:o} is read"));
        said.push_str(&format!("{fault}\n"));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_daemon_of_a_user_trusts_that_user_and_root() {
    let me = geteuid().as_raw();
    let mine = Reader::this();
    assert_eq!(told(mine, me, 0o600), None);
    if !as_root() {
        assert_eq!(told(mine, me, 0o664), None);
        let said = told(mine, me, 0o666).expect("refused");
        assert!(
            said.contains("everybody may write to it (mode 0666)"),
            "{said}"
        );
        assert!(said.contains("chmod o-w /srv/supervisor.toml"), "{said}");
        return;
    }
    let user = Reader {
        euid: APP,
        app_uid: None,
    };
    for (owner, mode) in [(APP, 0o600), (APP, 0o664), (0, 0o644), (0, 0o664)] {
        assert_eq!(told(user, owner, mode), None, "{owner} {mode:o}");
    }
    let mut said = String::new();
    for (owner, mode) in [(APP, 0o666), (0, 0o646), (STRANGER, 0o644)] {
        let fault = told(user, owner, mode).unwrap_or_else(|| panic!("{owner} {mode:o} is read"));
        said.push_str(&format!("{fault}\n"));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn only_small_regular_files_of_text_are_read() {
    let folder = Folder::new();
    let reader = Reader::this();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let exact = folder.file("exact", &"#".repeat(1 << 20), 0o600);
    let large = folder.file("large", &"#".repeat((1 << 20) + 1), 0o600);
    let bytes = folder.file("bytes", "", 0o600);
    fs::write(&bytes, b"a = 1\nb = \"\xff\"\n").expect("it can be written");

    assert_eq!(read(&exact, reader).map(|text| text.len()), Ok(1 << 20));
    let paths = [
        fifo,
        large,
        bytes,
        folder.path(),
        folder.path().join("none"),
        exact.join("below"),
    ];
    let said = paths.map(|path| folder.told(&read(&path, reader).expect_err("refused")) + "\n");
    insta::assert_snapshot!(said.concat());
}

#[test]
fn later_files_win_and_env_wins_over_all() {
    let folder = Folder::new();
    folder.file("one.env", "A=1\nB=1\nC=1\nexport D='# $HOME'\n", 0o600);
    folder.file("two.env", "B=2\nC=2\n", 0o600);
    let app = folder.app("env_file = ['one.env', 'none.env?', 'two.env']\nenv.C = '3'");
    let expected = [("A", "1"), ("B", "2"), ("C", "3"), ("D", "# $HOME")];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(environment(&app, Reader::this()), Ok(expected));
}

#[test]
fn every_fault_of_every_env_file_is_told_without_values() {
    let folder = Folder::new();
    folder.file("a.env", "A=1\nsecret\nB='secret\n", 0o600);
    folder.file("b.env", "A-B=secret\n", 0o600);
    folder.file("open.env", "A=secret\n", 0o606);
    let app = folder.app("env_file = ['a.env', 'none.env', 'b.env', 'open.env']");
    let faults = environment(&app, Reader::this()).expect_err("faulty");
    let said = folder.told(&faults);
    assert!(!said.contains("secret"), "{said}");
    let wanted = if as_root() {
        said
    } else {
        said.replace("chmod o-w", "chmod go-w")
    };
    insta::assert_snapshot!(wanted);
}

/// Root's daemon, for an app of the user [`APP`].
fn for_app(app: &App) -> Result<BTreeMap<String, String>, String> {
    environment(app, ROOT.for_app(APP)).map_err(|faults| faults.to_string())
}

#[test]
fn the_apps_user_may_own_its_env_file_and_nobody_else() {
    if !as_root() {
        return;
    }
    let folder = Folder::new();
    let path = folder.file(".env", "A=1\n", 0o600);
    let app = folder.app("env_file = '.env'");
    let owned = |owner| {
        chown(&path, Some(owner), None).expect("root may");
        for_app(&app)
    };
    assert!(owned(APP).is_ok());
    assert!(owned(0).is_ok());
    let said = owned(STRANGER).expect_err("refused");
    assert!(said.contains("it belongs to user 12346"), "{said}");
    assert!(said.contains("or chown 12345, the app's user"), "{said}");
    owned(APP).expect("trusted again");
    fs::set_permissions(&path, Permissions::from_mode(0o620)).expect("root may");
    let said = for_app(&app).expect_err("refused");
    assert!(said.contains("its group may write to it"), "{said}");
}

/// Whoever owns the folder of an env file could put a link to any file of root's in its place.
#[test]
fn a_link_does_not_show_an_app_the_secrets_of_root() {
    if !as_root() {
        return;
    }
    let (root, home) = (Folder::new(), Folder::new());
    let secret = root.file("secret.env", "A=1\n", 0o600);
    let app = home.app("env_file = '.env'");
    let link = home.path().join(".env");

    symlink(&secret, &link).expect("a link");
    let said = for_app(&app).expect_err("refused");
    assert!(said.contains("reached through a link"), "{said}");
    // The same for a folder on the way.
    let way = home.path().join("way");
    symlink(root.path(), &way).expect("a link");
    assert!(for_app(&home.app("env_file = 'way/secret.env'")).is_err());
    // By its real path it is what the config asks for; so it is for an app of root's.
    let direct = format!("env_file = '{}'", secret.display());
    assert!(for_app(&home.app(&direct)).is_ok());
    assert!(environment(&app, ROOT.for_app(0)).is_ok());
    // What everybody may read is no secret, and what the app's user owns is its own.
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("root may");
    assert!(for_app(&app).is_ok());
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("root may");
    chown(&secret, Some(APP), None).expect("root may");
    assert!(for_app(&app).is_ok());
    // A second name is a link too.
    chown(&secret, Some(0), None).expect("root may");
    fs::remove_file(&link).expect("it is there");
    if fs::hard_link(&secret, &link).is_ok() {
        assert!(for_app(&app).is_err());
    }
}
