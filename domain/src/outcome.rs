//! What the state machine answers. A reply is stored with its idempotency key and replayed from
//! any node, so it holds the objects as they were then, not references to them.

use serde::{Deserialize, Serialize};

use crate::id::{
    CertificateId, EdgeTokenId, EnvironmentId, SnapshotId, TargetId, UpstreamId, WebhookEndpointId,
    WorkspaceId,
};
use crate::model::{
    ApiKey, Certificate, EdgeRecord, EdgeToken, Environment, Route, RouteDraft, Rule, Shift,
    Snapshot, Target, Upstream, WebhookDelivery, WebhookEndpoint, Workspace,
};
use crate::rejection::Rejection;
use crate::time::{Revision, Timestamp};

/// A command's result. A rejection is a *successful* log entry: every replica gives it alike.
pub type Reply = Result<Outcome, Rejection>;

/// A command's result with what the log adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What is answered.
    pub reply: Reply,
    /// The entry that made the change: an earlier one where `replayed`.
    pub revision: Revision,
    /// Whether this is the stored reply of an earlier entry.
    pub replayed: bool,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "replies are made once and moved, never kept in bulk"
)]
pub enum Outcome {
    /// The first workspace was made.
    Bootstrapped {
        /// The workspace.
        workspace_id: WorkspaceId,
        /// The environment `production`.
        production_id: EnvironmentId,
        /// The environment `sandbox`.
        sandbox_id: EnvironmentId,
    },
    /// A key was made, changed, rolled or revoked.
    ApiKey(ApiKey),
    /// An upstream was made or changed.
    Upstream(Upstream),
    /// An upstream was removed.
    UpstreamDeleted {
        /// Which.
        id: UpstreamId,
        /// When.
        at: Timestamp,
    },
    /// A route was made, changed or archived; with its draft.
    Route(Route, RouteDraft),
    /// A rule was made, changed or archived.
    Rule(Rule),
    /// A snapshot is the active one. `unchanged` where a publish found nothing to change.
    Published {
        /// The active snapshot.
        snapshot: Snapshot,
        /// Whether it was the active one already.
        unchanged: bool,
    },
    /// A webhook endpoint was made, changed, or given a new secret.
    WebhookEndpoint(WebhookEndpoint),
    /// A webhook endpoint was removed.
    WebhookEndpointDeleted {
        /// Which.
        id: WebhookEndpointId,
        /// When.
        at: Timestamp,
    },
    /// These deliveries will be attempted now.
    Deliveries(Vec<WebhookDelivery>),
    /// What became of attempts was written down.
    Recorded,
    /// A rule was paused or resumed.
    RuleSwitched {
        /// The rule.
        rule: Rule,
        /// The active snapshot, where that was to be made live.
        snapshot_id: Option<SnapshotId>,
    },
    /// A route was enabled or disabled.
    RouteSwitched {
        /// The route.
        route: Route,
        /// Its draft.
        draft: RouteDraft,
        /// The active snapshot, where that was to be made live.
        snapshot_id: Option<SnapshotId>,
    },
    /// Several rules were made, changed or archived.
    Rules(Vec<Rule>),
    /// A target of an upstream was made or changed.
    Target(Target),
    /// A target of an upstream was removed.
    TargetDeleted {
        /// Which.
        id: TargetId,
        /// When.
        at: Timestamp,
    },
    /// An environment was made.
    Environment(Environment),
    /// The workspace was changed.
    Workspace(Workspace),
    /// What was reported about keys was taken note of.
    KeyUsesRecorded,
    /// A certificate was made or changed.
    Certificate(Certificate),
    /// A certificate was removed.
    CertificateDeleted {
        /// Which.
        id: CertificateId,
        /// When.
        at: Timestamp,
    },
    /// An upstream that has had a shift was changed, or its shift was.
    ShiftedUpstream(Upstream, Shift),
    /// A join token was made.
    EdgeToken(EdgeToken),
    /// A join token was removed.
    EdgeTokenDeleted {
        /// Which.
        id: EdgeTokenId,
        /// When.
        at: Timestamp,
    },
    /// An edge was let in or turned away.
    Edge(EdgeRecord),
}
