//! What happened. Events are complete: replayed in order onto empty rows they give the same
//! state, chunks included. They live for one step only and are not persisted; what must survive
//! is in the rows.

use std::collections::BTreeMap;

use crate::id::{EnvironmentId, RouteId, RuleId, SnapshotId, UpstreamId, WebhookEndpointId};
use crate::model::{
    ApiKey, Certificate, ClusterRecord, ClusterSettings, DeliveryState, EdgeRecord, EdgeToken,
    Environment, Expiring, ExpiryNotice, IdempotencyKey, IdempotencyRecord, JournalEntry, KeyHash,
    Manifest, ManifestVersion, MemberId, Outage, PepperId, Peppering, Priority, RetiredMember,
    Route, Rule, RuleStatus, RuleVersion, RuleVersionNumber, SealedKey, Sealing, SecretGeneration,
    Shift, Signing, SigningKey, SigningKeyId, Snapshot, Upstream, WebhookDelivery, WebhookEndpoint,
    Workspace,
};
use crate::schema::{BootstrapRecord, Draft, History, LogClock, Uses};
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// One thing that happened. Objects are as they are afterwards; what indexes need of how they
/// were before stands beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "events live for one step and are moved, not kept"
)]
pub enum Event {
    /// Log time went on, or it became known when the next answer expires.
    Ticked(LogClock),
    /// A request with an idempotency key was answered.
    Answered {
        /// Whose.
        scope: AnswerScope,
        /// What is remembered.
        record: IdempotencyRecord,
        /// The expiry of the ended record in whose place this one comes.
        replaces: Option<Timestamp>,
    },
    /// An answer's time was over.
    AnswerExpired {
        /// Whose.
        scope: AnswerScope,
        /// When its time was over.
        expires_at: Timestamp,
    },
    /// The first workspace was made.
    Bootstrapped(Box<Bootstrapped>),
    /// An upstream was made.
    UpstreamCreated(Upstream),
    /// An upstream was changed.
    UpstreamChanged(Upstream),
    /// An upstream was removed, and with it what was known of its shift.
    UpstreamDeleted(Upstream),
    /// A shift started, took a step or ended.
    ShiftChanged(Shift),
    /// An upstream went out of use in a region.
    OutageBegan {
        /// The environment.
        environment_id: EnvironmentId,
        /// The upstream.
        upstream_id: UpstreamId,
        /// The region.
        region: String,
        /// Since when.
        outage: Outage,
    },
    /// An upstream is in use again in a region, or does not exist any more.
    OutageEnded {
        /// The environment.
        environment_id: EnvironmentId,
        /// The upstream.
        upstream_id: UpstreamId,
        /// The region.
        region: String,
        /// Whether the upstream recovered.
        recovered: bool,
    },
    /// A route was made.
    RouteCreated(Route),
    /// A route was changed, published or archived.
    RouteChanged {
        /// Where indexes had it.
        before: RoutePlace,
        /// The route.
        after: Route,
    },
    /// A route's draft changed.
    DraftChanged {
        /// The environment.
        environment_id: EnvironmentId,
        /// The route.
        route_id: RouteId,
        /// The draft.
        draft: Draft,
    },
    /// A route came to use an upstream in another way.
    UsesChanged {
        /// The environment.
        environment_id: EnvironmentId,
        /// The route.
        route_id: RouteId,
        /// The upstream.
        upstream_id: UpstreamId,
        /// How it was used.
        before: Uses,
        /// How it is used.
        after: Uses,
    },
    /// A rule was made.
    RuleCreated(Rule),
    /// A rule was changed, published, taken out of what is live, archived or restored.
    RuleChanged {
        /// Where indexes had it.
        before: RulePlace,
        /// The rule.
        after: Rule,
    },
    /// A snapshot was published.
    SnapshotPublished(Snapshot),
    /// A snapshot is not the active one any more.
    SnapshotReplaced(Snapshot),
    /// A tree is kept, by a snapshot or as a manifest's root.
    TreeKept {
        /// Its root.
        root: Hash,
        /// Its chunks, at least those that no other kept tree has.
        chunks: BTreeMap<Hash, Vec<u8>>,
    },
    /// A tree is not kept any more; its chunks go, but for those of other kept trees.
    TreeDropped {
        /// Its root.
        root: Hash,
    },
    /// An environment has a new manifest.
    ManifestMoved {
        /// The manifest.
        manifest: Manifest,
        /// The version whose root is not kept any more.
        dropped: Option<ManifestVersion>,
    },
    /// What the entry did was written down.
    Journaled {
        /// The environment.
        environment_id: EnvironmentId,
        /// When.
        at: Timestamp,
        /// The log entry.
        revision: Revision,
        /// What it did.
        entry: Box<JournalEntry>,
    },
    /// A webhook endpoint was made.
    WebhookEndpointCreated(WebhookEndpoint),
    /// A webhook endpoint was changed, or more was delivered to it.
    WebhookEndpointChanged(WebhookEndpoint),
    /// A webhook endpoint was removed.
    WebhookEndpointDeleted(WebhookEndpoint),
    /// A delivery was made or changed.
    DeliveryChanged {
        /// The environment.
        environment_id: EnvironmentId,
        /// How it stood, if it was there.
        before: Option<DeliveryState>,
        /// The delivery.
        after: WebhookDelivery,
    },
    /// A delivery that was finished long ago was removed.
    DeliveryRemoved {
        /// The environment.
        environment_id: EnvironmentId,
        /// The delivery.
        delivery: WebhookDelivery,
    },
    /// A row of the journal was removed: its time was over.
    JournalTrimmed {
        /// The environment.
        environment_id: EnvironmentId,
        /// When it was written.
        at: Timestamp,
        /// The log entry that it told of.
        revision: Revision,
    },
    /// The kept history of an environment begins elsewhere, or other deliveries are pending.
    HistoryMoved {
        /// The environment.
        environment_id: EnvironmentId,
        /// Where.
        history: History,
    },
    /// A rule got a version.
    RuleVersioned {
        /// The environment.
        environment_id: EnvironmentId,
        /// The rule.
        rule_id: RuleId,
        /// The version.
        version: RuleVersion,
    },
    /// A rule's version was removed: there are many newer ones, and nothing tells of it.
    RuleVersionRemoved {
        /// The environment.
        environment_id: EnvironmentId,
        /// The rule.
        rule_id: RuleId,
        /// Its version.
        version: RuleVersionNumber,
    },
    /// A rule's version went live for the first time.
    RuleVersionPublished {
        /// The environment.
        environment_id: EnvironmentId,
        /// The rule.
        rule_id: RuleId,
        /// Its version.
        version: RuleVersionNumber,
        /// The snapshot.
        snapshot_id: SnapshotId,
    },
    /// A key was made.
    ApiKeyCreated(ApiKey),
    /// A key was renamed, rolled, revoked or used.
    ApiKeyChanged {
        /// The hashes that it was recognised by.
        before: Vec<KeyHash>,
        /// The key.
        after: ApiKey,
    },
    /// An environment was made.
    EnvironmentCreated(Environment),
    /// A workspace was renamed.
    WorkspaceChanged(Workspace),
    /// A certificate was made.
    CertificateCreated(Certificate),
    /// A certificate was changed.
    CertificateChanged(Certificate),
    /// A certificate was removed.
    CertificateDeleted {
        /// As it was.
        certificate: Certificate,
        /// The log entry.
        revision: Revision,
    },
    /// It was told that something expires.
    ExpiryTold {
        /// The environment.
        environment_id: EnvironmentId,
        /// What.
        of: Expiring,
        /// What was told.
        notice: ExpiryNotice,
    },
    /// A member leaves; its number is used up.
    MemberRetired {
        /// Which.
        member: MemberId,
        /// When.
        record: RetiredMember,
    },
    /// An operator asked something of the cluster.
    ClusterChanged {
        /// The log entry.
        revision: Revision,
        /// What.
        record: Box<ClusterRecord>,
    },
    /// The oldest of what operators asked for is not remembered any more.
    ClusterChangeForgotten {
        /// The log entry that told of it.
        revision: Revision,
    },
    /// What operators want of the cluster, and how many of their changes are kept.
    ClusterSettled(ClusterSettings),
    /// How the cluster signs.
    SigningSettled(Box<Signing>),
    /// A signing key was made or retired.
    SigningKeyChanged(SigningKey),
    /// A signing key that was retired long ago is not remembered any more.
    SigningKeyForgotten {
        /// Which.
        key: SigningKeyId,
    },
    /// Secrets are sealed under another key.
    KekActivated(Sealing),
    /// A certificate's private key is sealed under another key; nothing else of it changed.
    CertificateRewrapped(Box<Certificate>),
    /// A webhook endpoint's secret is kept.
    WebhookSecretKept {
        /// The environment.
        environment_id: EnvironmentId,
        /// The endpoint.
        endpoint_id: WebhookEndpointId,
        /// Which of its secrets.
        generation: SecretGeneration,
        /// As it is sealed.
        secret: SealedKey,
    },
    /// A webhook endpoint's secret that signs no more is not kept any longer.
    WebhookSecretForgotten {
        /// The environment.
        environment_id: EnvironmentId,
        /// The endpoint.
        endpoint_id: WebhookEndpointId,
        /// Which of its secrets.
        generation: SecretGeneration,
    },
    /// Keys are hashed under another pepper.
    PepperActivated(Peppering),
    /// A hash was made under a pepper that is named.
    HashPeppered {
        /// The hash of a key or a token.
        hash: KeyHash,
        /// The pepper.
        pepper: PepperId,
    },
    /// A join token was made.
    EdgeTokenCreated(EdgeToken),
    /// An edge came by a join token.
    EdgeTokenUsed(EdgeToken),
    /// A join token was removed.
    EdgeTokenDeleted(EdgeToken),
    /// A join token that expired long ago was removed.
    EdgeTokenForgotten(EdgeToken),
    /// An edge was let in.
    EdgeEnrolled(EdgeRecord),
    /// An edge was turned away.
    EdgeRevoked(EdgeRecord),
    /// An edge that was turned away long ago is not known any more.
    EdgeForgotten(EdgeRecord),
}

