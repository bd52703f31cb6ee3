//! `start`: what is known is started; a script or command becomes a new app.

pub mod config_files;
mod definition;
mod faults;
mod interpreter;
mod options;
mod program;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::ArgValueCompleter;
use supervisor_protocol::client::{ConnectError, Session};
use supervisor_protocol::{Act, Request};

use super::act::How;
use super::report::{Named, Telling, carry_out};
use super::{Context, act, completions, launch, other, rows};
use crate::cli::{Told, Waits};
use crate::errors::{CliError, Exit};
use crate::output;
use crate::render::services::Names;
use crate::render::text::hang;
use definition::Definition;
pub use definition::name_of;
use options::{Anyway, AppOptions, Instances};
use program::Surroundings;

/// Start what is known, or add a script or command as a new app and start it
#[derive(Debug, Args)]
#[command(
    after_help = "Without a path, WORD is a known TARGET before it is a script or command. A script's \
                  interpreter follows from its suffix: .js .cjs .mjs .ts .py .sh .rb .php .pl; \
                  anything executable runs itself. Starts the daemon if none runs.\n\n\
                  Examples:\n  supervisorctl start dist/index.js --name api -i 2 --env PORT=3001\n  \
                  supervisorctl start npm --name shop -- run start\n  supervisorctl start api"
)]
pub struct Start {
    /// TARGETs, or one SCRIPT or COMMAND (in quotes with its arguments)
    #[arg(required = true, value_name = "TARGET|SCRIPT|COMMAND",
          add = ArgValueCompleter::new(completions::targets_and_files))]
    words: Vec<String>,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    told: Told,
    #[command(flatten)]
    anyway: Anyway,
    /// Arguments for the script or command
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    options: Box<AppOptions>,
}

