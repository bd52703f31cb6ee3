//! Commands that cross each other, and deaths that cross a birth: nobody waits for ever, nothing is
//! taken for something else.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::{Home, Rng, proc, testapp, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// The engine's pid, once a daemon answers.
fn answers(home: &Home) -> (i32, i32) {
    wait_until("a daemon answers", SOON, || {
        let answer = home.ctl(&["daemon", "status", "--json"]);
        let pid = |key: &str| i32::try_from(answer.json()[key].as_i64()?).ok();
        (answer.code == 0).then(|| Some((pid("keeper_pid")?, pid("engine_pid")?)))?
    })
}

#[test]
fn programs_that_cannot_be_executed_while_engines_die() {
    let home = Home::new();
    let script = home.write("bad.sh", "#!/no/such/interpreter\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).expect("our own file");
    let app = |n: u32| {
        format!("[app.bad{n}]\ncommand = [{script:?}]\n[app.bad{n}.restart]\nmax_delay = \"5ms\"\n")
    };
    home.write("supervisor.toml", &(0..20).map(app).collect::<String>());
    home.ctl(&["up", "--no-wait"]).ok();
    let keeper = answers(&home).0;
    let mut rng = Rng::new(5);
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(rng.within(5..40)));
        if let Some(engine) = proc::engine_of(keeper) {
            proc::kill(engine, Signal::SIGKILL);
        }
    }
    for n in 0..20 {
        let name = format!("bad{n}");
        home.wait_row(&name, "is known to have failed", |row| {
            row["pid"].is_null()
                && row["last_exit"]["reason"]
                    .to_string()
                    .contains("interpreter")
        });
    }
    home.ctl(&["stop", "all"]).ok();
}

#[test]
fn a_keeper_that_dies_while_an_engine_is_born() {
    let home = Home::new();
    let text: String = (0..8)
        .map(|n| testapp(&format!("app{n}"), &["sleep"], ""))
        .collect();
    home.up(&text).ok();
    let pids: Vec<i32> = (0..8).map(|n| home.pid(&format!("app{n}"))).collect();
    for wait_us in (0..6_000).step_by(300) {
        let (keeper, engine) = answers(&home);
        proc::kill(engine, Signal::SIGKILL);
        // The next engine is there, and not far.
        // Without a pause between two looks: it is ready within some milliseconds.
        let patience = Instant::now() + SOON;
        while proc::engine_of(keeper).is_none_or(|next| next == engine) {
            assert!(Instant::now() < patience, "no next engine");
        }
        thread::sleep(Duration::from_micros(wait_us));
        proc::kill(keeper, Signal::SIGKILL);
        home.wait_gone(keeper);
        answers(&home);
        for (n, &pid) in pids.iter().enumerate() {
            assert_eq!(home.pid(&format!("app{n}")), pid, "after {wait_us} µs");
        }
    }
}

#[test]
fn keepers_that_die_while_pipes_come_and_go() {
    let home = Home::new();
    let rest = |name: &str| format!("[app.{name}.restart]\nmax_delay = \"100ms\"");
    let app = |n: u32| {
        let name = format!("short{n}");
        testapp(&name, &["exit", "0"], &rest(&name))
    };
    home.write("supervisor.toml", &(0..20).map(app).collect::<String>());
    home.ctl(&["up", "--no-wait"]).ok();
    for _ in 0..12 {
        let (keeper, _) = answers(&home);
        proc::kill(keeper, Signal::SIGKILL);
        home.wait_gone(keeper);
    }
    answers(&home);
    home.ctl(&["stop", "all"]).ok();
}

