//! Entries of the audit log, rendered from the journal's rows, and both ends of their chain. What of an
//! entry is hashed is [`domain::audit`]'s matter, which has the same members.

use domain::model::{AuditChain, AuditLink, AuditPoint, Change, JournalEntry};
use domain::query::JournalRow;
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::openapi::shape;
use super::super::render::{Seconds, Stored};

/// An entry of the audit log as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditObject<'a> {
    #[schema(value_type = shape::AuditId)]
    id: String,
    object: &'static str,
    created_at: Seconds,
    environment: &'a str,
    actor: Actor<'a>,
    /// Where the request came from.
    ip: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    /// What was asked for, such as `rules.create`.
    operation: &'a str,
    changes: Vec<ChangeObject<'a>>,
    #[schema(value_type = shape::RequestId)]
    request_id: &'a str,
    idempotency_key: Option<&'a str>,
    /// The log entry that made the change.
    revision: u64,
    /// How the entry hangs on the one before it; none of one that is older than the chain.
    chain: Option<ChainLink>,
}

/// Where an entry stands among those of its environment.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditChainLink)]
pub(crate) struct ChainLink {
    /// Counted from 1, without gaps.
    index: u64,
    /// The hash of the entry before it.
    #[schema(value_type = shape::Hash)]
    previous_hash: String,
    /// SHA-256 over the previous hash and this entry.
    #[schema(value_type = shape::Hash)]
    hash: String,
}

impl ChainLink {
    fn new(link: AuditLink) -> Self {
        Self {
            index: link.point.index,
            previous_hash: shown(link.previous),
            hash: shown(link.point.hash),
        }
    }
}

fn shown(hash: Hash) -> String {
    format!("sha256:{hash}")
}

/// Both ends of an environment's audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditProof)]
pub(crate) struct AuditProof<'a> {
    object: &'static str,
    environment: &'a str,
    created_at: Seconds,
    /// The entry behind which those begin that are kept; of index 0 where all are.
    base: ChainEnd,
    /// The newest entry; of index 0 where there is none.
    head: ChainEnd,
    /// The log entry up to which that is so.
    revision: u64,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditChainEnd)]
struct ChainEnd {
    index: u64,
    #[schema(value_type = shape::Hash)]
    hash: String,
}

impl ChainEnd {
    fn new(point: AuditPoint) -> Self {
        Self {
            index: point.index,
            hash: shown(point.hash),
        }
    }
}

impl<'a> AuditProof<'a> {
    /// Shows a chain as it was at a time.
    pub(crate) fn new(
        chain: &AuditChain,
        environment: &'a str,
        at: Timestamp,
        revision: Revision,
    ) -> Self {
        Self {
            object: "audit_proof",
            environment,
            created_at: Seconds(at),
            base: ChainEnd::new(chain.base),
            head: ChainEnd::new(chain.head),
            revision: revision.0,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditActor)]
struct Actor<'a> {
    #[schema(value_type = shape::ActorType)]
    r#type: &'static str,
    #[schema(value_type = Option<shape::ApiKeyId>)]
    id: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditChange)]
struct ChangeObject<'a> {
    #[schema(value_type = shape::AuditedKind)]
    object: &'static str,
    /// The object's identifier.
    id: &'a str,
    #[schema(value_type = Option<shape::RouteId>)]
    route_id: Option<&'a str>,
    /// The object as it was, of one that stays only what differs; none of a new one.
    #[schema(value_type = Option<Object>)]
    before: Option<Stored<'a>>,
    /// The same of the object as it is; none of one that is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<Stored<'a>>,
}

impl<'a> ChangeObject<'a> {
    fn new(change: &'a Change) -> Self {
        Self {
            object: change.object.as_str(),
            id: &change.id,
            route_id: optional(change.route_id.as_ref()),
            before: change.before.as_deref().map(Stored),
            after: change.after.as_deref().map(Stored),
        }
    }
}

impl<'a> AuditObject<'a> {
    /// Shows an entry; `environment` is the name of the environment that it changed.
    pub(crate) fn new(row: &'a JournalRow, environment: &'a str) -> Self {
        let JournalEntry {
            actor,
            request_id,
            origin,
            idempotency_key,
            operation,
            changes,
            link,
            ..
        } = &row.entry;
        Self {
            id: row.audit_id().to_string(),
            object: "audit_entry",
            created_at: Seconds(row.place.at),
            environment,
            actor: Actor {
                r#type: if actor.is_some() { "api_key" } else { "system" },
                id: optional(actor.as_ref()),
            },
            ip: origin.address.as_deref(),
            method: &origin.method,
            path: &origin.path,
            operation,
            changes: changes.iter().map(ChangeObject::new).collect(),
            request_id: request_id.as_str(),
            idempotency_key: idempotency_key.as_ref().map(|key| key.0.as_str()),
            revision: row.place.revision.0,
            chain: link.map(ChainLink::new),
        }
    }
}

fn optional<T: AsRef<str>>(id: Option<&T>) -> Option<&str> {
    id.map(AsRef::as_ref)
}
