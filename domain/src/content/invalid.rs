//! What is wrong with a piece of JSON, and where.

/// How a piece of JSON is wrong; the rim answers each kind with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKind {
    /// Something that must be there is not.
    Missing,
    /// There is a field that does not exist.
    Unknown,
    /// A value has the wrong type, form or range.
    Invalid,
    /// Every value is right by itself, but they do not go together.
    Conflict,
}

/// What is wrong with a piece of JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Where: a dotted path such as `region[0]` or `path.regex`, relative to what was read; empty
    /// for the whole of it.
    pub param: String,
    /// How it is wrong.
    pub kind: InvalidKind,
    /// A sentence for people; it does not repeat the path.
    pub message: String,
}

impl Invalid {
    pub(super) fn new(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: param.to_owned(),
            kind: InvalidKind::Invalid,
            message: message.into(),
        }
    }

    pub(super) fn missing(param: String) -> Self {
        Self {
            param,
            kind: InvalidKind::Missing,
            message: "A required parameter is missing.".to_owned(),
        }
    }

    pub(super) fn unknown(param: String, known: &[&str]) -> Self {
        let message = format!(
            "There is no such parameter; known are {}.",
            known.join(", ")
        );
        Self {
            param,
            kind: InvalidKind::Unknown,
            message,
        }
    }

    pub(super) fn conflict(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: param.to_owned(),
            kind: InvalidKind::Conflict,
            message: message.into(),
        }
    }

    /// The same, with the path under `prefix`: `region[0]` in `match` is `match.region[0]`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.param = if self.param.is_empty() || self.param.starts_with('[') {
            format!("{prefix}{}", self.param)
        } else {
            join(prefix, &self.param)
        };
        self
    }
}

/// The path of a field.
pub(super) fn join(path: &str, name: &str) -> String {
    /// A name in a path is cut here: it is what a client sent, and an error is no echo.
    const NAME_CHARS_MAX: usize = 100;
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_under_a_prefix() {
        let under = |param: &str| Invalid::new(param, "").under("match").param;
        assert_eq!(under(""), "match");
        assert_eq!(under("region[0]"), "match.region[0]");
        assert_eq!(under("[0]"), "match[0]");
    }
}
