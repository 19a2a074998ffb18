//! What an edge is started with: a TOML file, each field also from the environment as
//! `VECTORGATE_SECTION__FIELD`, which goes before the file. Everything is checked before a port
//! opens; a bad field is named. What the edge serves comes from the nodes, never from here.

mod enrolment;
mod observing;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat};
use platform::trace::TracingSettings;
use serde::{Deserialize, Deserializer};

use crate::pace::Rate;

pub use enrolment::{EnrolmentSettings, Token};
pub use observing::{AccessLogSettings, BreakerSettings, DebugSettings};
pub use trust::{TrustSettings, read_trust};
mod listeners;

pub use listeners::{Http3Settings, HttpSettings, HttpsSettings, ProxyProtocol, Trust};

/// The longest deadline that may be set: a day; anything longer is a slip of units.
const DEADLINE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// The fastest that clients may be asked to be: beyond a MiB a second, many honest ones are not.
const CLIENT_BYTES_PER_S_MAX: u64 = 1024 * 1024;

/// An edge's settings, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who the edge is.
    pub edge: EdgeSettings,
    /// Where it serves.
    pub http: HttpSettings,
    /// Where it serves over TLS.
    pub https: Option<HttpsSettings>,
    /// Where it serves over QUIC.
    pub http3: Option<Http3Settings>,
    /// Whom it follows.
    #[serde(default)]
    pub control: ControlSettings,
    /// Its certificate, and the authority that it trusts, if it has these from its operator.
    pub tls: Option<TlsSettings>,
    /// How it comes by them otherwise.
    pub enrolment: Option<EnrolmentSettings>,
    /// How long it waits for what.
    #[serde(default)]
    pub timeouts: TimeoutSettings,
    /// What it keeps of the origins' answers.
    #[serde(default)]
    pub cache: CacheSettings,
    /// Where it tells how it is.
    pub admin: Option<AdminSettings>,
    /// What it logs.
    #[serde(default)]
    pub log: LogSettings,
    /// Which requests it logs, and where.
    #[serde(default)]
    pub access_log: AccessLogSettings,
    /// Whether it refuses what it crashes on.
    #[serde(default)]
    pub breaker: BreakerSettings,
    /// To whom it shows its decisions.
    #[serde(default)]
    pub debug: DebugSettings,
    /// Where it sends what it records of requests and manifests.
    #[serde(default)]
    pub tracing: TracingSettings,
    /// Whose signatures it believes, if not those of the first node that it meets.
    pub trust: Option<TrustSettings>,
}

/// `[edge]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// The edge's name, as in its certificate: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// The region that rules can ask for. A join token says it.
    #[serde(default)]
    pub region: String,
    /// The name of the environment to follow, as in its certificate. A join token says it.
    #[serde(default)]
    pub environment: String,
    /// Where the last good configuration is kept.
    pub data_dir: PathBuf,
    /// The file with the key that what is kept is sealed with; without it, `key` in the data directory.
    /// It is made at the first start, and nobody else may read it.
    #[serde(default)]
    pub data_key_file: Option<PathBuf>,
    /// Whatever the operator wants to see beside the edge's name.
    #[serde(default, deserialize_with = "structure")]
    pub labels: BTreeMap<String, String>,
}

/// `[control]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlSettings {
    /// The nodes' publishers, as `host:port`. A join token says them.
    #[serde(deserialize_with = "structure")]
    pub nodes: Vec<String>,
}

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The authority's certificate.
    pub ca_file: PathBuf,
    /// The edge's certificate chain.
    pub cert_file: PathBuf,
    /// The edge's private key; nobody else may read the file.
    pub key_file: PathBuf,
}

