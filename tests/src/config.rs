//! Config files for tests.

use crate::programs;

/// `[app.NAME]` with its command; `rest` is TOML that follows, its other keys first.
#[must_use]
pub fn app(name: &str, command: &[&str], rest: &str) -> String {
    format!("[app.{name}]\ncommand = {command:?}\n{rest}\n\n")
}

/// The same with `testapp` and these words as its command.
#[must_use]
pub fn testapp(name: &str, words: &[&str], rest: &str) -> String {
    let program = programs::testapp();
    let program = program.to_str().expect("the build folder's path is text");
    app(name, &[&[program], words].concat(), rest)
}
