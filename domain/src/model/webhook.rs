//! Webhook endpoints and what was delivered to them. The signing secrets are not here: each is
//! sealed in a row of its own, or, where there is none, derived from the cluster's pepper, the endpoint and
//! the secret's generation by whoever signs.

use serde::{Deserialize, Serialize};

use crate::id::{
    ApiKeyId, EnvironmentId, EventId, WebhookDeliveryId, WebhookEndpointId, WorkspaceId,
};
use crate::model::{ApiVersion, JOURNAL_KEPT_MS, JournalPlace, NoticeKind, NoticePlace};
use crate::time::{Revision, Timestamp};

/// How long after each failed attempt the next one follows, in milliseconds: 1 s, 30 s, 5 min,
/// 30 min, 2 h. After the last of them the delivery has failed.
pub const RETRY_DELAYS_MS: [u64; 5] = [1_000, 30_000, 300_000, 1_800_000, 7_200_000];

/// By how much a delay may be longer, in thousandths, so that what failed together does not come
/// back together.
pub const RETRY_JITTER_MAX: u32 = 100;

/// For how long everything may fail before an endpoint is disabled: five days, in milliseconds.
pub const FAILING_MAX_MS: u64 = 5 * 24 * 60 * 60 * 1000;

/// How long a delivery is kept after it has succeeded or failed, in log time: 30 days.
pub const DELIVERY_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// For how long an event may be delivered: a day less than it is kept, so that it does not go while a
/// delivery waits for its next attempt.
pub const DELIVERABLE_MS: u64 = JOURNAL_KEPT_MS - 24 * 60 * 60 * 1000;

/// Where events of an environment are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookEndpoint {
    /// Its identifier.
    pub id: WebhookEndpointId,
    /// The workspace that owns it.
    pub workspace_id: WorkspaceId,
    /// The environment whose events it gets.
    pub environment_id: EnvironmentId,
    /// The URL that events are posted to.
    pub url: String,
    /// The types that it wants; none is all.
    pub events: Vec<NoticeKind>,
    /// What the owner wrote.
    pub description: Option<String>,
    /// The release of the API that shows it events.
    pub api_version: ApiVersion,
    /// Whether it gets anything.
    pub status: EndpointStatus,
    /// Which secret signs: counts from 1, and grows with each rotation.
    pub secret_generation: u32,
    /// Until when the secret before signs as well.
    pub previous_secret_until: Option<Timestamp>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// When one of these attempts failed, by which the next one that fails half a day later or more is
    /// judged; that one takes its place.
    pub failed_at: Option<Timestamp>,
    /// Up to where the journal was taken over into deliveries.
    pub delivered: NoticePlace,
    /// The entry that disabled it, while it is disabled.
    pub disabled_at: Option<JournalPlace>,
    /// What lies behind `delivered` and happened while it was disabled, oldest first; at most
    /// [`Self::GAPS_MAX`].
    pub gaps: Vec<JournalGap>,
    /// Who made it.
    pub created_by: ApiKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed; what is delivered does not change it.
    pub updated_at: Option<Timestamp>,
    /// The entry that last changed it.
    pub revision: Revision,
}

/// A part of the journal that an endpoint does not get: from the row of the entry that disabled it up
/// to that of the one that enabled it, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalGap {
    /// The first row.
    pub from: JournalPlace,
    /// The last row.
    pub until: JournalPlace,
}

impl WebhookEndpoint {
    /// How many gaps are kept: an endpoint that is switched off and on more often before anything gets
    /// through is sent what happened in the oldest of them, rather than less than it should get.
    pub const GAPS_MAX: usize = 16;

    /// The gap that the row at `place` is in.
    #[must_use]
    pub fn gap_at(&self, place: JournalPlace) -> Option<&JournalGap> {
        let holds = |gap: &&JournalGap| gap.from <= place && place <= gap.until;
        self.gaps.iter().find(holds)
    }

    /// Whether it wants events of this type.
    #[must_use]
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }
}

/// Whether an endpoint gets events, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointStatus {
    /// It does.
    Enabled,
    /// Somebody disabled it.
    Disabled,
    /// It answered 410: it is gone.
    Gone,
    /// Nothing but failures for [`FAILING_MAX_MS`].
    Failing,
}

impl EndpointStatus {
    /// The reason as the API shows it.
    #[must_use]
    pub fn disabled_reason(self) -> Option<&'static str> {
        match self {
            Self::Enabled => None,
            Self::Disabled => Some("requested"),
            Self::Gone => Some("gone"),
            Self::Failing => Some("failing"),
        }
    }
}

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// Its identifier.
    pub id: WebhookDeliveryId,
    /// Where to.
    pub endpoint_id: WebhookEndpointId,
    /// The event.
    pub event_id: EventId,
    /// Where it is.
    pub event_at: NoticePlace,
    /// Its type.
    pub kind: NoticeKind,
    /// How it stands.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts_made: u32,
    /// How many of the retries were used since it was made or asked for again.
    pub retries_used: u32,
    /// The newest [`Self::ATTEMPTS_KEPT`] attempts, oldest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl WebhookDelivery {
    /// How many attempts are kept: all of the usual course, and another after a manual retry.
    pub const ATTEMPTS_KEPT: usize = 12;

    /// When it ends, were it in `state`: one that waits fails, one that is finished is removed.
    #[must_use]
    pub fn ends_at(&self, state: DeliveryState) -> Timestamp {
        match state {
            DeliveryState::Pending { .. } => {
                let happened = self.event_id.unix_ms().map(Timestamp);
                happened.unwrap_or(self.created_at).plus_ms(DELIVERABLE_MS)
            }
            DeliveryState::Succeeded { at } | DeliveryState::Failed { at } => {
                at.plus_ms(DELIVERY_KEPT_MS)
            }
        }
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    /// An attempt will be made.
    Pending {
        /// Not before this.
        next_at: Timestamp,
    },
    /// The receiver took it.
    Succeeded {
        /// When that was recorded.
        at: Timestamp,
    },
    /// No attempt will be made unless somebody asks for one.
    Failed {
        /// Since when.
        at: Timestamp,
    },
}

impl DeliveryState {
    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether an attempt will be made.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending { .. })
    }
}

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// When it was made.
    pub at: Timestamp,
    /// The status that the receiver answered with.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: u32,
    /// The beginning of what the receiver answered.
    pub head: String,
}

impl DeliveryAttempt {
    /// Whether the receiver took the event.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}
