//! A real terminal, and what a command sends to it.

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// Runs a command to its end on a terminal of its own and gives every byte that the terminal
/// received.
///
/// # Panics
/// When there is no terminal, or the command does not end.
#[must_use]
pub fn received(mut command: Command) -> Vec<u8> {
    let size = Winsize {
        ws_row: 50,
        ws_col: 200,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(Some(&size), None).expect("a terminal");
    // What is received is what was sent: no carriage returns of the kernel's own.
    let mut mode = tcgetattr(&pty.slave).expect("a terminal");
    cfmakeraw(&mut mode);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &mode).expect("a terminal");
    let terminal = File::from(pty.slave);
    let copy = || terminal.try_clone().expect("a descriptor");
    let mut child = command
        .env("TERM", "xterm-256color")
        .stdin(copy())
        .stdout(copy())
        .stderr(copy())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    // Or the reader below never gets to the end.
    drop((command, terminal));
    let mut master = File::from(pty.master);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), [0; 4096]);
        // EIO when the last one has closed the other end.
        while let Ok(read @ 1..) = master.read(&mut piece) {
            all.extend_from_slice(&piece[..read]);
        }
        sender.send(all)
    });
    let all = receiver.recv_timeout(Duration::from_secs(30));
    if all.is_err() {
        // Already failed; it must only not stay.
        let _ = child.kill();
    }
    child.wait().expect("our own child");
    all.expect("the command ends")
}
