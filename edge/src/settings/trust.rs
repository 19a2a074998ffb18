//! Whose signatures an edge believes, where its operator says so. Without that it believes the first node that
//! shows a certificate of the authority, and from then on whom the keys that it knows vouch for.

use std::path::{Path, PathBuf};

use edge_protocol::signing::{TrustDocument, TrustSet};
use serde::Deserialize;

use super::{Settings, SettingsError};

/// `[trust]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSettings {
    /// The file with the keys, as `vectorgate-node signing-keys list --json` prints them. It is read at the
    /// start; nodes cannot add to it.
    pub file: PathBuf,
}

impl Settings {
    /// Whose signatures to believe, if the operator says so.
    ///
    /// # Errors
    /// When the file cannot be read or says something else.
    pub fn trusted(&self) -> Result<Option<TrustSet>, SettingsError> {
        let file = self.trust.as_ref().map(|trust| read_trust(&trust.file));
        file.transpose()
            .map_err(|reason| SettingsError::field("trust.file", reason))
    }
}

/// Reads a file of keys.
///
/// # Errors
/// In words, when it cannot be read or says something else.
pub fn read_trust(path: &Path) -> Result<TrustSet, String> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let document: TrustDocument = serde_json::from_str(&text).map_err(|error| {
        format!("{shown} is not what `signing-keys list --json` prints: {error}")
    })?;
    let set = document
        .set()
        .map_err(|error| format!("{shown}: {error}"))?;
    if set.keys.iter().all(|key| key.retired) {
        return Err(format!("{shown} has no key that is trusted"));
    }
    Ok(set)
}
