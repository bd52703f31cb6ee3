//! Another program takes the place of the one that runs, under systemd and under load.

use supervisor_tests::boot::{Machine, step};

use crate::killed::{SOON, both_others, other_engine, replaced, systemctl, unchanged, untouched};
use crate::{PORT, backend, part, possible, server, serves};

const PROGRAM: &str = "/usr/local/bin/supervisor";

/// Puts a file in the program's place as `install` and packages do, by renaming.
fn put(machine: &Machine, lines: &str) {
    let program = format!("{lines}; chmod 755 {PROGRAM}.new; mv {PROGRAM}.new {PROGRAM}");
    machine.sh(&program).ok();
}

#[test]
fn programs_are_replaced_and_systemd_goes_on_with_them() {
    if !possible() {
        return;
    }
    let machine = server(&(backend() + &part("worker", "")));
    let pid = serves(&machine);
    let load = machine.load(PORT, "/health");
    let upgrade = |words: &[&str]| {
        let all = [&["daemon", "upgrade"], words].concat();
        print!("{}", machine.ctl(&all).ok().stdout);
    };
    put(&machine, &format!("cp {PROGRAM} {PROGRAM}.new"));
    step("another engine", || {
        replaced(&machine, SOON * 2, |_| upgrade(&[]), other_engine);
    });
    step("another keeper, too", || {
        let keeper = machine.property("supervisor", "MainPID");
        replaced(&machine, SOON * 3, |_| upgrade(&["--keeper"]), other_engine);
        assert_eq!(machine.property("supervisor", "MainPID"), keeper);
    });
    step("something that is no program", || {
        machine.sh(&format!("cp {PROGRAM} {PROGRAM}.good")).ok();
        put(&machine, &format!("echo '#!/bin/false' >{PROGRAM}.new"));
        unchanged(&machine, || {
            let told = machine.ctl(&["daemon", "upgrade"]);
            assert_eq!(told.code, 1, "{told}");
            print!("{}", told.text());
        });
        put(&machine, &format!("mv {PROGRAM}.good {PROGRAM}.new"));
    });
    step("kill -9 of both", || {
        let both = |old: supervisor_tests::Daemon| machine.kill(&[old.keeper, old.engine]);
        replaced(&machine, SOON, both, both_others);
    });
    step("systemctl restart", || {
        let restart = |_| systemctl(&machine, &["restart", "supervisor"]);
        replaced(&machine, SOON * 2, restart, both_others);
    });
    assert_eq!(serves(&machine), pid);
    load.stop();
    untouched(&machine);
}
