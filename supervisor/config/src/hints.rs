//! What somebody meant who wrote a key that is not known: a slip of the finger, the right key in
//! the wrong table, or the word of another program.

use crate::keys::{self, Key};

/// Words of PM2, supervisord and systemd for what has a key here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("script", "command"),
    ("exec", "command"),
    ("cmd", "command"),
    ("execstart", "command"),
    ("args", "command"),
    ("cwd", "directory"),
    ("workingdirectory", "directory"),
    ("uid", "user"),
    ("gid", "group"),
    ("environment", "env"),
    ("environmentfile", "env_file"),
    ("numprocs", "instances"),
    ("execmode", "instances"),
    ("autostart", "boot"),
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
    ("dependson", "after"),
    ("requires", "after"),
    ("listentimeout", "ready.timeout"),
    ("waitready", "ready.notify"),
    ("maxmemoryrestart", "limits.memory"),
    ("cronrestart", "schedule"),
    ("cron", "schedule"),
    ("mergelogs", "logs.merge"),
    ("combinelogs", "logs.merge"),
    ("outfile", "logs.stdout"),
    ("errorfile", "logs.stderr"),
    ("ignorewatch", "watch.ignore"),
];

/// A level with more keys than this is not listed in a hint.
const LISTED: usize = 12;

/// The hint for `word`, which is no key of the table at `prefix` (`""`, `"restart."`).
pub(crate) fn for_unknown<R>(word: &str, prefix: &str, keys: &[Key<R>]) -> Option<String> {
    if let Some(meant) = meant(word, prefix, keys) {
        return Some(format!("did you mean `{meant}`?"));
    }
    if prefix.is_empty() && level("", keys::APP).contains(&word) {
        return Some(format!(
            "what belongs to an app stands below [app.NAME]; so does `{word}`"
        ));
    }
    let known = level(prefix, keys);
    (known.len() <= LISTED).then(|| format!("the keys here are {}", known.join(", ")))
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
    let misplaced = |key: &&Key<R>| last(key.path) == word;
    let mut found = keys
        .iter()
        .filter(flattened)
        .chain(keys.iter().filter(misplaced));
    found.next().map(|key| key.path.to_owned())
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
