//! As PID 1 of a container: what is left behind is reaped, SIGTERM is an orderly stop, and the
//! ENTRYPOINT that `startup` prints brings up the apps of the config files. Needs root for a pid
//! namespace of its own; where there is none, the tests say that they were skipped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use supervisor_tests::{Home, Output, proc, programs, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A container without an image: pids of its own, and the machine's files.
struct Container<'a> {
    home: &'a Home,
    outside: Child,
    /// Its PID 1, as it is called outside.
    init: i32,
}

impl Container<'_> {
    /// Starts one with this program as PID 1.
    fn start<'a>(home: &'a Home, words: &[&str]) -> Option<Container<'a>> {
        if !Uid::effective().is_root() {
            println!("skipped: a pid namespace needs root");
            return None;
        }
        let mut command = home.command(Path::new("unshare"));
        command
            .args(["--pid", "--fork", "--mount-proc"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let outside = command.spawn().expect("unshare is there");
        let parent = outside.id().cast_signed();
        let init = wait_until("PID 1", PATIENCE, || {
            proc::all()
                .into_iter()
                .find(|&pid| proc::parent(pid) == Some(parent))
        });
        Some(Container {
            home,
            outside,
            init,
        })
    }

    /// `supervisorctl` in it.
    fn ctl(&self, words: &[&str]) -> Output {
        let mut command = self.home.command(Path::new("nsenter"));
        command.args(["--target", &self.init.to_string(), "--pid", "--mount"]);
        Output::of(command.arg(programs::supervisorctl()).args(words))
    }

    fn wait_for_daemon(&self) {
        wait_until("the daemon answers", PATIENCE, || {
            (self.ctl(&["daemon", "status"]).code == 0).then_some(())
        });
    }

    /// The state of each child of PID 1, by its command line.
    fn children(&self) -> Vec<(String, char)> {
        let pids = proc::all()
            .into_iter()
            .filter(|&pid| parent_of_any(pid) == Some(self.init));
        pids.filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (name, rest) = stat.rsplit_once(')')?;
            Some((name.to_owned(), rest.trim_start().chars().next()?))
        })
        .collect()
    }

    /// SIGTERM, as `docker stop` sends it; gives the exit code.
    fn stop(mut self) -> Option<i32> {
        proc::kill(self.init, Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.outside.try_wait().expect("our own child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the container did not stop");
    }
}

/// Also of a zombie.
fn parent_of_any(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.outside.try_wait() {
            // With PID 1 its whole namespace ends.
            proc::kill(self.init, Signal::SIGKILL);
            // Reaped here; how it ended is told elsewhere.
            let _ = self.outside.wait();
        }
    }
}

/// Notes its name in `stopped` when it is told to stop, after a moment.
fn notes_its_stop(home: &Home, name: &str, seconds: &str, rest: &str) -> String {
    let file = home.text_of("stopped");
    format!(
        "[app.{name}]\ncommand = [\"/bin/sh\", \"-c\", \
         \"trap 'sleep {seconds}; echo {name} >> {file}; exit 0' TERM; while :; do sleep 0.05; done\"]\n{rest}\n"
    )
}

#[test]
fn orphans_are_reaped_and_sigterm_stops_in_order() {
    let home = Home::new();
    let supervisor = programs::supervisor();
    let Some(container) = Container::start(&home, &[supervisor.to_str().expect("plain")]) else {
        return;
    };
    container.wait_for_daemon();
    let first = notes_its_stop(&home, "database", "0", "");
    let second = notes_its_stop(&home, "shop", "0.3", "after = [\"database\"]");
    let file = home.write("supervisor.toml", &(first + &second));
    container.ctl(&["up", file.to_str().expect("plain")]).ok();

    // One whose parent is gone at once, that ends by itself: nobody but PID 1 can reap it.
    let marker = home.text_of("orphan");
    let script = format!("(sleep 0.2; touch {marker}) & exit 0");
    let mut orphan = home.command(Path::new("nsenter"));
    orphan.args(["--target", &container.init.to_string(), "--pid", "--mount"]);
    Output::of(orphan.args(["/bin/sh", "-c", &script])).ok();
    wait_until("the orphan ended", PATIENCE, || {
        home.file("orphan").exists().then_some(())
    });
    wait_until("no zombie is left", PATIENCE, || {
        container
            .children()
            .iter()
            .all(|(_, state)| *state != 'Z')
            .then_some(())
    });

    assert_eq!(container.stop(), Some(0), "stopped, not killed");
    let stopped = fs::read_to_string(home.file("stopped")).expect("both said so");
    assert_eq!(
        stopped, "shop\ndatabase\n",
        "the one that needs the other goes first"
    );
}

#[test]
fn the_entrypoint_that_startup_prints_brings_up_the_apps() {
    let home = Home::new();
    let Some(entrypoint) = entrypoint(&home) else {
        return;
    };
    let app = notes_its_stop(&home, "shop", "0", "");
    fs::write(home.path().join("supervisor.toml"), app).expect("own folder");
    let words: Vec<&str> = entrypoint.iter().map(String::as_str).collect();
    let Some(container) = Container::start(&home, &words) else {
        return;
    };
    container.wait_for_daemon();
    wait_until("the app runs", PATIENCE, || {
        (container.ctl(&["status", "shop"]).code == 0).then_some(())
    });
    assert_eq!(
        container.ctl(&["daemon", "status", "--json"]).json()["keeper_pid"],
        1,
        "the supervisor itself is PID 1"
    );
    assert_eq!(container.stop(), Some(0));
    assert_eq!(
        fs::read_to_string(home.file("stopped")).expect("it stopped"),
        "shop\n"
    );
}

/// Where systemd does not run, which is so in a mount namespace with an empty `/run`.
fn entrypoint(home: &Home) -> Option<Vec<String>> {
    if !Uid::effective().is_root() {
        println!("skipped: a mount namespace needs root");
        return None;
    }
    let mut command: Command = home.command(Path::new("unshare"));
    let output = Output::of(
        command
            .args([
                "--mount",
                "/bin/sh",
                "-c",
                "mount -t tmpfs run /run && exec \"$0\" startup",
            ])
            .arg(programs::supervisorctl()),
    );
    let output = output.exits(1).says("systemd does not run here");
    let line = output
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("ENTRYPOINT "));
    let line = line.unwrap_or_else(|| panic!("no ENTRYPOINT: {output}"));
    Some(serde_json::from_str(line).expect("JSON, as Docker reads it"))
}
