//! What is wrong with a file, for the person who wrote it: where, which key, why, and what to do.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The file; `None` for options of a command.
    pub file: Option<PathBuf>,
    /// Counts from 1.
    pub line: Option<usize>,
    /// In characters, counts from 1.
    pub column: Option<usize>,
    /// Dotted: `app.x.restart.delay`.
    pub key: Option<String>,
    /// What is wrong. Never a value of an environment variable.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line it stands on, for a marker below it. None where it could show a secret.
    pub excerpt: Option<Excerpt>,
}

/// A line of the file, or so much of a long one as is around the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// At most 300 characters, none of which moves the cursor; `…` stands for what is not shown.
    pub text: String,
    /// Where the fault is within `text`, in characters, from 1.
    pub column: usize,
    /// How many characters it takes, 1 or more; it may go on below the line.
    pub width: usize,
}

/// All that is wrong, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The faults.
    pub list: Vec<Fault>,
}

/// `supervisor.toml:12:3: app.x.restart.delay: what is wrong; hint: what to do`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
        }
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, "{number}:")?;
        }
        if self.file.is_some() || self.line.is_some() {
            f.write_str(" ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// One fault a line.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        Faults { list: vec![fault] }
    }
}
