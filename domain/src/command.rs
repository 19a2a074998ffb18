//! What may be asked of the state machine. A command is complete: every identifier, time and
//! secret hash that it needs was put in by the proposer, so that each replica does the same.

#![allow(
    missing_docs,
    reason = "fields carry the names of the model and the API"
)]

mod alone;
mod certificate;
mod cluster;
mod edge;
mod expiry;
mod growth;
mod outage;
mod pepper;
mod purge;
mod sealing;
mod several;
mod shift;
mod signing;
mod webhook;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use alone::{PublishAlone, SwitchRoute, SwitchRule};
pub use certificate::{CreateCertificate, DeleteCertificate, UpdateCertificate};
pub use cluster::ChangeCluster;
pub use edge::{CreateEdgeToken, DeleteEdgeToken, EnrolEdge, ForgetEdges, RevokeEdge};
pub use expiry::TellExpiries;
pub use outage::{OutageChange, RecordOutages};
pub use pepper::{ActivatePepper, IssueKey, KeyIssue, MoveKeys, MovedKey};
pub use purge::PurgeCache;
pub use sealing::{ActivateKek, IssueWebhookSecret, RewrapSecrets, RewrappedSecret, SecretIssue};
pub use several::{BatchRules, ReorderRules, RuleOperation, RuleOrder};
pub use shift::{CancelShift, ShiftTurn, StartShift, StepShift};
pub use signing::{ChangeSigningKeys, NewSigningKey, SigningChange};
pub use webhook::{
    CreateWebhookEndpoint, DeleteWebhookEndpoint, RecordDeliveries, RecordedAttempt, ReplayEvent,
    RetryDelivery, RotateWebhookSecret, UpdateWebhookEndpoint,
};

use crate::id::{
    ApiKeyId, EnvironmentId, OrgId, RequestId, RouteId, RuleId, SnapshotId, TargetId, UpstreamId,
    WorkspaceId,
};
use crate::model::{
    Algorithm, ApiVersion, EnvironmentKind, Fingerprint, IdempotencyKey, IpRange, KeyHash, KeyKind,
    KeySalt, Metadata, Mode, Plan, Priority, ResourceScope, SnapshotVersion, Target, Verb,
};
use crate::time::{Revision, Timestamp};

/// A command with what the proposer stamped on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// The proposer's wall clock. The state machine never lets log time go back, so the time
    /// that takes effect may be later.
    pub at: Timestamp,
    /// The request that caused it.
    pub request_id: RequestId,
    /// How a retry is recognised, if the client asked for that.
    pub idempotency: Option<Idempotency>,
    /// What is asked.
    pub command: Command,
    /// How the request came, for the audit log.
    pub origin: Origin,
    /// What the client expects of the object that it is about.
    pub precondition: Option<Precondition>,
}

/// How a request came. Nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The HTTP method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The address that the client connected from, where it is known.
    pub address: Option<String>,
}

impl fmt::Display for Stamped {
    /// What kind of command it is and who asked; never what it carries, because this ends up in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({})",
            self.command.name(),
            self.request_id.as_str()
        )
    }
}

/// A client's idempotency key and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The client's key.
    pub key: IdempotencyKey,
    /// What was asked with it.
    pub fingerprint: Fingerprint,
}

/// What a client expects of the object that its command is about, which it has seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// It exists, in whatever state.
    Exists,
    /// One of these entries was the last to write it.
    WrittenAt(Vec<Revision>),
}

