//! A database that comes up later than the apps that need it.

use std::time::Duration;

use supervisor_tests::boot::step;
use supervisor_tests::wait_until;

use crate::{backend, part, possible, serves, with_programs};

const LATE: &str = "\
[Unit]
Description=A database that takes its time

[Service]
ExecStart=/bin/sh -c 'sleep 10; exec node -e \"net.createServer().listen(5432)\"'

[Install]
WantedBy=multi-user.target
";

#[test]
fn a_database_that_comes_ten_seconds_late_is_waited_for() {
    if !possible() {
        return;
    }
    let config = backend() + &part("worker", "wait_for = [\"tcp:127.0.0.1:5432\"]");
    let mut machine = with_programs(&config);
    machine.write("/etc/systemd/system/database.service", LATE);
    step("boots", || machine.boot());
    step("startup, and the first start waits as well", || {
        machine.ctl(&["startup"]).ok();
        machine.ctl(&["up", "--no-wait"]).ok();
        let row = machine.wait_row("worker", "waits", |row| row["state"] == "waiting");
        assert_eq!(
            (&row["failures"], &row["restarts"]),
            (&0.into(), &0.into()),
            "{row}"
        );
        machine
            .ctl(&["status", "worker"])
            .says("tcp:127.0.0.1:5432");
    });
    machine.run(&["systemctl", "enable", "database"]).ok();
    step("reboots", || machine.reboot());
    serves(&machine);
    step("the worker waits until the database is there", || {
        let mut waited = false;
        let row = wait_until("the worker runs", Duration::from_secs(30), || {
            let row = machine.row("worker");
            assert_eq!(
                (&row["failures"], &row["restarts"]),
                (&0.into(), &0.into()),
                "{row}"
            );
            waited |= row["state"] == "waiting";
            (row["state"] == "running").then_some(row)
        });
        assert!(waited, "it was there at once");
        assert!(row["last_exit"].is_null(), "it never ended: {row}");
        let listens = machine.sh("ss -Hltn 'sport = :5432'").ok().stdout;
        assert!(listens.contains(":5432"), "it ran too early");
        assert_eq!(
            row["uptime_ms"].as_u64().map(|ms| ms < 3000),
            Some(true),
            "{row}"
        );
    });
}
