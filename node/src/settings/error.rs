//! What can be wrong with settings. Every variant names the field or file.

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the settings are not TOML: {reason}")]
    Syntax {
        /// Where and why.
        reason: String,
    },
    /// A field is unknown, missing, or of another type.
    #[error("setting {field}: {reason}")]
    Field {
        /// Its dotted path, or that of the section it is missing in.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

impl SettingsError {
    pub(super) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            reason: reason.into(),
        }
    }
}
