//! What is printed: pure functions from messages to text, for a given width and style.

pub mod color;
pub mod details;
pub mod faults;
#[cfg(test)]
pub mod fixtures;
pub mod outcome;
pub mod plan;
pub mod sanitize;
pub mod services;
pub mod table;
pub mod text;
pub mod units;
