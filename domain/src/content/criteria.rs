//! Criteria from and to JSON: the `match` object of a rule. Each of `path`, `method`, `region`
//! and each name in `header` takes one value or an array of alternatives; without any key the
//! rule takes every request.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::{Fields, alternatives, object, text};
use super::invalid::join;
use super::{Criteria, Invalid, PathPattern, ValuePattern, header_name};
use crate::matching::PATTERNS_PER_RULE_MAX;

/// The most alternatives of one criterion: each is tried for each request that reaches the rule.
pub const ALTERNATIVES_MAX: usize = 100;

/// The most headers that one rule looks at.
pub const HEADERS_MAX: usize = 50;

/// The longest name of a method or region.
const NAME_BYTES_MAX: usize = 64;

impl Criteria {
    /// Reads a `match` object.
    ///
    /// # Errors
    /// With the path of the first thing that is wrong, relative to the object.
    pub fn from_json(value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::read(value, "", &["path", "method", "region", "header"])?;
        let criteria = Self {
            path: list(fields.get("path"), "path", PathPattern::from_json)?,
            method: list(fields.get("method"), "method", method)?,
            region: list(fields.get("region"), "region", region)?,
            header: fields
                .get("header")
                .map(headers)
                .transpose()?
                .unwrap_or_default(),
        };
        criteria.check_regexes()?;
        Ok(criteria)
    }

    /// The normalised form: arrays everywhere, criteria that are absent left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, values: Vec<Value>| {
            if !values.is_empty() {
                object.insert(name.to_owned(), Value::Array(values));
            }
        };
        put("path", self.path.iter().map(PathPattern::to_json).collect());
        put(
            "method",
            self.method.iter().map(|method| json!(method)).collect(),
        );
        put(
            "region",
            self.region.iter().map(|region| json!(region)).collect(),
        );
        if !self.header.is_empty() {
            let headers = self.header.iter().map(|(name, patterns)| {
                (
                    name.clone(),
                    patterns
                        .iter()
                        .map(ValuePattern::to_json)
                        .collect::<Vec<_>>()
                        .into(),
                )
            });
            object.insert("header".to_owned(), Value::Object(headers.collect()));
        }
        Value::Object(object)
    }

    /// Whether the alternatives are in the one order that the same meaning has.
    pub(super) fn is_normal(&self) -> bool {
        ascends(&self.path)
            && ascends(&self.method)
            && ascends(&self.region)
            && self
                .header
                .values()
                .all(|patterns| !patterns.is_empty() && ascends(patterns))
    }

    fn check_regexes(&self) -> Result<(), Invalid> {
        let paths = self
            .path
            .iter()
            .filter(|pattern| matches!(pattern, PathPattern::Regex(_)))
            .count();
        let values = self
            .header
            .values()
            .flatten()
            .filter(|pattern| matches!(pattern, ValuePattern::Regex(_)))
            .count();
        if paths + values <= PATTERNS_PER_RULE_MAX {
            return Ok(());
        }
        Err(Invalid::new(
            "",
            format!("A rule may have {PATTERNS_PER_RULE_MAX} regular expressions."),
        ))
    }
}

fn ascends<T: Ord>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] < pair[1])
}

/// Alternatives, sorted and each once.
fn list<T: Ord>(
    value: Option<&Value>,
    path: &str,
    read: impl Fn(&Value, &str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut values = Vec::new();
    for (path, element) in alternatives(value, path, ALTERNATIVES_MAX)? {
        values.push(read(element, &path)?);
    }
    values.sort();
    values.dedup();
    Ok(values)
}

fn method(value: &Value, path: &str) -> Result<String, Invalid> {
    let written = text(value, path)?;
    let letters = written
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !letters || written.is_empty() || written.len() > NAME_BYTES_MAX {
        return Err(Invalid::new(path, "Expected the name of an HTTP method."));
    }
    Ok(written.to_ascii_uppercase())
}

fn region(value: &Value, path: &str) -> Result<String, Invalid> {
    let written = text(value, path)?;
    let letters = written
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if !letters || written.is_empty() || written.len() > NAME_BYTES_MAX {
        return Err(Invalid::new(
            path,
            "Expected the name of a region: letters, digits, `-`, `_` and `.`.",
        ));
    }
    Ok(written.to_owned())
}

fn headers(value: &Value) -> Result<BTreeMap<String, Vec<ValuePattern>>, Invalid> {
    let object = object(value, "header")?;
    if object.is_empty() || object.len() > HEADERS_MAX {
        return Err(Invalid::new(
            "header",
            format!("Expected 1 to {HEADERS_MAX} headers."),
        ));
    }
    let mut headers = BTreeMap::new();
    for (name, value) in object {
        let path = join("header", name);
        let patterns = list(Some(value), &path, ValuePattern::from_json)?;
        if headers
            .insert(header_name(name, &path)?, patterns)
            .is_some()
        {
            return Err(Invalid::new(&path, "This header is named twice."));
        }
    }
    Ok(headers)
}
