//! Patterns for paths and header values: their JSON forms. What a regular expression may be is
//! [`crate::matching`]'s, so that what is taken here compiles at every edge.
//!
//! A path is given as a string or as an object with one key:
//!
//! | JSON | takes | not |
//! |---|---|---|
//! | `"/api"`, `{"exact": "/api"}` | `/api` | `/api/`, `/api/v1` |
//! | `"/api*"`, `{"prefix": "/api"}` | `/api`, `/api/`, `/api/v1` | `/apix` |
//! | `"/api/*"`, `{"prefix": "/api/"}` | `/api/`, `/api/v1` | `/api`, `/apix` |
//! | `"/*"`, `{"prefix": "/"}` | every path | |
//! | `{"regex": "/v[0-9]+/.*"}` | `/v1/x` | `/x/v1/x` |
//!
//! A trailing `*` stands for "and what is below", never for "and more letters": a prefix ends
//! where a segment ends, so that a rule for `/api` does not take `/api-internal` by accident.
//! `"/api*"` therefore takes the path itself and what is below it, `"/api/*"` only what is below.
//! What is meant by letters (`/img-1`, `/img-2`) needs a regular expression. A `*` anywhere else
//! in a string is refused rather than taken literally; `{"exact": …}` takes every letter
//! literally. A regular expression must match the whole path.
//!
//! Paths are compared as they stand in the request line, so letters outside ASCII must be
//! percent-encoded here as there; the query is no part of the path.
//!
//! A header's value is given as a string (the whole value, in which `*` is a letter like any
//! other) or as an object with one key, `exact`, `prefix` (the value's beginning), `regex` (the
//! whole value) or `present` (true or false). A query parameter's value is given in the same way;
//! it is compared with what the client's value is when decoded, so it may hold any letters.

use serde_json::{Value, json};

use super::fields::{Fields, text};
use super::{Invalid, PathPattern, QUERY_CHARS_MAX, ValuePattern};
use crate::matching::{PATTERN_BYTES_MAX, Pattern, PatternError};

impl PathPattern {
    pub(super) fn from_json(value: &Value, path: &str) -> Result<Self, Invalid> {
        if let Value::String(written) = value {
            return Self::from_text(written, path);
        }
        let (name, written, path) = single(value, path, &["exact", "prefix", "regex"])?;
        let written = text(written, &path)?;
        match name {
            "exact" => literal_path(written, &path).map(Self::Exact),
            "regex" => checked_regex(written, &path).map(Self::Regex),
            _ if written.ends_with('*') => Err(Invalid::new(
                &path,
                "A prefix is written without a trailing `*`.",
            )),
            _ => literal_path(written, &path).map(Self::Prefix),
        }
    }

    fn from_text(written: &str, path: &str) -> Result<Self, Invalid> {
        let (body, prefix) = match written.strip_suffix('*') {
            Some(body) => (body, true),
            None => (written, false),
        };
        if body.contains('*') {
            let message =
                "A `*` may stand only at the end; {\"regex\": …} or {\"exact\": …} take others.";
            return Err(Invalid::new(path, message));
        }
        let body = literal_path(body, path)?;
        Ok(if prefix {
            Self::Prefix(body)
        } else {
            Self::Exact(body)
        })
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Exact(path) if path.contains('*') => json!({ "exact": path }),
            Self::Exact(path) => json!(path),
            Self::Prefix(path) => json!({ "prefix": path }),
            Self::Regex(pattern) => json!({ "regex": pattern }),
        }
    }
}

impl ValuePattern {
    /// A pattern for a header's value.
    pub(super) fn of_header(value: &Value, path: &str) -> Result<Self, Invalid> {
        Self::from_json(value, path, literal_value)
    }

    /// A pattern for a query parameter's value.
    pub(super) fn of_parameter(value: &Value, path: &str) -> Result<Self, Invalid> {
        Self::from_json(value, path, literal_parameter)
    }

