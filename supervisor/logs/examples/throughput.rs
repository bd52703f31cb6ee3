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
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use supervisor_logs::{Event, Folder, Pump, Staging, Stream, StreamId};

type Outcome<T> = Result<T, Box<dyn Error>>;

const LINE: usize = 100;
const LINES: usize = 10_000_000;

/// Nobody takes over from this process.
struct NoRecord;

impl Staging for NoRecord {
    fn owner(&self) -> Option<StreamId> {
        None
    }

    fn set_owner(&mut self, _: &StreamId) {}
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

fn pump(dir: &Path, size: i32) -> Outcome<(Pump, Receiver<Event>)> {
    let (read, write) = pipe(size)?;
    let (tell, events) = channel();
    // The receiver lives as long as the pump.
    let told = move |event| drop(tell.send(event));
    let folder = Folder::new(dir.join("logs"));
    Ok((
        Pump::start(folder, read, write, Box::new(NoRecord), told)?,
        events,
    ))
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

fn through_pump(dir: &Path, at_once: usize, size: i32) -> Outcome<(f64, f64)> {
    let (pump, events) = pump(dir, size)?;
    let (read, out) = pipe(size)?;
    let start = Instant::now();
    pump.attach(1, id(0), read, true);
    app(LINES, at_once, 0, out)?.wait()?;
    pump.finish(1);
    while events.recv()?
        != (Event::Finished {
            key: 1,
            kept: false,
        })
    {}
    let speed = megabytes(LINES) / start.elapsed().as_secs_f64();
    let cpu = pump_cpu()?.as_secs_f64() / (megabytes(LINES) / 1000.0);
    let path = Folder::new(dir.join("logs")).path(&id(0));
    assert_eq!(fs::metadata(&path)?.len() as usize, LINES * LINE);
    fs::remove_file(path)?;
    Ok((speed, cpu))
}

fn megabytes(lines: usize) -> f64 {
    (lines * LINE) as f64 / 1e6
}

/// Fifty apps, each about 2,000 lines a second, one write for each line.
fn many(dir: &Path) -> Outcome<()> {
    let (pump, _events) = pump(dir, 1 << 18)?;
    let mut apps = Vec::new();
    for instance in 0..50 {
        let (read, out) = pipe(1 << 16)?;
        pump.attach(u64::from(instance), id(instance), read, true);
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
    for at_once in [1, 10, 100] {
        let bare = direct(dir.path(), at_once)?;
        println!("{at_once:3} lines per write, straight to the file: {bare:5.0} MB/s");
        for size in [1 << 16, 1 << 18] {
            let (speed, cpu) = through_pump(dir.path(), at_once, size)?;
            println!(
                "{at_once:3} lines per write, pipe of {:3} KiB:       {speed:5.0} MB/s, \
                 {:.2} × straight, pump {cpu:.2} s of CPU per GB",
                size >> 10,
                bare / speed
            );
        }
    }
    many(dir.path())
}
