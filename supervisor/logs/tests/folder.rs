//! What is opened, with which modes, and what is refused.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{Mode, umask};
use supervisor_logs::{Folder, LogError, Stream, StreamId};

fn id() -> StreamId {
    StreamId {
        app: "shop".to_owned(),
        instance: 3,
        stream: Stream::Err,
    }
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn makes_what_is_missing_with_the_right_modes_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("logs"));
    assert_eq!(folder.path(&id()), dir.path().join("logs/shop/3.err.log"));
    assert!(folder.open_for_reading(&id()).unwrap().is_none());
    let old = umask(Mode::from_bits_truncate(0o077));
    let file = folder.open_for_append(&id()).unwrap();
    umask(old);
    assert_eq!(mode(&dir.path().join("logs/shop")), 0o750);
    assert_eq!(mode(&folder.path(&id())), 0o640);
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL).unwrap());
    assert!(flags.contains(OFlag::O_RDWR) && !flags.contains(OFlag::O_APPEND));
    file.write_all_at(b"kept", 0).unwrap();
    // A second opening finds the same file and leaves its mode to whoever changed it.
    fs::set_permissions(folder.path(&id()), fs::Permissions::from_mode(0o600)).unwrap();
    drop(folder.open_for_append(&id()).unwrap());
    assert_eq!(mode(&folder.path(&id())), 0o600);
    let read = folder.open_for_reading(&id()).unwrap().unwrap();
    assert_eq!(read.metadata().unwrap().len(), 4);
}

/// Both ways to open must refuse, with a message that has this in it.
fn assert_refused(folder: &Folder, why: &str) {
    let errors = [
        folder.open_for_append(&id()).unwrap_err(),
        folder.open_for_reading(&id()).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, LogError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn refuses_everything_but_a_regular_file_with_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("logs"));
    let path = folder.path(&id());
    let secret = dir.path().join("secret");
    fs::write(&secret, "untouched").unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();

    symlink(&secret, &path).unwrap();
    assert_refused(&folder, "a symbolic link");
    fs::remove_file(&path).unwrap();

    symlink("nowhere", &path).unwrap();
    assert_refused(&folder, "a symbolic link");
    fs::remove_file(&path).unwrap();

    fs::hard_link(&secret, &path).unwrap();
    assert_refused(&folder, "hard links");
    fs::remove_file(&path).unwrap();

    nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
    assert_refused(&folder, "not a regular file");
    fs::remove_file(&path).unwrap();

    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_refused(&folder, "a socket");
    drop(socket);
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert!(matches!(
        folder.open_for_append(&id()),
        Err(LogError::Refused { .. })
    ));
    fs::remove_dir(&path).unwrap();

    assert_eq!(fs::read_to_string(&secret).unwrap(), "untouched");
    folder.open_for_append(&id()).unwrap();
}

#[test]
fn refuses_an_app_folder_that_is_a_link_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("logs"));
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::create_dir(dir.path().join("logs")).unwrap();
    symlink(&elsewhere, dir.path().join("logs/shop")).unwrap();
    assert_refused(&folder, "a symbolic link");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(dir.path().join("logs/shop")).unwrap();
    fs::write(dir.path().join("logs/shop"), "").unwrap();
    assert_refused(&folder, "not a folder");
}

#[test]
fn refuses_names_that_lead_out() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("logs"));
    for name in ["", ".", "..", "a/b", "../x", "a\0b"] {
        let bad = StreamId {
            app: name.to_owned(),
            ..id()
        };
        assert!(
            matches!(folder.open_for_append(&bad), Err(LogError::Name { .. })),
            "{name:?}"
        );
        assert!(
            matches!(folder.open_for_reading(&bad), Err(LogError::Name { .. })),
            "{name:?}"
        );
    }
}
