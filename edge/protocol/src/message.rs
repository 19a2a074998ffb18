//! What the two sides say to each other. Order and shape of variants and fields are the wire
//! format: [`crate::frame`] keeps golden bytes of each.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::id::EnvironmentId;
use domain::tree::Hash;
use serde::{Deserialize, Serialize};

use crate::ManifestRef;
use crate::health::HealthReport;
use crate::limits::{
    CHUNK_BYTES_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, PUBLISHERS_MAX, REASON_BYTES_MAX,
    TRACEPARENT_BYTES_MAX, WANT_HASHES_MAX,
};
use crate::patch::{Patch, Wanted};
use crate::signing::{SignedManifest, SignedTrust};
use crate::telemetry::Batch;

/// From an edge to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// Who the edge is and what it has; the first frame, and only the first.
    Hello(Hello),
    /// The chunks that the edge lacks, at most [`WANT_HASHES_MAX`].
    Want(Vec<Hash>),
    /// How far the edge is with a manifest.
    Report(Report),
    /// The answer to a ping.
    Pong,
    /// What the edge counted; only to a node whose welcome said [`crate::TELEMETRY_SINCE`] or more.
    Telemetry(Batch),
    /// Chunks that the edge lacks, at most [`WANT_HASHES_MAX`], where it has others in their places
    /// before; only to a node that speaks [`crate::PATCHES_SINCE`] or more.
    WantPatches(Vec<Wanted>),
    /// Which targets take no requests; sent when that changes.
    Health(HealthReport),
    /// What the edge makes of whom the node says to trust; sent when that changes, and only to a node that speaks
    /// [`crate::TRUST_REPORTS_SINCE`] or more.
    Trust(TrustReport),
}

/// From a node to an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEdge {
    /// The edge is let in; the first frame, unless it is a refusal.
    Welcome(Welcome),
    /// The manifest to follow.
    Manifest(SignedManifest),
    /// Chunks that were asked for.
    Chunks(Vec<Bytes>),
    /// Chunks that were asked for and are no longer kept: the manifest that needs them is no
    /// longer current. The one that is follows.
    Gone(Vec<Hash>),
    /// The edge is not, or no longer, served; the last frame.
    Refused(Refusal),
    /// Are you there?
    Ping,
    /// Chunks that were asked for, as what differs from others. What is not worth it, or has no base
    /// here, comes whole.
    Patches(Vec<Patch>),
    /// Whom to trust; it comes before the first manifest.
    Trust(SignedTrust),
    /// In which trace a manifest was published that follows; only to an edge that speaks
    /// [`crate::TRACES_SINCE`] or more. Nothing is decided by it, and it is not signed.
    Trace(Traced),
}

/// Who an edge is and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it speaks: [`crate::PROTOCOL`].
    pub protocol: u16,
    /// Its identifier, which its certificate must carry as well.
    pub edge_id: String,
    /// The name of the environment that it serves.
    pub environment: String,
    /// Where it is.
    pub region: String,
    /// Labels from its settings.
    pub labels: BTreeMap<String, String>,
    /// Its software version.
    pub software: String,
    /// The manifest that it serves by, if any.
    pub have: Option<ManifestRef>,
}

/// What a node says to an edge that it lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What is spoken on this connection: the newest version that both sides know.
    pub protocol: u16,
    /// The node.
    pub node_id: u64,
    /// The environment that the edge named.
    pub environment_id: EnvironmentId,
    /// `host:port` of every node that publishes.
    pub publishers: Vec<String>,
}

/// In which trace a manifest was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Which manifest.
    pub manifest: ManifestRef,
    /// The place in the trace, as W3C Trace Context writes it.
    pub traceparent: String,
}

/// How far an edge is with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which manifest.
    pub manifest: ManifestRef,
    /// How far.
    pub state: ReportState,
    /// How long decoding, compiling and storing took.
    pub apply_ms: u64,
    /// How many chunks were fetched for it.
    pub chunks_fetched: u64,
    /// How many bytes these were.
    pub bytes_fetched: u64,
}

/// What an edge makes of whom its node says to trust. An edge that never said so on a connection trusts all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustReport {
    /// What it does not believe of that, and why; a word for programs comes first.
    pub problem: Option<String>,
}

