//! Reading JSON objects field by field: every field is known, every value has its type.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::Invalid;
use super::invalid::join;

/// An object all of whose fields are known, and the path at which it stands.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    pub(super) fn read(value: &'a Value, path: &str, known: &[&str]) -> Result<Self, Invalid> {
        let object = object(value, path)?;
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Invalid::unknown(join(path, name), known)),
            None => Ok(Self {
                object,
                path: path.to_owned(),
            }),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    /// A field that must be there.
    pub(super) fn require(&self, name: &str) -> Result<&'a Value, Invalid> {
        self.get(name)
            .ok_or_else(|| Invalid::missing(self.path(name)))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Invalid> {
        text(self.require(name)?, &self.path(name))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, Invalid> {
        self.get(name)
            .map(|value| text(value, &self.path(name)))
            .transpose()
    }

    pub(super) fn integer(&self, name: &str, range: RangeInclusive<u32>) -> Result<u32, Invalid> {
        integer(self.require(name)?, &self.path(name), range)
    }

    pub(super) fn optional_integer(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Invalid> {
        self.get(name)
            .map(|value| integer(value, &self.path(name), range))
            .transpose()
    }

    pub(super) fn optional_flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value
            .as_bool()
            .map(Some)
            .ok_or_else(|| Invalid::new(&self.path(name), "Expected true or false."))
    }

    /// A text that is one of a few.
    pub(super) fn choice<'c>(&self, name: &str, choices: &[&'c str]) -> Result<&'c str, Invalid> {
        let found = self.text(name)?;
        choices
            .iter()
            .find(|choice| **choice == found)
            .copied()
            .ok_or_else(|| {
                Invalid::new(
                    &self.path(name),
                    format!("Expected one of {}.", choices.join(", ")),
                )
            })
    }
}

pub(super) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Invalid> {
    value
        .as_object()
        .ok_or_else(|| Invalid::new(path, "Expected an object."))
}

pub(super) fn text<'a>(value: &'a Value, path: &str) -> Result<&'a str, Invalid> {
    value
        .as_str()
        .ok_or_else(|| Invalid::new(path, "Expected a string."))
}

/// A whole number that is not negative, however it is written: to JSON, `1.0` is `1`. Nothing beyond
/// 2^53 is told apart by every reader, and so no fraction of it is taken.
#[must_use]
pub fn whole_number(value: &Value) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let of_fraction = || {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, positive and exact"
        )]
        is_whole.then_some(number as u64)
    };
    value.as_u64().or_else(of_fraction)
}

pub(super) fn integer(
    value: &Value,
    path: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, Invalid> {
    whole_number(value)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            Invalid::new(
                path,
                format!(
                    "Expected an integer from {} to {}.",
                    range.start(),
                    range.end()
                ),
            )
        })
}

/// An array with at least one and at most `max` elements, each with its path.
pub(super) fn array<'a>(
    value: &'a Value,
    path: &str,
    max: usize,
) -> Result<Vec<(String, &'a Value)>, Invalid> {
    let elements = value
        .as_array()
        .ok_or_else(|| Invalid::new(path, "Expected an array."))?;
    if elements.is_empty() || elements.len() > max {
        return Err(Invalid::new(path, format!("Expected 1 to {max} elements.")));
    }
    Ok(elements
        .iter()
        .enumerate()
        .map(|(at, element)| (format!("{path}[{at}]"), element))
        .collect())
}

/// Alternatives: an array of them, or one by itself.
pub(super) fn alternatives<'a>(
    value: &'a Value,
    path: &str,
    max: usize,
) -> Result<Vec<(String, &'a Value)>, Invalid> {
    match value {
        Value::Array(_) => array(value, path, max),
        one => Ok(vec![(path.to_owned(), one)]),
    }
}
