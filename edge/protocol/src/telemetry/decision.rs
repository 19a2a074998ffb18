//! One request as an example: which rule took it, and what came of it. It says nothing of who the
//! client was, and of the target only its path: what stands behind `?` may be a secret.

use domain::id::{RouteId, RuleId, SnapshotId};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::TargetKey;

/// The longest path of an example, in bytes; longer ones are cut.
pub(super) const PATH_BYTES_MAX: usize = 256;

/// The longest method of an example, in bytes; longer ones are cut.
pub(super) const METHOD_BYTES_MAX: usize = 32;

/// A request that stands for many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it came, by the edge's clock.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, without a query.
    pub path: String,
    /// The route that served its host.
    pub route: RouteId,
    /// The snapshot of the route that decided.
    pub snapshot: SnapshotId,
    /// The rule that took it; none where the route's own upstreams did, or nothing.
    pub rule: Option<RuleId>,
    /// What was decided.
    pub outcome: Outcome,
    /// Where it was sent, if anywhere.
    pub target: Option<TargetKey>,
    /// The status that the client got.
    pub status: u16,
    /// From the request's head to its answer's head, in microseconds.
    pub micros: u64,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was sent to a target.
    Forwarded,
    /// It was answered by the rule itself, or from what the edge keeps.
    Answered,
    /// It got an error of the edge's own.
    Refused,
}

impl Outcome {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Refused => "refused",
        }
    }
}

/// A text cut to so many bytes, at a character's edge.
#[must_use]
fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

impl Decision {
    /// A path as it may stand in an example.
    #[must_use]
    pub fn path(path: &str) -> String {
        cut(path, PATH_BYTES_MAX)
    }

    /// A method as it may stand in an example.
    #[must_use]
    pub fn method(method: &str) -> String {
        cut(method, METHOD_BYTES_MAX)
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.path.len() <= PATH_BYTES_MAX && self.method.len() <= METHOD_BYTES_MAX
    }
}
