//! What clients asked of the API, and what they were told.

use super::Environment;

/// One HTTP attempt of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which client.
    pub client: usize,
    /// The node that was asked, counted from 1.
    pub node: usize,
    /// The environment that the API key acts in.
    pub environment: Environment,
    /// The API key's identifier, or a name for it until that is known.
    pub api_key: String,
    /// What was asked.
    pub call: Call,
    /// When it was sent, in simulated microseconds.
    pub sent_us: u64,
    /// When the answer came, or the client gave up.
    pub ended_us: u64,
    /// When the client would have given up.
    pub deadline_us: u64,
    /// The answer.
    pub answer: Answer,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The object that the path names.
    pub about: Option<String>,
    /// The idempotency key.
    pub key: Option<String>,
    /// The names that it gives to rules: identifier and name. A new rule has no identifier yet.
    pub renames: Vec<(String, String)>,
    /// Whether what the node has applied is enough, whatever the leader knows.
    pub stale: bool,
}

/// The operations that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Make an upstream.
    MakeUpstream,
    /// Make a route.
    MakeRoute,
    /// Change a route's settings.
    ChangeRoute,
    /// Make a rule, whose name is the idempotency key.
    CreateRule,
    /// Give a rule a name that no other write uses.
    RenameRule,
    /// Give a rule another priority.
    PrioritiseRule,
    /// Set the markers' answers.
    MarkRules,
    /// Archive a rule.
    ArchiveRule,
    /// Pause a rule.
    PauseRule,
    /// Resume a rule.
    ResumeRule,
    /// Several changes of rules at once.
    Batch,
    /// Another order of a route's rules.
    Reorder,
    /// Publish a route.
    Publish,
    /// Publish a route, and wait for edges.
    PublishAndWait,
    /// Take a route back.
    RollBack,
    /// Have edges give up what they keep of a route.
    Purge,
    /// Make a webhook endpoint.
    MakeEndpoint,
    /// Give an endpoint a new secret.
    RotateSecret,
    /// Make an API key.
    MakeKey,
    /// End an API key.
    RevokeKey,
    /// Read a rule.
    ReadRule,
    /// Read the first rules of a route.
    ListRules,
    /// Read a route.
    ReadRoute,
    /// Read the newest snapshots of a route.
    ListSnapshots,
    /// Read a snapshot.
    ReadSnapshot,
    /// Compare the active snapshot with the draft.
    ReadDiff,
    /// Read the newest events.
    ListEvents,
    /// Read the newest entries of the audit log.
    ListAudit,
    /// Read the current manifest.
    ReadManifest,
    /// Ask who one is, as fast as one can.
    Hurry,
    /// Something that has to be refused.
    Bad(&'static str),
}

impl Operation {
    /// Whether it may change something.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(
            self,
            Self::ReadRule
                | Self::ListRules
                | Self::ReadRoute
                | Self::ListSnapshots
                | Self::ReadSnapshot
                | Self::ReadDiff
                | Self::ListEvents
                | Self::ListAudit
                | Self::ReadManifest
                | Self::Hurry
        )
    }
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 2xx.
    Done(Box<Done>),
    /// 4xx: known not applied.
    Refused {
        /// The status.
        status: u16,
        /// The error's code.
        code: String,
        /// `VectorGate-Request-Id`.
        request_id: String,
        /// `VectorGate-Revision`: up to which the refusal is judged.
        revision: u64,
        /// Whether it is the stored answer of an earlier attempt.
        replayed: bool,
        /// Objects that the body names, as [`mention`] makes them.
        mentions: Vec<u64>,
    },
    /// 503 `cluster_unavailable`: known not applied.
    Unavailable {
        /// `VectorGate-Request-Id`.
        request_id: String,
    },
    /// There was no connection, so nothing was sent.
    NotSent,
    /// Anything else: it may have been applied or may be yet.
    Unknown(Silence),
}

/// Why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No answer came by the client's deadline.
    TimedOut,
    /// The connection broke.
    Broken,
    /// An answer came that does not tell.
    Told {
        /// The status.
        status: u16,
        /// The error's code.
        code: String,
        /// `VectorGate-Request-Id`.
        request_id: String,
    },
}

/// An answer of success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The status.
    pub status: u16,
    /// `VectorGate-Revision`: the entry that made the change, or up to which was read.
    pub revision: u64,
    /// Whether it is the stored answer of an earlier attempt.
    pub replayed: bool,
    /// `VectorGate-Request-Id`.
    pub request_id: String,
    /// What every replay has to repeat: the first bytes of the SHA-256 of the body, without what it
    /// says of a wait.
    pub digest: u64,
    /// What of it the checks look at.
    pub seen: Seen,
    /// Objects that the body names, as [`mention`] makes them.
    pub mentions: Vec<u64>,
    /// Environments that the body names.
    pub environments: Vec<Environment>,
}

/// What of a body the checks look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    #[default]
    Nothing,
    /// A rule.
    Rule(RuleSeen),
    /// The first rules of a route that are not archived, by priority.
    Rules {
        /// The route.
        route: String,
        /// Its rules.
        rules: Vec<RuleSeen>,
        /// Whether there are more.
        more: bool,
    },
    /// Some rules.
    Some(Vec<RuleSeen>),
    /// A route.
    Route {
        /// Its identifier.
        id: String,
        /// Its active snapshot.
        active: Option<String>,
        /// That snapshot's version.
        version: u64,
    },
    /// A snapshot.
    Snapshot(SnapshotSeen),
    /// The newest snapshots of a route, newest first.
    Snapshots {
        /// The route.
        route: String,
        /// Its snapshots.
        snapshots: Vec<SnapshotSeen>,
        /// Whether there are more.
        more: bool,
    },
    /// The newest events, newest first.
    Events(Vec<String>),
    /// The newest entries of the audit log, newest first, by their revision.
    Audit(Vec<u64>),
    /// A manifest.
    Manifest {
        /// Its epoch.
        epoch: u64,
        /// Its version.
        version: u64,
    },
    /// Something with an identifier.
    Object(String),
}

/// A rule as an answer shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSeen {
    /// Its identifier.
    pub id: String,
    /// Its route.
    pub route: String,
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: u64,
    /// Its status.
    pub status: String,
    /// Whether it is live.
    pub live: bool,
}

/// A snapshot as an answer shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotSeen {
    /// Its identifier.
    pub id: String,
    /// Its route.
    pub route: String,
    /// Its version.
    pub version: u64,
    /// Whether it is the active one.
    pub active: bool,
    /// The first manifest with it.
    pub manifest_version: u64,
    /// Whether the answer says that nothing was to be published.
    pub unchanged: bool,
}

impl Answer {
    /// The answer of success, if it is one.
    #[must_use]
    pub fn done(&self) -> Option<&Done> {
        match self {
            Self::Done(done) => Some(done),
            _ => None,
        }
    }

    /// `VectorGate-Request-Id`, where there was one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Done(done) => Some(&done.request_id),
            Self::Refused { request_id, .. }
            | Self::Unavailable { request_id }
            | Self::Unknown(Silence::Told { request_id, .. }) => Some(request_id),
            Self::NotSent | Self::Unknown(Silence::TimedOut | Silence::Broken) => None,
        }
    }
}

/// An object's identifier, short: answers name many.
#[must_use]
pub fn mention(id: &str) -> u64 {
    super::short_hash(id.as_bytes())
}
