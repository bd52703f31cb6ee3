//! `status --sort`: the rows in another order.

use std::cmp::Ordering;
use std::str::FromStr;

use clap::ValueEnum as _;
use supervisor_protocol::Service;

use crate::render::services::word;

/// A column, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    column: Column,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Column {
    Id,
    Name,
    Namespace,
    State,
    Pid,
    Uptime,
    Restarts,
    Cpu,
    Memory,
}

impl Column {
    /// Of these one looks for the greatest.
    fn is_a_burden(self) -> bool {
        match self {
            Column::Restarts | Column::Cpu | Column::Memory => true,
            Column::Id
            | Column::Name
            | Column::Namespace
            | Column::State
            | Column::Pid
            | Column::Uptime => false,
        }
    }

    fn compare(self, a: &Service, b: &Service) -> Ordering {
        match self {
            Column::Id => a.id.cmp(&b.id),
            Column::Name => (&a.name, a.instance).cmp(&(&b.name, b.instance)),
            Column::Namespace => a.namespace.cmp(&b.namespace),
            Column::State => word(a.state).cmp(word(b.state)),
            Column::Pid => a.pid.cmp(&b.pid),
            Column::Uptime => a.uptime_ms.cmp(&b.uptime_ms),
            Column::Restarts => a.restarts.cmp(&b.restarts),
            Column::Cpu => {
                let share = |row: &Service| row.cpu_percent.unwrap_or(-1.0);
                share(a).total_cmp(&share(b))
            }
            Column::Memory => a.memory_bytes.cmp(&b.memory_bytes),
        }
    }
}

impl Sort {
    /// Brings rows into this order; equal ones stay as they are.
    pub fn apply(self, rows: &mut [Service]) {
        rows.sort_by(|a, b| {
            let order = self.column.compare(a, b);
            if self.descending {
                order.reverse()
            } else {
                order
            }
        });
    }
}

impl FromStr for Sort {
    type Err = String;

    /// `memory`, or with a direction `memory:asc`, `memory:desc`.
    fn from_str(text: &str) -> Result<Sort, String> {
        let (name, direction) = text.split_once(':').unwrap_or((text, ""));
        let name = match name {
            "status" => "state",
            "mem" => "memory",
            name => name,
        };
        let bad = || {
            let names = Column::value_variants().iter().filter_map(|column| {
                let value = column.to_possible_value()?;
                Some(value.get_name().to_owned())
            });
            let names: Vec<_> = names.collect();
            format!("one of {}; then perhaps :asc or :desc", names.join(", "))
        };
        let column = Column::from_str(name, true).map_err(|_| bad())?;
        let descending = match direction {
            "" => column.is_a_burden(),
            "asc" => false,
            "desc" => true,
            _ => return Err(bad()),
        };
        Ok(Sort { column, descending })
    }
}

#[cfg(test)]
mod tests {
    use supervisor_protocol::State;

    use super::*;
    use crate::render::fixtures::{down, running};

    fn order(sort: &str) -> Vec<u64> {
        let mut rows = vec![
            running(0, "web", 0),
            down(1, "api", State::Errored, "exit code 1"),
            running(2, "mail", 0),
        ];
        for (row, memory) in rows.iter_mut().zip([Some(5), None, Some(50)]) {
            row.memory_bytes = memory;
            row.cpu_percent = memory.map(|memory| 1.0 / memory as f64);
        }
        sort.parse::<Sort>().unwrap().apply(&mut rows);
        rows.iter().map(|row| row.id).collect()
    }

    #[test]
    fn rows_come_in_the_order_that_was_asked_for() {
        assert_eq!(order("id:desc"), [2, 1, 0]);
        assert_eq!(order("name"), [1, 2, 0]);
        assert_eq!(order("memory"), [2, 0, 1], "the greatest first");
        assert_eq!(order("mem:asc"), [1, 0, 2]);
        assert_eq!(order("CPU"), [0, 2, 1]);
        assert_eq!(order("status"), [1, 0, 2], "errored before running");
    }

    #[test]
    fn what_cannot_be_sorted_by_is_told_what_can() {
        for text in ["", "nme", "name:up", ":asc"] {
            let why = text.parse::<Sort>().unwrap_err();
            assert!(
                why.starts_with("one of id, name, namespace, state"),
                "{why}"
            );
        }
    }
}
