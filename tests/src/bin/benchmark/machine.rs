//! What the figures were measured on.

use std::fs;
use std::thread;

use serde_json::{Value, json};

/// The machine, as far as it explains a figure.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Main memory in MB.
    pub memory_mb: u64,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let kib: u64 = field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse().ok())
            .unwrap_or_default();
        Machine {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned()),
            cores: thread::available_parallelism().map_or(1, Into::into),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mb: kib * 1024 / 1_000_000,
        }
    }

    /// For the JSON.
    pub fn json(&self) -> Value {
        let Machine {
            cpu,
            cores,
            kernel,
            memory_mb,
        } = self;
        json!({ "cpu": cpu, "cores": cores, "kernel": kernel, "memory_mb": memory_mb })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine {
            cpu,
            cores,
            kernel,
            memory_mb,
        } = self;
        let gb = memory_mb.div_ceil(1000);
        write!(f, "{cpu}, {cores} cores, {gb} GB, Linux {kernel}")
    }
}

/// How many processes wanted to run, on average over the last minute.
pub fn load() -> f64 {
    let text = read("/proc/loadavg");
    let first = text.split(' ').next().and_then(|load| load.parse().ok());
    first.unwrap_or_default()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The first `KEY : VALUE` of a file.
fn field(file: &str, key: &str) -> Option<String> {
    read(file).lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}