/// `[timeouts]`, in milliseconds where the name says so.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutSettings {
    /// For connecting to a target, name resolution included.
    pub connect_ms: u64,
    /// From the request's last byte to the response's head.
    pub response_header_ms: u64,
    /// For the next piece of a body, for the next request on a connection, and for a client that
    /// does not read.
    pub idle_ms: u64,
    /// For a request's head, from its first byte; on a new connection, from its acceptance.
    pub request_header_ms: u64,
    /// For requests under way when the edge is told to stop.
    pub drain_ms: u64,
    /// For agreeing on TLS with a client, from the connection's acceptance.
    pub tls_handshake_ms: u64,
    /// For the next byte of a WebSocket or of a connection that is passed through, from either side.
    pub tunnel_idle_ms: u64,
    /// How long the edge says that it is about to stop before it takes no more connections.
    pub unready_ms: u64,
    /// Not a time: how many bytes a second a client must send or take, on average over `idle_ms`, while
    /// it is waited for; 0 asks for none.
    pub client_bytes_per_s_min: u64,
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            response_header_ms: 30_000,
            idle_ms: 60_000,
            request_header_ms: 10_000,
            drain_ms: 10_000,
            tls_handshake_ms: 10_000,
            tunnel_idle_ms: 300_000,
            unready_ms: 0,
            client_bytes_per_s_min: 1024,
        }
    }
}

impl TimeoutSettings {
    /// [`Self::connect_ms`].
    #[must_use]
    pub fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    /// [`Self::response_header_ms`].
    #[must_use]
    pub fn response_header(&self) -> Duration {
        Duration::from_millis(self.response_header_ms)
    }

    /// [`Self::idle_ms`].
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// [`Self::request_header_ms`].
    #[must_use]
    pub fn request_header(&self) -> Duration {
        Duration::from_millis(self.request_header_ms)
    }

    /// [`Self::drain_ms`].
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }

    /// [`Self::tls_handshake_ms`].
    #[must_use]
    pub fn tls_handshake(&self) -> Duration {
        Duration::from_millis(self.tls_handshake_ms)
    }

    /// [`Self::tunnel_idle_ms`].
    #[must_use]
    pub fn tunnel_idle(&self) -> Duration {
        Duration::from_millis(self.tunnel_idle_ms)
    }

    /// [`Self::unready_ms`].
    #[must_use]
    pub fn unready(&self) -> Duration {
        Duration::from_millis(self.unready_ms)
    }

    /// [`Self::client_bytes_per_s_min`].
    #[must_use]
    pub fn client_rate(&self) -> Rate {
        Rate {
            period: self.idle(),
            bytes_per_s: self.client_bytes_per_s_min,
        }
    }
}

/// `[cache]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// The memory for kept answers, in bytes; 0 keeps none.
    pub memory_bytes: u64,
    /// The largest body that is kept, in bytes.
    pub entry_bytes_max: u64,
}

impl Default for CacheSettings {
    /// An eighth of a small machine's GiB, and room for sixteen of the largest answers in it.
    fn default() -> Self {
        Self {
            memory_bytes: 128 * 1024 * 1024,
            entry_bytes_max: 8 * 1024 * 1024,
        }
    }
}

impl CacheSettings {
    fn check(&self) -> Result<(), SettingsError> {
        if self.memory_bytes > 0 && self.entry_bytes_max > self.memory_bytes {
            return Err(SettingsError::field(
                "cache.entry_bytes_max",
                "more than `cache.memory_bytes`",
            ));
        }
        Ok(())
    }
}

/// `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// The address for `/livez`, `/readyz` and `/metrics`; keep it off the public network.
    pub listen: SocketAddr,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// A level, or directives by module (`info,edge::proxy=debug`).
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is no TOML, or a field is missing, unknown or of another type; the message names it.
    #[error("the settings are not understood: {0}")]
    Malformed(String),
    /// A field's value cannot be used.
    #[error("the setting `{field}` cannot be used: {reason}")]
    Field {
        /// Which, as `section.field`.
        field: &'static str,
        /// Why.
        reason: String,
    },
}

impl SettingsError {
    /// A field that cannot be used.
    pub fn field(field: &'static str, reason: impl ToString) -> Self {
        Self::Field {
            field,
            reason: reason.to_string(),
        }
    }
}

