//! An upstream's settings from and to JSON.
//!
//! | field | | |
//! |---|---|---|
//! | `protocol` | `http1` unless given | `http1`, `h2` (over TLS), `h2c` |
//! | `hash` | the client's address unless given | `{"header": …}`, `{"cookie": …}` or `"client_ip"` |
//! | `tls` | clear text unless given | `enabled` (true), `server_name`, `ca` |
//! | `health_check` | what the route says unless given | as in `health_check.rs` |
//! | `ejection` | | `failures`, `base_s`, `max_s` |
//! | `limits` | | `requests`, `pending` |
//!
//! `null` sets a field back to its default.

use serde_json::{Map, Value, json};

use super::criteria::region;
use super::fields::{Fields, text};
use super::{Invalid, header_name};
use crate::model::{Check, Ejection, HashKey, Limits, Protocol, UpstreamSettings, UpstreamTls};

/// The longest JSON text of settings: the longest authority text escaped, and room.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// The longest text of authorities: a dozen certificates.
const CA_BYTES_MAX: usize = 32 * 1024;

/// The most regions of a target.
const TARGET_REGIONS_MAX: usize = 16;

/// The names of the settings.
pub const UPSTREAM_SETTINGS: [&str; 6] = [
    "protocol",
    "hash",
    "tls",
    "health_check",
    "ejection",
    "limits",
];

impl UpstreamSettings {
    /// These settings with those of an object put in.
    ///
    /// # Errors
    /// With the path of the first thing that is wrong.
    pub fn changed(&self, value: &Value) -> Result<Self, Invalid> {
        let fields = Fields::read(value, "", &UPSTREAM_SETTINGS)?;
        let mut settings = self.clone();
        set(&fields, "protocol", &mut settings.protocol, protocol)?;
        set(&fields, "hash", &mut settings.hash_key, hash_key)?;
        set(&fields, "tls", &mut settings.tls, tls)?;
        let check = |value: &Value| Check::from_json(value, "health_check").map(Some);
        set(&fields, "health_check", &mut settings.health_check, check)?;
        set(&fields, "ejection", &mut settings.ejection, ejection)?;
        set(&fields, "limits", &mut settings.limits, limits)?;
        settings.check_protocol()?;
        Ok(settings)
    }

