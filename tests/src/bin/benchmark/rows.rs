//! What is measured: the rows of the table, each with its unit and its goal.

use clap::ValueEnum;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Row {
    /// A killed app's successor.
    Respawn,
    /// `restart`, until the new process runs.
    Restart,
    /// `restart`, the whole command.
    RestartCommand,
    /// `status` of one app.
    #[value(name = "status-1")]
    Status1,
    /// `status` of 100 apps.
    #[value(name = "status-100")]
    Status100,
    /// `status` of 2,000 apps.
    #[value(name = "status-2000")]
    Status2000,
    /// 100 apps, from the command to the last one's first instruction.
    #[value(name = "up-100")]
    Up100,
    /// Memory of the manager with one app.
    #[value(name = "memory-1")]
    Memory1,
    /// Memory of the manager with 100 apps.
    #[value(name = "memory-100")]
    Memory100,
    /// Memory of the manager with 2,000 apps.
    #[value(name = "memory-2000")]
    Memory2000,
    /// The manager's CPU while nothing happens.
    Idle,
    /// Log throughput with 4 KiB writes.
    #[value(name = "log-4k")]
    Log4k,
    /// Log throughput with 100-byte writes.
    #[value(name = "log-100")]
    Log100,
    /// The manager's CPU for logs, 4 KiB writes.
    LogCpu,
    /// The memory that it takes more meanwhile.
    LogMemory,
    /// The manager's CPU while 50 apps write 2,000 lines a second each.
    LogLines,
    /// All lines of a gigabyte that match.
    LogGrep,
    /// The lines of the last seconds, after a gigabyte.
    LogSince,
}

/// What ours is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No more than this many times what the bare limit takes.
    TimesBare(f64),
    /// As much as the bare limit.
    AsMuchAsBare,
}

impl Row {
    /// The word for it in `--rows` and in the JSON.
    pub fn id(self) -> String {
        let value = self.to_possible_value().expect("no row is hidden");
        value.get_name().to_owned()
    }

    /// What it is, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Row::Respawn => "crash → successor's first instruction",
            Row::Restart => "`restart` → new process",
            Row::RestartCommand => "`restart`, whole command",
            Row::Status1 => "`status` of 1 app, whole command",
            Row::Status100 => "`status` of 100 apps",
            Row::Status2000 => "`status` of 2,000 apps",
            Row::Up100 => "100 apps, command → all running",
            Row::Memory1 => "memory of the manager, 1 app",
            Row::Memory100 => "memory of the manager, 100 apps",
            Row::Memory2000 => "memory of the manager, 2,000 apps",
            Row::Idle => "its CPU while 100 apps idle",
            Row::Log4k => "stdout → file, 4 KiB writes",
            Row::Log100 => "stdout → file, 100-byte writes",
            Row::LogCpu => "its CPU for logs, 4 KiB writes",
            Row::LogMemory => "the memory it takes more meanwhile",
            Row::LogLines => "its CPU for 100,000 lines/s of 50 apps",
            Row::LogGrep => "a rare word in 1 GB of logs",
            Row::LogSince => "the last lines by time, 1 GB of logs",
        }
    }

    /// The unit of its figures.
    pub fn unit(self) -> &'static str {
        match self {
            Row::Respawn
            | Row::Restart
            | Row::RestartCommand
            | Row::Status1
            | Row::Status100
            | Row::Status2000
            | Row::Up100
            | Row::LogGrep
            | Row::LogSince => "ms",
            Row::Memory1 | Row::Memory100 | Row::Memory2000 | Row::LogMemory => "MB",
            Row::Idle => "ms/s",
            Row::Log4k | Row::Log100 => "MB/s",
            Row::LogCpu => "s/GB",
            Row::LogLines => "% of a core",
        }
    }

    /// What ours is to reach.
    pub fn goal(self) -> Goal {
        match self {
            Row::Respawn => Goal::TimesBare(1.5),
            Row::Restart => Goal::AtMost(5.0),
            Row::RestartCommand => Goal::AtMost(8.0),
            Row::Status1 => Goal::TimesBare(2.0),
            Row::Status100 => Goal::AtMost(4.0),
            Row::Status2000 => Goal::AtMost(50.0),
            Row::Up100 => Goal::AtMost(120.0),
            Row::Memory1 => Goal::AtMost(3.5),
            Row::Memory100 => Goal::AtMost(5.0),
            Row::Memory2000 => Goal::AtMost(60.0),
            Row::Idle => Goal::AtMost(0.5),
            Row::Log4k | Row::Log100 => Goal::AsMuchAsBare,
            Row::LogCpu => Goal::TimesBare(1.5),
            Row::LogMemory => Goal::AtMost(4.0),
            Row::LogLines => Goal::AtMost(5.0),
            Row::LogGrep => Goal::TimesBare(2.0),
            Row::LogSince => Goal::AtMost(20.0),
        }
    }

    /// Whether a larger figure is the better one.
    pub fn more_is_better(self) -> bool {
        self.goal() == Goal::AsMuchAsBare
    }
}

impl Goal {
    /// Whether this figure reaches it; `None` when that depends on a limit that was not measured.
    pub fn is_met(self, ours: f64, bare: Option<f64>) -> Option<bool> {
        match self {
            Goal::AtMost(most) => Some(ours <= most),
            Goal::TimesBare(times) => bare.map(|bare| ours <= bare * times),
            Goal::AsMuchAsBare => bare.map(|bare| ours >= bare),
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Goal::AtMost(most) => write!(f, "≤ {most}"),
            Goal::TimesBare(times) => write!(f, "≤ {times} × bare"),
            Goal::AsMuchAsBare => write!(f, "≥ bare"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_may_need_the_limit() {
        assert_eq!(Goal::AtMost(5.0).is_met(5.0, None), Some(true));
        assert_eq!(Goal::AtMost(5.0).is_met(5.1, None), Some(false));
        assert_eq!(Goal::TimesBare(1.5).is_met(1.5, Some(1.0)), Some(true));
        assert_eq!(Goal::TimesBare(1.5).is_met(1.6, Some(1.0)), Some(false));
        assert_eq!(Goal::TimesBare(1.5).is_met(1.5, None), None);
        assert_eq!(Goal::AsMuchAsBare.is_met(9.0, Some(10.0)), Some(false));
    }

    #[test]
    fn the_words_for_rows_are_what_one_types() {
        let words: Vec<String> = Row::value_variants().iter().map(|row| row.id()).collect();
        assert_eq!(
            words.join(" "),
            "respawn restart restart-command status-1 status-100 status-2000 up-100 memory-1 \
             memory-100 memory-2000 idle log-4k log-100 log-cpu \
             log-memory log-lines log-grep log-since"
        );
    }
}
