//! The daemon's own log: `supervisor.log` in the log folder, a file for each day, a week of them.
//! Written by a thread of its own, so that a disk that hangs does not hold up the engine; if it
//! hangs for long, lines are left out.

use std::fs;

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

/// Starts it.
///
/// # Errors
/// The folder cannot be written.
pub fn start(paths: &Paths) -> Result<OwnLog, String> {
    let link = paths.daemon_log();
    // The appender makes a link of this name; a file of this name would be in its way.
    if fs::symlink_metadata(&link).is_ok_and(|found| !found.is_symlink()) {
        let aside = link.with_extension("log.old");
        fs::rename(&link, aside).map_err(|error| format!("{}: {error}", link.display()))?;
    }
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("supervisor")
        .filename_suffix("log")
        .latest_symlink("supervisor.log")
        .max_log_files(KEEP)
        .build(&paths.logs)
        .map_err(|error| error.to_string())?;
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING)
        .thread_name("own log")
        .finish(file);
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
    Ok(OwnLog {
        reload,
        _guard: guard,
    })
}
