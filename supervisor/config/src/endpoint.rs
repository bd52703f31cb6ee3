//! Addresses that an app is asked at, waits for or listens on, as they are written in a file. Names
//! of hosts are looked up when they are used, not here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::units::{Problem, shown};

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// 1 or more.
    pub port: u16,
}

/// `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// Whom to ask.
    pub address: HostPort,
    /// Starts with `/`, and has the query.
    pub path: String,
}

/// What an app waits for before it starts. Displayed, and kept in the saved state, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WaitFor {
    /// It takes a connection.
    Tcp(HostPort),
    /// A socket at this path takes a connection.
    Unix(PathBuf),
    /// A file of this path is there.
    File(PathBuf),
    /// It answers.
    Http(HttpUrl),
}

/// A socket that is held for an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address of this machine, with a port of 1 or more.
    Tcp(SocketAddr),
    /// A socket at this path.
    Unix(PathBuf),
}

/// The longest path of a socket, in bytes.
const LONGEST_SOCKET: usize = 107;
const LONGEST_HOST: usize = 253;

impl HostPort {
    /// Reads `localhost:80`, `127.0.0.1:80` or `[::1]:80`.
    ///
    /// # Errors
    /// What is wrong and how it is written.
    pub fn parse(text: &str) -> Result<HostPort, Problem> {
        let bad = || Problem::new(format!("{} is not a host with a port", shown(text)));
        let example = "write for instance \"127.0.0.1:3001\" or \"[::1]:3001\"";
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad().hint(example))?;
        let port = parse_port(port).ok_or_else(|| {
            Problem::new(format!("{} ends in no port from 1 to 65535", shown(text))).hint(example)
        })?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inside) if inside.parse::<Ipv6Addr>().is_ok() => inside,
            None if is_host(host) => host,
            Some(_) | None => return Err(bad().hint(example)),
        };
        Ok(HostPort {
            host: host.to_owned(),
            port,
        })
    }
}

impl HttpUrl {
    /// Reads `http://127.0.0.1:3001/health`.
    ///
    /// # Errors
    /// What is wrong and how it is written.
    pub fn parse(text: &str) -> Result<HttpUrl, Problem> {
        let example = "write for instance \"http://127.0.0.1:3001/health\"";
        if text.starts_with("https:") {
            let problem = Problem::new("https is not spoken here");
            return Err(problem.hint("ask a plain http:// port of this machine, or use tcp"));
        }
        let bad = || Problem::new(format!("{} is not an http address", shown(text))).hint(example);
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            let problem = Problem::new("an address with a user or a password is not asked");
            return Err(problem.hint("take out what stands before the \"@\""));
        }
        if path.chars().any(|c| !c.is_ascii_graphic() || c == '#') {
            let problem = Problem::new(
                "the path of an http address has no blanks, no \"#\" and no letters but ASCII",
            );
            return Err(problem.hint("write other characters as %XX"));
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']'));
        let address = if has_port {
            HostPort::parse(authority)?
        } else {
            HostPort::parse(&format!("{authority}:80")).map_err(|_| bad())?
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(HttpUrl {
            address,
            path: format!("{slash}{path}"),
        })
    }
}

