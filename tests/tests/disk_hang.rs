//! A disk for logs that hangs: every write to it waits, for as long as it takes. The apps that log
//! there are still seen to die, are stopped and started; who logs elsewhere notices nothing; when
//! the disk answers again, every line is there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::disk::{Disk, Kind};
use supervisor_tests::writers::{Way, Writer, dropped};
use supervisor_tests::{Home, Output, lines, proc, wait_until};

/// So few that a pipe holds all that is written while the disk hangs.
const RATE: u64 = 100;

/// A command may take so long while a disk hangs.
const SOON: Duration = Duration::from_secs(4);

/// An app whose only output is a file in the work folder.
fn elsewhere(home: &Home) -> (Writer, PathBuf, String) {
    let writer = Writer::new("elsewhere", Way::Raw);
    let logs = format!(
        "stdout = {:?}\nstderr = \"null\"\n",
        home.text_of("elsewhere.log")
    );
    let config = writer.lines(home, RATE, &logs);
    (writer, home.file("elsewhere.log"), config)
}

#[track_caller]
fn grows(file: &PathBuf) {
    let size = || fs::metadata(file).map_or(0, |meta| meta.len());
    let before = size();
    let what = format!("{} grows", file.display());
    wait_until(&what, Duration::from_secs(10), || {
        (size() > before + 2000).then_some(())
    });
}

#[track_caller]
fn soon(output: Output) -> Output {
    assert!(output.took < SOON, "too slow: {output}");
    output.ok()
}

/// Restarts, a death and a stop of apps whose disk hangs; gives the number of lines that each of the
/// restarted app's runs wrote.
fn live_on(home: &Home, writer: &Writer, dies: &str) -> Vec<u64> {
    let count = || writer.count(home, Duration::from_secs(5));
    let counted = home.file(&format!("{}.0.count", writer.name));
    let mut runs = Vec::new();
    for _ in 0..2 {
        soon(home.ctl(&["restart", &writer.name]));
        runs.push(count());
        fs::remove_file(&counted).expect("it is there");
    }
    // A death that nobody asked for is seen, and has a successor.
    let pid = home.pid(dies);
    proc::kill(pid, Signal::SIGKILL);
    let row = home.wait_row(dies, "has a successor", |row| {
        row["restarts"] == 1 && row["state"] == "running" && row["pid"] != pid
    });
    assert_eq!(row["last_exit"]["signal"], "SIGKILL", "{row}");
    for words in [
        &["status"][..],
        &["show", &writer.name],
        &["show", dies],
        &["daemon", "status"],
    ] {
        soon(home.ctl(words));
    }
    soon(home.ctl(&["stop", &writer.name]));
    runs.push(count());
    fs::remove_file(&counted).expect("it is there");
    soon(home.ctl(&["start", &writer.name]));
    runs
}

/// After the disk has answered again: stops all and compares.
fn every_line_is_there(home: &Home, writer: &Writer, log: &PathBuf, mut runs: Vec<u64>) {
    grows(log);
    home.ctl(&["stop", "all"]).ok();
    runs.push(writer.count(home, Duration::from_secs(5)));
    let log = fs::read(log).expect("there is a log");
    if let Err(wrong) = lines::check_runs(&log, &runs) {
        panic!("{runs:?}: {wrong}");
    }
    let row = home.row(&writer.name);
    assert_eq!(dropped(&row), (0, 0), "{row}");
}

fn whole_and_elsewhere(home: &Home, elsewhere: &Writer, log: &PathBuf) {
    let written = elsewhere.count(home, Duration::from_secs(5));
    let log = fs::read(log).expect("there is a log");
    assert_eq!(lines::check(&log, written), Ok(()));
    assert_eq!(home.row("elsewhere")["restarts"], 0);
}

#[test]
fn the_disk_of_all_logs_hangs() {
    let home = Home::new();
    let logs = home.path().join("logs");
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 16 << 10, logs) else {
        return;
    };
    let (hangs, dies) = (
        Writer::new("hangs", Way::Raw),
        Writer::new("dies", Way::Stamped),
    );
    let (other, other_log, config) = elsewhere(&home);
    home.up(&(hangs.lines(&home, RATE, "") + &dies.lines(&home, RATE, "") + &config))
        .ok();
    let log = hangs.live(&home);
    grows(&log);
    grows(&other_log);
    let frozen = disk.freeze();
    grows(&other_log);
    let runs = live_on(&home, &hangs, "dies");
    grows(&other_log);
    drop(frozen);
    every_line_is_there(&home, &hangs, &log, runs);
    whole_and_elsewhere(&home, &other, &other_log);
}

#[test]
fn the_disk_of_one_log_hangs() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 16 << 10, home.file("slow")) else {
        return;
    };
    let log = home.file("slow/hangs.log");
    let hangs = Writer::new("hangs", Way::Raw);
    let path = format!("stdout = {:?}\n", home.text_of("slow/hangs.log"));
    let dies = Writer::new("dies", Way::Raw);
    let path_of_it = format!("stdout = {:?}\n", home.text_of("slow/dies.log"));
    let (other, other_log, config) = elsewhere(&home);
    let usual = Writer::new("usual", Way::Stamped);
    home.up(&(hangs.lines(&home, RATE, &path)
        + &dies.lines(&home, RATE, &path_of_it)
        + &usual.lines(&home, RATE, "")
        + &config))
        .ok();
    grows(&log);
    let frozen = disk.freeze();
    let runs = live_on(&home, &hangs, "dies");
    grows(&other_log);
    grows(&usual.live(&home));
    soon(home.ctl(&["logs", "usual", "--no-follow"])).says("quick brown fox");
    drop(frozen);
    every_line_is_there(&home, &hangs, &log, runs);
    whole_and_elsewhere(&home, &other, &other_log);
    usual.check(&home);
}

#[test]
fn a_new_app_starts_and_a_full_pipe_holds_up_only_its_own_app() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 16 << 10, home.file("slow")) else {
        return;
    };
    let busy = Writer::new("busy", Way::Raw);
    let path = format!(
        "stdout = {:?}\n[app.busy.stop]\ntimeout = \"1s\"\n",
        home.text_of("slow/busy.log")
    );
    let (_, other_log, config) = elsewhere(&home);
    home.up(&(busy.lines(&home, 20_000, &path) + &config)).ok();
    grows(&home.file("slow/busy.log"));
    let frozen = disk.freeze();
    let pid = home.pid("busy");
    wait_until("its pipe is full", Duration::from_secs(20), || {
        let before = proc::wrote(pid);
        grows(&other_log);
        (before == proc::wrote(pid)).then_some(())
    });
    // Even the one that waits in a write is stopped.
    soon(home.ctl(&["stop", "busy"]));
    soon(home.ctl(&["start", "sleep", "--name", "new", "--", "1000"]));
    grows(&other_log);
    drop(frozen);
    // Each line that was taken is there, whole or as the beginning that the dead app wrote.
    let log = home.file("slow/busy.log");
    let size = || fs::metadata(&log).map_or(0, |meta| meta.len());
    let mut last = size();
    wait_until("the log is at rest", Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(300));
        let before = std::mem::replace(&mut last, size());
        (before == last).then_some(())
    });
    let log = fs::read(&log).expect("there is a log");
    let whole = log
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let count = whole / lines::LENGTH;
    let left = log.len() - whole;
    assert!(left < lines::LENGTH);
    let own = &log[..count * lines::LENGTH];
    assert_eq!(lines::check(own, count as u64), Ok(()));
    assert!(
        log.len() >= 64 << 10,
        "only {} bytes of what a pipe holds",
        log.len()
    );
}
