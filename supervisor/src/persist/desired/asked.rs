//! What an operator last asked of an instance, and who that was.

use serde::{Deserialize, Serialize};

/// What somebody asked of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    pub what: What,
    /// The user's number.
    pub uid: u32,
    /// The name that this user had.
    #[serde(default)]
    pub user: Option<String>,
    /// Since the epoch, milliseconds.
    pub at_ms: u64,
}

/// What can be asked that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Started,
    Stopped,
    Restarted,
    /// Put in, or changed, by a file or a command line.
    Defined,
    /// It came with more instances.
    Scaled,
    /// What only a later version knows.
    #[serde(other)]
    Changed,
}

#[cfg(test)]
impl Asked {
    /// Somebody, who does not matter.
    pub fn by_a_test() -> Asked {
        Asked {
            what: What::Defined,
            uid: 1000,
            user: Some("alice".to_owned()),
            at_ms: 5,
        }
    }
}

impl What {
    /// As one word, which stays.
    pub fn word(self) -> &'static str {
        match self {
            What::Started => "started",
            What::Stopped => "stopped",
            What::Restarted => "restarted",
            What::Defined => "defined",
            What::Scaled => "scaled",
            What::Changed => "changed",
        }
    }
}
