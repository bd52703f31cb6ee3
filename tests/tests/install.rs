//! `install` and `uninstall`, in a folder of the test's own: what is there then works, and what is
//! taken away is exactly that.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use supervisor_tests::{Home, Output, proc, programs};

/// Every file and folder below one, with mode and length of the files.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<(u32, u64)>> {
    let mut found = BTreeMap::new();
    let mut queue = vec![root.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(&folder).expect("own folder") {
            let path = entry.expect("own folder").path();
            let what = fs::symlink_metadata(&path).expect("it is there");
            let file = (what.permissions().mode() & 0o7777, what.len());
            if what.is_dir() {
                queue.push(path.clone());
            }
            found.insert(path, what.is_file().then_some(file));
        }
    }
    found
}

/// Under the mask that is worst for it.
fn ctl(home: &Home, program: &Path, words: &[&str]) -> Output {
    let mut command = home.command(Path::new("/bin/sh"));
    command.args(["-c", "umask 077; exec \"$0\" \"$@\""]);
    Output::of(command.arg(program).args(words))
}

fn install(home: &Home) -> Output {
    let destdir = home.text_of("image");
    ctl(
        home,
        &programs::supervisorctl(),
        &["install", "--destdir", &destdir],
    )
}

#[test]
fn what_is_installed_works_and_is_taken_away_again() {
    let home = Home::new();
    let image = home.file("image");
    fs::create_dir_all(image.join("usr/local/bin")).expect("own folder");
    fs::write(image.join("usr/local/bin/other"), "").expect("own folder");
    let before = tree(&image);
    let said = install(&home).ok();
    for (path, mode) in [
        ("usr/local/bin/supervisor", 0o755),
        ("usr/local/bin/supervisorctl", 0o755),
        ("usr/local/share/man/man1/supervisorctl.1", 0o644),
        (
            "usr/local/share/man/man1/supervisorctl-daemon-stop.1",
            0o644,
        ),
        ("usr/local/share/man/man8/supervisor.8", 0o644),
        (
            "usr/local/share/bash-completion/completions/supervisorctl",
            0o644,
        ),
        ("usr/local/share/zsh/site-functions/_supervisorctl", 0o644),
        (
            "usr/local/share/fish/vendor_completions.d/supervisorctl.fish",
            0o644,
        ),
        ("etc/systemd/system/supervisor.service", 0o644),
        ("etc/systemd/system/supervisor-apps.service", 0o644),
    ] {
        let path = image.join(path);
        assert!(
            said.stdout.contains(&format!("wrote {}\n", path.display())),
            "{said}"
        );
        let found =
            fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(
            found.permissions().mode() & 0o7777,
            mode,
            "{}",
            path.display()
        );
    }
    for (path, file) in tree(&image) {
        let folder_mode = || {
            fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777
        };
        assert!(
            file.is_some() || folder_mode() == 0o755,
            "{} for everybody",
            path.display()
        );
    }
    let unit =
        fs::read_to_string(image.join("etc/systemd/system/supervisor.service")).expect("there");
    assert!(
        unit.contains("ExecStart=:\"/usr/local/bin/supervisor\"\n"),
        "{unit}"
    );
    assert!(
        !unit.contains("Environment="),
        "nothing of this machine: {unit}"
    );
    let all = tree(&image);
    install(&home).ok().says("nothing to do");
    assert_eq!(tree(&image), all);

    for program in ["supervisor", "supervisorctl"] {
        let program = image.join("usr/local/bin").join(program);
        Output::of(home.command(&program).arg("--version"))
            .ok()
            .says("0.");
    }
    let destdir = home.text_of("image");
    let said = ctl(
        &home,
        &programs::supervisorctl(),
        &["uninstall", "--destdir", &destdir],
    )
    .ok();
    assert_eq!(
        said.stdout.lines().count(),
        all.values().flatten().count() - 2,
        "{said}"
    );
    assert_eq!(
        tree(&image).keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    ctl(
        &home,
        &programs::supervisorctl(),
        &["uninstall", "--destdir", &destdir],
    )
    .exits(1)
    .says("nothing was installed there");
}

#[test]
fn manual_pages_are_read_without_a_warning() {
    let home = Home::new();
    install(&home).ok();
    for (page, text) in [
        (
            "man1/supervisorctl.1",
            "Runs programs and keeps them running",
        ),
        ("man1/supervisorctl-startup.1", "needs no root"),
        ("man8/supervisor.8", "SUPERVISOR_HOME"),
    ] {
        let page = home.file("image/usr/local/share/man").join(page);
        let mut man = home.command(Path::new("man"));
        man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        let said = Output::of(man.args(["--warnings", "-l"]).arg(&page)).ok();
        assert!(said.stdout.contains(text), "{said}");
        assert_eq!(said.stderr, "", "{}", page.display());
    }
}

#[test]
fn shells_load_the_completions() {
    let home = Home::new();
    install(&home).ok();
    let share = home.file("image/usr/local/share");
    let bash = "source bash-completion/completions/supervisorctl && complete -p supervisorctl";
    let zsh = "fpath=($PWD/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D; \
               print ${_comps[supervisorctl]}";
    let fish =
        "source fish/vendor_completions.d/supervisorctl.fish; complete -C 'supervisorctl sta'";
    for (shell, script, expected) in [
        ("bash", bash, "supervisorctl"),
        ("zsh", zsh, "_supervisorctl"),
        ("fish", fish, "startup"),
    ] {
        let mut command = home.command(Path::new(shell));
        let bin = home.text_of("image/usr/local/bin");
        command
            .current_dir(&share)
            .env("PATH", format!("{bin}:/usr/bin:/bin"));
        Output::of(command.args(["-c", script])).ok().says(expected);
    }
}

#[test]
fn what_others_put_there_is_theirs() {
    let home = Home::new();
    let bin = home.file("image/usr/local/bin");
    fs::create_dir_all(&bin).expect("own folder");
    let theirs = bin.join("supervisorctl");
    fs::write(&theirs, "#!/usr/bin/python3\n").expect("own folder");
    let before = tree(&home.file("image"));
    install(&home)
        .exits(1)
        .says("was not put there by `install`")
        .says("--force");
    assert_eq!(tree(&home.file("image")), before, "nothing was changed");
    fs::remove_file(&theirs).expect("own file");

    install(&home).ok();
    fs::write(&theirs, "#!/usr/bin/python3\n").expect("own folder");
    let destdir = home.text_of("image");
    let said = ctl(
        &home,
        &programs::supervisorctl(),
        &["uninstall", "--destdir", &destdir],
    )
    .ok();
    said.says(&format!(
        "left {}: somebody has changed it since",
        theirs.display()
    ));
    let left: Vec<_> = tree(&home.file("image"))
        .into_iter()
        .filter(|(_, file)| file.is_some())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// Root removes nothing because somebody else has written its name into a list.
#[test]
fn a_list_that_others_may_write_is_not_followed() {
    let home = Home::new();
    install(&home).ok();
    let list = home.file("image/usr/local/share/supervisor/manifest");
    let destdir = home.text_of("image");
    let uninstall = ["uninstall", "--destdir", &destdir];
    fs::set_permissions(&list, fs::Permissions::from_mode(0o646)).expect("own file");
    let before = tree(&home.file("image"));
    ctl(&home, &programs::supervisorctl(), &uninstall)
        .exits(1)
        .says("others may change")
        .says("(mode 0646)");
    assert_eq!(tree(&home.file("image")), before, "nothing was removed");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).expect("own file");
    ctl(&home, &programs::supervisorctl(), &uninstall).ok();
}

/// Over a daemon that runs, and away below it.
#[test]
fn a_daemon_that_runs_is_not_disturbed() {
    let home = Home::new();
    let prefix = home.text_of("prefix");
    // An older one, by a byte that means nothing.
    let old = home.copy(&programs::supervisor(), "supervisor");
    home.copy(&programs::supervisorctl(), "supervisorctl");
    let mut older = fs::read(&old).expect("own file");
    older.push(0);
    fs::write(&old, older).expect("own file");
    // As a package, so that no unit of this machine is touched.
    let words = ["install", "--prefix", &prefix, "--destdir", "/"];
    let root = nix::unistd::Uid::effective().is_root();
    let isolated = |program: &Path, words: &[&str]| {
        let mut command = home.command(Path::new("unshare"));
        command.args(["--mount", "/bin/sh", "-c"]);
        command.arg(
            "mkdir -p /etc/systemd/system units && mount --bind units /etc/systemd/system && exec \"$0\" \"$@\"",
        );
        Output::of(command.arg(program).args(words))
    };
    if !root {
        println!("skipped: a folder of units of its own needs root");
        return;
    }
    isolated(&home.file("supervisorctl"), &words).ok();
    let installed = Path::new(&prefix).join("bin/supervisor");
    Output::of(home.command(&installed).arg("--daemonize")).ok();
    let daemon = home.daemon();
    let live = ["install", "--prefix", &prefix];
    let said = isolated(&programs::supervisorctl(), &live).ok();
    said.says(&format!("wrote {}", installed.display()))
        .says("supervisorctl daemon upgrade");
    assert_eq!(home.daemon(), daemon);

    let uninstall = ["uninstall", "--prefix", &prefix];
    let refused = isolated(&programs::supervisorctl(), &uninstall).exits(1);
    refused.says("a daemon runs from").says("daemon stop");
    assert!(installed.exists());
    isolated(
        &programs::supervisorctl(),
        &["uninstall", "--prefix", &prefix, "--force"],
    )
    .ok();
    assert!(!installed.exists());
    assert!(
        proc::alive(daemon.keeper) && home.daemon() == daemon,
        "it goes on"
    );
}
