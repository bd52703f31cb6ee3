//! `tail` as supervisord and the shell have it: the last lines, and what comes only with `-f`.

use std::ffi::OsString;

/// The words of `logs` for what follows `tail`: `tail -f NAME stderr`, `tail -100 NAME`.
pub fn as_logs(after: &[OsString]) -> Vec<OsString> {
    let mut words = vec![OsString::from("logs")];
    let mut follows = false;
    let (names, stream) = stream(after);
    for word in names {
        match word.to_str() {
            Some("-f" | "-F" | "--follow") => follows = true,
            Some(text) if is_count(text) => words.extend(["-n".into(), text[1..].into()]),
            Some(_) | None => words.push(word.clone()),
        }
    }
    words.extend(stream.map(|stream| format!("--stream={stream}").into()));
    if !follows {
        words.push("--no-follow".into());
    }
    words
}

/// `logs NAME -100` with a count that `logs` understands; `None`: there is none, or it is not `logs`.
pub fn counted(words: &[OsString]) -> Option<Vec<OsString>> {
    let verb = words
        .iter()
        .position(|word| word == "logs" || word == "log")?;
    let is_count = |word: &OsString| word.to_str().is_some_and(is_count);
    let at = verb + words[verb..].iter().position(is_count)?;
    let text = words[at].to_str()?;
    let ours = [OsString::from("-n"), text[1..].into()];
    Some([&words[..at], &ours, &words[at + 1..]].concat())
}

/// The stream that stands after a name.
fn stream(after: &[OsString]) -> (&[OsString], Option<&'static str>) {
    let is_option = |word: &OsString| word.to_string_lossy().starts_with('-');
    match after {
        [names @ .., last] if names.iter().any(|word| !is_option(word)) => match last.to_str() {
            Some("stdout") => (names, Some("out")),
            Some("stderr") => (names, Some("err")),
            Some(_) | None => (after, None),
        },
        _ => (after, None),
    }
}

/// `-100`
fn is_count(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_tail_means() {
        for (tail, logs) in [
            ("api", "logs api --no-follow"),
            ("-f api stderr", "logs api --stream=err"),
            (
                "-100 api stdout",
                "logs -n 100 api --stream=out --no-follow",
            ),
            ("-n 5 -F api worker", "logs -n 5 api worker"),
            ("stderr", "logs stderr --no-follow"),
            ("-f stderr", "logs stderr"),
            ("", "logs --no-follow"),
        ] {
            let words: Vec<_> = tail.split_whitespace().map(OsString::from).collect();
            let ours = as_logs(&words).join(&OsString::from(" "));
            assert_eq!(ours, OsString::from(logs), "{tail}");
        }
    }

    #[test]
    fn a_count_of_lines_as_tail_has_it() {
        let counted = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let ours = counted(&words)?.join(&OsString::from(" "));
            ours.into_string().ok()
        };
        assert_eq!(
            counted("supervisorctl -s logs api -100 -t").as_deref(),
            Some("supervisorctl -s logs api -n 100 -t")
        );
        for other in [
            "supervisorctl logs api -x",
            "supervisorctl start a.js -5",
            "supervisorctl scale -1 logs",
        ] {
            assert_eq!(counted(other), None, "{other}");
        }
    }
}
