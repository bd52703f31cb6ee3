//! Service folders as s6 and runit read them: `NAME/run`, and `NAME/log/run` for its logger.

use super::App;
use crate::Outcome;
use crate::place::Place;

/// Writes a folder below `services` for each app. `logger` is the command that reads an app's
/// output and keeps it below the folder it is given.
pub fn write(place: &Place, apps: &[App], logger: impl Fn(&str) -> String) -> Outcome<()> {
    let stamps = place.text("stamps");
    for App { name, words } in apps {
        let words = words.join(" ");
        let app = format!("#!/bin/sh\nexport STAMPS={stamps}\nexec {words}\n");
        place.program(&format!("services/{name}/run"), &app)?;
        let logs = place.text(&format!("logs/{name}"));
        let logger = format!("#!/bin/sh\nexec {}\n", logger(&logs));
        place.program(&format!("services/{name}/log/run"), &logger)?;
    }
    Ok(())
}

/// The shell command that puts all of them where they are scanned.
pub const LINK: &str = "ln -s \"$PWD\"/services/* scan/";
