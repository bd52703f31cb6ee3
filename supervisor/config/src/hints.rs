//! What somebody meant who wrote a key that is not known: a slip of the finger, the right key in
//! the wrong table, or the word of another program.

use crate::keys::{self, Key};

/// Words that have no key, and what to do instead.
const ADVICE: &[(&str, &str)] = &[
    (
        "name",
        "the name of an app stands in its header: [app.NAME]",
    ),
    (
        "processname",
        "the name of an app stands in its header: [app.NAME]",
    ),
    (
        "type",
        "leave it out: an app is whatever its command is, and stays in the foreground",
    ),
    (
        "interpreter",
        "it is the first word of command: [\"node\", \"dist/index.js\"]",
    ),
    (
        "interpreterargs",
        "they stand in command, after its first word",
    ),
    (
        "nodeargs",
        "they stand in command, after its first word: [\"node\", \"--inspect\", …]",
    ),
    (
        "execstartpre",
        "write one command that does both: [\"sh\", \"-c\", \"first && exec second\"]",
    ),
    (
        "wantedby",
        "leave it out: boot says whether it starts with the daemon",
    ),
    (
        "priority",
        "write after = [\"…\"] with the apps that must be there first",
    ),
];

/// Words of PM2, supervisord and systemd for what has a key here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("script", "command"),
    ("exec", "command"),
    ("cmd", "command"),
    ("execstart", "command"),
    ("args", "command"),
    ("cwd", "directory"),
    ("dir", "directory"),
    ("workdir", "directory"),
    ("workingdirectory", "directory"),
    ("uid", "user"),
    ("gid", "group"),
    ("environment", "env"),
    ("environmentfile", "env_file"),
    ("numprocs", "instances"),
    ("execmode", "instances"),
    ("autostart", "boot"),
    ("restart", "restart.policy"),
    ("expbackoffrestartdelay", "restart.max_delay"),
    ("startlimitburst", "restart.max_restarts"),
    ("unstablerestarts", "restart.max_restarts"),
    ("successexitstatus", "restart.success"),
    ("autorestart", "restart.policy"),
    ("startretries", "restart.max_restarts"),
    ("startsecs", "restart.stable_after"),
    ("minuptime", "restart.stable_after"),
    ("restartsec", "restart.delay"),
    ("exitcodes", "restart.success"),
    ("stopexitcodes", "restart.success"),
    ("killsignal", "stop.signal"),
    ("killtimeout", "stop.timeout"),
    ("stopwaitsecs", "stop.timeout"),
    ("timeoutstopsec", "stop.timeout"),
    ("dependson", "after"),
    ("requires", "after"),
    ("wants", "after"),
    ("listentimeout", "ready.timeout"),
    ("waitready", "ready.notify"),
    ("watchdogsec", "health.notify"),
    ("maxmemoryrestart", "limits.memory"),
    ("memoryhigh", "limits.memory"),
    ("memorymax", "limits.memory_hard"),
    ("cpuquota", "limits.cpu"),
    ("tasksmax", "limits.pids"),
    ("limitnofile", "limits.nofile"),
    ("oomscoreadjust", "limits.oom_score_adj"),
    ("cronrestart", "schedule"),
    ("cron", "schedule"),
    ("mergelogs", "logs.merge"),
    ("combinelogs", "logs.merge"),
    ("redirectstderr", "logs.merge"),
    ("logfile", "logs.stdout"),
    ("outfile", "logs.stdout"),
    ("stdoutlogfile", "logs.stdout"),
    ("standardoutput", "logs.stdout"),
    ("errorfile", "logs.stderr"),
    ("errfile", "logs.stderr"),
    ("stderrlogfile", "logs.stderr"),
    ("standarderror", "logs.stderr"),
    ("stdoutlogfilemaxbytes", "logs.max_size"),
    ("stderrlogfilemaxbytes", "logs.max_size"),
    ("stdoutlogfilebackups", "logs.keep"),
    ("stderrlogfilebackups", "logs.keep"),
    ("maxlogs", "logs.keep"),
    ("retain", "logs.keep"),
    ("rotateinterval", "logs.max_age"),
    ("logdateformat", "logs.format"),
    ("logtype", "logs.format"),
    ("oncalendar", "schedule"),
    ("envproduction", "env"),
    ("envdevelopment", "env"),
    ("ignorewatch", "watch.ignore"),
];

