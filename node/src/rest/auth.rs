//! Who is asking. A malformed key is refused by its form, with no look-up at all; a well-formed
//! one is looked up by its keyed hash. The environment that it acts in scopes everything after that;
//! what the key may do there is `authorize`'s matter.
//!
//! The look-up is local and may be stale, which costs no round trip and is right in both
//! directions. A key that this node does not know yet is asked for once more after a
//! linearizable barrier, so a key works everywhere as soon as it was handed out. A key that was
//! revoked elsewhere is refused as soon as this node applies that entry, and a read that applied it
//! while it waited is not answered; a node that is cut off from the leader and does not hear of it
//! can neither write nor read linearizably, so such a key gets stale reads of what it could read
//! before, and nothing else.
//!
//! A key that was made before the pepper was changed is found by its hash under an earlier one, until it has
//! [moved](super::key_moves).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use domain::command::Actor;
use domain::id::{ApiKeyId, EnvironmentId, RouteId, WorkspaceId};
use domain::model::{
    ApiKey, Environment, EnvironmentKind, IpRange, KeyHash, KeyKind, Plan, Scopes, Workspace,
};
use domain::query;
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use http::{HeaderMap, header};
use parking_lot::RwLock;

use super::Api;
use super::error::{ApiError, Code};
use super::shown::{Recognised, Shown};
use super::version::Release;
use crate::control_plane::{Consistency, ReadError};
use crate::keys::PresentedKey;
use crate::limits::WindowId;

/// The header that says which environment is meant, where a key may act in several.
const ENVIRONMENT: &str = "vectorgate-environment";

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) api_key_id: ApiKeyId,
    pub(crate) workspace_id: WorkspaceId,
    /// Where the request acts.
    pub(crate) environment_id: EnvironmentId,
    /// The environment's name, as objects show it. Environments are never renamed, so a stored
    /// reply is shown alike whenever it is replayed.
    pub(crate) environment: String,
    pub(crate) kind: KeyKind,
    pub(crate) scopes: Arc<Scopes>,
    /// Where the key may act, by identifier and name.
    environments: Arc<[(EnvironmentId, String)]>,
    /// By what the secret that it came with is known.
    pub(crate) recognised: Recognised,
    /// From when on the secret does not work any more.
    valid_until: Option<Timestamp>,
    /// From where the key works.
    ip_allowlist: Arc<[IpRange]>,
    /// What sets its limits.
    pub(crate) plan: Plan,
    /// The release that its requests get which name none.
    pub(crate) version: Release,
    /// What its requests are counted by.
    pub(crate) window: WindowId,
}

impl Caller {
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            workspace_id: self.workspace_id.clone(),
            environment_id: self.environment_id.clone(),
            api_key_id: self.api_key_id.clone(),
        }
    }

    /// Whether the secret that it came with works at this time, as far as is known of it.
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| until > now)
    }

    /// Whether what belongs to a route is for this caller's eyes.
    pub(crate) fn sees_route(&self, route: &RouteId) -> bool {
        self.scopes.allows_route(route)
    }

    /// Whether it sees some routes only, so that lists are to be filtered.
    pub(crate) fn is_confined(&self) -> bool {
        !self.scopes.routes.is_empty()
    }

    /// The routes that it sees, if it sees some only.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &RouteId> {
        self.scopes.routes.iter()
    }

    /// Whether an environment exists for this caller: for a live key each of its workspace, for a
    /// test key each that is for tests, for a restricted key those of its scope.
    pub(crate) fn reaches(&self, environment: &Environment) -> bool {
        environment.workspace_id == self.workspace_id
            && match self.kind {
                KeyKind::Live => true,
                KeyKind::Test => environment.kind == EnvironmentKind::Test,
                KeyKind::Restricted => {
                    let mut own = self.environments.iter();
                    own.any(|(id, _)| *id == environment.id)
                }
            }
    }

    /// Whether a key exists for this caller: if all of its environments do.
    pub(crate) fn reaches_key(&self, view: &dyn View, key: &ApiKey) -> bool {
        key.environments().all(|id| {
            query::environment(view, id).is_some_and(|environment| self.reaches(&environment))
        })
    }

    /// The caller, if its key works from this address.
    fn coming_from(self, address: Option<IpAddr>) -> Result<Self, ApiError> {
        if is_allowed(&self.ip_allowlist, address) {
            return Ok(self);
        }
        let from =
            address.map_or_else(|| "this one".to_owned(), |it| it.to_canonical().to_string());
        let message = format!("The API key is not for requests from the address {from}.");
        Err(ApiError::new(Code::IpNotAllowed, message))
    }

    /// The caller as acting in the environment that the request names, if it names one. One that
    /// the key is not for is answered like one that does not exist.
    fn acting_in(mut self, headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(ENVIRONMENT).iter();
        let Some(value) = values.next() else {
            return Ok(self);
        };
        let wanted = value.to_str().ok().filter(|_| values.next().is_none());
        let found = wanted.and_then(|wanted| {
            let mut own = self.environments.iter();
            own.find(|(id, name)| id.as_str() == wanted || name == wanted)
        });
        let Some((id, name)) = found.cloned() else {
            return Err(ApiError::not_found("environment").at("VectorGate-Environment"));
        };
        (self.environment_id, self.environment) = (id, name);
        Ok(self)
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::new(Code::InvalidApiKey, message)
}