/// On whose behalf: everything a command touches must be in this environment; what is not is
/// answered like something that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The key's workspace.
    pub workspace_id: WorkspaceId,
    /// The key's environment.
    pub environment_id: EnvironmentId,
    /// The key.
    pub api_key_id: ApiKeyId,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Bootstrap(Box<Bootstrap>),
    RevokeApiKey(RevokeApiKey),
    CreateUpstream(Actor, CreateUpstream),
    UpdateUpstream(Actor, UpdateUpstream),
    DeleteUpstream(Actor, DeleteUpstream),
    CreateRoute(Actor, CreateRoute),
    UpdateRoute(Actor, UpdateRoute),
    ArchiveRoute(Actor, ArchiveRoute),
    CreateRule(Actor, CreateRule),
    UpdateRule(Actor, UpdateRule),
    ArchiveRule(Actor, ArchiveRule),
    Publish(Actor, Publish),
    Rollback(Actor, Rollback),
    CreateWebhookEndpoint(Actor, CreateWebhookEndpoint),
    UpdateWebhookEndpoint(Actor, UpdateWebhookEndpoint),
    DeleteWebhookEndpoint(Actor, DeleteWebhookEndpoint),
    RotateWebhookSecret(Actor, RotateWebhookSecret),
    RetryDelivery(Actor, RetryDelivery),
    ReplayEvent(Actor, ReplayEvent),
    RecordDeliveries(RecordDeliveries),
    SwitchRule(Actor, SwitchRule),
    SwitchRoute(Actor, SwitchRoute),
    ReorderRules(Actor, ReorderRules),
    BatchRules(Actor, BatchRules),
    ChangeTarget(Actor, ChangeTarget),
    CreateApiKey(Actor, CreateApiKey),
    UpdateApiKey(Actor, UpdateApiKey),
    RollApiKey(Actor, RollApiKey),
    RevokeApiKeyFor(Actor, RevokeApiKey),
    CreateEnvironment(Actor, CreateEnvironment),
    UpdateWorkspace(Actor, UpdateWorkspace),
    RecordKeyUses(RecordKeyUses),
    PurgeCache(Actor, PurgeCache),
    RecordOutages(RecordOutages),
    CreateCertificate(Actor, CreateCertificate),
    UpdateCertificate(Actor, UpdateCertificate),
    DeleteCertificate(Actor, DeleteCertificate),
    StartShift(Actor, StartShift),
    CancelShift(Actor, CancelShift),
    StepShift(StepShift),
    TellExpiries(TellExpiries),
    ChangeCluster(ChangeCluster),
    CreateEdgeToken(Actor, CreateEdgeToken),
    DeleteEdgeToken(Actor, DeleteEdgeToken),
    EnrolEdge(Actor, EnrolEdge),
    RevokeEdge(Actor, RevokeEdge),
    ChangeSigningKeys(ChangeSigningKeys),
    ActivateKek(ActivateKek),
    RewrapSecrets(RewrapSecrets),
    IssueWebhookSecret(Actor, IssueWebhookSecret),
    ActivatePepper(ActivatePepper),
    MoveKeys(MoveKeys),
    IssueKey(Actor, IssueKey),
    ForgetEdges(ForgetEdges),
}

