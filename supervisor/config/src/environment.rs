//! The variables that the config of an app names: its env files, then its `env`. What the daemon
//! adds (`HOME`, `SUPERVISOR_APP`, …) is the daemon's business.

use std::collections::BTreeMap;

use crate::fault::Faults;
use crate::trust::{self, Reader};
use crate::units::Problem;
use crate::{App, EnvFile, Fault, dotenv};

/// Reads the app's env files and lays `env` over them. For a daemon that runs as root, `reader`
/// names the app's user ([`Reader::for_app`]).
///
/// # Errors
/// Every fault of every file. None of them shows a value.
pub fn environment(app: &App, reader: Reader) -> Result<BTreeMap<String, String>, Faults> {
    let mut variables = BTreeMap::new();
    let mut list = Vec::new();
    for file in &app.env_file {
        match read(app, file, reader) {
            Ok(found) => variables.extend(found),
            Err(faults) => list.extend(faults),
        }
    }
    if list.is_empty() {
        variables.extend(app.env.clone());
        Ok(variables)
    } else {
        Err(Faults { list })
    }
}

fn read(app: &App, file: &EnvFile, reader: Reader) -> Result<Vec<(String, String)>, Vec<Fault>> {
    let key = format!("app.{}.env_file", crate::keys::quoted(app.name.as_str()));
    let told = |line: Option<usize>, column, problem| Fault {
        line,
        column,
        key: Some(key.clone()),
        ..trust::fault(&file.path, problem)
    };
    let text = match trust::read_if_there(&file.path, reader) {
        Ok(Some(text)) => text,
        Ok(None) if file.optional => return Ok(Vec::new()),
        Ok(None) => {
            let problem = Problem::new("there is no such file");
            let problem =
                problem.hint("create it, or write a \"?\" after its path if it may be missing");
            return Err(vec![told(None, None, problem)]);
        }
        Err(problem) => return Err(vec![told(None, None, problem)]),
    };
    let lines = dotenv::parse(&text);
    if lines.faults.is_empty() {
        return Ok(lines.variables);
    }
    let faults = lines.faults.into_iter();
    Err(faults
        .map(|(line, column, problem)| told(Some(line), Some(column), problem))
        .collect())
}