    /// Every field, `null` where there is nothing.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let hash = match &self.hash_key {
            HashKey::ClientIp => json!("client_ip"),
            HashKey::Header(name) => json!({ "header": name }),
            HashKey::Cookie(name) => json!({ "cookie": name }),
        };
        let Ejection {
            failures,
            base_s,
            max_s,
        } = self.ejection;
        let Limits { requests, pending } = self.limits;
        [
            ("protocol", json!(self.protocol.as_str())),
            ("hash", hash),
            ("tls", json!(self.tls.as_ref().map(UpstreamTls::to_json))),
            (
                "health_check",
                json!(self.health_check.as_ref().map(Check::to_json)),
            ),
            (
                "ejection",
                json!({ "failures": failures, "base_s": base_s, "max_s": max_s }),
            ),
            (
                "limits",
                json!({ "requests": requests, "pending": pending }),
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// HTTP/2 is agreed on within TLS or known before without it, never both.
    fn check_protocol(&self) -> Result<(), Invalid> {
        let message = match (self.protocol, &self.tls) {
            (Protocol::H2, None) => "h2 needs tls; h2c is HTTP/2 in clear text.",
            (Protocol::H2c, Some(_)) => "h2c is HTTP/2 in clear text; with tls it is h2.",
            _ => return Ok(()),
        };
        Err(Invalid::conflict("protocol", message))
    }
}

impl UpstreamTls {
    fn to_json(&self) -> Value {
        let mut object = json!({ "enabled": true });
        for (name, text) in [("server_name", &self.server_name), ("ca", &self.ca)] {
            if let Some(text) = text {
                object[name] = json!(text);
            }
        }
        object
    }
}

fn set<T: Default>(
    fields: &Fields<'_>,
    name: &str,
    setting: &mut T,
    read: impl FnOnce(&Value) -> Result<T, Invalid>,
) -> Result<(), Invalid> {
    match fields.get(name) {
        None => {}
        Some(Value::Null) => *setting = T::default(),
        Some(value) => *setting = read(value)?,
    }
    Ok(())
}

fn protocol(value: &Value) -> Result<Protocol, Invalid> {
    let written = text(value, "protocol")?;
    let known = Protocol::ALL.into_iter().find(|(name, _)| *name == written);
    known
        .map(|(_, protocol)| protocol)
        .ok_or_else(|| Invalid::new("protocol", "Expected one of http1, h2, h2c."))
}

fn hash_key(value: &Value) -> Result<HashKey, Invalid> {
    if value.as_str() == Some("client_ip") {
        return Ok(HashKey::ClientIp);
    }
    if !value.is_object() {
        let message = "Expected client_ip, or an object with header or cookie.";
        return Err(Invalid::new("hash", message));
    }
    let fields = Fields::read(value, "hash", &["header", "cookie"])?;
    if fields.has("header") && fields.has("cookie") {
        let message = "Either header or cookie may be given, not both.";
        return Err(Invalid::conflict("hash.cookie", message));
    }
    if let Some(cookie) = fields.optional_text("cookie")? {
        return cookie_name(cookie).map(HashKey::Cookie);
    }
    header_name(fields.text("header")?, "hash.header").map(HashKey::Header)
}

/// The name of a cookie is a token, like that of a header, and its case counts.
fn cookie_name(written: &str) -> Result<String, Invalid> {
    header_name(written, "hash.cookie")
        .map_err(|_| Invalid::new("hash.cookie", "Expected the name of a cookie."))?;
    Ok(written.to_owned())
}

fn tls(value: &Value) -> Result<Option<UpstreamTls>, Invalid> {
    let fields = Fields::read(value, "tls", &["enabled", "server_name", "ca"])?;
    let server_name = fields.optional_text("server_name")?;
    let server_name = server_name.map(server_name_of).transpose()?;
    let ca = fields.optional_text("ca")?.map(authorities).transpose()?;
    if fields.optional_flag("enabled")? == Some(false) {
        return Ok(None);
    }
    Ok(Some(UpstreamTls { server_name, ca }))
}

fn server_name_of(written: &str) -> Result<String, Invalid> {
    if written.starts_with('*') {
        let message = "Expected a hostname without a wildcard.";
        return Err(Invalid::new("tls.server_name", message));
    }
    super::hostname(written).map_err(|error| error.under("tls.server_name"))
}

/// Looks at the outside of the text alone; what the certificates say, an edge finds out.
fn authorities(written: &str) -> Result<String, Invalid> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let begins = written.matches(BEGIN).count();
    let whole = begins > 0
        && written.matches("-----BEGIN ").count() == begins
        && written.matches(END).count() == begins;
    if !whole || written.len() > CA_BYTES_MAX {
        let message = format!("Expected certificates as PEM, up to {CA_BYTES_MAX} bytes.");
        return Err(Invalid::new("tls.ca", message));
    }
    Ok(written.to_owned())
}

fn ejection(value: &Value) -> Result<Ejection, Invalid> {
    let fields = Fields::read(value, "ejection", &["failures", "base_s", "max_s"])?;
    let default = Ejection::default();
    let base_s = fields.optional_integer("base_s", 1..=3600)?;
    let base_s = base_s.unwrap_or(default.base_s);
    let max_s = fields.optional_integer("max_s", 1..=3600)?;
    let max_s = max_s.unwrap_or_else(|| default.max_s.max(base_s));
    if max_s < base_s {
        let message = "The longest ejection is shorter than the first.";
        return Err(Invalid::conflict("ejection.max_s", message));
    }
    Ok(Ejection {
        failures: fields
            .optional_integer("failures", 0..=1000)?
            .unwrap_or(default.failures),
        base_s,
        max_s,
    })
}

fn limits(value: &Value) -> Result<Limits, Invalid> {
    let fields = Fields::read(value, "limits", &["requests", "pending"])?;
    let default = Limits::default();
    Ok(Limits {
        requests: fields
            .optional_integer("requests", 1..=1_000_000)?
            .unwrap_or(default.requests),
        pending: fields
            .optional_integer("pending", 1..=1_000_000)?
            .unwrap_or(default.pending),
    })
}