impl Command {
    /// What kind of command it is, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bootstrap(_) => "bootstrap",
            Self::RevokeApiKey(_) => "revoke_api_key",
            Self::CreateUpstream(..) => "create_upstream",
            Self::UpdateUpstream(..) => "update_upstream",
            Self::DeleteUpstream(..) => "delete_upstream",
            Self::CreateRoute(..) => "create_route",
            Self::UpdateRoute(..) => "update_route",
            Self::ArchiveRoute(..) => "archive_route",
            Self::CreateRule(..) => "create_rule",
            Self::UpdateRule(..) => "update_rule",
            Self::ArchiveRule(..) => "archive_rule",
            Self::Publish(..) => "publish",
            Self::Rollback(..) => "rollback",
            Self::CreateWebhookEndpoint(..) => "create_webhook_endpoint",
            Self::UpdateWebhookEndpoint(..) => "update_webhook_endpoint",
            Self::DeleteWebhookEndpoint(..) => "delete_webhook_endpoint",
            Self::RotateWebhookSecret(..) => "rotate_webhook_secret",
            Self::RetryDelivery(..) => "retry_delivery",
            Self::ReplayEvent(..) => "replay_event",
            Self::RecordDeliveries(_) => "record_deliveries",
            Self::SwitchRule(..) => "switch_rule",
            Self::SwitchRoute(..) => "switch_route",
            Self::ReorderRules(..) => "reorder_rules",
            Self::BatchRules(..) => "batch_rules",
            Self::ChangeTarget(..) => "change_target",
            Self::CreateApiKey(..) => "create_api_key",
            Self::UpdateApiKey(..) => "update_api_key",
            Self::RollApiKey(..) => "roll_api_key",
            Self::RevokeApiKeyFor(..) => "revoke_api_key_for",
            Self::CreateEnvironment(..) => "create_environment",
            Self::UpdateWorkspace(..) => "update_workspace",
            Self::RecordKeyUses(_) => "record_key_uses",
            Self::PurgeCache(..) => "purge_cache",
            Self::RecordOutages(_) => "record_outages",
            Self::CreateCertificate(..) => "create_certificate",
            Self::UpdateCertificate(..) => "update_certificate",
            Self::DeleteCertificate(..) => "delete_certificate",
            Self::StartShift(..) => "start_shift",
            Self::CancelShift(..) => "cancel_shift",
            Self::StepShift(_) => "step_shift",
            Self::TellExpiries(_) => "tell_expiries",
            Self::ChangeCluster(_) => "change_cluster",
            Self::CreateEdgeToken(..) => "create_edge_token",
            Self::DeleteEdgeToken(..) => "delete_edge_token",
            Self::EnrolEdge(..) => "enrol_edge",
            Self::RevokeEdge(..) => "revoke_edge",
            Self::ChangeSigningKeys(_) => "change_signing_keys",
            Self::ActivateKek(_) => "activate_kek",
            Self::RewrapSecrets(_) => "rewrap_secrets",
            // As the audit log has always called what is asked for.
            Self::IssueWebhookSecret(_, issue) => match issue.to {
                SecretIssue::Create(_) => "create_webhook_endpoint",
                SecretIssue::Rotate(_) => "rotate_webhook_secret",
            },
            Self::ActivatePepper(_) => "activate_pepper",
            Self::MoveKeys(_) => "move_keys",
            Self::ForgetEdges(_) => "forget_edges",
            Self::IssueKey(_, issue) => match issue.to {
                KeyIssue::CreateApiKey(_) => "create_api_key",
                KeyIssue::RollApiKey(_) => "roll_api_key",
                KeyIssue::CreateEdgeToken(_) => "create_edge_token",
            },
        }
    }

    /// On whose behalf, where there is an actor.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Bootstrap(_)
            | Self::RevokeApiKey(_)
            | Self::RecordDeliveries(_)
            | Self::RecordKeyUses(_)
            | Self::RecordOutages(_)
            | Self::StepShift(_)
            | Self::TellExpiries(_)
            | Self::ChangeCluster(_)
            | Self::ChangeSigningKeys(_)
            | Self::ActivateKek(_)
            | Self::RewrapSecrets(_)
            | Self::ActivatePepper(_)
            | Self::MoveKeys(_)
            | Self::ForgetEdges(_) => None,
            Self::CreateUpstream(actor, _)
            | Self::UpdateUpstream(actor, _)
            | Self::DeleteUpstream(actor, _)
            | Self::CreateRoute(actor, _)
            | Self::UpdateRoute(actor, _)
            | Self::ArchiveRoute(actor, _)
            | Self::CreateRule(actor, _)
            | Self::UpdateRule(actor, _)
            | Self::ArchiveRule(actor, _)
            | Self::Publish(actor, _)
            | Self::Rollback(actor, _)
            | Self::CreateWebhookEndpoint(actor, _)
            | Self::UpdateWebhookEndpoint(actor, _)
            | Self::DeleteWebhookEndpoint(actor, _)
            | Self::RotateWebhookSecret(actor, _)
            | Self::RetryDelivery(actor, _)
            | Self::ReplayEvent(actor, _)
            | Self::SwitchRule(actor, _)
            | Self::SwitchRoute(actor, _)
            | Self::ReorderRules(actor, _)
            | Self::BatchRules(actor, _)
            | Self::ChangeTarget(actor, _)
            | Self::CreateApiKey(actor, _)
            | Self::UpdateApiKey(actor, _)
            | Self::RollApiKey(actor, _)
            | Self::RevokeApiKeyFor(actor, _)
            | Self::CreateEnvironment(actor, _)
            | Self::UpdateWorkspace(actor, _)
            | Self::PurgeCache(actor, _)
            | Self::CreateCertificate(actor, _)
            | Self::UpdateCertificate(actor, _)
            | Self::DeleteCertificate(actor, _)
            | Self::StartShift(actor, _)
            | Self::CancelShift(actor, _)
            | Self::CreateEdgeToken(actor, _)
            | Self::DeleteEdgeToken(actor, _)
            | Self::EnrolEdge(actor, _)
            | Self::RevokeEdge(actor, _)
            | Self::IssueWebhookSecret(actor, _)
            | Self::IssueKey(actor, _) => Some(actor),
        }
    }
}

