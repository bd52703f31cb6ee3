//! Readers for the values that are addresses.

use crate::endpoint::{HostPort, HttpUrl, Listen, WaitFor};
use crate::reading::Reading;
use crate::units::Problem;
use crate::value::{Value, some_text};

fn parsed<T>(
    value: &Value,
    parse: impl Fn(&str) -> Result<T, Problem>,
    reading: &mut Reading,
) -> Option<T> {
    let text = some_text(value, reading)?;
    if text.contains('@') {
        // What stands before it may be a password; it is refused, and not shown.
        reading.hide(vec![value.span.clone()]);
    }
    parse(&text).map_or_else(|problem| value.fault(problem, reading), Some)
}

pub(crate) fn tcp(value: &Value, reading: &mut Reading) -> Option<HostPort> {
    parsed(value, HostPort::parse, reading)
}

pub(crate) fn http(value: &Value, reading: &mut Reading) -> Option<HttpUrl> {
    parsed(value, HttpUrl::parse, reading)
}

pub(crate) fn wait_for(value: &Value, reading: &mut Reading) -> Option<WaitFor> {
    parsed(value, WaitFor::parse, reading)
}

/// A port alone is a number to TOML, too.
pub(crate) fn listen(value: &Value, reading: &mut Reading) -> Option<Listen> {
    match value.as_integer() {
        Some(port) => match Listen::parse(&port.to_string()) {
            Ok(listen) => Some(listen),
            Err(problem) => value.fault(problem, reading),
        },
        None => parsed(value, Listen::parse, reading),
    }
}
