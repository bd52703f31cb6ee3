//! Which files an app's output goes to, and what one does with them: a path of one's own, none,
//! both streams in one, `flush`, `logs --path`, rules that change while it runs, and logrotate.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::writers::{Way, Writer, dropped};
use supervisor_tests::{Home, app, is_root, lines, logfiles, proc, testapp, wait_until};

const RATE: u64 = 2000;

#[track_caller]
fn grows(file: &Path, more: u64) {
    let size = || fs::metadata(file).map_or(0, |meta| meta.len());
    let before = size();
    wait_until(
        &format!("{} grows", file.display()),
        Duration::from_secs(20),
        || (size() >= before + more).then_some(()),
    );
}

fn live(home: &Home, name: &str, stream: &str) -> PathBuf {
    home.path().join(format!("logs/{name}/0.{stream}.log"))
}

#[test]
fn both_streams_through_one_pipe_keep_their_order() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Merged);
    home.up(&writer.lines(&home, RATE, "")).ok();
    grows(&writer.live(&home), 50_000);
    home.kill_engine();
    grows(&writer.live(&home), 50_000);
    home.ctl(&["stop", "app"]).ok();
    writer.check(&home);
    assert!(!live(&home, "app", "err").exists(), "there is one file");
}

#[test]
fn without_it_each_stream_has_its_own() {
    let home = Home::new();
    let folder = home.text_of("");
    home.up(&testapp("app", &["lines", "1000", &folder, "both"], ""))
        .ok();
    grows(&live(&home, "app", "err"), 20_000);
    home.ctl(&["stop", "app"]).ok();
    for (stream, rest) in [("out", 1), ("err", 0)] {
        let log = fs::read(live(&home, "app", stream)).expect("it is there");
        let numbers = log
            .split_inclusive(|&byte| byte == b'\n')
            .map(lines::number_of);
        let numbers: Vec<u64> = numbers.map(|number| number.expect("whole lines")).collect();
        assert!(numbers.iter().all(|number| number % 2 == rest), "{stream}");
        assert!(numbers.is_sorted() && numbers.len() > 100, "{stream}");
    }
}

#[test]
fn a_path_of_ones_own_and_none_at_all() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    // Relative to the app's folder; rotated and indexed beside it as the usual ones are.
    fs::create_dir(home.file("own")).expect("the work folder");
    let logs = "stdout = \"own/app.log\"\nstderr = \"null\"\nmax_size = \"64KiB\"\nkeep = 1000\n";
    home.up(&writer.lines(&home, RATE, logs)).ok();
    let own = home.file("own/app.log");
    wait_until("rotations", Duration::from_secs(20), || {
        (logfiles::rotated(&own).len() >= 2).then_some(())
    });
    home.kill_engine();
    let row = home.row("app");
    assert_eq!(
        row["logs"]["stdout"],
        own.to_str().expect("plain names"),
        "{row}"
    );
    home.ctl(&["stop", "app"]).ok();
    let written = writer.count(&home, Duration::from_secs(5));
    assert_eq!(lines::check(&logfiles::whole(&own), written), Ok(()));
    assert_eq!(logfiles::strangers(&own, &[]), Vec::<PathBuf>::new());
    for stream in ["out", "err"] {
        assert!(
            !live(&home, "app", stream).exists(),
            "{stream} goes elsewhere"
        );
    }
    let path = home.ctl(&["logs", "app", "--path"]).ok();
    assert_eq!(
        path.stdout.trim(),
        own.to_str().expect("plain names"),
        "and nothing else"
    );
    let shown = home.ctl(&["logs", "app", "--no-follow", "-n", "3"]).ok();
    assert_eq!(shown.stdout.lines().count(), 3, "{shown}");
}

