//! The records that a workspace's state is made of. Each is stored as one row; how rows are
//! keyed and encoded is [`crate::table`]'s matter, what may change is `decide`'s.

mod access;
mod api_key;
mod api_version;
mod audit;
mod certificate;
mod cluster;
mod edge;
mod expiry;
mod idempotency;
mod ip_range;
mod journal;
mod manifest;
mod outage;
mod pepper;
mod purges;
mod route;
mod rule;
mod rule_version;
mod scopes;
mod sealed;
mod shift;
mod signing;
mod snapshot;
mod upstream;
mod upstream_settings;
mod webhook;

pub use access::{Environment, EnvironmentKind, Plan, Workspace};
pub use api_key::{ApiKey, KeyHash, KeyKind, KeySalt, PreviousSecret};
pub use api_version::ApiVersion;
pub use audit::{AuditChain, AuditLink, AuditPoint};
pub use certificate::{Certificate, CertificateMaterial};
pub use cluster::{ClusterChange, ClusterRecord, ClusterSettings, MemberId, RetiredMember};
pub use edge::{
    EDGE_TOKEN_MS, EdgeBinding, EdgeEnrolment, EdgePublicKey, EdgeRecord, EdgeToken, EdgeTokenUse,
    REVOKED_EDGE_KEPT_MS,
};
pub use expiry::{EXPIRY_DAYS, Expiring, ExpiryNotice};
pub use idempotency::{
    Fingerprint, IDEMPOTENCY_TTL_MS, IdempotencyKey, IdempotencyRecord, StoredReply,
};
pub use ip_range::IpRange;
pub use journal::{
    About, Change, JOURNAL_KEPT_MS, JournalEntry, JournalPlace, Notice, NoticeKind, NoticePlace,
    ObjectKind,
};
pub use manifest::{Epoch, Manifest, ManifestVersion};
pub use outage::Outage;
pub use pepper::{PepperId, Peppering};
pub use purges::{
    Missed, PURGED_BYTES_MAX, PURGED_URL_BYTES_MAX, PURGED_URLS_MAX, PurgedUrl, Purges,
    purged_bytes,
};
pub use route::{Mode, PublishedRoute, Route, RouteDraft};
pub use rule::{
    Metadata, PRIORITY_MAX, Priority, PublishedRule, Rule, RuleChange, RuleEvent, RuleEventKind,
    RuleField, RuleStatus,
};
pub use rule_version::{FieldChange, RuleVersion, RuleVersionNumber};
pub use scopes::{Grant, Resource, ResourceScope, Scopes, Verb};
pub use sealed::{
    Envelope, KekId, SEALED_DATA_KEY_BYTES, Seal, SealedKey, Sealing, SecretGeneration, SecretPlace,
};
pub use shift::{AbortCause, AbortOn, SHARE_WHOLE, Shift, ShiftState, ShiftWeights};
pub use signing::{
    SIGNING_KEYS_MAX, SignatureBytes, Signing, SigningKey, SigningKeyId, SigningPublicKey, Voucher,
};
pub use snapshot::{Snapshot, SnapshotState, SnapshotVersion};
pub use upstream::{Algorithm, Target, Upstream, WEIGHT_MAX};
pub use upstream_settings::{
    Check, CheckKind, Ejection, HashKey, Limits, Protocol, UpstreamSettings, UpstreamTls,
};
pub use webhook::{
    DELIVERABLE_MS, DELIVERY_KEPT_MS, DeliveryAttempt, DeliveryState, EndpointStatus,
    FAILING_MAX_MS, JournalGap, RETRY_DELAYS_MS, RETRY_JITTER_MAX, WebhookDelivery,
    WebhookEndpoint,
};
