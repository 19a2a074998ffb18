//! What operators may ask of a cluster and what they are told: JSON on the admin listener, between
//! nodes, and in the subcommands' output.

use std::fmt;

use edge_protocol::signing::TrustDocument;
use raft_store::types::{Member, NodeId};
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use crate::consensus::check::StateCheck;

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterRequest {
    /// How the cluster stands.
    Status,
    /// What operators asked for lately.
    Changes,
    /// How the node stands that is asked, whoever leads.
    Examine,
    /// A node joins as a learner. It says by itself where it is reached, but for what is given here.
    Add(NewMember),
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A voter becomes a learner.
    Demote(NodeId),
    /// A member leaves; its number is used up.
    Remove(NodeId),
    /// A member leaves, and a learner votes in its place.
    Replace {
        /// Who leaves.
        id: NodeId,
        /// Who takes its place.
        with: NodeId,
    },
    /// Another voter leads; the best one, if none is named.
    TransferLeader(Option<NodeId>),
    /// The leader should be in this region; `None` where it does not matter.
    PreferRegion(Option<String>),
    /// The keys that sign what edges follow.
    SigningKeys,
    /// Another key signs from now on.
    RotateSigningKey,
    /// Nothing is believed any more that the key with this name signed.
    RetireSigningKey(String),
    /// How secrets are sealed.
    Secrets,
    /// Secrets are sealed under the key that the nodes' settings name first, now.
    RewrapSecrets,
}

impl fmt::Display for ClusterRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Changes => f.write_str("changes"),
            Self::Examine => f.write_str("examining the node"),
            Self::Add(new) => write!(f, "adding node {}", new.id),
            Self::Promote(id) => write!(f, "promoting node {id}"),
            Self::Demote(id) => write!(f, "demoting node {id}"),
            Self::Remove(id) => write!(f, "removing node {id}"),
            Self::Replace { id, with } => write!(f, "replacing node {id} by node {with}"),
            Self::TransferLeader(None) => f.write_str("transferring leadership"),
            Self::TransferLeader(Some(to)) => write!(f, "transferring leadership to node {to}"),
            Self::PreferRegion(_) => f.write_str("preferring a region"),
            Self::SigningKeys => f.write_str("signing keys"),
            Self::RotateSigningKey => f.write_str("rotating the signing key"),
            Self::RetireSigningKey(key) => write!(f, "retiring the signing key {key}"),
            Self::Secrets => f.write_str("secrets"),
            Self::RewrapSecrets => f.write_str("sealing secrets under another key"),
        }
    }
}

/// A node that is to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Its number, which no node ever had.
    pub id: NodeId,
    /// `host:port` where the other nodes reach it.
    pub internal: String,
    /// The region it runs in; without it, what the node says.
    #[serde(default)]
    pub region: Option<String>,
    /// The base URL of its REST API; without it, what the node says.
    #[serde(default)]
    pub rest: Option<String>,
    /// `host:port` where edges reach it; without it, what the node says.
    #[serde(default)]
    pub publisher: Option<String>,
}

/// Who asks, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The HTTP method; `CLI` for a subcommand.
    pub method: String,
    /// The path, or the subcommand.
    pub path: String,
    /// Where it came from.
    pub address: Option<String>,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterReply {
    /// How the cluster stands.
    Status(Box<ClusterStatus>),
    /// What operators asked for lately, the latest first.
    Changes(Vec<ChangeRecord>),
    /// How the node stands that was asked.
    Condition(Box<Condition>),
    /// It is done.
    Done(Done),
    /// The keys that sign what edges follow.
    SigningKeys(Box<TrustDocument>),
    /// How secrets are sealed.
    Secrets(Box<SecretsStatus>),
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Whether anything had to be done.
    pub changed: bool,
    /// In words.
    pub message: String,
    /// What to know now: [`ClusterStatus::risks`] after the change.
    pub risks: Vec<String>,
}

/// How the cluster stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Who says so. Only the leader knows who answers.
    pub answered_by: NodeId,
    /// Who leads, as far as that is known.
    pub leader: Option<NodeId>,
    /// The Raft term.
    pub term: u64,
    /// Up to where entries are known to be committed.
    pub committed: u64,
    /// Up to where this node has applied them.
    pub applied: u64,
    /// The region in which the leader should be.
    pub preferred_region: Option<String>,
    /// What is going on, in words.
    pub under_way: Option<String>,
    /// The members, by number.
    pub members: Vec<MemberStatus>,
    /// How many voters have to agree.
    pub quorum: usize,
    /// What may go wrong before writes stop, in words; unknown to others than the leader.
    pub risks: Vec<String>,
    /// How the members' states compare, by the one that answers; `None` where its release does not compare them.
    #[serde(default)]
    pub state_check: Option<StateCheck>,
}

