//! Actions from and to JSON: the `action` object of a rule.
//!
//! | `type` | required | optional |
//! |---|---|---|
//! | `forward` | `upstream_id`, or `upstreams` of `{upstream_id, weight}` | |
//! | `redirect` | `url` | `status` (302), `preserve_path` (false) |
//! | `fixed_response` | `status` | `headers`, `body` |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fields::{Fields, array, integer, object, text};
use super::invalid::join;
use super::{Action, Invalid, WeightedUpstream, header_name};
use crate::id::UpstreamId;
use crate::model::WEIGHT_MAX;

/// The most upstreams among which one rule or route divides its requests.
pub const UPSTREAMS_MAX: usize = 64;

/// The longest body of a fixed response.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The most headers of a fixed response.
const HEADERS_MAX: usize = 50;

/// The longest value of such a header.
const HEADER_BYTES_MAX: usize = 4096;

/// The longest target of a redirect.
const URL_BYTES_MAX: usize = 2048;

/// Headers that belong to the connection or to the framing of the body, which the edge decides.
const HEADERS_REFUSED: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "date",
];

impl Action {
    /// Reads an `action` object.
    ///
    /// # Errors
    /// With the path of the first thing that is wrong, relative to the object.
    pub fn from_json(value: &Value) -> Result<Self, Invalid> {
        let kind = object(value, "")?
            .get("type")
            .ok_or_else(|| Invalid::missing("type".to_owned()))?;
        match text(kind, "type")? {
            "forward" => forward(value),
            "redirect" => redirect(value),
            "fixed_response" => fixed_response(value),
            _ => Err(Invalid::new(
                "type",
                "Expected one of forward, redirect, fixed_response.",
            )),
        }
    }

    /// The normalised form: every field that has a meaning is there.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Forward { upstreams } => {
                json!({ "type": "forward", "upstreams": upstreams.iter().map(WeightedUpstream::to_json).collect::<Vec<_>>() })
            }
            Self::Redirect {
                url,
                status,
                preserve_path,
            } => {
                json!({ "type": "redirect", "url": url, "status": status, "preserve_path": preserve_path })
            }
            Self::FixedResponse {
                status,
                headers,
                body,
            } => {
                json!({ "type": "fixed_response", "status": status, "headers": headers, "body": body })
            }
        }
    }

    /// Whether the parts are in the one order that the same meaning has.
    pub(super) fn is_normal(&self) -> bool {
        match self {
            Self::Forward { upstreams } => upstreams
                .windows(2)
                .all(|pair| pair[0].upstream_id < pair[1].upstream_id),
            Self::Redirect { .. } | Self::FixedResponse { .. } => true,
        }
    }
}

/// The upstreams that an action uses.
pub fn action_upstreams(action: &Action) -> impl Iterator<Item = &UpstreamId> {
    let upstreams = match action {
        Action::Forward { upstreams } => upstreams.as_slice(),
        Action::Redirect { .. } | Action::FixedResponse { .. } => &[],
    };
    upstreams.iter().map(|upstream| &upstream.upstream_id)
}

impl WeightedUpstream {
    pub(super) fn to_json(&self) -> Value {
        json!({ "upstream_id": self.upstream_id.as_str(), "weight": self.weight })
    }

    /// One upstream that gets everything.
    pub(super) fn alone(upstream_id: UpstreamId) -> Self {
        Self {
            upstream_id,
            weight: 1,
        }
    }
}

/// Reads an array of `{upstream_id, weight}`, sorted by identifier; a weight left out is 1.
pub(super) fn weighted_upstreams(
    value: &Value,
    path: &str,
) -> Result<Vec<WeightedUpstream>, Invalid> {
    let mut upstreams = Vec::new();
    let mut seen = BTreeSet::new();
    for (path, element) in array(value, path, UPSTREAMS_MAX)? {
        let fields = Fields::read(element, &path, &["upstream_id", "weight"])?;
        let upstream_id = upstream_id(fields.require("upstream_id")?, &fields.path("upstream_id"))?;
        if !seen.insert(upstream_id.clone()) {
            return Err(Invalid::new(
                &fields.path("upstream_id"),
                "This upstream is named twice.",
            ));
        }
        let weight = fields.get("weight").map_or(Ok(1), |value| {
            integer(value, &fields.path("weight"), 0..=WEIGHT_MAX)
        })?;
        upstreams.push(WeightedUpstream {
            upstream_id,
            weight,
        });
    }
    upstreams.sort();
    Ok(upstreams)
}

pub(super) fn upstream_id(value: &Value, path: &str) -> Result<UpstreamId, Invalid> {
    let written = text(value, path)?;
    UpstreamId::parse(written)
        .map_err(|_| Invalid::new(path, "Expected the identifier of an upstream (`up_…`)."))
}

