//! One value of the file with its key and place, and the readers for the plain types. A reader
//! gives the value or notes a fault; which key takes what is the business of `keys`.

use std::ops::Range;

use supervisor_core::Span;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::reading::Reading;
use crate::source::Place;
use crate::units::{self, Problem, shown};

/// A value, where it stands and what it is called.
pub(crate) struct Value<'v> {
    /// Dotted: `app.x.after[0]`.
    pub(crate) key: String,
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
    raw: &'v DeValue<'v>,
}

impl<'v> Value<'v> {
    pub(crate) fn new(key: String, raw: &'v Spanned<DeValue<'v>>) -> Value<'v> {
        Value {
            key,
            span: raw.span(),
            raw: raw.get_ref(),
        }
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> Place {
        Place {
            key: self.key.clone(),
            span: self.span.clone(),
        }
    }

    /// Notes what is wrong with it; `None`, so that a reader can end with this.
    pub(crate) fn fault<T>(&self, problem: Problem, reading: &mut Reading) -> Option<T> {
        reading.fault(&self.key, &self.span, problem);
        None
    }

    /// Notes that it is of the wrong type.
    pub(crate) fn expected<T>(&self, what: &str, reading: &mut Reading) -> Option<T> {
        let problem = Problem::new(format!("expected {what}, found {}", self.kind()));
        self.fault(self.repaired(what, problem), reading)
    }

    /// Adds what to write instead, where that is plain to see.
    fn repaired(&self, what: &str, problem: Problem) -> Problem {
        let written = match self.raw {
            DeValue::String(text) => shown(text),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return problem,
        };
        if written.len() > 80 {
            problem
        } else if what.starts_with("an array") && !what.contains(" or ") {
            problem.hint(format!("write [{written}]"))
        } else if what.starts_with("text") && !self.raw.is_str() {
            problem.hint(format!("write \"{written}\""))
        } else {
            problem
        }
    }

    fn kind(&self) -> &'static str {
        match self.raw {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }

    pub(crate) fn as_text(&self) -> Option<&'v str> {
        self.raw.as_str()
    }

    pub(crate) fn as_integer(&self) -> Option<i128> {
        let number = self.raw.as_integer()?;
        i128::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// 10 for a plain integer, 8 for one like `0o022`.
    pub(crate) fn radix(&self) -> Option<u32> {
        self.raw.as_integer().map(DeInteger::radix)
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        self.raw.as_float()?.as_str().parse().ok()
    }

    pub(crate) fn as_boolean(&self) -> Option<bool> {
        self.raw.as_bool()
    }

    pub(crate) fn as_table(&self) -> Option<&'v DeTable<'v>> {
        self.raw.as_table()
    }

    pub(crate) fn is_array(&self) -> bool {
        self.raw.is_array()
    }

    /// The items, if it is an array.
    pub(crate) fn array(&self) -> Vec<Value<'v>> {
        let item = |(index, raw)| Value::new(format!("{}[{index}]", self.key), raw);
        let items = self
            .raw
            .as_array()
            .into_iter()
            .flat_map(|array| array.iter());
        items.enumerate().map(item).collect()
    }

    /// The items of an array, each a value of its own.
    pub(crate) fn items(&self, what: &str, reading: &mut Reading) -> Option<Vec<Value<'v>>> {
        if !self.is_array() {
            return self.expected(what, reading);
        }
        Some(self.array())
    }

    /// Each item through `read`; `None` if one of them is faulty, after all were read.
    pub(crate) fn each<T>(
        &self,
        what: &str,
        read: impl Fn(&Value, &mut Reading) -> Option<T>,
        reading: &mut Reading,
    ) -> Option<Vec<T>> {
        let items = self.items(what, reading)?;
        let read: Vec<Option<T>> = items.iter().map(|item| read(item, reading)).collect();
        read.into_iter().collect()
    }
}

/// The keys and values of a table.
pub(crate) fn table<'v>(value: &Value<'v>, reading: &mut Reading) -> Option<&'v DeTable<'v>> {
    value
        .as_table()
        .or_else(|| value.expected("a table", reading))
}