/// Within what an idempotency key means one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerScope {
    /// The environment, which is of one workspace.
    pub environment_id: EnvironmentId,
    /// The client's key.
    pub key: IdempotencyKey,
}

/// What bootstrapping made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrapped {
    /// The record of it.
    pub record: BootstrapRecord,
    /// The workspace.
    pub workspace: Workspace,
    /// Its environments.
    pub environments: Vec<Environment>,
    /// Their keys.
    pub api_keys: Vec<ApiKey>,
}

/// Where indexes have a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePlace {
    /// Whether it is archived.
    pub archived: bool,
    /// The hostname that its draft holds.
    pub hostname: Option<String>,
    /// The hostname that its live, enabled snapshot holds.
    pub live_hostname: Option<String>,
}

impl RoutePlace {
    /// Where indexes must have `route`.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        if route.archived_at.is_some() {
            return Self {
                archived: true,
                hostname: None,
                live_hostname: None,
            };
        }
        let live = route
            .published
            .as_ref()
            .filter(|published| published.enabled);
        Self {
            archived: false,
            hostname: Some(route.hostname.clone()),
            live_hostname: live.map(|published| published.hostname.clone()),
        }
    }
}

/// Where indexes have a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulePlace {
    /// Its status.
    pub status: RuleStatus,
    /// Its priority.
    pub priority: Priority,
    /// Whether it has pending changes.
    pub pending: bool,
}

impl RulePlace {
    /// Where indexes must have `rule`.
    #[must_use]
    pub fn of(rule: &Rule) -> Self {
        Self {
            status: rule.status,
            priority: rule.priority,
            pending: rule.pending_changes,
        }
    }
}
