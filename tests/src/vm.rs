//! Another kernel than this machine's, in qemu: what a test program does under it.
//!
//! The kernel is one that `tests/machines/make.sh` got. There is no disk and no systemd: programs
//! lie in `/bin` of an initramfs, with the libraries they are linked to, and the first of them is
//! `tests/machines/init.sh`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::boot::made;
use crate::{Output, programs};

/// How a test program is called there, and for how long it may run.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its words.
    pub words: &'a [&'a str],
    /// Its environment.
    pub env: &'a [(&'a str, &'a str)],
    /// The machine with it.
    pub limit: Duration,
}

/// Lets the running test program, with the programs under test beside it, be called under the other
/// kernel; fails the test unless it ends with 0. Gives what was on the console.
#[track_caller]
#[must_use]
pub fn run(call: &Call<'_>) -> String {
    let folder = tempfile::Builder::new().prefix("svq").tempdir_in("/tmp");
    let folder = folder.expect("/tmp");
    let tree = folder.path().join("tree");
    fill(&tree, call);
    let image = folder.path().join("initramfs");
    let pack = format!(
        "cd '{}' && find . | cpio --quiet -o -H newc > '{}'",
        tree.display(),
        image.display()
    );
    Output::of(Command::new("sh").args(["-ec", &pack])).ok();
    let console = folder.path().join("console");
    let started = Instant::now();
    let ended = emulate(&image, &console, call.limit);
    let text = String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).replace('\r', "");
    println!("{text}\n    {} ms in qemu", started.elapsed().as_millis());
    assert!(
        text.contains("the test ended with 0\n"),
        "under the other kernel it failed, or did not end within {:?} (qemu: {ended})",
        call.limit
    );
    text
}

/// What is in the initramfs.
fn fill(tree: &Path, call: &Call<'_>) {
    for name in ["bin", "proc", "sys", "dev", "tmp", "run", "etc", "root"] {
        fs::create_dir_all(tree.join(name)).expect("our own folder");
    }
    let me = std::env::current_exe().expect("a program knows its own path");
    let all = [
        (me, "testprogram"),
        (programs::supervisor(), "supervisor"),
        (programs::supervisorctl(), "supervisorctl"),
        (programs::testapp(), "testapp"),
    ];
    for (program, name) in &all {
        let to = tree.join("bin").join(name);
        // What is only for a debugger is most of it, and all of it has to fit into memory.
        Output::of(Command::new("strip").arg("-o").arg(&to).arg(program)).ok();
        for library in libraries(program) {
            copy(
                &library,
                &tree.join(library.strip_prefix("/").expect("a path")),
            );
        }
    }
    copy(&made("kernel").join("busybox"), &tree.join("bin/busybox"));
    script(&tree.join("init"), include_str!("../machines/init.sh"));
    let env: String = call
        .env
        .iter()
        .map(|(name, value)| format!("{name}='{value}' "))
        .collect();
    let words = call.words.join(" ");
    let test = format!("#!/bin/sh\nSUPERVISOR_BIN_DIR=/bin {env}exec testprogram {words}\n");
    script(&tree.join("test"), &test);
    fs::write(tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").expect("our own folder");
    fs::write(tree.join("etc/group"), "root:x:0:\n").expect("our own folder");
}

/// The files that the dynamic linker would load, itself included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let told = Output::of(Command::new("ldd").arg(program)).ok().stdout;
    let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("not the root")).expect("our own folder");
    Output::of(Command::new("cp").arg("-L").arg(from).arg(to)).ok();
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("our own folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// Runs the machine until it turns itself off. Emulated also where there is hardware for it, so that
/// it is as slow, and as patient with it the test, everywhere.
fn emulate(image: &Path, console: &Path, limit: Duration) -> String {
    let to = fs::File::create(console).expect("our own folder");
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "timeout", "--signal=KILL"])
        .arg(limit.as_secs().to_string())
        .arg("qemu-system-x86_64")
        .args(["-machine", "q35,accel=tcg", "-cpu", "qemu64", "-smp", "2"])
        .args(["-m", "768", "-nodefaults", "-nographic", "-no-reboot"])
        .args(["-serial", "stdio", "-kernel"])
        .arg(made("kernel").join("vmlinuz"))
        .arg("-initrd")
        .arg(image)
        .args(["-append", KERNEL])
        .stdin(Stdio::null())
        .stdout(to.try_clone().expect("a descriptor is free"))
        .stderr(to);
    let ended = command.status().expect("setpriv, of util-linux");
    ended.to_string()
}

/// What makes it start sooner under emulation.
const KERNEL: &str = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests \
    random.trust_cpu=on no_timer_check";
