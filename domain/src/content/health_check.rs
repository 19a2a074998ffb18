//! Health checks from and to JSON: `health_check` of a route's `config` and of an upstream.
//!
//! | field | | |
//! |---|---|---|
//! | `type` | `http` unless given | `http` or `tcp` |
//! | `path` | required for `http` | |
//! | `method` | `GET` unless given | `GET` or `HEAD` |
//! | `host` | the route's hostname or the target's address unless given | |
//! | `expected_status` | 200 to 399 unless given | one or several |
//! | `interval_s`, `timeout_s` | 10 and 5 unless given | |
//! | `healthy_threshold`, `unhealthy_threshold` | 2 and 3 unless given | |

use serde_json::{Map, Value, json};

use super::Invalid;
use super::fields::{Fields, alternatives, integer};
use crate::model::{Check, CheckKind};

/// The most statuses that are expected.
const STATUSES_MAX: usize = 20;

const KNOWN: [&str; 9] = [
    "type",
    "path",
    "method",
    "host",
    "interval_s",
    "timeout_s",
    "healthy_threshold",
    "unhealthy_threshold",
    "expected_status",
];

impl Check {
    /// Reads a check that stands at `path`.
    pub(super) fn from_json(value: &Value, path: &str) -> Result<Self, Invalid> {
        let fields = Fields::read(value, path, &KNOWN)?;
        let kind = kind(&fields)?;
        let interval = fields.optional_integer("interval_s", 5..=300)?;
        let timeout = fields.optional_integer("timeout_s", 1..=300)?;
        let healthy = fields.optional_integer("healthy_threshold", 1..=100)?;
        let unhealthy = fields.optional_integer("unhealthy_threshold", 1..=100)?;
        let interval_s = interval.unwrap_or_else(|| Self::INTERVAL_S.max(timeout.unwrap_or(0)));
        let timeout_s = timeout.unwrap_or_else(|| Self::TIMEOUT_S.min(interval_s));
        if timeout_s > interval_s {
            let message =
                "A check must time out before the next one starts: timeout_s is above interval_s.";
            return Err(Invalid::conflict(&fields.path("timeout_s"), message));
        }
        Ok(Self {
            kind,
            interval_s,
            timeout_s,
            healthy_threshold: healthy.unwrap_or(Self::HEALTHY_THRESHOLD),
            unhealthy_threshold: unhealthy.unwrap_or(Self::UNHEALTHY_THRESHOLD),
        })
    }

    /// With every field that has a meaning.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        match &self.kind {
            CheckKind::Tcp => {
                object.insert("type".to_owned(), json!("tcp"));
            }
            CheckKind::Http {
                path,
                head,
                host,
                expected_status,
            } => {
                object.insert("type".to_owned(), json!("http"));
                object.insert("path".to_owned(), json!(path));
                let method = if *head { "HEAD" } else { "GET" };
                object.insert("method".to_owned(), json!(method));
                if let Some(host) = host {
                    object.insert("host".to_owned(), json!(host));
                }
                if !expected_status.is_empty() {
                    object.insert("expected_status".to_owned(), json!(expected_status));
                }
            }
        }
        for (name, number) in [
            ("interval_s", self.interval_s),
            ("timeout_s", self.timeout_s),
            ("healthy_threshold", self.healthy_threshold),
            ("unhealthy_threshold", self.unhealthy_threshold),
        ] {
            object.insert(name.to_owned(), json!(number));
        }
        Value::Object(object)
    }
}

fn kind(fields: &Fields<'_>) -> Result<CheckKind, Invalid> {
    let is_tcp = fields.has("type") && fields.choice("type", &["http", "tcp"])? == "tcp";
    if !is_tcp {
        return http(fields);
    }
    let stray = ["path", "method", "host", "expected_status"];
    match stray.into_iter().find(|name| fields.has(name)) {
        Some(name) => {
            let message = format!("{name} does not go with a check of type tcp.");
            Err(Invalid::conflict(&fields.path(name), message))
        }
        None => Ok(CheckKind::Tcp),
    }
}

fn http(fields: &Fields<'_>) -> Result<CheckKind, Invalid> {
    let path = super::pattern::literal_path(fields.text("path")?, &fields.path("path"))?;
    let head = fields.has("method") && fields.choice("method", &["GET", "HEAD"])? == "HEAD";
    let host = fields
        .optional_text("host")?
        .map(|host| check_host(host, &fields.path("host")))
        .transpose()?;
    let mut expected_status = Vec::new();
    if let Some(expected) = fields.get("expected_status") {
        let path = fields.path("expected_status");
        for (path, status) in alternatives(expected, &path, STATUSES_MAX)? {
            let status = integer(status, &path, 200..=599)?;
            expected_status.extend(u16::try_from(status));
        }
    }
    expected_status.sort_unstable();
    expected_status.dedup();
    Ok(CheckKind::Http {
        path,
        head,
        host,
        expected_status,
    })
}

fn check_host(written: &str, path: &str) -> Result<String, Invalid> {
    if written.starts_with('*') {
        return Err(Invalid::new(
            path,
            "Expected a hostname without a wildcard.",
        ));
    }
    super::hostname(written).map_err(|error| error.under(path))
}
