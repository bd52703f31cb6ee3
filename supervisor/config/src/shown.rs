//! The values of the model as a file would say them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use supervisor_core::{Exit, Name, Span};

use crate::units::{duration_text, shown, size_text};
use crate::value::Word;
use crate::{Bytes, Cpus, EnvFile, Output, StopSignal, Tasks, Umask, WaitFor};

/// So much of an array is shown, in characters.
const LONGEST: usize = 120;

/// What is told of a value.
pub(crate) enum Told<'a> {
    /// All of it; null where nothing is set.
    Value(Json),
    /// Which variables there are; what they say is secret.
    Names(&'a BTreeMap<String, String>),
}

/// A type of the model.
pub(crate) trait Tell {
    fn tell(&self) -> Told<'_>;
}

/// A value that is told as a whole.
trait AsJson {
    fn json(&self) -> Json;
}

impl<T: AsJson> Tell for T {
    fn tell(&self) -> Told<'_> {
        Told::Value(self.json())
    }
}

impl Tell for BTreeMap<String, String> {
    fn tell(&self) -> Told<'_> {
        Told::Names(self)
    }
}

impl<T: Word> AsJson for T {
    fn json(&self) -> Json {
        let word = T::WORDS.iter().find(|(_, stands)| stands == self);
        json!(word.map(|(word, _)| *word))
    }
}

impl AsJson for u32 {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for Option<u32> {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for Option<i32> {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for Option<Umask> {
    fn json(&self) -> Json {
        json!(self.map(|mask| mask.to_string()))
    }
}

impl AsJson for bool {
    fn json(&self) -> Json {
        json!(self)
    }
}

/// A size.
impl AsJson for Option<u64> {
    fn json(&self) -> Json {
        json!(self.map_or_else(|| "unlimited".to_owned(), size_text))
    }
}

impl AsJson for Option<Bytes> {
    fn json(&self) -> Json {
        json!(self.map(|Bytes(bytes)| size_text(bytes)))
    }
}

impl AsJson for Option<Cpus> {
    fn json(&self) -> Json {
        json!(self.map(Cpus::cores))
    }
}

impl AsJson for Option<Tasks> {
    fn json(&self) -> Json {
        json!(self.map(|Tasks(tasks)| tasks))
    }
}

impl AsJson for Output {
    fn json(&self) -> Json {
        match self {
            Output::Usual => Json::Null,
            Output::Null => json!("null"),
            Output::File(path) => path.json(),
        }
    }
}

impl AsJson for String {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for Option<String> {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for Vec<String> {
    fn json(&self) -> Json {
        json!(self)
    }
}

impl AsJson for PathBuf {
    fn json(&self) -> Json {
        json!(self.display().to_string())
    }
}

impl AsJson for Span {
    fn json(&self) -> Json {
        json!(duration_text(*self))
    }
}

impl AsJson for StopSignal {
    fn json(&self) -> Json {
        json!(self.name())
    }
}

impl AsJson for Vec<Name> {
    fn json(&self) -> Json {
        self.iter().map(Name::as_str).collect()
    }
}

impl AsJson for Vec<WaitFor> {
    fn json(&self) -> Json {
        self.iter().map(WaitFor::to_string).collect()
    }
}

impl AsJson for Vec<EnvFile> {
    fn json(&self) -> Json {
        self.iter().map(EnvFile::written).collect()
    }
}

impl AsJson for BTreeSet<Exit> {
    fn json(&self) -> Json {
        let exit = |exit: &Exit| match exit {
            Exit::Code(code) => json!(code),
            Exit::Signal(number) => {
                json!(StopSignal::new(*number).map(StopSignal::name))
            }
            Exit::Unknown => Json::Null,
        };
        self.iter().map(exit).collect()
    }
}

/// The value in the words of TOML, in one short line; `None` where nothing is set.
pub(crate) fn text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(shown(text)),
        Json::Array(items) => {
            let mut all = String::new();
            for item in items.iter().filter_map(text) {
                let comma = if all.is_empty() { "" } else { ", " };
                if all.len() > LONGEST {
                    all += ", …";
                    break;
                }
                all = format!("{all}{comma}{item}");
            }
            Some(format!("[{all}]"))
        }
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => Some(value.to_string()),
    }
}
