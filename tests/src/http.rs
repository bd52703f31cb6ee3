//! Just enough HTTP to ask the example backend something.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A port of 127.0.0.1 that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// `GET`; the status and the body as JSON (null if it is none).
///
/// # Errors
/// When nobody answers.
pub fn get(port: u16, path: &str) -> io::Result<(u16, Value)> {
    ask("GET", port, path)
}

/// `POST` without a body.
///
/// # Errors
/// When nobody answers.
pub fn post(port: u16, path: &str) -> io::Result<(u16, Value)> {
    ask("POST", port, path)
}

fn ask(method: &str, port: u16, path: &str) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other(format!("not an answer: {answer:?}")))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status: {head:?}")))?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
