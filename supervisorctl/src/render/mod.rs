//! What is printed: pure functions from messages to text, for a given width and style.

pub mod color;
pub mod details;
#[cfg(test)]
mod fixtures;
pub mod outcome;
pub mod plan;
pub mod sanitize;
pub mod services;
pub mod table;
pub mod units;