/// The steps of following a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportState {
    /// It is newer than what the edge serves, and is being fetched.
    Received,
    /// All of it is there and has the right hashes.
    Verified,
    /// Requests are answered by it.
    Applied,
    /// The edge goes on with what it has.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// Why a node does not serve an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// No common protocol.
    #[error("the node speaks protocol {node}, the edge {edge}")]
    Protocol {
        /// The node's.
        node: u16,
        /// The edge's.
        edge: u16,
    },
    /// The certificate is not this edge's.
    #[error("the certificate does not belong to edge {edge_id}")]
    Identity {
        /// Who the edge said it was.
        edge_id: String,
    },
    /// There is no such environment.
    #[error("there is no environment {name}")]
    UnknownEnvironment {
        /// The name as it was given.
        name: String,
    },
    /// The node has as many edges as it takes.
    #[error("the node serves as many edges as it can")]
    Full,
    /// The node is going away.
    #[error("the node is shutting down")]
    Draining,
    /// The edge broke the protocol.
    #[error("protocol violation: {0}")]
    Violation(String),
    /// The edge was turned away, or another one has taken its place.
    #[error("the edge {edge_id} was revoked, or has another key")]
    Revoked {
        /// Who the edge said it was.
        edge_id: String,
    },
}

/// A text cut to [`REASON_BYTES_MAX`] at a character's edge.
#[must_use]
pub fn reason(text: impl Into<String>) -> String {
    let mut text = text.into();
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}

/// A message whose size can be judged beyond its shape.
pub trait Bounded {
    /// What is too large about it.
    ///
    /// # Errors
    /// A sentence that names the bound.
    fn check(&self) -> Result<(), &'static str>;
}

impl Bounded for ToNode {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Hello(hello) => hello.check(),
            Self::Want(hashes) if hashes.len() > WANT_HASHES_MAX => {
                Err("too many chunks are wanted at once")
            }
            Self::WantPatches(wanted) if wanted.len() > WANT_HASHES_MAX => {
                Err("too many chunks are wanted at once")
            }
            Self::Report(report) => report.check(),
            Self::Trust(report) => report.check(),
            Self::Telemetry(batch) => batch.check(),
            Self::Health(report) => report.check(),
            Self::Want(_) | Self::WantPatches(_) | Self::Pong => Ok(()),
        }
    }
}

impl Bounded for ToEdge {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Welcome(welcome) if welcome.publishers.len() > PUBLISHERS_MAX => {
                Err("too many nodes")
            }
            Self::Chunks(chunks) if chunks.iter().any(|chunk| chunk.len() > CHUNK_BYTES_MAX) => {
                Err("a chunk is too large")
            }
            Self::Patches(patches)
                if patches.iter().any(|it| it.middle.len() > CHUNK_BYTES_MAX) =>
            {
                Err("a patch is too large")
            }
            Self::Trace(traced) if traced.traceparent.len() > TRACEPARENT_BYTES_MAX => {
                Err("a place in a trace is too long")
            }
            _ => Ok(()),
        }
    }
}

impl Hello {
    fn check(&self) -> Result<(), &'static str> {
        let names = [
            &self.edge_id,
            &self.environment,
            &self.region,
            &self.software,
        ];
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err("a name is too long");
        }
        if self.labels.len() > LABELS_MAX {
            return Err("there are too many labels");
        }
        if self
            .labels
            .iter()
            .any(|(key, value)| key.len().max(value.len()) > LABEL_BYTES_MAX)
        {
            return Err("a label is too long");
        }
        Ok(())
    }
}

impl Report {
    fn check(&self) -> Result<(), &'static str> {
        match &self.state {
            ReportState::Rejected { reason } if reason.len() > REASON_BYTES_MAX => {
                Err("a reason is too long")
            }
            _ => Ok(()),
        }
    }
}

impl TrustReport {
    fn check(&self) -> Result<(), &'static str> {
        match &self.problem {
            Some(problem) if problem.len() > REASON_BYTES_MAX => Err("a reason is too long"),
            _ => Ok(()),
        }
    }
}
