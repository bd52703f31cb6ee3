//! Measures what the pump costs: an app that writes lines as fast as it can, straight to a file
//! and through the pump, and fifty apps that write a little all the time.
//!
//! `cargo run --release --package supervisor-logs --example throughput`

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use supervisor_logs::{
    Event, Folder, Format, Ledger, Losses, Pump, Rules, Step, Stream, StreamId, Target,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const LINE: usize = 100;
const LINES: usize = 3_000_000;

/// Nobody takes over from this process.
struct NoLedger;

impl Ledger for NoLedger {
    fn hold_stage(&self, _: u32, _: &OwnedFd, _: &OwnedFd) {}

    fn owner(&self, _: u32) -> Option<StreamId> {
        None
    }

    fn set_owner(&self, _: u32, _: &StreamId) {}

    fn step(&self, _: u32) -> Step {
        Step::None
    }

    fn set_step(&self, _: u32, _: &Step) {}

    fn begun(&self, _: u64, _: u64) {}

    fn begun_at(&self, _: u64) -> Option<u64> {
        None
    }

    fn losses(&self, _: &StreamId) -> Losses {
        Losses::default()
    }

    fn set_losses(&self, _: &StreamId, _: &Losses) {}
}

/// The app: `write LINES LINES_AT_ONCE REST_IN_MICROSECONDS`, to its standard output.
fn write(arguments: &[String]) -> Outcome<()> {
    let number = |at: usize| -> Outcome<usize> {
        Ok(arguments.get(at).ok_or("too few arguments")?.parse()?)
    };
    let (lines, at_once, rest) = (number(0)?, number(1)?, number(2)?);
    let text = ("x".repeat(LINE - 1) + "\n").repeat(at_once);
    // Straight to the descriptor: Rust's own standard output would write line by line.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for _ in 0..lines / at_once {
        out.write_all(text.as_bytes())?;
        if rest > 0 {
            std::thread::sleep(Duration::from_micros(rest as u64));
        }
    }
    Ok(())
}

fn app(lines: usize, at_once: usize, rest: usize, out: impl Into<Stdio>) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("write")
        .args([lines, at_once, rest].map(|n| n.to_string()))
        .stdout(out)
        .spawn()
}

fn pipe(size: i32) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETPIPE_SZ(size))?;
    Ok((read, write))
}

fn pump(dir: &Path) -> Outcome<(Pump, Receiver<Event>)> {
    let (tell, events) = channel();
    let tell = Mutex::new(tell);
    // The receiver lives as long as the pump.
    let told = move |event| drop(tell.lock().map(|tell| tell.send(event)));
    let folder = Folder::new(dir.join("logs"));
    let pump = Pump::start(folder, Arc::new(NoLedger), Vec::new(), |_| None, told)?;
    Ok((pump, events))
}

fn target(instance: u32, format: Format) -> Target {
    Target {
        id: id(instance),
        path: None,
        rules: Arc::new(Rules {
            max_size: None,
            max_total: None,
            format,
            ..Rules::default()
        }),
    }
}

/// What the pump's thread has used so far.
fn pump_cpu() -> Outcome<Duration> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))? == "logs\n" {
            let books = fs::read_to_string(task.join("schedstat"))?;
            let nanoseconds = books.split_whitespace().next().ok_or("no books")?.parse()?;
            return Ok(Duration::from_nanos(nanoseconds));
        }
    }
    Err("the pump's thread is not there".into())
}

fn id(instance: u32) -> StreamId {
    StreamId {
        app: "app".to_owned(),
        instance,
        stream: Stream::Out,
    }
}

fn direct(dir: &Path, at_once: usize) -> Outcome<f64> {
    let path = dir.join("direct");
    let start = Instant::now();
    app(LINES, at_once, 0, File::create(&path)?)?.wait()?;
    let speed = megabytes(LINES) / start.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(speed)
}

