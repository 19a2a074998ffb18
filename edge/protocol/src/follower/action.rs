//! What the edge's machine asks of its driver, is answered, and tells.

use domain::id::{ClusterId, EnvironmentId};

use super::Chunks;
use crate::signing::{SignedManifest, TrustSet};
use crate::{ManifestRef, Refusal, Report, Welcome};

/// What the driver is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Apply `manifest`, whose chunks are all held or in `chunks`, and answer by
    /// [`Follower::handle_applied`](super::Follower::handle_applied). There is never more than one at a time.
    Apply {
        /// Which, with what proves it.
        manifest: SignedManifest,
        /// Those that were fetched; each has been checked against its hash.
        chunks: Chunks,
    },
    /// Keep whom to trust from now on, so that it holds after a restart.
    Trust(TrustSet),
    /// Close the connection: the reason is for the node and the log.
    Close(CloseReason),
}

/// Why a connection is given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The node does not serve this edge.
    #[error("the node refused: {0}")]
    Refused(#[from] Refusal),
    /// The node sent something that a node does not send.
    #[error("the node broke the protocol: {0}")]
    Violation(String),
    /// The environment of this name is another one than the edge followed before. Its versions
    /// mean nothing here, so following it needs a decision: start the edge with empty data.
    #[error("the node serves environment {offered}, this edge follows {followed}")]
    ForeignEnvironment {
        /// The one that this edge follows.
        followed: EnvironmentId,
        /// The node's.
        offered: EnvironmentId,
    },
    /// The node is of another cluster. What that publishes means nothing here, whoever has signed it.
    #[error(
        "the node is of cluster {offered}, this edge follows {followed}; if that is wanted, stop the edge, \
         remove all but `identity` from its data directory, and start it again"
    )]
    ForeignCluster {
        /// The one that this edge follows.
        followed: ClusterId,
        /// The node's.
        offered: ClusterId,
    },
    /// Nothing came in time.
    #[error("the node has been silent for too long while the edge waited for {0}")]
    Silent(&'static str),
    /// The node takes nothing in.
    #[error("the node does not read what the edge sends")]
    Stuck,
}

/// How applying failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyFailure {
    /// The content cannot be used, now or later.
    Content(String),
    /// The edge itself is short of something (a full disk): worth another try.
    Local {
        /// What failed.
        reason: String,
        /// The chunks that were handed over, so that they are not fetched again.
        chunks: Chunks,
    },
}

/// What happened, for the log and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node let the edge in.
    Welcomed(Welcome),
    /// A manifest was offered that is older than the current one.
    IgnoredOlder {
        /// The offered one.
        offered: ManifestRef,
        /// The current one.
        current: ManifestRef,
    },
    /// A manifest was refused; the current one stays.
    Rejected {
        /// Which.
        manifest: ManifestRef,
        /// Why.
        reason: String,
    },
    /// A signature is not believed; a manifest that bears it was refused, too.
    Untrusted {
        /// Why, in a word.
        word: &'static str,
    },
    /// Others are trusted than before.
    Trusts {
        /// The cluster.
        cluster_id: ClusterId,
        /// Which set it is.
        serial: u64,
    },
    /// Whom to trust was not taken over: what was trusted is.
    Distrusted {
        /// Why.
        reason: String,
    },
    /// Some keys of whom to trust were not taken over, for which nobody vouches; the others were.
    LeftOut {
        /// Which.
        reason: String,
    },
    /// A manifest is being fetched.
    Fetching(ManifestRef),
    /// A node no longer had what a manifest needs.
    Gone(ManifestRef),
    /// A manifest is in use.
    Applied(Report),
}
