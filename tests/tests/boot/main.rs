//! What a server does: it boots, reboots and loses power, systemd is asked to stop, restart and
//! reload the supervisor, and its processes are killed, all with a real systemd.

use serde_json::Value;
use supervisor_tests::boot::{Machine, step};
use supervisor_tests::{Output, is_root, programs};

mod boots;
mod killed;
mod late;
mod readme;
mod upgraded;

/// Where the example backend listens.
const PORT: u16 = 3001;
/// Where it lies.
const BACKEND: &str = "/var/www/smd-store/backend";
/// The configured file.
const CONFIG: &str = "/etc/supervisor/supervisor.toml";
/// Where the parts of [`part`] note what they do.
const NOTES: &str = "/srv/notes";

/// The example backend, as a server's administrator would write it down.
fn backend() -> String {
    format!(
        "[app.smd-backend]\n\
         command = [\"node\", \"dist/index.js\"]\n\
         directory = {BACKEND:?}\n\
         user = \"www-data\"\n\
         env = {{ PORT = \"{PORT}\", NODE_ENV = \"production\" }}\n\n"
    )
}

/// Notes that it has started, and half a second after SIGTERM that it has stopped.
const PART: &str = "\
trap 'sleep 0.5; echo \"$1 stopped\" >>/srv/notes; exit 0' TERM
echo \"$1 started\" >>/srv/notes
while :; do sleep 1000 & wait $!; done
";

/// An app of that; `rest` are its other keys.
fn part(name: &str, rest: &str) -> String {
    format!("[app.{name}]\ncommand = [\"sh\", \"/srv/part.sh\", {name:?}]\n{rest}\n\n")
}

/// Whether there can be a machine; only root can make one.
fn possible() -> bool {
    if !is_root() {
        println!("skipped: only root can start a container");
    }
    is_root()
}

/// A machine with the programs in place, the configured file and the example backend; off.
fn with_programs(config: &str) -> Machine {
    let machine = Machine::new();
    machine.place(&programs::supervisor(), "/usr/local/bin/supervisor");
    machine.place(&programs::supervisorctl(), "/usr/local/bin/supervisorctl");
    machine.place(&programs::example(), BACKEND);
    machine.write("/srv/part.sh", PART);
    machine.write(CONFIG, config);
    machine
}

/// The same, booted, with what `startup` sets up and all apps running.
fn server(config: &str) -> Machine {
    let mut machine = with_programs(config);
    step("boots", || machine.boot());
    step("startup", || machine.ctl(&["startup"]).ok());
    step("up", || machine.ctl(&["up"]).ok());
    machine
}

/// The pid by which the backend answers, soon.
#[track_caller]
fn serves(machine: &Machine) -> Value {
    let row = machine.wait_row("smd-backend", "runs", |row| row["state"] == "running");
    let answer = supervisor_tests::wait_until(
        "the backend answers",
        std::time::Duration::from_secs(10),
        || machine.get(PORT, "/health").ok(),
    );
    assert_eq!((answer.0, &answer.1["status"]), (200, &"ok".into()));
    assert_eq!(
        answer.1["pid"], row["pid"],
        "the one that the supervisor runs"
    );
    answer.1["pid"].clone()
}

/// Fails the test unless a unit is as it should be when nothing is wrong.
#[track_caller]
fn active(machine: &Machine, unit: &str) -> Output {
    machine.run(&["systemctl", "is-active", unit]).ok()
}
