//! README.md's way onto a server, typed as it stands there, and what it says of the way back.

use std::fs;
use std::path::Path;

use supervisor_tests::boot::{Machine, step};
use supervisor_tests::{Output, programs};

use crate::{active, possible, serves};

/// Where the clone is in the machine.
const CLONE: &str = "/root/supervisor";

/// The commands below a heading of README.md, one a line.
fn commands(heading: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(readme).expect("README.md");
    let (_, below) = text.split_once(heading).expect("README.md has the heading");
    let (_, block) = below.split_once("```sh\n").expect("commands for a shell");
    let (block, _) = block.split_once("```").expect("a block has an end");
    block.lines().map(str::to_owned).collect()
}

#[track_caller]
fn typed(machine: &Machine, line: &str) -> Output {
    let typed = machine.sh(&format!("cd {CLONE}\n{line}")).ok();
    println!("{}", typed.text());
    typed
}

#[test]
fn on_a_server_every_command_works_as_it_stands_in_the_readme() {
    if !possible() {
        return;
    }
    let mut machine = Machine::new();
    let release = format!("{CLONE}/target/release");
    machine.place(&programs::supervisor(), &format!("{release}/supervisor"));
    machine.place(
        &programs::supervisorctl(),
        &format!("{release}/supervisorctl"),
    );
    let example = format!("{CLONE}/examples/smd-backend");
    machine.place(&programs::example(), &example);
    step("boots", || machine.boot());
    let commands = commands("\n## On a server\n");
    // What it builds is in its place: what was built to be tested.
    assert!(
        commands[0].starts_with("cargo build --release "),
        "{commands:?}"
    );
    for line in &commands[1..] {
        step(line, || typed(&machine, line));
    }
    serves(&machine);
    step("it serves after a reboot", || {
        machine.reboot();
        serves(&machine);
        active(&machine, "supervisor");
    });
    step("and the way back", || {
        typed(&machine, "sudo supervisorctl daemon stop");
        typed(&machine, "sudo supervisorctl unstartup");
        typed(&machine, "sudo supervisorctl uninstall");
        let unit = machine.run(&["systemctl", "cat", "supervisor"]);
        assert_ne!(unit.code, 0, "{unit}");
        machine.sh("! command -v supervisor supervisorctl").ok();
        let failed = machine.run(&["systemctl", "--failed", "--no-legend"]);
        failed.hides("supervisor");
    });
}