#[test]
fn null_takes_everything_and_keeps_nothing() {
    let home = Home::new();
    let logs = "[app.app.logs]\nstdout = \"null\"\nstderr = \"null\"\n";
    home.up(&testapp("app", &["lines", "1000", &home.text_of("")], logs))
        .ok();
    let pid = home.pid("app");
    for stream in ["1", "2"] {
        let to = fs::read_link(format!("/proc/{pid}/fd/{stream}")).expect("it runs");
        assert_eq!(to, Path::new("/dev/null"));
    }
    home.ctl(&["stop", "app"]).ok();
    assert!(!live(&home, "app", "out").exists());
}

/// A path of a user's could lead a root daemon to a file of somebody else's.
#[test]
fn a_link_is_not_followed_to_where_it_should_not_lead() {
    let home = Home::new();
    let folder = home.file("own");
    fs::create_dir(&folder).expect("the work folder");
    let target = home.write("target", "precious\n");
    symlink(&target, folder.join("linked.log")).expect("a link");
    fs::hard_link(&target, folder.join("hard.log")).expect("a link");
    let mut config = String::new();
    for name in ["linked", "hard"] {
        let logs = format!("[app.{name}.logs]\nstdout = \"own/{name}.log\"\n");
        config += &testapp(name, &["lines", "1000", &home.text_of("")], &logs);
    }
    if is_root() {
        // A folder that another user may change at any moment.
        let other = home.file("other");
        fs::create_dir(&other).expect("the work folder");
        std::os::unix::fs::chown(&other, Some(65534), Some(65534)).expect("root");
        symlink(&folder, other.join("there")).expect("a link");
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &other.join("there"),
            Some(65534.into()),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .expect("root");
        let logs = "[app.there.logs]\nstdout = \"other/there/there.log\"\n";
        config += &testapp("there", &["lines", "1000", &home.text_of("")], logs);
    }
    home.write("links.toml", &config);
    // Whether it is refused or told later: nothing is written to where the link leads.
    home.ctl(&["up", "links.toml", "--no-wait"]);
    for row in home.status() {
        // An app that does not run writes nothing; of one that does, more than a pipe holds.
        let Some(pid) = row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()) else {
            continue;
        };
        wait_until("it has written", Duration::from_secs(20), || {
            (!proc::alive(pid) || proc::wrote(pid) > 50_000).then_some(())
        });
    }
    home.ctl(&["stop", "all"]);
    assert_eq!(
        fs::read_to_string(&target).expect("it is there"),
        "precious\n"
    );
    assert!(!folder.join("there.log").exists());
}

#[test]
fn flush_empties_everything() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Stamped);
    home.up(&writer.lines(&home, RATE, "max_size = \"64KiB\"\nkeep = 1000\n"))
        .ok();
    let live = writer.live(&home);
    wait_until("rotations", Duration::from_secs(20), || {
        (logfiles::rotated(&live).len() >= 3).then_some(())
    });
    home.ctl(&["flush", "app"]).ok();
    assert_eq!(logfiles::rotated(&live).len(), 0);
    assert!(fs::metadata(&live).map_or(0, |meta| meta.len()) < 60_000);
    grows(&live, 10_000);
    home.ctl(&["stop", "app"]).ok();
    home.ctl(&["flush"]).ok();
    assert_eq!(fs::metadata(&live).map_or(0, |meta| meta.len()), 0);
    let shown = home
        .ctl(&["logs", "app", "--no-follow", "--stream", "out"])
        .ok();
    assert!(!shown.stdout.contains("fox"), "{shown}");
    assert_eq!(dropped(&home.row("app")), (0, 0));
}

#[test]
fn rules_change_without_a_restart() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    home.up(&writer.lines(&home, RATE, "max_size = \"unlimited\"\n"))
        .ok();
    let (pid, live) = (home.pid("app"), writer.live(&home));
    grows(&live, 100_000);
    assert!(logfiles::rotated(&live).is_empty());
    home.up(&writer.lines(
        &home,
        RATE,
        "max_size = \"64KiB\"\nkeep = 3\ncompress = false\n",
    ))
    .ok();
    wait_until("rotations", Duration::from_secs(20), || {
        (logfiles::rotated(&live).len() == 3).then_some(())
    });
    let stamped = Writer::new("app", Way::Stamped);
    home.up(&stamped.lines(
        &home,
        RATE,
        "max_size = \"64KiB\"\nkeep = 3\ncompress = false\n",
    ))
    .ok();
    wait_until("times before lines", Duration::from_secs(20), || {
        let log = fs::read(&live).ok()?;
        let end = log.iter().rposition(|&byte| byte == b'\n')? + 1;
        lines::unstamped(&log[..end])
            .ok()
            .filter(|text| !text.is_empty())
            .map(drop)
    });
    assert_eq!(home.pid("app"), pid, "the app itself is left alone");
}