/// Whether a key that is confined to these ranges works from an address. No range is no
/// confinement.
pub(crate) fn is_allowed(ranges: &[IpRange], address: Option<IpAddr>) -> bool {
    let within = |address| ranges.iter().any(|range| range.contains(address));
    ranges.is_empty() || address.is_some_and(within)
}

/// Finds out who is asking. `address` is the one that the connection comes from: what a header says
/// of it, anybody can write. Of an address that sent too many bad keys, only keys that this node
/// knows to be good are taken: no other is worth a barrier.
pub(crate) async fn authenticate(
    api: &Api,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    consistency: Consistency,
) -> Result<Caller, ApiError> {
    let key = presented(headers).map(|key| Shown::of(&api.keys, key));
    if let Ok(shown) = &key
        && let Ok(caller) = identify(api, shown, Consistency::Stale).await
    {
        return caller.coming_from(address)?.acting_in(headers);
    }
    let counted = address.filter(|_| headers.contains_key(header::AUTHORIZATION));
    let (now, max) = (api.clock.now(), api.limits.settings().bad_keys_per_minute);
    let wait_ms = counted.and_then(|address| api.bad_keys.wait_ms(address, now, max));
    if let Some(wait_ms) = wait_ms {
        let message = "Too many bad API keys came from this address. See Retry-After.";
        return Err(ApiError::rate_limited(wait_ms.div_ceil(1000), message));
    }
    let found = match key {
        Ok(shown) => identify(api, &shown, consistency).await,
        Err(error) => Err(error),
    };
    if let (Err(error), Some(address)) = (&found, counted)
        && error.code == Code::InvalidApiKey
    {
        api.bad_keys.note(address, now);
    }
    found?.coming_from(address)?.acting_in(headers)
}

/// Looks again whether the caller's key is good, by what this node has applied meanwhile. A read that
/// waited until the node had caught up may have been let in by what it knew before.
pub(crate) async fn confirm(api: &Api, key: &Recognised) -> Result<(), ApiError> {
    let shown = Shown::again(key);
    identify(api, &shown, Consistency::Stale).await.map(drop)
}

/// Who is behind a key, if it is good now.
async fn identify(
    api: &Api,
    shown: &Shown<'_>,
    consistency: Consistency,
) -> Result<Caller, ApiError> {
    let caller = known(api, shown, consistency).await?;
    // What is remembered of a key may be older than its end.
    if !caller.is_valid_at(api.clock.now()) {
        return Err(refused("The API key has expired."));
    }
    Ok(caller)
}

async fn known(api: &Api, shown: &Shown<'_>, consistency: Consistency) -> Result<Caller, ApiError> {
    let stamp = api.control.access_changed();
    if let Some(caller) = api.callers.get(&shown.hash(), stamp) {
        return Ok(caller);
    }
    let find = || shown.find(|hash| look_up(api, hash));
    let found = match find()? {
        None if consistency == Consistency::Linearizable => {
            api.control.barrier(consistency).await?;
            find()?
        }
        found => found,
    };
    let Some((stored, (key, environments, workspace))) = found else {
        return Err(refused("The API key is not valid."));
    };
    if key.revoked_at.is_some() {
        return Err(refused("The API key has been revoked."));
    }
    let caller = caller(key, shown.recognised(stored), environments, &workspace)?;
    api.callers.remember(shown.hash(), caller.clone(), stamp);
    Ok(caller)
}