impl Start {
    /// Starts what the words mean.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let mut session = match Session::open(&context.paths) {
            Ok(session) => session,
            Err(ConnectError::NoDaemon { .. }) => match self.means_the_systems(context) {
                Some(session) => session,
                None => {
                    self.worth_a_daemon()?;
                    launch::ensure(context)?
                }
            },
            Err(error) => return Err(error.into()),
        };
        let mut unknown = None;
        if !self.is_new() {
            match rows(&mut session, &self.words) {
                Ok(rows) => {
                    let how = self.how();
                    return act::on_rows(
                        context,
                        &mut session,
                        Act::Start,
                        &rows,
                        &self.words,
                        how,
                    );
                }
                Err(error) if error.exit == Exit::NoSuchApp => unknown = Some(error),
                Err(error) => return Err(error),
            }
        }
        let [word] = self.words.as_slice() else {
            return Err(too_many(&self.words, unknown));
        };
        let definition = self
            .define(word)
            .map_err(|error| self.or_an_app(error, word, &mut session))?;
        self.add(context, &mut session, definition)
    }

    /// Where this user has no daemon and the system's knows these apps. What is new is not started
    /// there by mistake, with the rights that one has.
    fn means_the_systems(&self, context: &mut Context) -> Option<Session> {
        if self.is_new() {
            return None;
        }
        let own = context.paths.clone();
        let mut session = other::instead(context)?;
        if rows(&mut session, &self.words).is_ok() {
            return Some(session);
        }
        context.paths = own;
        None
    }

    fn how(&self) -> How {
        How::new(&self.told, Some(&self.waits))
    }

    /// Whether the words can only mean a new app.
    fn is_new(&self) -> bool {
        *self.options != AppOptions::default() || !self.args.is_empty()
    }

    /// A daemon starts all that ran before, which is more than a mistyped path may do. A word that
    /// is no program may be an app, which only a daemon knows.
    fn worth_a_daemon(&self) -> Result<(), CliError> {
        match self.words.as_slice() {
            [word] => match self.define(word) {
                Err(error) if self.is_new() || error.exit != Exit::NoSuchApp => Err(error),
                Ok(_) | Err(_) => Ok(()),
            },
            words if self.is_new() => Err(too_many(words, None)),
            _ => Ok(()),
        }
    }

    fn define(&self, word: &str) -> Result<Definition, CliError> {
        let here = env::current_dir().map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("the current folder cannot be found: {error}"),
            )
        })?;
        self.define_in(word, here, env::var_os("PATH"))
    }

    fn define_in(
        &self,
        word: &str,
        here: PathBuf,
        path: Option<OsString>,
    ) -> Result<Definition, CliError> {
        let around = Surroundings { here, path };
        Definition::new(word, &self.options, &self.args, around)
    }

    /// The text for the daemon, of the first word in a folder.
    #[cfg(test)]
    pub fn text_in(&self, here: PathBuf, path: Option<OsString>) -> Result<String, CliError> {
        let definition = self.define_in(&self.words[0], here, path)?;
        Ok(definition.text())
    }

    fn add(
        &self,
        context: &mut Context,
        session: &mut Session,
        definition: Definition,
    ) -> Result<Exit, CliError> {
        let how = self.how();
        let names = match self.options.instances {
            Some(Instances::Count(1)) | None => Names::default(),
            Some(Instances::Count(_) | Instances::Max) => Names::several(&definition.name),
        };
        let telling = Telling {
            names: Named::As(names),
            awaited: vec![definition.name.clone()],
            json: how.json,
        };
        let request = Request::Add {
            text: definition.text(),
            directory: definition.here.clone(),
            path: env::var("PATH").ok(),
            wait: how.wait,
        };
        let report = carry_out(context, session, &request, telling)
            .map_err(|error| faults::in_options(error, &definition))?;
        if !how.json && !context.silent {
            self.tell_what_stayed_here();
        }
        report.end(context, how.json)
    }

    /// PM2 hands over the whole environment of the shell; what an app most often gets by it, and
    /// here does not, is not left to be found out.
    fn tell_what_stayed_here(&self) {
        let given = |name: &str| self.options.env.iter().any(|(key, _)| key == name);
        let names = ["PORT", "NODE_ENV"].into_iter();
        let stayed: Vec<_> = names
            .filter(|name| env::var_os(name).is_some() && !given(name))
            .collect();
        if !stayed.is_empty() && self.options.env_file.is_empty() {
            let message = format!(
                "{} of this shell did not go to the app; `--env {}` passes it on",
                stayed.join(" and "),
                stayed.join(" --env ")
            );
            output::tell(&(hang(0, &message, output::width_of_stderr()) + "\n"));
        }
    }

    fn an_app_already(&self, word: &str) -> CliError {
        let only_instances = AppOptions {
            instances: self.options.instances,
            ..AppOptions::default()
        };
        let hint = match self.options.instances {
            Some(Instances::Count(count)) if only_instances == *self.options => {
                format!("supervisorctl scale {word} {count}")
            }
            Some(_) | None => format!(
                "`supervisorctl start {word}` starts it as it is; to change it, change its file and \
                 `supervisorctl up`, or delete it first"
            ),
        };
        let message = format!("`{word}` is an app already; these options are for new apps");
        CliError::new(Exit::Usage, message).hint(hint)
    }

    /// The word is no program; perhaps it is an app.
    fn or_an_app(&self, error: CliError, word: &str, session: &mut Session) -> CliError {
        if error.exit != Exit::NoSuchApp || !self.is_new() {
            return error;
        }
        match rows(session, &[word.to_owned()]) {
            Ok(rows) if !rows.is_empty() => self.an_app_already(word),
            Ok(_) | Err(_) => error,
        }
    }
}

/// No word at all. PM2 would take the ecosystem file that lies here.
pub fn nothing_named() -> CliError {
    let files = [
        "ecosystem.config.js",
        "ecosystem.config.cjs",
        "pm2.config.js",
    ];
    let refused = files
        .iter()
        .find_map(|file| config_files::refuse_foreign(Path::new(file)).err());
    let error = CliError::new(Exit::Usage, "it is not said what to start");
    match refused {
        Some(refused) => refused,
        None if Path::new("supervisor.toml").is_file() => error.hint("supervisorctl up"),
        None => error.hint("`supervisorctl start SCRIPT --name NAME`, or the NAME of a known app"),
    }
}

/// Several words, not all of which are known.
fn too_many(words: &[String], unknown: Option<CliError>) -> CliError {
    let hint = format!(
        "one new app at a time: its arguments go after `--`, or stand with it in quotes: \
         supervisorctl start {}",
        program::joined(&[program::joined(words)])
    );
    let error = unknown.unwrap_or_else(|| {
        let list = words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
        CliError::new(
            Exit::NoSuchApp,
            format!("not all of these are apps: {list}"),
        )
    });
    error.hint(hint)
}

/// Makes a path absolute without asking the file system.
fn below(folder: &Path, path: impl AsRef<Path>) -> PathBuf {
    let joined = folder.join(path);
    std::path::absolute(&joined).unwrap_or(joined)
}
