//! The sign that something is still going on, and for whom it is waited.
//!
//! Owns one line of the terminal on standard error, from 300 ms on; nothing of it stays, and
//! nothing is written where nobody looks. A thread draws it, because the connection is waited for
//! without interruption.

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthChar as _;

use crate::output::Style;
use crate::render::sanitize;

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FROM: Duration = Duration::from_millis(300);
const EACH: Duration = Duration::from_millis(100);
/// Columns that the names may take: the line must fit into one of any terminal.
const NAMES: usize = 50;
const CLEAR: &str = "\r\x1b[K";

/// The line.
pub struct Spinner(Option<(Arc<Shared>, JoinHandle<()>)>);

struct Shared {
    state: Mutex<State>,
    ends: Condvar,
}

#[derive(Default)]
struct State {
    awaited: Vec<String>,
    drawn: bool,
    over: bool,
}

impl Spinner {
    /// Begins to wait for these; draws nothing where standard error is not a terminal for it.
    pub fn start(awaited: Vec<String>) -> Spinner {
        match Style::of_stderr() {
            Style::Coloured => Spinner(spawn(awaited)),
            Style::Plain => Spinner(None),
        }
    }

    /// Also waits for these.
    pub fn wait_for(&mut self, names: Vec<String>) {
        if let Some(mut state) = self.state() {
            state.awaited.extend(names);
        }
    }

    /// Waits no more for one that may be called so.
    pub fn done(&mut self, names: &[&str]) {
        if let Some(mut state) = self.state() {
            state.awaited.retain(|name| !names.contains(&name.as_str()));
        }
    }

    /// Takes the line away for as long as `print` writes to the same terminal.
    pub fn while_away<T>(&mut self, print: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        if let Some(state) = &mut state {
            state.clear();
        }
        let result = print();
        drop(state);
        result
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_ref().map(|(shared, _)| shared.lock())
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let Some((shared, thread)) = self.0.take() else {
            return;
        };
        shared.lock().over = true;
        shared.ends.notify_one();
        // It cannot fail: it only draws.
        let _ = thread.join();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            // A terminal that went away is told of elsewhere.
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
    }

    fn draw(&mut self, frame: usize, since: Duration) {
        let line = line(&self.awaited, frame, since);
        // See `clear`.
        let _ = io::stderr().write_all(format!("{CLEAR}{line}").as_bytes());
        self.drawn = true;
    }
}

/// Without the thread there is only nothing to see.
fn spawn(awaited: Vec<String>) -> Option<(Arc<Shared>, JoinHandle<()>)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            awaited,
            ..State::default()
        }),
        ends: Condvar::new(),
    });
    let own = Arc::clone(&shared);
    let thread = thread::Builder::new().spawn(move || turn(&own)).ok()?;
    Some((shared, thread))
}

fn turn(shared: &Shared) {
    let began = Instant::now();
    let mut state = shared.lock();
    let mut pause = FROM;
    for frame in 0.. {
        (state, _) = shared
            .ends
            .wait_timeout_while(state, pause, |state| !state.over)
            .unwrap_or_else(PoisonError::into_inner);
        if state.over {
            break;
        }
        state.draw(frame, began.elapsed());
        pause = EACH;
    }
    state.clear();
}

/// `⠹ api, worker:1 … 3 s`.
fn line(awaited: &[String], frame: usize, since: Duration) -> String {
    let names = sanitize::cell(&awaited.join(", "));
    let mut columns = 0;
    let fits = names.char_indices().find_map(|(at, c)| {
        columns += c.width().unwrap_or(0);
        (columns > NAMES).then_some(at)
    });
    let names = match fits {
        Some(at) => &names[..at],
        None => &names,
    };
    let space = if names.is_empty() { "" } else { " " };
    let frame = FRAMES[frame % FRAMES.len()];
    format!("{frame} {names}{space}… {} s", since.as_secs())
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn the_line_names_those_that_are_awaited_and_fits() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let after = Duration::from_millis(3_900);
        assert_eq!(
            line(&names(&["api", "worker:1"]), 2, after),
            "⠹ api, worker:1 … 3 s"
        );
        assert_eq!(line(&[], 12, after), "⠹ … 3 s");
        for long in [
            vec!["worker".to_owned(); 40],
            names(&[&"漢".repeat(64)]),
            names(&["a\x1b[2Jb"]),
        ] {
            let line = line(&long, 0, Duration::from_secs(86_400));
            assert!(line.width() < 64 && !line.contains('\x1b'), "{line}");
        }
    }
}
