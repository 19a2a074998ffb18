//! A route's `config.tls`: how clients may speak to its hostname, and with which certificate.
//!
//! | policy | over TLS | in the clear |
//! |---|---|---|
//! | `strict` | served | redirected to `https` |
//! | `flexible`, or no `tls` at all | served | served |
//! | `passthrough` | handed on as it is | redirected to `https` |
//! | `off` | refused | served |

use serde_json::Value;

use super::Invalid;
use super::fields::Fields;
use crate::id::CertificateId;

/// How clients may speak to a hostname.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Which ways are open.
    pub policy: TlsPolicy,
    /// The oldest version of TLS that is spoken.
    pub min_version: TlsVersion,
    /// The certificate that is shown; none where the edge's own is.
    pub certificate_id: Option<CertificateId>,
}

/// Which ways to a hostname are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS alone; requests in the clear are sent there.
    Strict,
    /// TLS and the clear.
    #[default]
    Flexible,
    /// TLS that ends behind the edge, at the upstream.
    Passthrough,
    /// The clear alone.
    Off,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsConfig {
    /// What a published route's `config` says, which was checked when it was written.
    ///
    /// # Errors
    /// When it is no such text after all.
    pub fn of_config(config: &str) -> Result<Self, Invalid> {
        let config: Value = serde_json::from_str(config)
            .map_err(|error| Invalid::new("config", error.to_string()))?;
        config
            .get("tls")
            .map_or_else(|| Ok(Self::default()), tls_config)
    }
}

/// Reads `config.tls`.
///
/// # Errors
/// With the path of the first thing that is wrong, starting with `config.tls`.
pub fn tls_config(value: &Value) -> Result<TlsConfig, Invalid> {
    const KNOWN: [&str; 3] = ["policy", "min_version", "certificate_id"];
    let fields = Fields::read(value, "config.tls", &KNOWN)?;
    let name = fields.choice("policy", &["strict", "flexible", "passthrough", "off"])?;
    let policy = match name {
        "strict" => TlsPolicy::Strict,
        "passthrough" => TlsPolicy::Passthrough,
        "off" => TlsPolicy::Off,
        _ => TlsPolicy::Flexible,
    };
    let min_version = min_version(&fields)?;
    let certificate_id = certificate_id(&fields)?;
    match policy {
        TlsPolicy::Strict => {
            fields.require("certificate_id")?;
        }
        TlsPolicy::Passthrough | TlsPolicy::Off => refuse_with_policy(name, &fields)?,
        TlsPolicy::Flexible => {}
    }
    Ok(TlsConfig {
        policy,
        min_version,
        certificate_id,
    })
}

fn min_version(fields: &Fields<'_>) -> Result<TlsVersion, Invalid> {
    if !fields.has("min_version") {
        return Ok(TlsVersion::default());
    }
    Ok(match fields.choice("min_version", &["1.2", "1.3"])? {
        "1.3" => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    })
}

fn certificate_id(fields: &Fields<'_>) -> Result<Option<CertificateId>, Invalid> {
    let Some(id) = fields.optional_text("certificate_id")? else {
        return Ok(None);
    };
    CertificateId::parse(id).map(Some).map_err(|_| {
        Invalid::new(
            &fields.path("certificate_id"),
            "Expected the identifier of a certificate (`cert_…`).",
        )
    })
}

/// The edge ends no TLS under these policies, so there is nothing to set about it.
fn refuse_with_policy(policy: &str, fields: &Fields<'_>) -> Result<(), Invalid> {
    match ["certificate_id", "min_version"]
        .into_iter()
        .find(|name| fields.has(name))
    {
        Some(name) => {
            let message = format!("{name} does not go with the policy {policy}.");
            Err(Invalid::conflict(&fields.path(name), message))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_has_defaults() {
        let read = |value: Value| tls_config(&value).unwrap();
        assert_eq!(read(json!({"policy": "flexible"})), TlsConfig::default());
        let strict = json!({
            "policy": "strict", "min_version": "1.3", "certificate_id": "cert_01J2A8K6"
        });
        assert_eq!(
            read(strict),
            TlsConfig {
                policy: TlsPolicy::Strict,
                min_version: TlsVersion::Tls13,
                certificate_id: Some(CertificateId::parse("cert_01J2A8K6").unwrap()),
            }
        );
        for (config, policy) in [
            ("{}", TlsPolicy::Flexible),
            (r#"{"tls":{"policy":"off"}}"#, TlsPolicy::Off),
            (
                r#"{"tls":{"policy":"passthrough"}}"#,
                TlsPolicy::Passthrough,
            ),
        ] {
            assert_eq!(TlsConfig::of_config(config).unwrap().policy, policy);
        }
        assert!(TlsConfig::of_config("{").is_err());
    }
}
