//! Files that list apps are not apps: they are told by their names, and refused with the way out.

use std::path::Path;

use crate::errors::{CliError, Exit};

/// A JSON or YAML file that is longer is not looked into.
const LONGEST: u64 = 1 << 20;

/// Refuses a file that lists apps: ours, or PM2's.
pub fn refuse(file: &Path) -> Result<(), CliError> {
    if suffix(file) == "toml" && file.is_file() {
        let message = format!("{} is a config file, not an app", name(file));
        let hint = format!("supervisorctl up {}", file.display());
        return Err(CliError::new(Exit::Usage, message).hint(hint));
    }
    refuse_foreign(file)
}

/// Refuses PM2's.
pub fn refuse_foreign(file: &Path) -> Result<(), CliError> {
    if !is_ecosystem(file) {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        format!(
            "{} is a PM2 ecosystem file, which is not run: write each of its apps as an \
             [app.NAME] table with command, directory and env into supervisor.toml, then `supervisorctl up`",
            name(file)
        ),
    ))
}

fn is_ecosystem(file: &Path) -> bool {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let is_script = matches!(suffix(file), "js" | "cjs" | "mjs" | "ts");
    let is_data = matches!(suffix(file), "json" | "yml" | "yaml");
    let by_name = name(file).starts_with("ecosystem.")
        || (is_script && stem.is_some_and(|stem| stem.ends_with(".config")));
    file.is_file() && (by_name || (is_data && lists_apps(file)))
}

fn lists_apps(file: &Path) -> bool {
    let is_short = file.metadata().is_ok_and(|meta| meta.len() <= LONGEST);
    is_short && std::fs::read_to_string(file).is_ok_and(|text| text.contains("apps"))
}

fn name(file: &Path) -> &str {
    let name = file.file_name().and_then(|name| name.to_str());
    name.unwrap_or_default()
}

fn suffix(file: &Path) -> &str {
    let suffix = file.extension().and_then(|suffix| suffix.to_str());
    suffix.unwrap_or_default()
}
