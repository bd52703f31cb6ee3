//! Which instances the words of a command line mean.

use supervisor_core::ServiceId;
use supervisor_protocol::{Failure, FailureKind};

use super::Engine;
use crate::persist::desired::{Entry, Wish};
use crate::persist::slots;

/// As many words are looked at for one request as there can be instances: each is compared with each of
/// them, and meanwhile nothing else happens.
const MOST: usize = slots::MOST as usize;

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

fn not_too_many(targets: &[String]) -> Result<(), Failure> {
    match targets.len() {
        0..=MOST => Ok(()),
        many => {
            let message = format!("{many} targets are named at once, and at most {MOST} can be");
            let hint = "a pattern means many: `'api-*'`, `NAMESPACE/`, `all`";
            Err(Failure::new(FailureKind::Usage, message).hint(hint))
        }
    }
}

impl Engine {
    /// Which instances the words of a command line mean, in the order of their numbers.
    pub(super) fn resolve(&self, targets: &[String]) -> Result<Vec<ServiceId>, Failure> {
        not_too_many(targets)?;
        let mut found: Vec<(u64, ServiceId)> = Vec::new();
        let mut hits = vec![false; targets.len()];
        // Also what is being deleted, for as long as it is there.
        for (id, entry, wish) in self.desired.instances() {
            let mut is_meant = targets.is_empty();
            for (target, hit) in targets.iter().zip(&mut hits) {
                if means(target, &id, entry, wish) {
                    (*hit, is_meant) = (true, true);
                }
            }
            if is_meant {
                found.push((wish.id, id));
            }
        }
        let mut missed = targets.iter().zip(hits).filter(|(_, hit)| !hit);
        if let Some((target, _)) = missed.find(|(target, _)| *target != "all") {
            return Err(no_such_app(target));
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
    fn a_client_names_so_many_and_no_more() {
        let targets = |count| vec!["a*".to_owned(); count];
        assert!(not_too_many(&targets(MOST)).is_ok());
        let refused = not_too_many(&targets(MOST + 1)).expect_err("too many");
        assert_eq!(refused.kind, FailureKind::Usage);
    }

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
