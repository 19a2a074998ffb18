//! The journal: for each log entry that changed an environment, who did it, what changed, and which
//! events clients hear of. It is one row, written with the change itself, and serves the audit
//! log, the list and the stream of events, and the delivery of webhooks.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::command::Origin;
use crate::id::{
    ApiKeyId, AuditId, EventId, RequestId, RouteId, RuleId, Seed, SnapshotId, UpstreamId,
    WebhookEndpointId,
};
use crate::model::{AuditLink, IdempotencyKey, RuleVersionNumber};
use crate::time::{Revision, Timestamp};

/// How long a row is kept at least, in log time: 400 days, so that the audit log tells of a whole
/// year. Events are shown as long.
pub const JOURNAL_KEPT_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// A place in the journal: before the first row, or a row that has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JournalPlace {
    /// The row's time.
    pub at: Timestamp,
    /// The row's log entry.
    pub revision: Revision,
}

impl JournalPlace {
    /// Just before this row.
    #[must_use]
    pub fn before(self) -> Self {
        Self {
            revision: Revision(self.revision.0.saturating_sub(1)),
            ..self
        }
    }
}

/// A place in a row of the journal: just before one of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NoticePlace {
    /// The row.
    pub row: JournalPlace,
    /// The event's place among those of the row.
    pub index: u32,
}

impl NoticePlace {
    /// Behind all events of a row.
    #[must_use]
    pub fn behind(row: JournalPlace) -> Self {
        let index = u32::MAX;
        Self { row, index }
    }
}

/// What one log entry did to an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Whose key asked for it; nobody's, where the cluster did it by itself.
    pub actor: Option<ApiKeyId>,
    /// The request.
    pub request_id: RequestId,
    /// How it came.
    pub origin: Origin,
    /// The idempotency key that it carried.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What was asked, by the command's name.
    pub operation: String,
    /// What changed.
    pub changes: Vec<Change>,
    /// What clients hear of.
    pub notices: Vec<Notice>,
    /// How it hangs on the entry before it; nothing, where it is from before there was a chain.
    pub link: Option<AuditLink>,
}

impl JournalEntry {
    /// The entry as the audit log names it; `at` is the time of the row.
    #[must_use]
    pub fn audit_id(&self, at: Timestamp) -> AuditId {
        AuditId::new(self.seed(at, u64::MAX))
    }

    /// The identifier of a notice; the same for everybody who asks, and on every attempt to
    /// deliver it.
    #[must_use]
    pub fn event_id(&self, at: Timestamp, index: u32) -> EventId {
        EventId::new(self.seed(at, index.into()))
    }

    /// Derived from the request's identifier, whose random part is the proposer's.
    fn seed(&self, at: Timestamp, index: u64) -> Seed {
        let mut digest = Sha256::new();
        digest.update(self.request_id.as_str());
        digest.update(index.to_be_bytes());
        let digest = digest.finalize();
        let mut random = [0; 8];
        random.copy_from_slice(&digest[..8]);
        Seed {
            unix_ms: at.0,
            random: u64::from_be_bytes(random),
        }
    }
}

/// What happened to one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its kind.
    pub object: ObjectKind,
    /// Its identifier.
    pub id: String,
    /// The route that it is or belongs to.
    pub route_id: Option<RouteId>,
    /// The fields that differ, as they were: a compact JSON object. Nothing if it was not there.
    pub before: Option<String>,
    /// The same fields as they are. Nothing if it is not there any more.
    pub after: Option<String>,
    /// The version of the rule that says both of these, which are not said here then.
    pub version: Option<RuleVersionNumber>,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All, with the names that the API shows.
            pub const NAMES: &'static [(&'static str, Self)] = &[$(($text, Self::$variant),)*];

            /// The name as the API shows it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

names! {
    /// A kind of object that the audit log tells of.
    ObjectKind {
        /// A rule.
        Rule = "rule",
        /// A route.
        Route = "route",
        /// An upstream.
        Upstream = "upstream",
        /// A snapshot.
        Snapshot = "snapshot",
        /// An API key.
        ApiKey = "api_key",
        /// A webhook endpoint.
        WebhookEndpoint = "webhook_endpoint",
        /// An environment.
        Environment = "environment",
        /// The workspace.
        Workspace = "workspace",
        /// A certificate.
        Certificate = "certificate",
        /// A token by which an edge joins.
        EdgeToken = "edge_token",
        /// An edge.
        Edge = "edge",
    }
}

names! {
    /// The type of an event, as clients see them.
    NoticeKind {
        /// A rule was made.
        RuleCreated = "rule.created",
        /// A rule passed the checks of syntax and references.
        RuleValidated = "rule.validated",
        /// A rule was changed.
        RuleUpdated = "rule.updated",
        /// A rule was paused.
        RulePaused = "rule.paused",
        /// A rule was resumed.
        RuleResumed = "rule.resumed",
        /// A rule was archived.
        RuleArchived = "rule.archived",
        /// A route was made.
        RouteCreated = "route.created",
        /// A route's settings were changed.
        RouteUpdated = "route.updated",
        /// A route was archived.
        RouteArchived = "route.archived",
        /// A route was published.
        RoutePublished = "route.published",
        /// A route was taken back to an earlier snapshot.
        RouteRollback = "route.rollback",
        /// An upstream was changed.
        UpstreamUpdated = "upstream.updated",
        /// An API key was revoked.
        ApiKeyRevoked = "api_key.revoked",
        /// A webhook endpoint was disabled, by somebody or because it failed for too long.
        WebhookEndpointDisabled = "webhook_endpoint.disabled",
        /// An API key was made.
        ApiKeyCreated = "api_key.created",
        /// A rule did not pass the checks of syntax and references.
        RuleValidationFailed = "rule.validation_failed",
        /// The edges of a region see all targets of an upstream down.
        UpstreamFailed = "upstream.failed",
        /// The edges of a region see an upstream up again.
        UpstreamRecovered = "upstream.recovered",
        /// A certificate expires soon.
        CertificateExpiring = "certificate.expiring",
        /// An API key expires soon.
        ApiKeyExpiring = "api_key.expiring",
    }
}

impl NoticeKind {
    /// Whether an event of this type says what one change does: the one at the event's own place in
    /// the row.
    #[must_use]
    pub fn is_of_a_change(self) -> bool {
        matches!(self, Self::CertificateExpiring | Self::ApiKeyExpiring)
    }
}

/// Something that clients hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its type.
    pub kind: NoticeKind,
    /// The objects that it is about.
    pub about: About,
}

/// The objects that a notice is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The route.
    pub route_id: Option<RouteId>,
    /// The rule.
    pub rule_id: Option<RuleId>,
    /// The snapshot.
    pub snapshot_id: Option<SnapshotId>,
    /// The snapshot whose content a rollback brought back.
    pub source_snapshot_id: Option<SnapshotId>,
    /// The upstream.
    pub upstream_id: Option<UpstreamId>,
    /// The API key.
    pub api_key_id: Option<ApiKeyId>,
    /// The webhook endpoint.
    pub webhook_endpoint_id: Option<WebhookEndpointId>,
    /// The region.
    pub region: Option<String>,
}
