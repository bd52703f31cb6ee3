//! The daemon's own log: `supervisor.log` in the log folder, a file for each day, a week of them.
//! Opened and written by a thread of its own, so that a disk that hangs does not hold up the engine;
//! if it hangs for long, lines are left out.

use std::fs;
use std::io::{self, Write};

use supervisor_config::LogLevel;
use supervisor_protocol::Paths;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

/// Files that are kept.
const KEEP: usize = 7;
/// Lines that wait for the disk.
const WAITING: usize = 1024;

/// Its handle; it writes the last lines when it is dropped.
pub struct OwnLog {
    reload: Box<dyn Fn(LevelFilter)>,
    _guard: WorkerGuard,
}

impl OwnLog {
    /// From now on so much is written; `None`: what is usual.
    pub fn set_level(&self, level: Option<LogLevel>) {
        (self.reload)(match level {
            Some(LogLevel::Error) => LevelFilter::ERROR,
            Some(LogLevel::Warn) => LevelFilter::WARN,
            Some(LogLevel::Info) | None => LevelFilter::INFO,
            Some(LogLevel::Debug) => LevelFilter::DEBUG,
            Some(LogLevel::Trace) => LevelFilter::TRACE,
        });
    }
}

/// Starts it. Its file is opened by its thread at the first line: a folder that cannot be written, or
/// does not answer, costs lines and no engine.
pub fn start(paths: &Paths) -> OwnLog {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .thread_name("own log")
        .finish(OwnFile {
            paths: paths.clone(),
            open: None,
        });
    let (level, handle) = reload::Layer::new(LevelFilter::INFO);
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(level)
        .with(lines)
        .init();
    let reload = Box::new(move |level| {
        // It fails only when the subscriber is gone, and that lives as long as the process.
        let _ = handle.reload(level);
    });
    std::panic::set_hook(Box::new(|info| {
        tracing::error!("panic: {info}");
        // Gives the log's thread the moment it needs; the process ends after this.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }));
    OwnLog {
        reload,
        _guard: guard,
    }
}

/// The file, opened when it is needed, and tried again with each line where it cannot be.
struct OwnFile {
    paths: Paths,
    open: Option<RollingFileAppender>,
}

impl OwnFile {
    fn open(&mut self) -> io::Result<&mut RollingFileAppender> {
        if self.open.is_none() {
            let link = self.paths.daemon_log();
            // The appender makes a link of this name; a file of this name would be in its way.
            if fs::symlink_metadata(&link).is_ok_and(|found| !found.is_symlink()) {
                fs::rename(&link, link.with_extension("log.old"))?;
            }
            let file = RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix("supervisor")
                .filename_suffix("log")
                .latest_symlink("supervisor.log")
                .max_log_files(KEEP)
                .build(&self.paths.logs)
                .map_err(io::Error::other)?;
            self.open = Some(file);
        }
        self.open
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Write for OwnFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // What was not opened has nothing to flush.
        self.open.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file(home: &Path) -> OwnFile {
        OwnFile {
            paths: Paths::below(home),
            open: None,
        }
    }

    #[test]
    fn the_file_is_opened_by_the_first_line_that_can_be_written() {
        let home = tempfile::tempdir().expect("a folder");
        let mut file = file(home.path());
        let logs = file.paths.logs.clone();
        fs::write(&logs, "in the way").expect("it can be written");
        assert!(file.write(b"lost\n").is_err());
        fs::remove_file(&logs).expect("it can be removed");
        fs::create_dir(&logs).expect("it can be made");
        fs::write(file.paths.daemon_log(), "somebody's").expect("it can be written");
        file.write_all(b"kept\n").expect("it can be written");
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        assert_eq!(read(&file.paths.daemon_log()), "kept\n");
        assert_eq!(read(&logs.join("supervisor.log.old")), "somebody's");
    }
}
