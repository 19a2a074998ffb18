//! `[tracing]`, which nodes and edges have alike. Files that are named here are read when the export starts.

use std::path::PathBuf;

use http::Uri;
use http::uri::Scheme;
use serde::Deserialize;

/// Where traces go, and how many. Without a collector there are none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracingSettings {
    /// The collector's URL, to which spans are posted under `/v1/traces` (OTLP over HTTP, in protobuf).
    pub otlp_endpoint: Option<String>,
    /// A file of header fields for the collector, one `name: value` a line; nobody else may read it.
    pub headers_file: Option<PathBuf>,
    /// Authorities that vouch for the collector, in PEM, beside those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The share of traces that is recorded where nobody has decided yet, from 0.0 (none) to 1.0 (all).
    pub sample_ratio: f64,
    /// The name under which the process appears; `vectorgate-node` or `vectorgate-edge` where it is not set.
    pub service_name: Option<String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which, as `section.field`.
    pub field: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Default for TracingSettings {
    /// One in a hundred.
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            headers_file: None,
            ca_file: None,
            sample_ratio: 0.01,
            service_name: None,
        }
    }
}

const fn invalid(field: &'static str, reason: &'static str) -> Invalid {
    Invalid { field, reason }
}

impl TracingSettings {
    /// Looks for what cannot be.
    ///
    /// # Errors
    /// With the field.
    pub fn check(&self) -> Result<(), Invalid> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(invalid(
                "tracing.sample_ratio",
                "expected a share from 0.0 to 1.0",
            ));
        }
        if self.service_name.as_deref() == Some("") {
            return Err(invalid("tracing.service_name", "it is empty"));
        }
        match self.endpoint()? {
            Some(uri) if self.headers_file.is_some() && is_readable_on_the_way(&uri) => {
                Err(invalid(
                    "tracing.headers_file",
                    "secrets would leave the machine in clear text: tracing.otlp_endpoint must be an https:// URL",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Where spans are posted, if anywhere.
    pub(super) fn endpoint(&self) -> Result<Option<Uri>, Invalid> {
        const FIELD: &str = "tracing.otlp_endpoint";
        let wrong = |reason| invalid(FIELD, reason);
        let Some(text) = &self.otlp_endpoint else {
            return Ok(None);
        };
        let url: Uri = text
            .parse()
            .map_err(|_| wrong("expected an http:// or https:// URL"))?;
        let authority = url.authority().map_or("", |authority| authority.as_str());
        if !matches!(url.scheme_str(), Some("http" | "https")) || authority.is_empty() {
            return Err(wrong("expected an http:// or https:// URL"));
        }
        if authority.contains('@') || url.query().is_some() {
            return Err(wrong(
                "secrets belong into tracing.headers_file: the URL has no user and no query",
            ));
        }
        let base = text.trim_end_matches('/');
        let whole = match base.strip_suffix("/v1/traces") {
            Some(_) => base.to_owned(),
            None => format!("{base}/v1/traces"),
        };
        let whole = whole.parse().map_err(|_| wrong("it is too long"))?;
        Ok(Some(whole))
    }
}

/// Whether what is sent there can be read by others than this machine.
fn is_readable_on_the_way(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() != Some(&Scheme::HTTPS) && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> TracingSettings {
        TracingSettings {
            otlp_endpoint: Some(endpoint.to_owned()),
            ..TracingSettings::default()
        }
    }

    #[test]
    fn spans_are_posted_where_collectors_take_them() {
        for (given, expect) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            (
                "https://otlp.example.net/a",
                "https://otlp.example.net/a/v1/traces",
            ),
            (
                "https://otlp.example.net/a/v1/traces",
                "https://otlp.example.net/a/v1/traces",
            ),
        ] {
            let found = settings(given).endpoint().unwrap().unwrap();
            assert_eq!(found.to_string(), expect);
        }
        assert_eq!(TracingSettings::default().endpoint(), Ok(None));
        assert_eq!(TracingSettings::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let with = |change: fn(&mut TracingSettings), endpoint: &str| {
            let mut settings = settings(endpoint);
            change(&mut settings);
            settings.check().map_err(|invalid| invalid.field)
        };
        let nothing = |_: &mut TracingSettings| {};
        let headers = |it: &mut TracingSettings| it.headers_file = Some("headers".into());
        for (found, expect) in [
            (with(nothing, "http://c:1"), Ok(())),
            (
                with(nothing, "collector:4318"),
                Err("tracing.otlp_endpoint"),
            ),
            (with(nothing, "grpc://c:1"), Err("tracing.otlp_endpoint")),
            (
                with(nothing, "http://me:word@c:1"),
                Err("tracing.otlp_endpoint"),
            ),
            (
                with(nothing, "http://c:1?key=word"),
                Err("tracing.otlp_endpoint"),
            ),
            (with(nothing, ""), Err("tracing.otlp_endpoint")),
            (
                with(|it| it.sample_ratio = 1.5, "http://c:1"),
                Err("tracing.sample_ratio"),
            ),
            (
                with(|it| it.sample_ratio = f64::NAN, "http://c:1"),
                Err("tracing.sample_ratio"),
            ),
            (
                with(|it| it.service_name = Some(String::new()), "http://c:1"),
                Err("tracing.service_name"),
            ),
            (with(headers, "http://c:1"), Err("tracing.headers_file")),
            (with(headers, "http://localhost:1"), Ok(())),
            (with(headers, "http://[::1]:1"), Ok(())),
            (with(headers, "https://c:1"), Ok(())),
        ] {
            assert_eq!(found, expect);
        }
    }
}