/// How a member stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// The region it runs in.
    pub region: String,
    /// `host:port` for the other members.
    pub internal: String,
    /// The base URL of its REST API.
    pub rest: String,
    /// `host:port` for edges.
    pub publisher: String,
    /// Whether it answers the leader; `None` where that is not known.
    pub alive: Option<bool>,
    /// How long ago it last answered the leader.
    pub heard_ms: Option<u64>,
    /// How many entries it lacks.
    pub lag: Option<u64>,
    /// Whether it is being removed.
    pub leaving: bool,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It leads.
    Leader,
    /// It votes.
    Voter,
    /// It follows without a vote.
    Learner,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
        })
    }
}

/// How the cluster's secrets are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsStatus {
    /// The leader, who says so.
    pub answered_by: NodeId,
    /// The key that secrets are sealed under; `None` is the pepper.
    pub active: Option<String>,
    /// Since when, in Unix seconds.
    pub active_since: Option<u64>,
    /// The key that the leader's settings name first.
    pub wanted: Option<String>,
    /// What keeps secrets from being sealed under it, in words.
    pub waits_for: Vec<String>,
    /// Which keys each member has.
    pub members: Vec<MemberKeys>,
    /// How many secrets are sealed under which key.
    pub secrets: Vec<SealedSecrets>,
    /// How many are not sealed under the active key yet.
    pub left: u64,
    /// Those that cannot be sealed anew, and why.
    pub unopened: Vec<String>,
    /// Under which pepper keys are hashed; nothing before there is a workspace, or of a release that has one pepper.
    #[serde(default)]
    pub pepper: Option<PepperStatus>,
}

/// Under which pepper API keys and join tokens are hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PepperStatus {
    /// The pepper that new ones are hashed under.
    pub active: String,
    /// Since when, in Unix seconds; nothing of the one that the cluster began with.
    pub active_since: Option<u64>,
    /// The pepper that the leader's file has first.
    pub wanted: String,
    /// What keeps keys from being hashed under it, in words.
    pub waits_for: Vec<String>,
    /// How many that work are hashed under which pepper.
    pub keys: Vec<PepperedKeys>,
}

/// How many secrets that work are hashed under a pepper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PepperedKeys {
    /// The pepper's name.
    pub pepper: String,
    /// Of API keys. One that was rolled has two until the overlap ends.
    pub api_keys: u64,
    /// Of join tokens.
    pub join_tokens: u64,
}

/// Which key-encryption keys and peppers a member has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberKeys {
    /// Its number.
    pub id: NodeId,
    /// Their names, the wanted one first.
    pub keys: Vec<String>,
    /// The names of its peppers, the wanted one first.
    #[serde(default)]
    pub peppers: Vec<String>,
    /// Why that is not known.
    pub problem: Option<String>,
}

/// How many secrets are sealed under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecrets {
    /// The key's name, or `pepper`.
    pub key: String,
    /// The key that signs what edges follow.
    pub signing_keys: u64,
    /// Private keys of certificates.
    pub certificates: u64,
    /// What signs webhooks. Those that are derived of the pepper are counted there.
    pub webhook_secrets: u64,
}

/// What an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// The log entry that tells of it.
    pub revision: u64,
    /// When, in Unix seconds.
    pub at: u64,
    /// What, in words.
    pub change: String,
    /// Who asked.
    pub by: Asker,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ClusterError {
    /// It was refused; nothing was changed.
    #[error("{message}")]
    Refused {
        /// For programs.
        code: String,
        /// In words, with what to do.
        message: String,
    },
    /// Nobody could decide on it now; nothing was changed.
    #[error("{reason}")]
    Unavailable {
        /// In words, with what to do.
        reason: String,
    },
    /// It was begun, and nobody knows yet how it ends.
    #[error("{reason}")]
    Unfinished {
        /// In words, with what to do.
        reason: String,
    },
    /// Another node leads meanwhile: ask that one.
    #[error("node {this} does not lead any more; ask again")]
    Moved {
        /// Who was asked.
        this: NodeId,
    },
}

impl NewMember {
    /// As a member, where the node itself says what is not given.
    pub(super) fn complete(&self, said: &Member) -> Member {
        let or =
            |given: &Option<String>, said: &String| given.clone().unwrap_or_else(|| said.clone());
        Member {
            id: self.id,
            region: or(&self.region, &said.region),
            internal: self.internal.clone(),
            rest: or(&self.rest, &said.rest),
            publisher: or(&self.publisher, &said.publisher),
        }
    }
}
