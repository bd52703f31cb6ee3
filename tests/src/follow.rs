//! `supervisorctl logs` that follows, in a process of its own.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::{Home, proc, programs, wait_until};

/// One that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Follow {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Follow {
    /// `supervisorctl logs` with these words.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(home: &Home, words: &[&str]) -> Follow {
        let mut command = home.command(&programs::supervisorctl());
        command
            .arg("logs")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("supervisorctl runs");
        let lines = collect(child.stdout.take().expect("piped"));
        let told = collect(child.stderr.take().expect("piped"));
        Follow { child, lines, told }
    }

    /// The lines that it printed so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What it said on standard error so far.
    #[must_use]
    pub fn told(&self) -> String {
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Waits until its lines are as `is` wants them.
    #[track_caller]
    pub fn wait(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        wait_until(what, Duration::from_secs(20), || {
            Some(self.lines()).filter(|lines| is(lines))
        })
    }

    /// Stops it in its tracks.
    pub fn pause(&self) {
        proc::kill(self.pid(), Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        proc::kill(self.pid(), Signal::SIGCONT);
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        // It may have ended by itself; both are errors only then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            to.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
    lines
}