impl WaitFor {
    /// Reads `tcp:HOST:PORT`, `unix:PATH`, `file:PATH` or `http://…`.
    ///
    /// # Errors
    /// What is wrong and how it is written.
    pub fn parse(text: &str) -> Result<WaitFor, Problem> {
        if let Some(address) = text.strip_prefix("tcp:") {
            let read = HostPort::parse(address.trim_start_matches("//")).map(WaitFor::Tcp);
            return read
                .map_err(|problem| problem.hint("write for instance \"tcp:127.0.0.1:3001\""));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path).map(WaitFor::Unix);
        }
        if let Some(path) = text.strip_prefix("file:") {
            return some_path(path).map(WaitFor::File);
        }
        if text.starts_with("http:") || text.starts_with("https:") {
            return HttpUrl::parse(text).map(WaitFor::Http);
        }
        let problem = Problem::new(format!("{} is nothing that can be waited for", shown(text)));
        let hint = if text.starts_with('/') {
            format!(
                "write {} for a file, \"unix:…\" for a socket",
                shown(&format!("file:{text}"))
            )
        } else if HostPort::parse(text).is_ok() {
            format!("write {}", shown(&format!("tcp:{text}")))
        } else {
            "write \"tcp:HOST:PORT\", \"unix:PATH\", \"file:PATH\" or \"http://…\"".to_owned()
        };
        Err(problem.hint(hint))
    }

    /// The same; a path that is relative is so to this folder.
    ///
    /// # Errors
    /// That makes the path of a socket too long.
    pub fn below(self, folder: &Path) -> Result<WaitFor, Problem> {
        let absolute = |path: PathBuf| folder.join(path).components().collect::<PathBuf>();
        match self {
            WaitFor::Unix(path) => fits(absolute(path)).map(WaitFor::Unix),
            WaitFor::File(path) => Ok(WaitFor::File(absolute(path))),
            WaitFor::Tcp(_) | WaitFor::Http(_) => Ok(self),
        }
    }
}

impl TryFrom<String> for WaitFor {
    type Error = String;

    fn try_from(text: String) -> Result<WaitFor, String> {
        WaitFor::parse(&text).map_err(|problem| problem.message)
    }
}

impl From<WaitFor> for String {
    fn from(wait: WaitFor) -> String {
        wait.to_string()
    }
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitFor::Tcp(address) => write!(f, "tcp:{address}"),
            WaitFor::Unix(path) => write!(f, "unix:{}", path.display()),
            WaitFor::File(path) => write!(f, "file:{}", path.display()),
            WaitFor::Http(url) => write!(f, "{url}"),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.to_string();
        let usual = address.strip_suffix(":80").unwrap_or(&address);
        write!(f, "http://{usual}{}", self.path)
    }
}

/// An IPv6 address in brackets.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Listen {
    /// Reads `127.0.0.1:3001`, `[::]:3001` or `unix:PATH`.
    ///
    /// # Errors
    /// What is wrong and how it is written.
    pub fn parse(text: &str) -> Result<Listen, Problem> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path).map(Listen::Unix);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => {
                    Err(Problem::new("port 0 is none in particular")
                        .hint("write one from 1 to 65535"))
                }
                _ => Ok(Listen::Tcp(address)),
            };
        }
        let problem = Problem::new(format!("{} is not an address to listen on", shown(text)));
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let hint = match parse_port(port) {
            Some(port) if host.is_empty() || host == "*" => format!(
                "write \"127.0.0.1:{port}\" for this machine only, or \"[::]:{port}\" for everybody"
            ),
            Some(port) if host == "localhost" => {
                format!("write \"127.0.0.1:{port}\" or \"[::1]:{port}\"")
            }
            Some(port) if host.parse::<IpAddr>().is_ok() => format!("write \"[{host}]:{port}\""),
            Some(_) | None => {
                "write an IP address and a port, \"127.0.0.1:3001\", or \"unix:PATH\"".to_owned()
            }
        };
        Err(problem.hint(hint))
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn is_host(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=LONGEST_HOST).contains(&text.len()) && text.chars().all(allowed)
}

fn some_path(text: &str) -> Result<PathBuf, Problem> {
    let path = text.strip_prefix("//").unwrap_or(text);
    if path.is_empty() {
        return Err(Problem::new("there is no path after the \":\""));
    }
    Ok(path.into())
}

fn socket(text: &str) -> Result<PathBuf, Problem> {
    fits(some_path(text)?)
}

fn fits(path: PathBuf) -> Result<PathBuf, Problem> {
    if path.as_os_str().len() > LONGEST_SOCKET {
        let length = path.as_os_str().len();
        let problem = format!(
            "the path of a socket has at most {LONGEST_SOCKET} bytes, this one has {length}"
        );
        return Err(Problem::new(problem));
    }
    Ok(path)
}
