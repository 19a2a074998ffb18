//! The keys that sign what edges follow, as operators see and change them. The log decides; the key is drawn,
//! and vouched for by the one before, on the leader.

use domain::model::SigningKeyId;
use domain::query;
use edge_protocol::signing::{TrustDocument, TrustSet};

use super::request::{Asker, ClusterError, Done};
use super::steward::Steward;
use crate::sealing;
use crate::signing::{next_key, retirement};

impl Steward {
    /// All keys, as an edge's operator would say whom to trust.
    pub(super) fn signing_keys(&self) -> Result<TrustDocument, ClusterError> {
        let read = self.parts.reader.read(|rows| {
            let signing = query::signing(rows)?;
            let set = TrustSet::of(&signing, &query::signing_keys(rows));
            Some(TrustDocument::of(&set, Some(signing.active)))
        });
        match read {
            Ok(Some(document)) => Ok(document),
            Ok(None) => Err(no_key()),
            Err(_) => Err(stored()),
        }
    }

    pub(super) async fn rotate_signing_key(&self, asker: &Asker) -> Result<Done, ClusterError> {
        let read = self.parts.reader.read(|rows| {
            let signing = query::signing(rows)?;
            Some((signing, sealing::active(rows)))
        });
        let (signing, under) = read.map_err(|_| stored())?.ok_or_else(no_key)?;
        let drawn = next_key((&self.parts.keys, under), &signing, &*self.parts.entropy);
        let (key, command) = drawn.map_err(|error| ClusterError::Refused {
            code: "signing_key_sealed".to_owned(),
            message: format!("{error}; the node's pepper and keys have to be the cluster's"),
        })?;
        self.write_down(asker, command).await?;
        Ok(done(format!(
            "key {key} signs from now on; key {} is trusted until it is retired",
            signing.active
        )))
    }

    pub(super) async fn retire_signing_key(
        &self,
        asker: &Asker,
        key: &str,
    ) -> Result<Done, ClusterError> {
        let Some(id) = SigningKeyId::parse(key) else {
            return Err(ClusterError::Refused {
                code: "invalid_parameter".to_owned(),
                message: "a signing key's name has 32 hexadecimal digits; list the keys to see \
                          them"
                    .to_owned(),
            });
        };
        self.write_down(asker, retirement(id)).await?;
        Ok(done(format!(
            "nothing is believed any more that key {id} signed"
        )))
    }
}

fn done(message: String) -> Done {
    Done {
        changed: true,
        message,
        risks: Vec::new(),
    }
}

fn no_key() -> ClusterError {
    ClusterError::Unavailable {
        reason:
            "the cluster has no signing key yet: the leader makes one once there is a workspace"
                .to_owned(),
    }
}

fn stored() -> ClusterError {
    ClusterError::Unavailable {
        reason: "the node's storage has failed; ask another one".to_owned(),
    }
}
