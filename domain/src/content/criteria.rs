//! Criteria from and to JSON: the `match` object of a rule. Each of `path`, `method`, `region`,
//! `host`, `ip_cidr` and each name in `header` and `query` takes one value or an array of
//! alternatives; without any key the rule takes every request.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::{Fields, alternatives, object, text};
use super::invalid::join;
use super::{Criteria, Invalid, PathPattern, ValuePattern, header_name, hostname};
use crate::matching::PATTERNS_PER_RULE_MAX;
use crate::model::IpRange;

/// The most alternatives of one criterion: each is tried for each request that reaches the rule.
pub const ALTERNATIVES_MAX: usize = 100;

/// The most headers that one rule looks at, and the most query parameters.
pub const HEADERS_MAX: usize = 50;

/// The longest name of a query parameter, in characters after percent-decoding.
pub const QUERY_NAME_CHARS_MAX: usize = 100;

/// The longest value of a query parameter that can be asked for, in characters after
/// percent-decoding.
pub const QUERY_CHARS_MAX: usize = 512;

/// What a `match` object may have.
const KEYS: [&str; 7] = [
    "path", "method", "region", "host", "ip_cidr", "header", "query",
];

/// The longest name of a method or region.
const NAME_BYTES_MAX: usize = 64;

impl Criteria {
    /// Reads a `match` object.
    ///
    /// # Errors
    /// With the path of the first thing that is wrong, relative to the object.
    pub fn from_json(value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::read(value, "", &KEYS)?;
        let criteria = Self {
            path: list(fields.get("path"), "path", PathPattern::from_json)?,
            method: list(fields.get("method"), "method", method)?,
            region: list(fields.get("region"), "region", region)?,
            header: named(fields.get("header"), "header", header)?,
            query: named(fields.get("query"), "query", parameter)?,
            host: list(fields.get("host"), "host", host)?,
            ip_cidr: list(fields.get("ip_cidr"), "ip_cidr", range)?,
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
        put("path", json_list(&self.path, PathPattern::to_json));
        put("method", json_list(&self.method, |method| json!(method)));
        put("region", json_list(&self.region, |region| json!(region)));
        put("host", json_list(&self.host, |host| json!(host)));
        put(
            "ip_cidr",
            json_list(&self.ip_cidr, |range| json!(range.to_string())),
        );
        for (name, values) in [("header", &self.header), ("query", &self.query)] {
            if !values.is_empty() {
                object.insert(name.to_owned(), json_named(values));
            }
        }
        Value::Object(object)
    }

    /// Whether the alternatives are in the one order that the same meaning has.
    pub(super) fn is_normal(&self) -> bool {
        ascends(&self.path)
            && ascends(&self.method)
            && ascends(&self.region)
            && ascends(&self.host)
            && ascends(&self.ip_cidr)
            && self.ip_cidr.iter().all(IpRange::is_normal)
            && self
                .values()
                .all(|(_, patterns)| !patterns.is_empty() && ascends(patterns))
    }

    /// The alternatives for values, of headers and of query parameters.
    fn values(&self) -> impl Iterator<Item = (&String, &Vec<ValuePattern>)> {
        self.header.iter().chain(&self.query)
    }

    /// The regular expressions in it.
    pub(crate) fn regexes(&self) -> impl Iterator<Item = &str> {
        let paths = self.path.iter().filter_map(|pattern| match pattern {
            PathPattern::Regex(regex) => Some(regex.as_str()),
            _ => None,
        });
        let values = self.values().flat_map(|(_, patterns)| patterns);
        let values = values.filter_map(|pattern| match pattern {
            ValuePattern::Regex(regex) => Some(regex.as_str()),
            _ => None,
        });
        paths.chain(values)
    }

    fn check_regexes(&self) -> Result<(), Invalid> {
        if self.regexes().count() <= PATTERNS_PER_RULE_MAX {
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

pub(super) fn region(value: &Value, path: &str) -> Result<String, Invalid> {
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

fn host(value: &Value, path: &str) -> Result<String, Invalid> {
    hostname(text(value, path)?).map_err(|invalid| Invalid::new(path, invalid.message))
}

fn range(value: &Value, path: &str) -> Result<IpRange, Invalid> {
    IpRange::parse(text(value, path)?).ok_or_else(|| {
        let message = "Expected an address or a network such as 203.0.113.0/24 or 2001:db8::/32, \
                       with no bit set behind its prefix.";
        Invalid::new(path, message)
    })
}

/// By name, alternatives for its value. `read` reads the name and one of the values.
fn named(
    value: Option<&Value>,
    path: &str,
    read: ReadNamed,
) -> Result<BTreeMap<String, Vec<ValuePattern>>, Invalid> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let object = object(value, path)?;
    if object.is_empty() || object.len() > HEADERS_MAX {
        let message = format!("Expected 1 to {HEADERS_MAX} names.");
        return Err(Invalid::new(path, message));
    }
    let mut values = BTreeMap::new();
    for (name, value) in object {
        let path = join(path, name);
        let (name, patterns) = read(name, value, &path)?;
        if values.insert(name, patterns).is_some() {
            return Err(Invalid::new(&path, "This name is there twice."));
        }
    }
    Ok(values)
}

type ReadNamed = fn(&str, &Value, &str) -> Result<(String, Vec<ValuePattern>), Invalid>;

fn header(name: &str, value: &Value, path: &str) -> Result<(String, Vec<ValuePattern>), Invalid> {
    let patterns = list(Some(value), path, ValuePattern::of_header)?;
    Ok((header_name(name, path)?, patterns))
}

fn parameter(
    name: &str,
    value: &Value,
    path: &str,
) -> Result<(String, Vec<ValuePattern>), Invalid> {
    let patterns = list(Some(value), path, ValuePattern::of_parameter)?;
    let length = name.chars().count();
    if !(1..=QUERY_NAME_CHARS_MAX).contains(&length) || name.chars().any(char::is_control) {
        let message = format!(
            "Expected the name of a query parameter: 1 to {QUERY_NAME_CHARS_MAX} characters, decoded."
        );
        return Err(Invalid::new(path, message));
    }
    Ok((name.to_owned(), patterns))
}

fn json_list<T>(values: &[T], to_json: impl Fn(&T) -> Value) -> Vec<Value> {
    values.iter().map(to_json).collect()
}

fn json_named(values: &BTreeMap<String, Vec<ValuePattern>>) -> Value {
    let named = values.iter().map(|(name, patterns)| {
        (
            name.clone(),
            json_list(patterns, ValuePattern::to_json).into(),
        )
    });
    Value::Object(named.collect())
}
