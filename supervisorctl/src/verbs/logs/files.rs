//! What can still be read where no daemon hands it over: the files are there all the same.

use std::path::Path;

use supervisor_protocol::Paths;

use crate::errors::{CliError, Exit};

/// The error with where the files are: of all apps where no daemon answers, and of one that was
/// deleted, whose logs stay. Looks only at names, since the folder may be another user's.
pub fn without_daemon(error: CliError, paths: &Paths, targets: &[String]) -> CliError {
    let logs = &paths.logs;
    match error.exit {
        Exit::NoDaemon if logs.is_dir() => error.hint(format!(
            "the files can be read without it: `tail -F {}/NAME/*.log`, and `zstdcat` for rotated ones",
            logs.display()
        )),
        Exit::NoSuchApp => match targets.iter().find_map(|target| left_by(logs, target)) {
            Some(name) => error.hint(format!(
                "`tail {}/{name}/*.log`: there was an app of that name, and its log files stay",
                logs.display()
            )),
            None => error,
        },
        Exit::Done | Exit::Failed | Exit::Usage | Exit::NotRunning | Exit::NoDaemon => error,
    }
}

/// The app whose files are left, if the target could be one's name.
fn left_by<'t>(logs: &Path, target: &'t str) -> Option<&'t str> {
    let name = target.split(':').next().unwrap_or(target);
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    (is_name && logs.join(name).is_dir()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(exit: Exit, paths: &Paths, target: &str) -> Option<String> {
        let error = CliError::new(exit, "it failed").hint("before");
        without_daemon(error, paths, &[target.to_owned()]).hint
    }

    #[test]
    fn files_that_are_there_are_named() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let as_before = Some("before".to_owned());
        assert_eq!(told(Exit::NoDaemon, &paths, "api"), as_before);
        std::fs::create_dir_all(paths.logs.join("api")).unwrap();
        let logs = paths.logs.display();
        assert!(
            told(Exit::NoDaemon, &paths, "x")
                .is_some_and(|hint| hint.contains(&format!("{logs}/NAME")))
        );
        for target in ["api", "api:3"] {
            let hint = told(Exit::NoSuchApp, &paths, target).unwrap();
            assert!(hint.contains(&format!("{logs}/api/*.log")), "{hint}");
        }
        for target in ["mail", "..", ".", "", "api/", "api/../api"] {
            assert_eq!(told(Exit::NoSuchApp, &paths, target), as_before, "{target}");
        }
        assert_eq!(told(Exit::Failed, &paths, "api"), as_before);
    }
}
