//! A process that rotates and compresses, killed again and again.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use supervisor_logs::{Family, Folder, Janitor, Rules};

use crate::{content, out, wait};

const CHILD: &str = "JANITOR_TEST_CHILD";

/// Goes on with the log in the folder that the environment names, until killed.
fn be_the_child(root: &Path) {
    let folder = Folder::new(root.to_owned());
    let target = out("shop", &Rules::default());
    let family = Arc::new(Family::new(&folder, &target));
    family.heal().unwrap();
    let mut next = whole_lines(&family);
    let janitor = Janitor::new(folder, Arc::default(), |id, error| panic!("{id}: {error}"));
    janitor.adopted(&family, &target);
    loop {
        let mut live = family.open_live().unwrap();
        let lines: String = (next..next + 3000).map(|n| format!("{n}\n")).collect();
        next += 3000;
        live.seek(SeekFrom::End(0)).unwrap();
        live.write_all(lines.as_bytes()).unwrap();
        let victims = family.rotate(100_000).unwrap();
        janitor.rotated(&family, &target, victims);
    }
}

/// How many numbered lines there are, each once and in order; a half one at the end is cut off.
fn whole_lines(family: &Family) -> u32 {
    let mut next = 0;
    for member in family.members().unwrap().iter().rev() {
        let mut bytes = content(family, member);
        if member.number == 0 {
            let whole = bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            family.open_live().unwrap().set_len(whole as u64).unwrap();
            bytes.truncate(whole);
        }
        for line in str::from_utf8(&bytes).unwrap().lines() {
            assert_eq!(line.parse(), Ok(next), "in number {}", member.number);
            next += 1;
        }
    }
    next
}

#[test]
fn kills_at_any_instant_leave_each_line_once_and_in_order() {
    if let Some(root) = std::env::var_os(CHILD) {
        be_the_child(Path::new(&root));
    }
    let dir = tempfile::tempdir().unwrap();
    let family = Family::new(
        &Folder::new(dir.path().to_owned()),
        &out("shop", &Rules::default()),
    );
    let name = "kill::kills_at_any_instant_leave_each_line_once_and_in_order";
    // On a busy machine it may take more until one was compressed before the kill.
    let is_packed = || family.members().unwrap().iter().any(|m| m.compressed);
    for round in 0.. {
        if round >= 25 && is_packed() {
            break;
        }
        assert!(round < 300, "nothing is ever compressed");
        let before = family.members().unwrap().len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait("the child", || {
            assert!(child.try_wait().unwrap().is_none(), "the child failed");
            family.members().unwrap().len() > before
        });
        // Not to wait for anything: another instant each time.
        std::thread::sleep(Duration::from_micros(round % 40 * 997));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    family.heal().unwrap();
    assert!(whole_lines(&family) > 3000);
}