fn forward(value: &Value) -> Result<Action, Invalid> {
    let fields = Fields::read(value, "", &["type", "upstream_id", "upstreams"])?;
    let upstreams = match (fields.get("upstream_id"), fields.get("upstreams")) {
        (Some(_), Some(_)) => {
            return Err(Invalid::new(
                "upstreams",
                "Either upstream_id or upstreams may be given, not both.",
            ));
        }
        (_, Some(upstreams)) => weighted_upstreams(upstreams, "upstreams")?,
        _ => vec![WeightedUpstream::alone(upstream_id(
            fields.require("upstream_id")?,
            "upstream_id",
        )?)],
    };
    Ok(Action::Forward { upstreams })
}

fn redirect(value: &Value) -> Result<Action, Invalid> {
    let fields = Fields::read(value, "", &["type", "url", "status", "preserve_path"])?;
    let url = fields.text("url")?;
    let preserve_path = fields.optional_flag("preserve_path")?.unwrap_or(false);
    check_url(url)?;
    if preserve_path && url.contains(['?', '#']) {
        return Err(Invalid::new(
            "url",
            "With preserve_path the URL may have neither query nor fragment.",
        ));
    }
    let status = fields.optional_integer("status", 300..=399)?.unwrap_or(302);
    if ![301, 302, 307, 308].contains(&status) {
        return Err(Invalid::new(
            "status",
            "Expected one of 301, 302, 307, 308.",
        ));
    }
    Ok(Action::Redirect {
        url: url.to_owned(),
        status: status as u16,
        preserve_path,
    })
}

/// A target is absolute or a path. What browsers would read as another host's address without a
/// scheme (`//host`, `/\host`) is neither.
fn check_url(url: &str) -> Result<(), Invalid> {
    let graphic = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>'));
    if !graphic || url.len() > URL_BYTES_MAX {
        let message =
            format!("A URL has up to {URL_BYTES_MAX} ASCII letters; others are percent-encoded.");
        return Err(Invalid::new("url", message));
    }
    if url.starts_with('/') && !url.starts_with("//") {
        return Ok(());
    }
    let after_scheme = ["http://", "https://"]
        .iter()
        .find_map(|scheme| strip_prefix_ignoring_case(url, scheme));
    let authority = after_scheme
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    if is_authority(authority) {
        return Ok(());
    }
    Err(Invalid::new(
        "url",
        "Expected an absolute http or https URL without credentials, or a path that starts with one `/`.",
    ))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A host name or IP address with, perhaps, a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_letters = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')),
    };
    !host.is_empty()
        && host_letters
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn fixed_response(value: &Value) -> Result<Action, Invalid> {
    let fields = Fields::read(value, "", &["type", "status", "headers", "body"])?;
    let status = fields.integer("status", 200..=599)?;
    let body = fields.optional_text("body")?.unwrap_or_default();
    if body.len() > BODY_BYTES_MAX {
        return Err(Invalid::new(
            "body",
            format!("A body may have {BODY_BYTES_MAX} bytes."),
        ));
    }
    if !body.is_empty() && [204, 205, 304].contains(&status) {
        return Err(Invalid::new(
            "body",
            format!("A response with status {status} has no body."),
        ));
    }
    let headers = fields
        .get("headers")
        .map(response_headers)
        .transpose()?
        .unwrap_or_default();
    Ok(Action::FixedResponse {
        status: status as u16,
        headers,
        body: body.to_owned(),
    })
}

fn response_headers(value: &Value) -> Result<BTreeMap<String, String>, Invalid> {
    let object = object(value, "headers")?;
    if object.len() > HEADERS_MAX {
        return Err(Invalid::new(
            "headers",
            format!("Expected up to {HEADERS_MAX} headers."),
        ));
    }
    let mut headers = BTreeMap::new();
    for (name, value) in object {
        let path = join("headers", name);
        let name = header_name(name, &path)?;
        if HEADERS_REFUSED.contains(&name.as_str()) {
            return Err(Invalid::new(
                &path,
                "The edge itself decides about this header.",
            ));
        }
        if headers
            .insert(name, response_header(value, &path)?)
            .is_some()
        {
            return Err(Invalid::new(&path, "This header is named twice."));
        }
    }
    Ok(headers)
}

fn response_header(value: &Value, path: &str) -> Result<String, Invalid> {
    let written = text(value, path)?;
    let printable = written
        .bytes()
        .all(|byte| matches!(byte, b' ' | b'\t') || byte.is_ascii_graphic());
    if !printable || written.trim() != written || written.len() > HEADER_BYTES_MAX {
        let message = format!(
            "A header value has up to {HEADER_BYTES_MAX} bytes of printable ASCII, and no blanks around it."
        );
        return Err(Invalid::new(path, message));
    }
    Ok(written.to_owned())
}
