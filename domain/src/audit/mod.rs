//! The chain of the audit log: what an entry says, in a form that has one text, and the hash that it
//! hands on to the next entry. [`Verifier`] holds an exported log to it.
//!
//! ```text
//! hash of entry n = SHA-256(hash of entry n-1 ‖ canonical JSON of entry n)
//! ```
//!
//! The canonical JSON (RFC 8785) is of the object that the API shows, with nothing but the number of the
//! entry in its member `chain`, which has the two hashes as well. So whoever has the export can compute
//! it, and nothing else is needed.

mod verify;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::content::canonical_json;
use crate::model::{AuditLink, AuditPoint, Change, JournalEntry, JournalPlace};
use crate::tree::Hash;

pub use verify::{Finding, LINE_BYTES_MAX, Named, Proof, Report, Verifier};

/// The member of an exported entry that says how it hangs in the chain.
const CHAIN: &str = "chain";

/// What an entry says, as the API shows it; `environment` is the name of the one that it changed. The
/// entry's changes must be told in full.
#[must_use]
pub fn told(place: JournalPlace, entry: &JournalEntry, environment: &str) -> Value {
    let actor = entry.actor.as_ref().map(|actor| actor.as_str());
    let key = entry.idempotency_key.as_ref().map(|key| key.0.as_str());
    let changes: Vec<_> = entry.changes.iter().map(told_change).collect();
    json!({
        "id": entry.audit_id(place.at).as_str(),
        "object": "audit_entry",
        "created_at": place.at.unix_seconds(),
        "environment": environment,
        "actor": {"type": if actor.is_some() { "api_key" } else { "system" }, "id": actor},
        "ip": entry.origin.address,
        "method": entry.origin.method,
        "path": entry.origin.path,
        "operation": entry.operation,
        "changes": changes,
        "request_id": entry.request_id.as_str(),
        "idempotency_key": key,
        "revision": place.revision.0,
    })
}

fn told_change(change: &Change) -> Value {
    // What the state machine wrote is JSON; were it not, it would still be hashed as the text that it is.
    let parsed = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    json!({
        "object": change.object.as_str(),
        "id": change.id,
        "route_id": change.route_id.as_ref().map(|id| id.as_str()),
        "before": change.before.as_ref().map(parsed),
        "after": change.after.as_ref().map(parsed),
    })
}

/// Hangs what an entry says on the entry before it.
#[must_use]
pub fn link(before: AuditPoint, told: Value) -> AuditLink {
    let index = before.index.saturating_add(1);
    let mut digest = Sha256::new();
    digest.update(before.hash.0);
    digest.update(canonical(told, index));
    let hash = Hash(digest.finalize().into());
    AuditLink {
        previous: before.hash,
        point: AuditPoint { index, hash },
    }
}

/// The text that is hashed.
fn canonical(mut told: Value, index: u64) -> String {
    if let Some(told) = told.as_object_mut() {
        told.insert(CHAIN.to_owned(), json!({ "index": index }));
    }
    canonical_json(&told)
}