/// Text that can be passed to a system call.
pub(crate) fn text(value: &Value, reading: &mut Reading) -> Option<String> {
    let Some(text) = value.as_text() else {
        return value.expected("text in quotes", reading);
    };
    if text.contains('\0') {
        return value.fault(Problem::new("it contains a NUL character"), reading);
    }
    Some(text.to_owned())
}

/// Text with something in it.
pub(crate) fn some_text(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = text(value, reading)?;
    if text.is_empty() {
        return value.fault(
            Problem::new("it is empty").hint("leave the key out"),
            reading,
        );
    }
    Some(text)
}

/// An array of texts.
pub(crate) fn texts(value: &Value, reading: &mut Reading) -> Option<Vec<String>> {
    value.each("an array of texts", text, reading)
}

pub(crate) fn boolean(value: &Value, reading: &mut Reading) -> Option<bool> {
    value
        .as_boolean()
        .or_else(|| value.expected("true or false", reading))
}

pub(crate) fn integer(value: &Value, reading: &mut Reading) -> Option<i128> {
    if value.raw.is_integer() && value.as_integer().is_none() {
        return value.fault(Problem::new("the number is too large"), reading);
    }
    value
        .as_integer()
        .or_else(|| value.expected("an integer", reading))
}

/// A type of a few values, each of which has a word in the file.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// All of them, in the order in which people are told.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
pub(crate) fn word<T: Word>(value: &Value, reading: &mut Reading) -> Option<T> {
    let words = || T::WORDS.iter().map(|(word, _)| *word);
    let listed: Vec<_> = words().map(|word| format!("\"{word}\"")).collect();
    let listed = listed.join(", ");
    let Some(text) = value.as_text() else {
        return value.expected(&format!("one of {listed}"), reading);
    };
    let known = T::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, stands)| *stands).or_else(|| {
        let problem = Problem::new(format!("{} is not one of {listed}", shown(text)));
        let problem = match crate::hints::nearest(text, words()) {
            Some(near) => problem.hint(format!("did you mean \"{near}\"?")),
            None => problem,
        };
        value.fault(problem, reading)
    })
}

/// An integer from `MIN` to `MAX`.
pub(crate) fn between<const MIN: i64, const MAX: i64>(
    value: &Value,
    reading: &mut Reading,
) -> Option<i64> {
    let number = integer(value, reading)?;
    let fits = i64::try_from(number)
        .ok()
        .filter(|fits| (MIN..=MAX).contains(fits));
    fits.or_else(|| {
        let problem = Problem::new(format!("{number} is not between {MIN} and {MAX}"));
        value.fault(problem, reading)
    })
}

pub(crate) fn duration(value: &Value, reading: &mut Reading) -> Option<Span> {
    let read = match (value.as_text(), value.as_integer().map(u64::try_from)) {
        (Some(text), _) => units::parse_duration(text),
        (None, Some(Ok(bare))) => Err(units::bare_duration(bare)),
        (None, _) => return value.expected("a duration like \"10s\"", reading),
    };
    read.map_or_else(|problem| value.fault(problem, reading), Some)
}

pub(crate) fn size(value: &Value, reading: &mut Reading) -> Option<u64> {
    let read = match (value.as_text(), value.as_integer()) {
        (Some(text), _) => units::parse_size(text),
        (None, Some(bare)) if bare >= 0 => units::parse_size(&bare.to_string()),
        (None, _) => return value.expected("a size like \"50MB\"", reading),
    };
    read.map_or_else(|problem| value.fault(problem, reading), Some)
}

/// A duration of more than nothing.
pub(crate) fn some_time(value: &Value, reading: &mut Reading) -> Option<Span> {
    let span = duration(value, reading)?;
    if span.0 == 0 {
        return value.fault(Problem::new("it must be longer than nothing"), reading);
    }
    Some(span)
}

/// A size of more than nothing.
pub(crate) fn some_size(value: &Value, reading: &mut Reading) -> Option<u64> {
    let size = size(value, reading)?;
    if size == 0 {
        return value.fault(Problem::new("it must be more than nothing"), reading);
    }
    Some(size)
}

/// A size, or `None` for `"unlimited"`.
pub(crate) fn size_or_unlimited(value: &Value, reading: &mut Reading) -> Option<Option<u64>> {
    if value.as_text() == Some("unlimited") {
        return Some(None);
    }
    size(value, reading).map(Some)
}
