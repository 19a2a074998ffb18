//! Records as earlier format versions have them, and what they are now. A version that was written once
//! is read for ever; its bytes are pinned by golden files.

use serde::Deserialize;

use super::History;
use crate::command::Origin;
use crate::id::{ApiKeyId, EnvironmentId, RequestId};
use crate::model::{
    AuditChain, Change, Epoch, IdempotencyKey, JournalEntry, Manifest, ManifestVersion, Notice,
};
use crate::table::whole;
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// A row of the journal before the audit log was a chain.
#[derive(Deserialize)]
struct JournalEntry1 {
    actor: Option<ApiKeyId>,
    request_id: RequestId,
    origin: Origin,
    idempotency_key: Option<IdempotencyKey>,
    operation: String,
    changes: Vec<Change>,
    notices: Vec<Notice>,
}

pub(super) fn journal_entry(version: u8, payload: &[u8]) -> Option<JournalEntry> {
    if version != 1 {
        return None;
    }
    let before: JournalEntry1 = whole(payload)?;
    Some(JournalEntry {
        actor: before.actor,
        request_id: before.request_id,
        origin: before.origin,
        idempotency_key: before.idempotency_key,
        operation: before.operation,
        changes: before.changes,
        notices: before.notices,
        link: None,
    })
}

/// Where history begins, before the audit log was a chain.
#[derive(Deserialize)]
struct History1 {
    journal_from: Timestamp,
    finished_from: Timestamp,
    pending_from: Timestamp,
    pending: u64,
}

pub(super) fn history(version: u8, payload: &[u8]) -> Option<History> {
    if version != 1 {
        return None;
    }
    let before: History1 = whole(payload)?;
    Some(History {
        journal_from: before.journal_from,
        finished_from: before.finished_from,
        pending_from: before.pending_from,
        pending: before.pending,
        audit: AuditChain::START,
    })
}

/// A manifest before each had a link to the one before.
#[derive(Deserialize)]
struct Manifest1 {
    environment_id: EnvironmentId,
    epoch: Epoch,
    version: ManifestVersion,
    root: Hash,
    updated_at: Timestamp,
    revision: Revision,
}

pub(super) fn manifest(version: u8, payload: &[u8]) -> Option<Manifest> {
    if version != 1 {
        return None;
    }
    let before: Manifest1 = whole(payload)?;
    Some(Manifest {
        environment_id: before.environment_id,
        epoch: before.epoch,
        version: before.version,
        root: before.root,
        updated_at: before.updated_at,
        revision: before.revision,
        previous: Hash([0; 32]),
    })
}