/// A level with more keys than this is not listed in a hint.
const LISTED: usize = 12;

/// The hint for `word`, which is no key of the table at `prefix` (`""`, `"restart."`); `None` where
/// nobody can tell what was meant.
pub(crate) fn for_unknown<R>(word: &str, prefix: &str, keys: &[Key<R>]) -> Option<String> {
    let plain = plain(word);
    if let Some((_, advice)) = ADVICE.iter().find(|(theirs, _)| *theirs == plain) {
        return Some((*advice).to_owned());
    }
    if let Some(meant) = meant(word, prefix, keys) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let of_app = self::meant(word, "", keys::APP).filter(|_| prefix.is_empty());
    of_app.map(|ours| format!("what belongs to an app stands below [app.NAME]; so does `{ours}`"))
}

/// The keys that may stand at `prefix`, where they are few.
pub(crate) fn listed<R>(prefix: &str, keys: &[Key<R>]) -> Option<String> {
    let known = level(prefix, keys);
    (known.len() <= LISTED).then(|| format!("the keys here are {}", known.join(", ")))
}

/// What to write in the place of a plain value for the table at `path`.
pub(crate) fn for_table<R>(path: &str, keys: &[Key<R>]) -> String {
    let known = level(&format!("{path}."), keys).join(", ");
    let mut groups = keys::GROUPS.iter().chain(keys::FILE_GROUPS);
    match groups.find(|group| group.path == path) {
        Some(group) => format!("write {}; its keys are {known}", group.example),
        None => format!("its keys are {known}"),
    }
}

/// The key that was meant, as it is written at that place.
pub(crate) fn meant<R>(word: &str, prefix: &str, keys: &[Key<R>]) -> Option<String> {
    let plain = plain(&format!("{prefix}{word}"));
    let elsewhere = ELSEWHERE.iter().find(|(theirs, _)| *theirs == plain);
    if let Some((_, ours)) = elsewhere.filter(|(_, ours)| keys.iter().any(|key| key.path == *ours))
    {
        return Some((*ours).to_owned());
    }
    if let Some(near) = nearest(word, level(prefix, keys).into_iter()) {
        return Some(near.to_owned());
    }
    let last = |path: &'static str| path.rsplit_once('.').map_or(path, |(_, last)| last);
    let flattened = |key: &&Key<R>| self::plain(key.path) == plain;
    let alone = self::plain(word);
    let misplaced = |key: &&Key<R>| self::plain(last(key.path)) == alone;
    let mut found = keys
        .iter()
        .filter(flattened)
        .chain(keys.iter().filter(misplaced));
    let found = found.next().map(|key| key.path);
    // Last, the words of others with a slip.
    let near = || nearest(&plain, ELSEWHERE.iter().map(|(theirs, _)| *theirs));
    let slip = || ELSEWHERE.iter().find(|(theirs, _)| Some(*theirs) == near());
    let ours = |path: &&str| keys.iter().any(|key| key.path == *path);
    let found = found.or_else(|| slip().map(|(_, path)| *path).filter(ours));
    found.map(str::to_owned)
}

/// The closest of `known`, if it is close enough to be a slip: a third of the letters.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let wanted = plain(word);
    let distance = |known: &str| strsim::osa_distance(&wanted, &plain(known));
    let (distance, near) = known.map(|known| (distance(known), known)).min()?;
    (distance <= near.len().max(3) / 3).then_some(near)
}

/// The words that may stand in the table at `prefix`.
pub(crate) fn level<R>(prefix: &str, keys: &[Key<R>]) -> Vec<&'static str> {
    let below = keys.iter().filter_map(|key| key.path.strip_prefix(prefix));
    let mut words: Vec<_> = below
        .map(|rest| rest.split_once('.').map_or(rest, |(word, _)| word))
        .collect();
    words.dedup();
    words
}

/// Without what differs between spellings: case, `-`, `_`, dots.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_others_lead_to_keys_that_there_are() {
        for (theirs, ours) in ELSEWHERE {
            assert_eq!(plain(theirs), *theirs);
            assert!(keys::APP.iter().any(|key| key.path == *ours), "{ours}");
        }
    }
}
