//! How an upstream's targets are spoken to, watched and spared. Every setting has a default, so
//! that an upstream with none is one of plain HTTP/1.1 targets. How the settings look as JSON is
//! [`crate::content`]'s matter; what an edge does by them is the edge's.

use serde::{Deserialize, Serialize};

/// Everything about an upstream that is not its targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamSettings {
    /// What is spoken to the targets.
    pub protocol: Protocol,
    /// What of a request its target follows from, where the algorithm is `hash`.
    pub hash_key: HashKey,
    /// TLS towards the targets; none for clear text.
    pub tls: Option<UpstreamTls>,
    /// How targets are checked; none where the routes that use the upstream say.
    pub health_check: Option<Check>,
    /// When a target that fails requests is left out for a while.
    pub ejection: Ejection,
    /// How much a target takes at once.
    pub limits: Limits,
}

/// What is spoken to targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 over TLS, agreed on by ALPN.
    H2,
    /// HTTP/2 in clear text, by prior knowledge.
    H2c,
}

impl Protocol {
    /// All, with the names that the API has for them.
    pub const ALL: [(&'static str, Self); 3] =
        [("http1", Self::Http1), ("h2", Self::H2), ("h2c", Self::H2c)];

    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2 => "h2",
            Self::H2c => "h2c",
        }
    }
}

/// What of a request its target follows from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashKey {
    /// The client's address.
    #[default]
    ClientIp,
    /// A header's value, by the header's lower-case name; the client's address where it is not
    /// there.
    Header(String),
    /// A cookie's value; the client's address where it is not there.
    Cookie(String),
}

/// TLS towards targets. Certificates are always verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTls {
    /// The name that the target's certificate must bear and that it is asked for; the target's
    /// address where none is given.
    pub server_name: Option<String>,
    /// The authorities to trust, as PEM, instead of those that the operating system trusts.
    pub ca: Option<String>,
}

/// How targets are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// Seconds from one check to the next, but for jitter.
    pub interval_s: u32,
    /// Seconds that a check may take.
    pub timeout_s: u32,
    /// How many checks in a row bring a target back.
    pub healthy_threshold: u32,
    /// How many failures in a row take a target out.
    pub unhealthy_threshold: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckKind {
    /// For an HTTP response.
    Http {
        /// The path.
        path: String,
        /// Whether with `HEAD` instead of `GET`.
        head: bool,
        /// The `Host`; where none is given the route's hostname, or the target's address.
        host: Option<String>,
        /// Statuses that are healthy, in order and each once; empty for 200 to 399.
        expected_status: Vec<u16>,
    },
    /// For a connection, with TLS where the upstream has it.
    Tcp,
}

impl Check {
    /// Seconds between checks unless given.
    pub const INTERVAL_S: u32 = 10;
    /// Seconds that a check may take unless given, or the interval if that is less.
    pub const TIMEOUT_S: u32 = 5;
    /// Successes that bring a target back unless given.
    pub const HEALTHY_THRESHOLD: u32 = 2;
    /// Failures that take a target out unless given.
    pub const UNHEALTHY_THRESHOLD: u32 = 3;
}

/// When a target that fails requests is left out for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ejection {
    /// How many requests must fail in a row; 0 for never.
    pub failures: u32,
    /// Seconds that the first ejection lasts; each that follows soon lasts twice as long.
    pub base_s: u32,
    /// The longest that an ejection lasts, in seconds.
    pub max_s: u32,
}

impl Default for Ejection {
    /// Five in a row, as Envoy has it; a quarter of a minute to begin with, because a target that
    /// restarts is back by then, and five minutes at most.
    fn default() -> Self {
        Self {
            failures: 5,
            base_s: 15,
            max_s: 300,
        }
    }
}

/// How much one edge asks of one target at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests under way.
    pub requests: u32,
    /// Requests that wait for a connection.
    pub pending: u32,
}

impl Default for Limits {
    /// More than one target answers at a time, and little enough that a target that hangs does not
    /// take the edge's memory and ports with it.
    fn default() -> Self {
        Self {
            requests: 8192,
            pending: 1024,
        }
    }
}
