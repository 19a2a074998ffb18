//! The records that a workspace's state is made of. Each is stored as one row; how rows are
//! keyed and encoded is [`crate::table`]'s matter, what may change is `decide`'s.

mod access;
mod api_key;
mod idempotency;
mod manifest;
mod route;
mod rule;
mod scopes;
mod snapshot;
mod upstream;

pub use access::{Environment, EnvironmentKind, Plan, Workspace};
pub use api_key::{ApiKey, KeyHash, KeyKind, KeySalt, PreviousSecret};
pub use idempotency::{Fingerprint, IDEMPOTENCY_TTL_MS, IdempotencyKey, IdempotencyRecord};
pub use manifest::{Epoch, Manifest, ManifestVersion};
pub use route::{Mode, PublishedRoute, Route, RouteDraft};
pub use rule::{
    Metadata, PRIORITY_MAX, Priority, PublishedRule, Rule, RuleChange, RuleEvent, RuleEventKind,
    RuleStatus,
};
pub use scopes::{Grant, Resource, ResourceScope, Scopes, Verb};
pub use snapshot::{Snapshot, SnapshotState, SnapshotVersion};
pub use upstream::{Algorithm, Target, Upstream, WEIGHT_MAX};