/// Makes the first workspace with a live environment `production` and a test environment
/// `sandbox`, and one key for each. Refused once a workspace exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    pub org_id: OrgId,
    pub workspace_id: WorkspaceId,
    pub workspace_name: String,
    pub plan: Plan,
    /// The newest release.
    pub api_version: ApiVersion,
    pub production: NewEnvironment,
    pub sandbox: NewEnvironment,
    /// Recognises the pepper, so that a node started with another one can say so.
    pub pepper_check: KeyHash,
}

/// An environment and its first key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEnvironment {
    pub id: EnvironmentId,
    pub key_id: ApiKeyId,
    pub key_hash: KeyHash,
}

/// Ends a key; repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeApiKey {
    pub id: ApiKeyId,
}

/// Makes an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateUpstream {
    pub id: UpstreamId,
    pub name: String,
    pub algorithm: Algorithm,
    /// Settings that are not the defaults, as a JSON object.
    pub settings: Option<String>,
    pub targets: Vec<Target>,
}

/// Changes the given fields of an upstream and gives every route that uses it a new draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateUpstream {
    pub id: UpstreamId,
    /// From this, each using route's draft identifier is derived.
    pub draft_seed: DraftSeed,
    pub name: Option<String>,
    pub algorithm: Option<Algorithm>,
    /// Settings that are to be others, as a JSON object; `null` for a default.
    pub settings: Option<String>,
    pub targets: Option<Vec<Target>>,
    /// Those of the targets that the client named, which the upstream must have.
    pub named: Vec<TargetId>,
}

/// Changes one target of an upstream and gives every route that uses it a new draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeTarget {
    pub upstream_id: UpstreamId,
    pub draft_seed: DraftSeed,
    pub change: TargetChange,
}

/// What is done to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetChange {
    /// It comes after the others.
    Add(Target),
    /// The given fields change.
    Update {
        id: TargetId,
        address: Option<String>,
        port: Option<u16>,
        weight: Option<u32>,
        regions: Option<Vec<String>>,
        drain: Option<bool>,
    },
    /// It goes.
    Remove(TargetId),
}

/// Time and random bits for draft identifiers of which the proposer cannot know how many are
/// needed: the n-th is made from `random + n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftSeed {
    pub unix_ms: u64,
    pub random: u64,
}

/// Removes an upstream that no rule or route uses, drafts and live snapshots included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteUpstream {
    pub id: UpstreamId,
}

/// Makes a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRoute {
    pub id: RouteId,
    pub draft_id: SnapshotId,
    pub name: String,
    /// Normalised by [`crate::content::hostname`].
    pub hostname: String,
    pub mode: Mode,
    pub enabled: bool,
    /// The `config` object as compact JSON.
    pub config: String,
}

/// Changes the given fields of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRoute {
    pub id: RouteId,
    pub draft_id: SnapshotId,
    pub name: Option<String>,
    pub hostname: Option<String>,
    pub mode: Option<Mode>,
    pub enabled: Option<bool>,
    /// An RFC 7396 merge patch on `config`, as compact JSON.
    pub config_patch: Option<String>,
}

