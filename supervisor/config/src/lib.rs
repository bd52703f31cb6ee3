//! What apps there shall be: the text of a config file → a checked model.
//!
//! Owns the config file's keys, units and words, the env files, and the rules by which such files are
//! trusted. Promises that a [`Config`] can be acted on without asking again, and that a faulty text
//! gives all its faults at once, each with its place, its key and what to do. Leaves to the daemon
//! whatever depends on the machine at that moment: users, programs, directories, other files' apps.

mod app_values;
mod changes;
mod cycle;
mod dotenv;
mod environment;
mod fault;
mod hints;
mod keys;
mod model;
mod parse;
mod reading;
mod signal;
mod trust;
mod units;
mod value;

pub use changes::{Effect, changed_keys, effect, needs_restart};
pub use cycle::find_cycle;
pub use environment::environment;
pub use fault::{Fault, Faults};
pub use model::{App, Config, EnvFile, Origin};
pub use parse::parse;
pub use signal::{BadSignal, StopSignal};
pub use trust::{Reader, read};
pub use units::{Problem, duration_text, parse_duration, parse_size, size_text};