impl Settings {
    /// Reads a file, and the process's environment over it.
    ///
    /// # Errors
    /// When the file or a field cannot be used.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|error| SettingsError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(&text, std::env::vars())
    }

    /// Reads TOML text, and variables over it.
    ///
    /// # Errors
    /// When a field cannot be used.
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        // Only names with a section are settings: VECTORGATE_API_KEY, say, is a client's.
        let variables: HashMap<_, _> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with("VECTORGATE_") && name.contains("__"))
            .collect();
        let environment = Environment::with_prefix("VECTORGATE")
            .prefix_separator("_")
            .separator("__")
            .source(Some(variables));
        let settings: Self = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(environment)
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| SettingsError::Malformed(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// How many threads serve.
    #[must_use]
    pub fn workers(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        NonZeroUsize::new(self.http.workers).unwrap_or_else(cores)
    }

    fn check(&self) -> Result<(), SettingsError> {
        check_name("edge.id", &self.edge.id)?;
        enrolment::check(self)?;
        if self.edge.data_dir.as_os_str().is_empty() {
            return Err(SettingsError::field("edge.data_dir", "it is empty"));
        }
        self.http.check()?;
        if let Some(https) = &self.https {
            https.check(self.http.listen)?;
        }
        if let Some(http3) = &self.http3 {
            http3.check(self.https.as_ref())?;
        }
        self.cache.check()?;
        self.access_log.check()?;
        self.debug.check()?;
        self.tracing
            .check()
            .map_err(|invalid| SettingsError::field(invalid.field, invalid.reason))?;
        self.timeouts.check()
    }
}

impl TimeoutSettings {
    fn check(&self) -> Result<(), SettingsError> {
        for (field, ms, min) in [
            ("timeouts.connect_ms", self.connect_ms, 1),
            ("timeouts.response_header_ms", self.response_header_ms, 1),
            ("timeouts.idle_ms", self.idle_ms, 1),
            ("timeouts.request_header_ms", self.request_header_ms, 1),
            ("timeouts.drain_ms", self.drain_ms, 0),
            ("timeouts.tls_handshake_ms", self.tls_handshake_ms, 1),
            ("timeouts.tunnel_idle_ms", self.tunnel_idle_ms, 1),
            ("timeouts.unready_ms", self.unready_ms, 0),
        ] {
            if !(min..=DEADLINE_MS_MAX).contains(&ms) {
                return Err(SettingsError::field(
                    field,
                    format!("expected {min} to {DEADLINE_MS_MAX} milliseconds"),
                ));
            }
        }
        if self.client_bytes_per_s_min > CLIENT_BYTES_PER_S_MAX {
            return Err(SettingsError::field(
                "timeouts.client_bytes_per_s_min",
                format!("expected at most {CLIENT_BYTES_PER_S_MAX} bytes a second"),
            ));
        }
        Ok(())
    }
}

/// Names stand in certificates, header fields and metrics, and need no quoting anywhere.
fn check_name(field: &'static str, name: &str) -> Result<(), SettingsError> {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if (1..=64).contains(&name.len()) && letters {
        return Ok(());
    }
    Err(SettingsError::field(
        field,
        "expected 1 to 64 letters, digits, `-`, `_` and `.`",
    ))
}

fn check_address(field: &'static str, address: &str) -> Result<(), SettingsError> {
    let fits = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if fits {
        Ok(())
    } else {
        Err(SettingsError::field(
            field,
            format!("`{address}` is not `host:port`"),
        ))
    }
}

/// A list or table, which a variable gives as JSON text.
fn structure<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    #[derive(Deserialize)]
    #[serde(untagged, bound = "T: serde::de::DeserializeOwned")]
    enum Given<T> {
        Text(String),
        Structure(T),
    }
    match Given::deserialize(deserializer)? {
        Given::Text(text) => serde_json::from_str(&text)
            .map_err(|error| serde::de::Error::custom(format!("not the expected JSON: {error}"))),
        Given::Structure(structure) => Ok(structure),
    }
}

#[cfg(test)]
mod tests;
