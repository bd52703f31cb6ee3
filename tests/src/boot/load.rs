//! Requests to what a machine serves on its own loopback.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::http;

/// From now on this thread's sockets are the machine's.
pub fn enter_network(init: i32) {
    let network = fs::File::open(format!("/proc/{init}/ns/net")).expect("the machine is on");
    setns(network, CloneFlags::CLONE_NEWNET).expect("root may");
}

/// Requests that come one after the other from two threads.
#[derive(Debug)]
pub struct Load {
    threads: Vec<JoinHandle<Served>>,
    done: Arc<AtomicBool>,
}

/// What became of them.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Answered with 200.
    pub good: u64,
    /// All others, and why.
    pub failed: Vec<String>,
    /// The longest that one took.
    pub longest: Duration,
}

impl Load {
    /// Starts with them, in the network of this process.
    pub(super) fn start(init: i32, port: u16, path: &'static str) -> Load {
        let done = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                enter_network(init);
                ask_until(&done, port, path)
            })
        };
        Load {
            threads: (0..2).map(one).collect(),
            done,
        }
    }

    /// Stops it; fails the test unless every request was answered.
    #[track_caller]
    pub fn stop(self) -> Served {
        self.done.store(true, Ordering::Relaxed);
        let mut sum = Served::default();
        for thread in self.threads {
            let served = thread.join().expect("it does not panic");
            sum.good += served.good;
            sum.failed.extend(served.failed);
            sum.longest = sum.longest.max(served.longest);
        }
        let Served {
            good,
            failed,
            longest,
        } = &sum;
        println!(
            "    {good} requests, the slowest {} ms",
            longest.as_millis()
        );
        assert!(
            failed.is_empty(),
            "{} failed, {good} did not: {failed:?}",
            failed.len()
        );
        assert!(*good > 0, "nothing was asked");
        sum
    }
}

fn ask_until(done: &AtomicBool, port: u16, path: &str) -> Served {
    let mut served = Served::default();
    while !done.load(Ordering::Relaxed) {
        let asked = Instant::now();
        match http::get(port, path) {
            Ok((200, _)) => served.good += 1,
            Ok((status, _)) => served.failed.push(format!("status {status}")),
            // Enough to see what is wrong.
            Err(error) if served.failed.len() < 100 => served.failed.push(error.to_string()),
            Err(_) => {}
        }
        served.longest = served.longest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    served
}
