//! A disk for logs that is filled to its last byte and freed again, with six writers on it. With
//! `on_full = "drop"` what is there and what is told to be missing make up what was written,
//! exactly; with "block" nothing is missing. Whoever logs elsewhere does not notice.

use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::disk::{Disk, Kind};
use supervisor_tests::writers::{Way, Writer, dropped};
use supervisor_tests::{Home, lines, logfiles, proc, wait_until};

const RATE: u64 = 1000;
const DROP: &str = "on_full = \"drop\"\nmax_size = \"unlimited\"\nmax_total = \"unlimited\"\n";

/// Six writers whose logs are on the disk.
struct Six<'a> {
    home: &'a Home,
    writers: Vec<Writer>,
}

impl Six<'_> {
    fn start(home: &Home) -> Six<'_> {
        let ways = Way::ALL.into_iter().cycle().take(6).enumerate();
        let writers: Vec<Writer> = ways
            .map(|(n, way)| Writer::new(&format!("writer{n}"), way))
            .collect();
        let config: String = writers
            .iter()
            .map(|writer| writer.lines(home, RATE, DROP))
            .collect();
        home.up(&config).ok();
        Six { home, writers }
    }

    /// Waits until each has lost more lines than it had.
    fn lose_more(&self) {
        let lost = || -> Vec<u64> {
            let of = |writer: &Writer| dropped(&self.home.row(&writer.name)).0;
            self.writers.iter().map(of).collect()
        };
        let before = lost();
        wait_until("each drops lines", Duration::from_secs(30), || {
            let mut pairs = lost().into_iter().zip(&before);
            pairs.all(|(now, &before)| now > before).then_some(())
        });
    }

    /// Waits until each has a marker for what it has lost, and lines after it.
    fn tell_of_it(&self) {
        for writer in &self.writers {
            let what = format!("{} tells what it lost", writer.name);
            wait_until(&what, Duration::from_secs(30), || {
                let log = logfiles::whole(&writer.live(self.home));
                let end = log.iter().rposition(|&byte| byte == b'\n')? + 1;
                // Read while it is written: only whole lines.
                let sum = lines::account(&log[..end], writer.way.is_stamped());
                let sum = sum.unwrap_or_else(|wrong| panic!("{}: {wrong}", writer.name));
                let (lost, _) = dropped(&self.home.row(&writer.name));
                (sum.dropped_lines == lost && sum.lines > 100).then_some(())
            });
        }
    }

    fn stop_and_account(&self, all_is_told: bool) {
        self.home.ctl(&["stop", "all"]).ok();
        for writer in &self.writers {
            let written = writer.count(self.home, Duration::from_secs(5));
            let log = logfiles::whole(&writer.live(self.home));
            let sum = lines::account(&log, writer.way.is_stamped());
            let sum = sum.unwrap_or_else(|wrong| panic!("{}: {wrong}", writer.name));
            let row = self.home.row(&writer.name);
            let (lost_lines, lost_bytes) = dropped(&row);
            let shown = format!("{} wrote {written}; {sum:?}; {row}", writer.name);
            assert_eq!(sum.lines + lost_lines, written, "{shown}");
            assert_eq!(
                sum.bytes + lost_bytes,
                written * lines::LENGTH as u64,
                "{shown}"
            );
            assert!(lost_lines > 0, "{shown}");
            if all_is_told {
                assert_eq!(
                    (sum.dropped_lines, sum.dropped_bytes),
                    (lost_lines, lost_bytes),
                    "{shown}"
                );
            } else {
                assert!(sum.dropped_lines <= lost_lines, "{shown}");
            }
            assert_eq!(row["restarts"], 0, "{row}");
        }
    }
}

/// Filled by somebody else and by the writers themselves, freed, filled again.
fn drop_counts_exactly(kind: Kind, kills: usize) {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, kind, 24 << 10, home.path().join("logs")) else {
        return;
    };
    let six = Six::start(&home);
    for _ in 0..2 {
        disk.fill();
        six.lose_more();
        for _ in 0..kills {
            home.kill_engine();
            six.lose_more();
        }
        disk.free();
        for _ in 0..kills {
            home.kill_engine();
        }
        six.tell_of_it();
    }
    six.stop_and_account(true);
}

#[test]
fn what_is_dropped_on_ext4_is_counted_exactly() {
    drop_counts_exactly(Kind::Ext4, 0);
}

#[test]
fn what_is_dropped_on_tmpfs_is_counted_exactly() {
    drop_counts_exactly(Kind::Tmpfs, 0);
}

#[test]
fn what_is_dropped_while_engines_die_is_counted_exactly() {
    drop_counts_exactly(Kind::Ext4, 4);
}

#[test]
fn what_was_dropped_at_the_end_is_counted_without_room_to_tell() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 16 << 10, home.path().join("logs")) else {
        return;
    };
    let six = Six::start(&home);
    disk.fill();
    six.lose_more();
    six.stop_and_account(false);
}