/// Archives a route that is not live, or whose live snapshot is disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRoute {
    pub id: RouteId,
}

/// Makes a rule, as a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRule {
    pub id: RuleId,
    pub draft_id: SnapshotId,
    pub route_id: RouteId,
    pub name: String,
    pub priority: Priority,
    /// The `match` object as compact JSON, as sent.
    pub criteria: String,
    /// The `action` object as compact JSON, as sent.
    pub action: String,
    pub metadata: Metadata,
}

/// Changes the given fields of a rule; never what is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRule {
    pub id: RuleId,
    pub draft_id: SnapshotId,
    pub name: Option<String>,
    pub priority: Option<Priority>,
    pub criteria: Option<String>,
    pub action: Option<String>,
    /// Merged; `None` removes a label.
    pub metadata: Vec<(String, Option<String>)>,
    pub status: Option<DesiredStatus>,
}

/// The statuses that a patch may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesiredStatus {
    /// In the next snapshot.
    Active,
    /// Not in the next snapshot.
    Paused,
}

/// Archives a rule that is not live; on an archived one it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRule {
    pub id: RuleId,
    pub draft_id: SnapshotId,
}

/// Freezes a route's draft into a snapshot and makes it the active one. Where nothing differs
/// from the active snapshot, the reply is that one and nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub route_id: RouteId,
    /// The draft that starts after this one.
    pub next_draft_id: SnapshotId,
    /// The draft that is meant, if the client named one; another one is a failed precondition.
    pub draft_id: Option<SnapshotId>,
    /// The active snapshot that the client expects; another one is a failed precondition.
    pub expected_active: Option<SnapshotId>,
    pub comment: Option<String>,
}

/// Makes an earlier snapshot's content the active one again, as a new snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    pub route_id: RouteId,
    /// The new snapshot.
    pub snapshot_id: SnapshotId,
    /// The draft that starts after it.
    pub next_draft_id: SnapshotId,
    pub to: RollbackTo,
    pub expected_active: Option<SnapshotId>,
    /// Also sets the draft to the target's content.
    pub reset_draft: bool,
    pub comment: Option<String>,
}

/// Which snapshot a rollback goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RollbackTo {
    /// This one.
    Snapshot(SnapshotId),
    /// The one with this version.
    Version(SnapshotVersion),
    /// So many versions before the active one; at least 1.
    Steps(u64),
}

/// Makes an API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateApiKey {
    pub id: ApiKeyId,
    pub hash: KeyHash,
    pub salt: KeySalt,
    pub kind: KeyKind,
    pub name: String,
    /// Where it may act; unless told otherwise it acts in the first. Secret keys have one.
    pub environments: Vec<EnvironmentId>,
    pub routes: Vec<RouteId>,
    pub methods: Vec<Verb>,
    pub resources: Vec<ResourceScope>,
    /// From where it works; none is everywhere.
    pub ip_allowlist: Vec<IpRange>,
    pub expires_at: Option<Timestamp>,
}

/// Changes the given fields of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateApiKey {
    pub id: ApiKeyId,
    pub name: Option<String>,
    /// Replaces the whole list.
    pub ip_allowlist: Option<Vec<IpRange>>,
}

/// Gives a key a new secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollApiKey {
    pub id: ApiKeyId,
    pub hash: KeyHash,
    pub salt: KeySalt,
    /// How long the secret before it goes on working; 0 is not at all.
    pub overlap_ms: u64,
}

/// Makes an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateEnvironment {
    pub id: EnvironmentId,
    pub name: String,
    pub kind: EnvironmentKind,
}

/// Changes the given fields of the actor's workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateWorkspace {
    pub name: Option<String>,
    pub api_version: Option<ApiVersion>,
}

/// When a node last saw keys used. It is reported seldom and for many keys at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordKeyUses {
    pub uses: Vec<(ApiKeyId, Timestamp)>,
}
