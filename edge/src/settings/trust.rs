//! Whose signatures an edge believes, and for which environment, where its operator says so. Without that it believes
//! the first node that shows a certificate of the authority, and from then on whom the keys that it knows vouch for, in
//! the environment that the node said.

use std::path::{Path, PathBuf};

use domain::id::EnvironmentId;
use edge_protocol::signing::{TrustDocument, TrustSet};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Settings, SettingsError};

/// `[trust]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSettings {
    /// The file with the keys, as `vectorgate-node signing-keys list --json` prints them. It is read at the
    /// start; nodes cannot add to it.
    pub file: Option<PathBuf>,
    /// Which environment is meant by `edge.environment`. The join token says so, too, where the edge came by its
    /// certificate with one.
    #[serde(default, deserialize_with = "environment_id")]
    pub environment_id: Option<EnvironmentId>,
}

/// An identifier as the API shows it.
fn environment_id<'de, D: Deserializer<'de>>(from: D) -> Result<Option<EnvironmentId>, D::Error> {
    let text = String::deserialize(from)?;
    EnvironmentId::parse(&text)
        .map(Some)
        .map_err(D::Error::custom)
}

impl Settings {
    /// Whose signatures to believe, if the operator says so.
    ///
    /// # Errors
    /// When the file cannot be read or says something else.
    pub fn trusted(&self) -> Result<Option<TrustSet>, SettingsError> {
        let file = self.trust.as_ref().and_then(|trust| trust.file.as_ref());
        file.map(|file| read_trust(file))
            .transpose()
            .map_err(|reason| SettingsError::field("trust.file", reason))
    }

    /// Which environment is followed, if the operator says so, here or by the join token.
    ///
    /// # Errors
    /// When these say different things.
    pub fn environment_id(
        &self,
        by_token: Option<&EnvironmentId>,
    ) -> Result<Option<EnvironmentId>, SettingsError> {
        let here = self
            .trust
            .as_ref()
            .and_then(|trust| trust.environment_id.as_ref());
        match (here, by_token) {
            (Some(here), Some(by_token)) if here != by_token => Err(SettingsError::field(
                "trust.environment_id",
                format!("the edge was let in for {by_token}"),
            )),
            _ => Ok(here.or(by_token).cloned()),
        }
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
