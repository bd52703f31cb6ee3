//! Each failure says where and why.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::super::spawn::{Launch, Outcome, SpawnCell, Stage, spawn, spawn_by};
use super::super::users::Identity;
use super::spawning::{WAYS, somebody};
use super::{c, in_engine, launch, refuse, running};

/// The stage and errno of a launch that must fail, by both ways.
fn failure(launch: &Launch) -> (Stage, Errno) {
    let [one, other] = WAYS.map(|way| {
        let cell = SpawnCell::default();
        let Outcome::Failed { pid, stage, errno } = spawn_by(way, launch, &cell) else {
            panic!("must fail: {launch:?}");
        };
        assert!(pid > 0);
        assert_eq!(
            (
                cell.pid.load(Ordering::Relaxed),
                cell.stage.load(Ordering::Relaxed)
            ),
            (pid, stage as u32)
        );
        (stage, errno)
    });
    assert_eq!(one, other);
    one
}

#[test]
fn a_failure_says_where_and_why() {
    let exits = in_engine(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| c(folder.path().join(name).to_str().expect("text"));
        let write = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("write");
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode");
        };
        write("plain", "text", 0o644);
        write("badly", "#!/no/such/interpreter\n", 0o755);
        write("nothing", "just text\n", 0o755);
        symlink("loop", folder.path().join("loop")).expect("link");
        let of = |programs: &[&str]| Launch {
            programs: programs.iter().map(|p| at(p)).collect(),
            ..launch(&["app"])
        };

        assert_eq!(failure(&of(&["gone"])), (Stage::Exec, Errno::ENOENT));
        assert_eq!(failure(&of(&["plain/below"])), (Stage::Exec, Errno::ENOENT));
        assert_eq!(
            failure(&of(&["plain", "gone"])),
            (Stage::Exec, Errno::EACCES)
        );
        assert_eq!(failure(&of(&["badly"])), (Stage::Exec, Errno::ENOENT));
        assert_eq!(failure(&of(&["nothing"])), (Stage::Exec, Errno::ENOEXEC));
        assert_eq!(failure(&of(&["loop"])), (Stage::Exec, Errno::ELOOP));
        let wrong = Launch {
            directory: at("gone"),
            ..of(&["badly"])
        };
        assert_eq!(failure(&wrong), (Stage::Directory, Errno::ENOENT));
        let wrong = Launch {
            keeper: std::process::id() as i32,
            ..of(&["badly"])
        };
        assert_eq!(failure(&wrong), (Stage::Parent, Errno::ESRCH));
        let wrong = Launch {
            nofile: Some((10, 5)),
            ..of(&["badly"])
        };
        assert_eq!(failure(&wrong), (Stage::Limits, Errno::EINVAL));
        let wrong = Launch {
            oom_score_adj: Some(5000),
            ..of(&["badly"])
        };
        assert_eq!(failure(&wrong), (Stage::OomScore, Errno::EINVAL));
    });
    assert!(
        exits.len() == 20 && exits.iter().all(|(_, status)| *status == 127 << 8),
        "{exits:?}"
    );
}

#[test]
fn a_failure_of_identity_says_where_and_why() {
    let Some(nobody) = somebody() else { return };
    in_engine(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("ours");
        let private = c(folder.path().to_str().expect("text"));
        let wrong = Launch {
            identity: Some(nobody.clone()),
            directory: private,
            ..launch(&["/bin/true"])
        };
        assert_eq!(
            failure(&wrong),
            (Stage::Directory, Errno::EACCES),
            "changed to as the user, not as root"
        );

        // From here on the engine is nobody itself.
        // SAFETY: plain numbers; this process has one thread.
        let refused =
            unsafe { libc::setresgid(65534, 65534, 65534) | libc::setresuid(65534, 65534, 65534) };
        assert_eq!(refused, 0);
        let root = Identity {
            uid: 0,
            gid: 0,
            groups: vec![0],
            name: "root".into(),
            ..nobody.clone()
        };
        let wrong = Launch {
            identity: Some(root.clone()),
            ..launch(&["/bin/true"])
        };
        assert_eq!(failure(&wrong), (Stage::Gid, Errno::EPERM));
        let wrong = Launch {
            identity: Some(Identity { gid: 65534, ..root }),
            ..launch(&["/bin/true"])
        };
        assert_eq!(failure(&wrong), (Stage::Uid, Errno::EPERM));
        let wrong = Launch {
            nice: Some(-5),
            ..launch(&["/bin/true"])
        };
        assert_eq!(failure(&wrong), (Stage::Nice, Errno::EACCES));
        let itself = Launch {
            identity: Some(nobody.clone()),
            ..launch(&["/bin/true"])
        };
        running(spawn(&itself, &SpawnCell::default()));
    });
}

#[test]
fn no_process_at_all_is_an_outcome_of_its_own() {
    in_engine(|| {
        refuse(&[
            (libc::SYS_clone3, libc::ENOSYS),
            (libc::SYS_clone, libc::EAGAIN),
        ]);
        let cell = SpawnCell::default();
        let outcome = spawn(&launch(&["/bin/true"]), &cell);
        assert!(
            matches!(
                outcome,
                Outcome::NoProcess {
                    errno: Errno::EAGAIN
                }
            ),
            "{outcome:?}"
        );
        assert_eq!(cell.pid.load(Ordering::Relaxed), 0);
    });
}
