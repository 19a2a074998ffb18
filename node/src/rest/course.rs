//! What comes to be known of a request while it is served. It is shared by whoever serves it and
//! whoever answers, so that it is known when the work is cut off or panics.

use super::deadline::Deadline;
use super::limits::Standings;

/// How a request goes on.
#[derive(Debug)]
pub(crate) struct Course {
    /// How the limits stand.
    pub(crate) standings: Standings,
    /// By when it is answered.
    pub(crate) deadline: Deadline,
}

impl Course {
    /// That of a request which has to be answered by then.
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self {
            standings: Standings::default(),
            deadline,
        }
    }
}