/// Who is behind a key, acting where it does unless told otherwise.
fn caller(
    key: ApiKey,
    recognised: Recognised,
    environments: Vec<Environment>,
    workspace: &Workspace,
) -> Result<Caller, ApiError> {
    let environments: Arc<[_]> = environments
        .into_iter()
        .map(|environment| (environment.id, environment.name))
        .collect();
    let mut own = environments.iter();
    let Some((_, environment)) = own.find(|(id, _)| *id == key.environment_id) else {
        return Err(refused("The API key is not valid."));
    };
    Ok(Caller {
        environment: environment.clone(),
        valid_until: key.valid_until(&recognised.stored),
        recognised,
        window: WindowId::of_key(&key.id),
        plan: workspace.plan,
        version: Release::of(&workspace.api_version),
        api_key_id: key.id,
        workspace_id: key.workspace_id,
        environment_id: key.environment_id,
        kind: key.kind,
        scopes: Arc::new(key.scopes),
        ip_allowlist: key.ip_allowlist.into_iter().collect(),
        environments,
    })
}

/// Callers whose keys were looked up lately. All of them are forgotten when any row that decides
/// about access changes, which is seldom; so what is remembered is what a look-up would find.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    known: RwLock<Known>,
}

/// How many callers are remembered: more keys than a node sees at a time, in a few megabytes.
const CALLERS_MAX: usize = 8192;

#[derive(Debug, Default)]
struct Known {
    /// The last change of access when the first of them was looked up.
    stamp: Revision,
    callers: BTreeMap<KeyHash, Caller>,
}

impl Callers {
    fn get(&self, hash: &KeyHash, stamp: Revision) -> Option<Caller> {
        let known = self.known.read();
        if known.stamp != stamp {
            return None;
        }
        known.callers.get(hash).cloned()
    }

    /// Remembers who was found after the last change of access was `stamp`.
    fn remember(&self, hash: KeyHash, caller: Caller, stamp: Revision) {
        let mut known = self.known.write();
        if known.stamp < stamp || known.callers.len() >= CALLERS_MAX {
            known.callers.clear();
            known.stamp = known.stamp.max(stamp);
        }
        if known.stamp == stamp {
            known.callers.insert(hash, caller);
        }
    }
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

/// A key, its environments, and its workspace.
type Found = (ApiKey, Vec<Environment>, Workspace);

fn look_up(api: &Api, hash: &KeyHash) -> Result<Option<Found>, ReadError> {
    let find = |view: &dyn View| {
        let key = query::api_key_by_hash(&view, hash)?;
        let environments = key
            .environments()
            .filter_map(|id| query::environment(&view, id))
            .collect();
        let workspace = query::workspace(&view, &key.workspace_id)?;
        Some((key, environments, workspace))
    };
    Ok(api.control.read_local(find)?.0)
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;
    use domain::model::PepperId;

    use super::*;

    fn caller() -> Caller {
        let seed = Seed {
            unix_ms: 1,
            random: 1,
        };
        Caller {
            window: WindowId::of_key(&ApiKeyId::new(seed)),
            plan: Plan::Free,
            version: Release::NEWEST,
            api_key_id: ApiKeyId::new(seed),
            workspace_id: WorkspaceId::new(seed),
            environment_id: EnvironmentId::new(seed),
            environment: "production".to_owned(),
            kind: KeyKind::Live,
            scopes: Arc::default(),
            environments: [(EnvironmentId::new(seed), "production".to_owned())].into(),
            recognised: Recognised {
                shown: KeyHash([0; 32]),
                stored: KeyHash([0; 32]),
                pepper: PepperId([0; 8]),
            },
            valid_until: None,
            ip_allowlist: [].into(),
        }
    }

    #[test]
    fn a_caller_is_remembered_until_access_changes() {
        let callers = Callers::default();
        let (ann, bob) = (KeyHash([1; 32]), KeyHash([2; 32]));
        callers.remember(ann, caller(), Revision(4));
        assert_eq!(callers.get(&ann, Revision(4)), Some(caller()));
        assert_eq!(callers.get(&bob, Revision(4)), None);
        assert_eq!(callers.get(&ann, Revision(5)), None);
        callers.remember(bob, caller(), Revision(5));
        assert_eq!(callers.get(&bob, Revision(5)), Some(caller()));
        // What was looked up before the change is not taken for what came after it.
        callers.remember(ann, caller(), Revision(4));
        assert_eq!(callers.get(&ann, Revision(5)), None);
        assert_eq!(callers.get(&bob, Revision(5)), Some(caller()));
    }

    #[test]
    fn no_more_callers_are_remembered_than_there_is_room_for() {
        let callers = Callers::default();
        for number in 0..=CALLERS_MAX {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
            callers.remember(KeyHash(hash), caller(), Revision(1));
        }
        assert_eq!(callers.known.read().callers.len(), 1);
    }
}
