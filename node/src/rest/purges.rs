//! Purging what edges keep of a route's answers.

use std::sync::Arc;

use domain::command::{Command, PurgeCache};
use domain::id::RouteId;
use domain::limits::{PURGED_URL_BYTES_MAX, PURGED_URLS_MAX};
use domain::model::{PurgedUrl, Route};
use domain::outcome::Outcome;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;
use super::answer::{self, Answered};
use super::auth::Caller;
use super::error::ApiError;
use super::fields::Fields;
use super::openapi::shape;
use super::pipeline::{Call, Presence};
use super::render;

/// What purging takes.
pub(crate) const FIELDS: [&str; 1] = ["urls"];

/// What was purged.
#[derive(Serialize, ToSchema)]
#[schema(as = CachePurge)]
pub(crate) struct PurgeObject<'a> {
    object: &'static str,
    environment: &'a str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    /// How often something of the route was purged.
    version: u64,
    /// The manifest with which edges purge: one that serves by it or a later one has. 0 where the
    /// route was never published, so that there is nothing to purge.
    manifest_version: u64,
}

pub(crate) async fn purge(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let route_id = call.id("route", RouteId::parse)?;
    let body = call.object(Presence::Optional).await?;
    let mut fields = Fields::new(body, &FIELDS)?;
    let urls = fields.array("urls")?.map(urls).transpose()?;
    let purge = PurgeCache { route_id, urls };
    let applied = api
        .propose(&caller, &call, |actor| Command::PurgeCache(actor, purge))
        .await?;
    answer::applied(applied, StatusCode::OK, |outcome| match outcome {
        Outcome::Route(route, _) => Some(shown(route, &caller.environment)),
        _ => None,
    })
}

fn shown(route: &Route, environment: &str) -> Vec<u8> {
    render::to_bytes(&PurgeObject {
        object: "cache_purge",
        environment,
        route_id: route.id.as_str(),
        version: route.purges.version,
        manifest_version: route.purges.manifest_version.0,
    })
}

fn urls(items: Vec<Value>) -> Result<Vec<PurgedUrl>, ApiError> {
    // Before they are looked at: each may be wrong in words of its own.
    if !(1..=PURGED_URLS_MAX).contains(&items.len()) {
        let message = format!("There must be 1 to {PURGED_URLS_MAX} of them.");
        return Err(ApiError::invalid("urls", message));
    }
    items.into_iter().enumerate().map(url).collect()
}

fn url((index, item): (usize, Value)) -> Result<PurgedUrl, ApiError> {
    let param = format!("urls[{index}]");
    let Value::String(text) = item else {
        return Err(ApiError::invalid(param, "Must be a string."));
    };
    read(&text).ok_or_else(|| {
        let message = format!(
            "Expected a path with its query, perhaps behind http://HOST or https://HOST, of up to {PURGED_URL_BYTES_MAX} bytes."
        );
        ApiError::invalid(param, message)
    })
}

/// A URL, or a path on all hosts of the route. The port is that of a listener, which caches do not
/// tell apart.
fn read(text: &str) -> Option<PurgedUrl> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let (authority, target) = match rest {
        Some(rest) => rest.split_at(rest.find('/')?),
        None => ("", text),
    };
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    let fits = text.len() <= PURGED_URL_BYTES_MAX
        && target.starts_with('/')
        && target.bytes().all(visible)
        && (rest.is_none() || !authority.is_empty());
    fits.then_some(())?;
    Some(PurgedUrl {
        host: host(authority)?,
        target: target.to_owned(),
    })
}

fn host(authority: &str) -> Option<String> {
    let host = match authority.split_once(':') {
        Some((host, port)) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            ((1..=5).contains(&port.len()) && digits).then_some(host)?
        }
        None => authority,
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let fits = host.bytes().all(named) && (authority.is_empty() || !host.is_empty());
    fits.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, &str)>) {
        let found = read(text).map(|url| (url.host, url.target));
        let expect = expect.map(|(host, target)| (host.to_owned(), target.to_owned()));
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn a_url_is_a_path_perhaps_with_a_host() {
        check("/a?b=c", Some(("", "/a?b=c")));
        check("/", Some(("", "/")));
        check("https://A.example/x", Some(("a.example", "/x")));
        check("http://a.example:8080/", Some(("a.example", "/")));
        for text in [
            "",
            "a",
            "?b",
            "https://a.example",
            "https:///x",
            "ftp://a/x",
            "https://:80/x",
            "https://a:b/x",
            "https://a:999999/x",
            "https://a:/x",
            "https://u@a/x",
            "/a b",
            "/a#b",
            "/\u{e4}",
        ] {
            check(text, None);
        }
        check(&format!("/{}", "x".repeat(PURGED_URL_BYTES_MAX)), None);
    }
}
