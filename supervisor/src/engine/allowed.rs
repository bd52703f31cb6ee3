//! Whether this daemon may give an app what its `limits` ask for. Only root's may raise anything above
//! what the daemon itself has; found out here, before anything is changed, and not by a child that dies.

use std::fs;

use nix::unistd::Uid;
use supervisor_config::{App, Problem};

use super::prepare::{original_nofile, original_oom};

/// Bits of the capabilities.
const SYS_NICE: u32 = 23;
const SYS_RESOURCE: u32 = 24;

/// What this process has and may.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// Its effective capabilities.
    capabilities: u64,
    /// The least nice value that it may set.
    nice: i32,
    oom_score_adj: i32,
    /// The hard limit that it was started with.
    nofile: u64,
    /// The most that the kernel allows anybody.
    most_files: u64,
}

/// What is asked for in vain, each with its key.
pub fn obstacles(app: &App) -> Vec<(&'static str, Problem)> {
    let limits = &app.limits;
    if limits.nofile.is_none() && limits.nice.is_none() && limits.oom_score_adj.is_none() {
        return Vec::new();
    }
    refused(app, Own::find())
}

fn refused(app: &App, own: Own) -> Vec<(&'static str, Problem)> {
    let may = |capability: u32| own.capabilities >> capability & 1 == 1;
    let only_root = |what: String| {
        Problem::new(what)
            .hint("leave it out, or have root run the daemon, with the right to give it")
    };
    let mut found = Vec::new();
    let limits = &app.limits;
    if let Some(nofile) = limits.nofile.map(u64::from) {
        if nofile > own.most_files {
            let most = own.most_files;
            let why = format!("the kernel allows at most {most} open files");
            let hint = "`sysctl fs.nr_open` shows and sets it";
            found.push(("limits.nofile", Problem::new(why).hint(hint)));
        } else if nofile > own.nofile && !may(SYS_RESOURCE) {
            let most = own.nofile;
            let why = format!("this daemon has at most {most} open files to give (`ulimit -Hn`)");
            found.push(("limits.nofile", only_root(why)));
        }
    }
    if let Some(nice) = limits
        .nice
        .filter(|&nice| nice < own.nice && !may(SYS_NICE))
    {
        let least = own.nice;
        let why = format!("this daemon may not go below nice {least}, and {nice} is asked for");
        found.push(("limits.nice", only_root(why)));
    }
    let score = limits.oom_score_adj;
    if let Some(score) = score.filter(|&s| s < own.oom_score_adj && !may(SYS_RESOURCE)) {
        let least = own.oom_score_adj;
        let why = format!("this daemon may not go below {least}, and {score} is asked for");
        found.push(("limits.oom_score_adj", only_root(why)));
    }
    found
}

impl Own {
    fn find() -> Own {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let capabilities = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        let number = |path: &str| {
            let text = fs::read_to_string(path).ok()?;
            text.trim().parse::<i64>().ok()
        };
        let oom = original_oom().or_else(|| {
            let own = number("/proc/self/oom_score_adj")?;
            i32::try_from(own).ok()
        });
        let root = if Uid::effective().is_root() {
            u64::MAX
        } else {
            0
        };
        Own {
            capabilities: capabilities.unwrap_or(root),
            nice: least_nice(),
            oom_score_adj: oom.unwrap_or(0),
            nofile: original_nofile().map_or(u64::MAX, |(_, hard)| hard),
            most_files: number("/proc/sys/fs/nr_open").map_or(u64::MAX, i64::unsigned_abs),
        }
    }
}

/// The own one, or what RLIMIT_NICE allows.
fn least_nice() -> i32 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name come the state (field 3 of proc(5)) and the rest; nice is field 19.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let own = behind.split_whitespace().nth(19 - 3);
    let own = own.and_then(|nice| nice.parse().ok()).unwrap_or(0);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| {
        let values = line.strip_prefix("Max nice priority")?;
        values.split_whitespace().next()?.parse::<i32>().ok()
    });
    soft.map_or(own, |soft| own.min(20 - soft))
}

#[cfg(test)]
mod tests {
    use supervisor_config::Limits;

    use super::*;

    const USERS: Own = Own {
        capabilities: 0,
        nice: 0,
        oom_score_adj: 100,
        nofile: 4096,
        most_files: 1_048_576,
    };

    fn keys(limits: Limits, own: Own) -> Vec<&'static str> {
        let blank = serde_json::json!({ "name": "x", "command": ["x"], "directory": "/" });
        let app: App = serde_json::from_value(blank).expect("an app");
        let found = refused(&App { limits, ..app }, own).into_iter();
        found.map(|(key, _)| key).collect()
    }

    #[test]
    fn only_root_gives_more_than_it_has() {
        let asks = |nofile, nice, score| Limits {
            nofile: Some(nofile),
            nice: Some(nice),
            oom_score_adj: Some(score),
            ..Limits::default()
        };
        let all = ["limits.nofile", "limits.nice", "limits.oom_score_adj"];
        assert_eq!(keys(asks(4097, -1, 99), USERS), all);
        assert_eq!(keys(asks(4096, 0, 100), USERS), [""; 0]);
        assert_eq!(keys(asks(1, 19, 1000), USERS), [""; 0]);
        let root = Own {
            capabilities: 1 << SYS_NICE | 1 << SYS_RESOURCE,
            ..USERS
        };
        assert_eq!(keys(asks(1_048_576, -20, -1000), root), [""; 0]);
        assert_eq!(keys(asks(1_048_577, -20, -1000), root), ["limits.nofile"]);
        assert_eq!(keys(Limits::default(), USERS), [""; 0]);
    }

    #[test]
    fn this_process_is_told_right() {
        let own = Own::find();
        assert!((-20..=19).contains(&own.nice), "{own:?}");
        assert!(own.most_files >= 1024, "{own:?}");
    }
}