/// Somebody who keeps logrotate: `mv`, then a signal or the command, then the old one is theirs.
#[test]
fn after_a_reopen_nothing_more_goes_into_the_old_file() {
    for by_signal in [false, true] {
        let home = Home::new();
        let writer = Writer::new("app", Way::Raw);
        home.up(&writer.lines(&home, RATE, "max_size = \"unlimited\"\n"))
            .ok();
        let live = writer.live(&home);
        let mut all = Vec::new();
        for round in 0..5 {
            grows(&live, 20_000);
            let moved = home.file(&format!("moved.{round}"));
            fs::rename(&live, &moved).expect("the folder is ours");
            if by_signal {
                proc::kill(home.daemon().keeper, Signal::SIGUSR2);
                grows(&live, 1);
            } else {
                home.ctl(&["daemon", "reload-logs"]).ok();
            }
            let taken = fs::read(&moved).expect("it was moved");
            grows(&live, 20_000);
            assert_eq!(
                fs::read(&moved).expect("it is there").len(),
                taken.len(),
                "round {round}"
            );
            all.extend(taken);
        }
        home.ctl(&["stop", "app"]).ok();
        all.extend(writer.logged(&home));
        let written = writer.count(&home, Duration::from_secs(5));
        assert_eq!(
            lines::check(&all, written),
            Ok(()),
            "by signal: {by_signal}"
        );
    }
}

#[test]
fn files_are_for_the_owner_and_the_group() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    home.up(&writer.lines(&home, RATE, "max_size = \"64KiB\"\nkeep = 1000\n"))
        .ok();
    let live = writer.live(&home);
    let packed = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "zst");
    wait_until("compressed files", Duration::from_secs(20), || {
        logfiles::rotated(&live).values().any(packed).then_some(())
    });
    home.ctl(&["stop", "app"]).ok();
    for file in logfiles::files(&live)
        .into_iter()
        .chain([logfiles::index(&live)])
    {
        let meta = fs::symlink_metadata(&file).expect("it is there");
        assert_eq!(
            meta.permissions().mode() & 0o7777,
            0o640,
            "{}",
            file.display()
        );
        assert_eq!(meta.nlink(), 1, "{}", file.display());
    }
}

#[test]
fn faults_are_found_before_anything_is_touched() {
    let home = Home::new();
    let sleep = ["sleep", "1000"];
    let faults = [
        ("stdout = \"a.log\"\nstderr = \"a.log\"", "merge"),
        (
            "stdout = \"a.log\"\n[app.b]\ncommand = \"sleep 1\"\nlogs.stdout = \"a.log\"",
            "a.log",
        ),
        ("max_size = \"10KB\"", "max_size"),
        ("merge = true\nstderr = \"b.log\"", "merge"),
    ];
    for (logs, says) in faults {
        let config = app("a", &sleep, &format!("[app.a.logs]\n{logs}"));
        home.write("faulty.toml", &config);
        home.ctl(&["check", "faulty.toml"]).exits(1).says(says);
    }
    let several = app(
        "a",
        &sleep,
        "instances = 2\n[app.a.logs]\nstdout = \"x.log\"",
    );
    home.write("faulty.toml", &several);
    home.ctl(&["check", "faulty.toml"])
        .exits(1)
        .says("{instance}");
    let each = several.replace("x.log", "x.{instance}.log");
    home.write("fine.toml", &each);
    home.ctl(&["check", "fine.toml"]).ok();
}