/// A thread that does nothing but `splice` from the pipe to the file.
fn spliced(dir: &Path, at_once: usize) -> Outcome<(f64, f64)> {
    let path = dir.join("spliced");
    let file = File::create(&path)?;
    let (read, out) = pipe(1 << 18)?;
    let start = Instant::now();
    let loops = std::thread::spawn(move || -> io::Result<Duration> {
        while splice(&read, None, &file, None, 1 << 18, SpliceFFlags::empty())? > 0 {}
        let books = fs::read_to_string("/proc/thread-self/schedstat")?;
        let nanoseconds = books.split_whitespace().next().and_then(|n| n.parse().ok());
        Ok(Duration::from_nanos(nanoseconds.unwrap_or(0)))
    });
    app(LINES, at_once, 0, out)?.wait()?;
    let cpu = loops.join().map_err(|_| "the loop panicked")??;
    let speed = megabytes(LINES) / start.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok((speed, cpu.as_secs_f64() / (megabytes(LINES) / 1000.0)))
}

fn through_pump(dir: &Path, at_once: usize, size: i32, format: Format) -> Outcome<(f64, f64)> {
    let (pump, events) = pump(dir)?;
    let (read, out) = pipe(size)?;
    let start = Instant::now();
    pump.attach(1, target(0, format), read, true);
    app(LINES, at_once, 0, out)?.wait()?;
    pump.finish(1);
    while !matches!(events.recv()?, Event::Finished { key: 1, .. }) {}
    let speed = megabytes(LINES) / start.elapsed().as_secs_f64();
    let cpu = pump_cpu()?.as_secs_f64() / (megabytes(LINES) / 1000.0);
    let path = Folder::new(dir.join("logs")).path(&id(0));
    assert!(fs::metadata(&path)?.len() as usize >= LINES * LINE);
    fs::remove_file(path)?;
    Ok((speed, cpu))
}

fn megabytes(lines: usize) -> f64 {
    (lines * LINE) as f64 / 1e6
}

/// Fifty apps, each about 2,000 lines a second, one write for each line.
fn many(dir: &Path) -> Outcome<()> {
    let (pump, _events) = pump(dir)?;
    let mut apps = Vec::new();
    for instance in 0..50 {
        let (read, out) = pipe(1 << 16)?;
        pump.attach(
            u64::from(instance),
            target(instance, Format::Raw),
            read,
            true,
        );
        apps.push(app(10_000, 1, 445, out)?);
    }
    std::thread::sleep(Duration::from_secs(1));
    let size = || -> Outcome<u64> {
        let files = fs::read_dir(dir.join("logs/app"))?;
        files.map(|file| Ok(file?.metadata()?.len())).sum()
    };
    let (cpu, bytes, start) = (pump_cpu()?, size()?, Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (pump_cpu()? - cpu).as_secs_f64() / seconds * 100.0;
    let lines = (size()? - bytes) as f64 / LINE as f64 / seconds;
    println!("50 apps, {lines:.0} lines/s together: the pump takes {cpu:.1} % of a core");
    apps.iter_mut().try_for_each(Child::kill)?;
    Ok(apps.iter_mut().try_for_each(|app| app.wait().map(drop))?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "write") {
        return write(&arguments[1..]);
    }
    let dir = tempfile::tempdir()?;
    println!("lines of {LINE} bytes, {:.0} MB", megabytes(LINES));
    for at_once in [1, 40] {
        for _ in 0..3 {
            let bare = direct(dir.path(), at_once)?;
            let spliced = spliced(dir.path(), at_once)?;
            println!(
                "{at_once:3} lines per write: straight {bare:5.0} MB/s; a loop of splice \
                 {:5.0} MB/s, {:.2} s of CPU per GB",
                spliced.0, spliced.1
            );
            for format in [Format::Raw, Format::Timestamp] {
                let (speed, cpu) = through_pump(dir.path(), at_once, 1 << 18, format)?;
                println!(
                    "    {format:?}: {speed:5.0} MB/s = {:.2} × straight, {cpu:.2} s of CPU per GB \
                     = {:.2} × the loop",
                    speed / bare,
                    cpu / spliced.1
                );
            }
        }
    }
    many(dir.path())
}