/// Waits until a process has written so many bytes more.
#[track_caller]
fn goes_on(what: &str, pid: i32, bytes: u64) {
    let before = proc::wrote(pid);
    wait_until(what, Duration::from_secs(20), || {
        (proc::wrote(pid) >= before + bytes).then_some(())
    });
}

#[test]
fn block_loses_nothing_and_holds_up_nobody_else() {
    const FAST: u64 = 10_000;
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 16 << 10, home.path().join("logs")) else {
        return;
    };
    let block = DROP.replace("drop", "block");
    let waiting = [Way::Raw, Way::Stamped].map(|way| Writer::new(&format!("waits-{way:?}"), way));
    let dropping = Writer::new("drops", Way::Raw);
    let elsewhere = Writer::new("elsewhere", Way::Raw);
    let other = home.file("elsewhere.log");
    let paths = format!(
        "{block}stdout = {:?}\nstderr = \"null\"\n",
        home.text_of("elsewhere.log")
    );
    let mut config: String = waiting
        .iter()
        .map(|writer| writer.lines(&home, FAST, &block))
        .collect();
    config += &dropping.lines(&home, FAST, DROP);
    config += &elsewhere.lines(&home, RATE, &paths);
    home.up(&config).ok();
    let pids = waiting.each_ref().map(|writer| home.pid(&writer.name));
    disk.fill();
    // Its pipe is full, and nothing takes anything out of it: all else goes on for long enough.
    let drops = home.pid("drops");
    let stuck = wait_until("two apps wait", Duration::from_secs(30), || {
        let before = pids.map(proc::wrote);
        goes_on("the one that drops", drops, 300_000);
        (pids.map(proc::wrote) == before).then_some(before)
    });
    let size = || other.metadata().map_or(0, |meta| meta.len());
    let before = size();
    wait_until("the log elsewhere grows", Duration::from_secs(10), || {
        (size() > before + 50_000).then_some(())
    });
    home.kill_engine();
    goes_on("the one that drops, after a kill", drops, 300_000);
    assert_eq!(pids.map(proc::wrote), stuck, "they still wait");
    assert!(dropped(&home.row("drops")).0 > 0);
    disk.free();
    for (pid, writer) in pids.into_iter().zip(&waiting) {
        goes_on(&writer.name, pid, 100_000);
    }
    home.ctl(&["stop", "all"]).ok();
    for writer in &waiting {
        writer.check(&home);
    }
    let written = elsewhere.count(&home, Duration::from_secs(5));
    let log = std::fs::read(&other).expect("it is there");
    assert_eq!(lines::check(&log, written), Ok(()));
    assert_eq!(dropped(&home.row("elsewhere")), (0, 0));
}

#[test]
fn an_app_that_waits_for_room_can_be_stopped() {
    let home = Home::new();
    let Some(disk) = Disk::mount(&home, Kind::Ext4, 8 << 10, home.path().join("logs")) else {
        return;
    };
    let writer = Writer::new("app", Way::Raw);
    let logs = DROP.replace("drop", "block");
    let stop = "[app.app.stop]\ntimeout = \"500ms\"\n";
    home.up(&(writer.lines(&home, 20_000, &logs) + stop)).ok();
    let pid = home.pid("app");
    disk.fill();
    wait_until("it waits", Duration::from_secs(30), || {
        let before = proc::wrote(pid);
        std::thread::sleep(Duration::from_millis(300));
        (proc::wrote(pid) == before).then_some(())
    });
    let stopped = home.ctl(&["stop", "app"]).ok();
    assert!(stopped.took < Duration::from_secs(10), "{stopped}");
    assert!(!proc::alive(pid));
    let row = home.wait_row("app", "its end is known", |row| row["state"] == "stopped");
    assert_eq!(
        row["last_exit"]["signal"],
        Signal::SIGKILL.as_str(),
        "{row}"
    );
}

#[test]
fn the_oldest_rotated_files_make_room_before_anything_is_dropped() {
    let home = Home::new();
    let Some(_disk) = Disk::mount(&home, Kind::Ext4, 4 << 10, home.path().join("logs")) else {
        return;
    };
    let writer = Writer::new("app", Way::Raw);
    let count = 400_000;
    let logs = "on_full = \"drop\"\nmax_size = \"200KB\"\nkeep = 1000\ncompress = false\nmax_total = \"unlimited\"\n";
    home.up(&writer.burst(&home, count, logs)).ok();
    assert_eq!(writer.count(&home, Duration::from_secs(60)), count);
    home.ctl(&["stop", "app"]).ok();
    let log = logfiles::whole(&writer.live(&home));
    let first = lines::number_of(&log[..lines::LENGTH]).expect("a file begins with a line");
    let row = home.row("app");
    assert_eq!(dropped(&row), (0, 0), "{row}");
    assert!(first > 1, "22 MB do not fit on this disk");
    let there = usize::try_from(count + 1 - first).expect("few") * lines::LENGTH;
    assert_eq!(log.len(), there, "the newest lines, without a gap");
    assert!(
        there > 1_000_000,
        "far more was deleted than had to be: {there} bytes are left"
    );
}
