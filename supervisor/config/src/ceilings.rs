//! What the kernel itself keeps the processes of one run to, by their cgroup.

use serde::{Deserialize, Serialize};

use crate::units::size_text;

/// Ceilings that hold for all processes of a run together; `None`: none of our making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceilings {
    /// The most memory (`limits.memory_hard`).
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// The most CPU time (`limits.cpu`).
    #[serde(default)]
    pub cpu: Option<Cpus>,
    /// The most processes and threads (`limits.pids`).
    #[serde(default)]
    pub pids: Option<Tasks>,
}

/// An amount of memory, more than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(pub u64);

/// CPUs in thousandths, more than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpus(pub u32);

/// A number of processes and threads, more than nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tasks(pub u32);

impl Ceilings {
    /// Those that are set, by their keys, as a file would say them.
    #[must_use]
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let memory = self.memory.map(|Bytes(bytes)| size_text(bytes));
        let cpu = self.cpu.map(|cpus| cpus.cores().to_string());
        let pids = self.pids.map(|Tasks(tasks)| tasks.to_string());
        let all = [
            ("limits.memory_hard", memory),
            ("limits.cpu", cpu),
            ("limits.pids", pids),
        ];
        all.into_iter()
            .filter_map(|(key, told)| Some((key, told?)))
            .collect()
    }
}

impl Cpus {
    /// As a number of CPUs.
    #[must_use]
    pub fn cores(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_told_as_a_file_says_them() {
        let all = Ceilings {
            memory: Some(Bytes(512_000_000)),
            cpu: Some(Cpus(500)),
            pids: Some(Tasks(200)),
        };
        let told = |ceilings: Ceilings| {
            let told = ceilings.told().into_iter();
            told.map(|(key, value)| format!("{key} = {value}"))
                .collect::<Vec<_>>()
        };
        let wanted = [
            "limits.memory_hard = 512MB",
            "limits.cpu = 0.5",
            "limits.pids = 200",
        ];
        assert_eq!(told(all), wanted);
        assert!(told(Ceilings::default()).is_empty());
    }
}
