//! What apps there shall be: the text of a config file → a checked model.
//!
//! Owns the config file's keys, units and words, the env files, and the rules by which such files are
//! trusted. Promises that a [`Config`] can be acted on without asking again, and that a faulty text
//! gives all its faults at once, each with its place, its key and what to do. Leaves to the daemon
//! whatever depends on the machine at that moment: users, programs, directories.

mod app;
mod app_values;
mod ceilings;
mod changes;
mod cross;
mod cycle;
mod dotenv;
mod endpoint;
mod environment;
mod fault;
mod files;
mod form;
mod hints;
mod keys;
mod limits;
mod logs;
mod model;
mod network;
mod parse;
mod places;
mod reading;
#[cfg(test)]
mod reference;
mod schema;
mod secrets;
mod shown;
mod signal;
mod source;
mod times;
mod trust;
mod units;
mod value;

pub use ceilings::{Bytes, Ceilings, Cpus, Tasks};
pub use changes::{Effect, KeyChange, changes};
pub use cross::{Known, check_env_files, cross_check, env_file_problem};
pub(crate) use cycle::find_cycle;
pub use endpoint::{HostPort, HttpUrl, Listen, WaitFor};
pub use environment::environment;
pub use fault::{Excerpt, Fault, Faults};
pub use files::Configured;
pub use logs::{LogFormat, Logs, OnFull, Output, Quota};
pub use model::{App, Config, DaemonSettings, EnvFile, Limits, LogLevel, Origin, Stdin, Umask};
pub use parse::parse;
pub use schema::schema;
pub use signal::{BadSignal, StopSignal};
pub use supervisor_core::Name;
pub use trust::{Reader, read};
pub use units::{Problem, duration_text, parse_duration, parse_size, size_text};
