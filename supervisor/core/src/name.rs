//! Who is meant: the name of an app and one instance of it.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The name of an app: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, without `..`, not a number, and not `all`.
///
/// It becomes a folder of the logs and a word of the command line, so it can be neither a path nor a glob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is not a name. `Display` is the sentence for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Nothing at all.
    Empty,
    /// More than [`Name::MAX`] bytes.
    TooLong,
    /// A character that is not allowed there.
    Character(char),
    /// Two dots in a row.
    Dots,
    /// The word that means every app.
    Reserved,
    /// Digits only: on the command line that is the number of an instance.
    Number,
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    /// [`BadName`] says which rule it breaks.
    pub fn new(text: &str) -> Result<Name, BadName> {
        let first = text.chars().next().ok_or(BadName::Empty)?;
        if !first.is_ascii_alphanumeric() {
            return Err(BadName::Character(first));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(wrong) = text.chars().find(|&c| !allowed(c)) {
            return Err(BadName::Character(wrong));
        }
        if text.len() > Name::MAX {
            return Err(BadName::TooLong);
        }
        if text.contains("..") {
            return Err(BadName::Dots);
        }
        if text == "all" {
            return Err(BadName::Reserved);
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadName::Number);
        }
        Ok(Name(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;
    fn try_from(text: String) -> Result<Name, BadName> {
        Name::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::Empty => f.write_str("a name cannot be empty"),
            BadName::TooLong => write!(f, "a name has at most {} characters", Name::MAX),
            BadName::Character(c) => write!(
                f,
                "a name has letters, digits, '.', '_' and '-' and starts with a letter or a digit; {c:?} is not allowed there"
            ),
            BadName::Dots => f.write_str("a name cannot contain '..'"),
            BadName::Number => f.write_str(
                "a name of digits alone would be taken for the number that `status` shows",
            ),
            BadName::Reserved => f.write_str("'all' means every app and cannot be a name"),
        }
    }
}

impl core::error::Error for BadName {}

/// One instance of an app: what is started, watched and stopped. Shown as `name:instance`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    /// The app it belongs to.
    pub app: Name,
    /// Counts from 0.
    pub instance: u32,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.app, self.instance)
    }
}

/// Counts the attempts to start one service. News that names an older run than the current one is dropped.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RunId(pub u64);