/// Checks the regions of a target.
///
/// # Errors
/// With a sentence that says what is wrong.
pub fn target_regions(regions: &[String]) -> Result<(), String> {
    if regions.len() > TARGET_REGIONS_MAX {
        return Err(format!("A target has up to {TARGET_REGIONS_MAX} regions."));
    }
    for (place, name) in regions.iter().enumerate() {
        region(&json!(name), "").map_err(|invalid| invalid.message)?;
        if regions[..place].contains(name) {
            return Err("A region is named twice.".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::InvalidKind::{self, Conflict, Unknown};
    use crate::model::CheckKind;

    fn changed(before: &UpstreamSettings, change: &str) -> UpstreamSettings {
        let change = serde_json::from_str(change).unwrap();
        before
            .changed(&change)
            .unwrap_or_else(|error| panic!("{change}: {error:?}"))
    }

    #[test]
    fn what_is_given_changes_and_null_is_the_default() {
        let settings = changed(
            &UpstreamSettings::default(),
            r#"{"protocol":"h2","tls":{"server_name":"Origin.Example.net"},"hash":{"cookie":"Sid"},
                "ejection":{"failures":0},"limits":{"requests":5},
                "health_check":{"path":"/up","expected_status":[204,200,204]}}"#,
        );
        assert_eq!(settings.protocol, Protocol::H2);
        assert_eq!(settings.hash_key, HashKey::Cookie("Sid".to_owned()));
        let tls = settings.tls.clone().unwrap();
        assert_eq!(tls.server_name.as_deref(), Some("origin.example.net"));
        assert_eq!(
            (settings.limits.requests, settings.limits.pending),
            (5, 1024)
        );
        assert_eq!(changed(&settings, "{}"), settings);
        let json = Value::Object(settings.to_json()).to_string();
        assert_eq!(changed(&UpstreamSettings::default(), &json), settings);
        let plain = changed(
            &settings,
            r#"{"tls":{"enabled":false},"protocol":null,"hash":null}"#,
        );
        assert_eq!((plain.tls, plain.protocol), (None, Protocol::Http1));
        let check = settings.health_check.unwrap();
        assert_eq!((check.interval_s, check.timeout_s), (10, 5));
        let CheckKind::Http {
            expected_status, ..
        } = check.kind
        else {
            panic!("a check of a path is one of HTTP");
        };
        assert_eq!(expected_status, [200, 204]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (change, kind, param) in [
            (r#"{"protocol":"spdy"}"#, InvalidKind::Invalid, "protocol"),
            (r#"{"protocol":"h2"}"#, Conflict, "protocol"),
            (r#"{"protocol":"h2c","tls":{}}"#, Conflict, "protocol"),
            (r#"{"proto":1}"#, Unknown, "proto"),
            (r#"{"hash":"ip"}"#, InvalidKind::Invalid, "hash"),
            (
                r#"{"hash":{"header":"a","cookie":"b"}}"#,
                Conflict,
                "hash.cookie",
            ),
            (
                r#"{"hash":{"header":"a b"}}"#,
                InvalidKind::Invalid,
                "hash.header",
            ),
            (
                r#"{"hash":{"cookie":"a;b"}}"#,
                InvalidKind::Invalid,
                "hash.cookie",
            ),
            (r#"{"tls":{"ca":"x"}}"#, InvalidKind::Invalid, "tls.ca"),
            (
                r#"{"tls":{"server_name":"*.example.net"}}"#,
                InvalidKind::Invalid,
                "tls.server_name",
            ),
            (
                r#"{"ejection":{"base_s":60,"max_s":30}}"#,
                Conflict,
                "ejection.max_s",
            ),
            (
                r#"{"limits":{"requests":0}}"#,
                InvalidKind::Invalid,
                "limits.requests",
            ),
            (
                r#"{"health_check":{"type":"tcp","path":"/"}}"#,
                Conflict,
                "health_check.path",
            ),
            (
                r#"{"health_check":{"path":"/","host":"*.a.example"}}"#,
                InvalidKind::Invalid,
                "health_check.host",
            ),
        ] {
            let value = serde_json::from_str(change).unwrap();
            let error = UpstreamSettings::default().changed(&value).unwrap_err();
            assert_eq!(
                (error.kind, error.param.as_str()),
                (kind, param),
                "{change}"
            );
        }
    }

    #[test]
    fn regions_are_names_and_each_is_named_once() {
        let regions = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            target_regions(&names)
        };
        assert_eq!(regions(&[]), Ok(()));
        assert_eq!(regions(&["eu-central-1", "us_1"]), Ok(()));
        assert!(regions(&["eu", "eu"]).is_err());
        assert!(regions(&["e u"]).is_err());
        assert!(regions(&["a"; 17]).is_err());
    }
}
