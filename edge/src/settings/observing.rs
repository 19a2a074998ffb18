//! What is seen of requests from outside, `[access_log]` and `[debug]`, and what the edge makes of
//! its own crashes, `[breaker]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::SettingsError;
use crate::telemetry::DebugKey;

/// `[access_log]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogSettings {
    /// The share of requests that is logged, from 0.0 (none) to 1.0 (all).
    pub sample: f64,
    /// The file that lines are added to; standard output where it is not set.
    pub file: Option<PathBuf>,
}

/// `[debug]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebugSettings {
    /// The SHA-256, in hexadecimal digits, of the key that clients show to see what was decided.
    /// Nobody may where it is not set.
    pub key_sha256: Option<String>,
}

/// `[breaker]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Whether a manifest is refused on which the edge crashed again and again. To be turned off
    /// where killing it is the usual way to end it.
    pub enabled: bool,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl AccessLogSettings {
    /// Whether anything is logged.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.sample > 0.0
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if (0.0..=1.0).contains(&self.sample) {
            return Ok(());
        }
        let reason = "expected a share from 0.0 to 1.0";
        Err(SettingsError::field("access_log.sample", reason))
    }
}

impl DebugSettings {
    /// The key by which clients are judged.
    #[must_use]
    pub fn key(&self) -> Option<DebugKey> {
        DebugKey::parse(self.key_sha256.as_deref()?)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.key_sha256.is_none() || self.key().is_some() {
            return Ok(());
        }
        let reason = "expected a SHA-256 in 64 hexadecimal digits";
        Err(SettingsError::field("debug.key_sha256", reason))
    }
}
