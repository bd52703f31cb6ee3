//! Which values of a file may be secrets: those of an environment, however somebody wrote the key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::hints;

/// The places of all values that stand below something like `env`.
pub(crate) fn environments(document: &DeTable) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    below(document, false, &mut found);
    found
}

/// The places of all plain values in `value`.
pub(crate) fn all_of(value: &Spanned<DeValue>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    inside(value, true, &mut found);
    found
}

fn below(table: &DeTable, secret: bool, found: &mut Vec<Range<usize>>) {
    for (word, value) in table {
        inside(value, secret || is_like_env(word.get_ref()), found);
    }
}

fn inside(value: &Spanned<DeValue>, secret: bool, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => below(table, secret, found),
        DeValue::Array(items) => items.iter().for_each(|item| inside(item, secret, found)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {
            if secret {
                found.push(value.span());
            }
        }
    }
}

/// PM2 has `env_production`, supervisord `environment`; and fingers slip.
fn is_like_env(word: &str) -> bool {
    let near = || hints::nearest(word, ["env", "environment"].into_iter());
    word != "env_file" && (word.to_ascii_lowercase().starts_with("env") || near().is_some())
}