#[test]
fn a_stop_that_is_overtaken_by_a_start_is_answered() {
    let home = Home::new();
    let stop = "[app.deaf.stop]\ntimeout = \"1500ms\"";
    home.up(&testapp("deaf", &["ignore-term"], stop)).ok();
    thread::scope(|scope| {
        let stopping = scope.spawn(|| home.ctl(&["stop", "deaf"]));
        home.wait_row("deaf", "is told to stop", |row| row["state"] == "stopping");
        home.ctl(&["start", "deaf"]).ok();
        let stopped = stopping.join().expect("the command does not panic");
        stopped.exits(1).says("started again");
    });
}

#[test]
fn a_delete_that_is_overtaken_by_a_definition_is_answered() {
    let home = Home::new();
    let stop = "[app.deaf.stop]\ntimeout = \"1500ms\"";
    let text = testapp("deaf", &["ignore-term"], stop);
    home.up(&text).ok();
    thread::scope(|scope| {
        let deleting = scope.spawn(|| home.ctl(&["delete", "deaf"]));
        home.wait_row("deaf", "is told to stop", |row| row["state"] == "stopping");
        home.ctl(&["status", "deaf"]).says("being deleted");
        home.up(&text).ok();
        let deleted = deleting.join().expect("the command does not panic");
        deleted.exits(1).says("defined again");
    });
    assert_eq!(home.row("deaf")["state"], "running");
}

#[test]
fn a_script_is_started_again_and_never_taken_for_another() {
    let home = Home::new();
    let script = home.write("a.sh", "exec sleep 600\n");
    let script = script.to_str().expect("plain names");
    home.ctl(&["start", script]).ok().says("started");
    let first = home.pid("a");
    home.ctl(&["start", script]).ok().says("already running");
    assert_eq!(home.pid("a"), first);
    home.ctl(&["start", script, "--", "other"])
        .exits(1)
        .says("--name");
    assert_eq!(home.pid("a"), first);
    home.ctl(&["stop", "a"]).ok();
    home.ctl(&["start", script]).ok().says("started");
    assert_ne!(home.pid("a"), first);
    home.ctl(&["start", script, "--name", "2"])
        .exits(1)
        .says("digits");
}

#[test]
fn what_comes_after_others_stops_before_them_whatever_its_name() {
    let home = Home::new();
    let slow =
        "trap 'sleep 0.3; date +%s%N >> \"$0.$1\"; exit 0' TERM; while :; do sleep 0.05; done";
    let script = home.write("slow.sh", slow);
    let app = |name: &str, after: &str| {
        format!("[app.{name}]\ncommand = [\"bash\", {script:?}, \"{name}\"]\nafter = [{after}]\n")
    };
    for names in [["a", "b", "c"], ["c", "b", "a"]] {
        let [first, second, third] = names;
        let text = app(first, "")
            + &app(second, &format!("{first:?}"))
            + &app(third, &format!("{second:?}"));
        home.up(&text).ok();
        home.ctl(&["stop", "all"]).ok();
        let ended = |name: &str| -> u64 {
            let text = fs::read_to_string(format!("{}.{name}", script.display()));
            text.expect("it ended in order")
                .trim()
                .parse()
                .expect("a number")
        };
        let times = names.map(ended);
        let gap = 200_000_000;
        assert!(
            times[2] + gap < times[1] && times[1] + gap < times[0],
            "{names:?}: {times:?}"
        );
        home.ctl(&["delete", "all"]).ok();
        for name in names {
            fs::remove_file(format!("{}.{name}", script.display())).expect("it is there");
        }
    }
}

#[test]
fn a_completed_app_is_not_said_to_be_stopped_and_stays_completed() {
    let home = Home::new();
    let text = testapp(
        "job",
        &["exit", "3"],
        "[app.job.restart]\npolicy = \"never\"",
    );
    home.up(&text);
    home.wait_row("job", "is over", |row| row["state"] == "completed");
    let output = home.up(&text).ok();
    assert!(!output.text().contains("operator"), "{output}");
    home.ctl(&["daemon", "stop"]).ok();
    home.start_daemon();
    assert_eq!(home.row("job")["state"], "completed");
}