    fn from_json(value: &Value, path: &str, literal: ReadLiteral) -> Result<Self, Invalid> {
        if let Value::String(written) = value {
            return literal(written, path).map(Self::Exact);
        }
        let (name, written, path) = single(value, path, &["exact", "prefix", "regex", "present"])?;
        if name == "present" {
            let present = written
                .as_bool()
                .ok_or_else(|| Invalid::new(&path, "Expected true or false."))?;
            return Ok(Self::Present(present));
        }
        let written = text(written, &path)?;
        match name {
            "exact" => literal(written, &path).map(Self::Exact),
            "prefix" if written.is_empty() => {
                Err(Invalid::new(&path, "A prefix has at least one letter."))
            }
            "prefix" => literal(written, &path).map(Self::Prefix),
            _ => checked_regex(written, &path).map(Self::Regex),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Exact(value) => json!(value),
            Self::Prefix(value) => json!({ "prefix": value }),
            Self::Regex(pattern) => json!({ "regex": pattern }),
            Self::Present(present) => json!({ "present": present }),
        }
    }
}

/// Reads a text without patterns, or says at its path what is wrong with it.
type ReadLiteral = fn(&str, &str) -> Result<String, Invalid>;

/// The only field of an object: its name, its value and its path.
fn single<'a, 'n>(
    value: &'a Value,
    path: &str,
    known: &[&'n str],
) -> Result<(&'n str, &'a Value, String), Invalid> {
    if !value.is_object() {
        return Err(Invalid::new(
            path,
            format!(
                "Expected a string, or an object with one of {}.",
                known.join(", ")
            ),
        ));
    }
    let fields = Fields::read(value, path, known)?;
    let mut present = known.iter().filter(|name| fields.has(name));
    match (present.next(), present.next()) {
        (Some(name), None) => Ok((name, fields.require(name)?, fields.path(name))),
        _ => Err(Invalid::new(
            path,
            format!("Expected exactly one of {}.", known.join(", ")),
        )),
    }
}

pub(super) fn literal_path(written: &str, path: &str) -> Result<String, Invalid> {
    check_length(written, path)?;
    if !written.starts_with('/') {
        return Err(Invalid::new(path, "A path starts with `/`."));
    }
    if written
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#'))
    {
        let message =
            "A path has neither query nor fragment nor blanks; other letters are percent-encoded.";
        return Err(Invalid::new(path, message));
    }
    Ok(written.to_owned())
}

fn literal_value(written: &str, path: &str) -> Result<String, Invalid> {
    check_length(written, path)?;
    if written.trim() != written
        || !written
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return Err(Invalid::new(
            path,
            "A header value has printable ASCII, and no blanks around it.",
        ));
    }
    Ok(written.to_owned())
}

/// A decoded value of a query parameter; it may be empty, as in `?a=`.
fn literal_parameter(written: &str, path: &str) -> Result<String, Invalid> {
    if written.chars().count() > QUERY_CHARS_MAX || written.chars().any(char::is_control) {
        let message = format!(
            "Expected up to {QUERY_CHARS_MAX} characters, decoded, none of them a control character."
        );
        return Err(Invalid::new(path, message));
    }
    Ok(written.to_owned())
}

fn checked_regex(written: &str, path: &str) -> Result<String, Invalid> {
    check_length(written, path)?;
    Pattern::compile(written).map_err(|error| Invalid::new(path, complaint(&error)))?;
    Ok(written.to_owned())
}

fn complaint(error: &PatternError) -> String {
    match error {
        PatternError::Syntax(reason) => format!("This is not a regular expression: {reason}."),
        PatternError::TooLarge => "This regular expression is too large when compiled.".to_owned(),
        PatternError::TooLong | PatternError::TooMany => format!("{error}."),
    }
}

fn check_length(written: &str, path: &str) -> Result<(), Invalid> {
    if (1..=PATTERN_BYTES_MAX).contains(&written.len()) {
        return Ok(());
    }
    Err(Invalid::new(
        path,
        format!("Expected 1 to {PATTERN_BYTES_MAX} bytes."),
    ))
}
