//! Who is asking. A malformed key is refused by its form, with no look-up at all; a well-formed
//! one is looked up by its keyed hash. The key's environment scopes everything after that.
//!
//! The look-up is local and may be stale, which costs no round trip and is right in both
//! directions. A key that this node does not know yet is asked for once more after a
//! linearizable barrier, so a key works everywhere as soon as it was handed out. A key that was
//! revoked elsewhere is refused as soon as this node applies that entry; a node that is cut off
//! from the leader and does not hear of it can neither write nor read linearizably, so such a
//! key gets stale reads of what it could read before, and nothing else.

use domain::command::Actor;
use domain::id::{ApiKeyId, EnvironmentId, WorkspaceId};
use domain::model::{ApiKey, Environment, KeyHash};
use domain::query;
use http::{HeaderMap, header};

use super::Api;
use super::error::{ApiError, Code};
use crate::control_plane::{Consistency, ReadError};
use crate::keys::PresentedKey;

/// Who is asking.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) api_key_id: ApiKeyId,
    pub(crate) workspace_id: WorkspaceId,
    pub(crate) environment_id: EnvironmentId,
    /// The environment's name, as objects show it. Environments are never renamed, so a stored
    /// reply is shown alike whenever it is replayed.
    pub(crate) environment: String,
}

impl Caller {
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            workspace_id: self.workspace_id.clone(),
            environment_id: self.environment_id.clone(),
            api_key_id: self.api_key_id.clone(),
        }
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::new(Code::InvalidApiKey, message)
}

/// Finds out who is asking.
pub(crate) async fn authenticate(
    api: &Api,
    headers: &HeaderMap,
    consistency: Consistency,
) -> Result<Caller, ApiError> {
    let hash = api.keys.hash(presented(headers)?);
    let found = match look_up(api, &hash)? {
        None if consistency == Consistency::Linearizable => {
            api.control.barrier(consistency).await?;
            look_up(api, &hash)?
        }
        found => found,
    };
    let Some((key, environment)) = found else {
        return Err(refused("The API key is not valid."));
    };
    if key.revoked_at.is_some() {
        return Err(refused("The API key has been revoked."));
    }
    Ok(Caller {
        api_key_id: key.id,
        workspace_id: key.workspace_id,
        environment_id: key.environment_id,
        environment: environment.name,
    })
}

/// The key of the one `Authorization: Bearer` header.
fn presented(headers: &HeaderMap) -> Result<PresentedKey<'_>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused(
            "Send one header Authorization: Bearer with an API key.",
        ));
    };
    let text = value.to_str().unwrap_or_default();
    let Some((scheme, key)) = text.split_once(' ') else {
        return Err(refused(
            "Send one header Authorization: Bearer with an API key.",
        ));
    };
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(refused("The Authorization scheme must be Bearer."));
    }
    PresentedKey::parse(key.trim_start_matches(' '))
        .ok_or_else(|| refused("The API key is malformed."))
}

fn look_up(api: &Api, hash: &KeyHash) -> Result<Option<(ApiKey, Environment)>, ReadError> {
    let find = |view: &dyn domain::rows::View| {
        let key = query::api_key_by_hash(&view, hash)?;
        let environment = query::environment(&view, &key.environment_id)?;
        Some((key, environment))
    };
    Ok(api.control.read_local(find)?.0)
}
