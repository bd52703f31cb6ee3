//! Which instances the words of a command line mean.

use supervisor_core::ServiceId;
use supervisor_protocol::{Failure, FailureKind};

use super::Engine;
use crate::persist::desired::{Entry, Wish};

/// The answer to a name that nobody has.
pub fn no_such_app(name: &str) -> Failure {
    /// Longer than any name.
    const SHOWN: usize = 80;
    let mut shown: String = name.chars().take(SHOWN).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    Failure::new(FailureKind::NoSuchApp, format!("there is no app {shown:?}"))
        .hint("`supervisorctl status` lists them")
}

impl Engine {
    /// Which instances the words of a command line mean, in the order of their numbers.
    pub(super) fn resolve(&self, targets: &[String]) -> Result<Vec<ServiceId>, Failure> {
        let mut found: Vec<(u64, ServiceId)> = Vec::new();
        let any = targets.is_empty();
        // Also what is being deleted, for as long as it is there.
        for (id, entry, wish) in self.desired.instances() {
            if any || targets.iter().any(|target| means(target, &id, entry, wish)) {
                found.push((wish.id, id));
            }
        }
        for target in targets {
            let hit = self
                .desired
                .instances()
                .any(|(id, entry, wish)| means(target, &id, entry, wish));
            if !hit && target != "all" {
                return Err(no_such_app(target));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }
}

/// Whether a word of the command line means this instance.
fn means(target: &str, id: &ServiceId, entry: &Entry, wish: &Wish) -> bool {
    if target == "all" || target == id.app.as_str() {
        return true;
    }
    if let Some(namespace) = target.strip_suffix('/') {
        return entry.app.namespace == namespace;
    }
    if let Some((name, instance)) = target.split_once(':') {
        return name == id.app.as_str() && instance.parse() == Ok(id.instance);
    }
    target.parse() == Ok(wish.id) || glob(target.as_bytes(), id.app.as_str().as_bytes())
}

/// `*` and `?`, as a shell understands them.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and how far it reaches: only that one ever has to give back.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some(&c), _) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            (_, Some((after, from))) => {
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        let yes = [
            ("api-*", "api-1"),
            ("*", ""),
            ("a?c", "abc"),
            ("*b*", "abc"),
            ("abc", "abc"),
        ];
        let no = [("api-*", "db"), ("a?c", "ac"), ("", "a"), ("a", "")];
        assert!(yes.iter().all(|(p, t)| glob(p.as_bytes(), t.as_bytes())));
        assert!(!no.iter().any(|(p, t)| glob(p.as_bytes(), t.as_bytes())));
    }
}
