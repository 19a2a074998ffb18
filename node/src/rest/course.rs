//! What comes to be known of a request while it is served. It is shared by whoever serves it and
//! whoever answers, so that it is known when the work is cut off or panics.

use std::sync::OnceLock;

use domain::id::EnvironmentId;

use super::deadline::Deadline;
use super::limits::Standings;
use super::version::Release;

/// How a request goes on.
#[derive(Debug)]
pub(crate) struct Course {
    /// How the limits stand.
    pub(crate) standings: Standings,
    /// By when it is answered.
    pub(crate) deadline: Deadline,
    /// The release that it is pinned to: by its head, or else by its caller's workspace.
    version: OnceLock<Release>,
    /// Where it acts, once its caller is known.
    environment: OnceLock<EnvironmentId>,
}

impl Course {
    /// That of a request which has to be answered by then.
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self {
            standings: Standings::default(),
            deadline,
            version: OnceLock::new(),
            environment: OnceLock::new(),
        }
    }

    /// Says where the request acts.
    pub(crate) fn place(&self, environment: &EnvironmentId) {
        self.environment.get_or_init(|| environment.clone());
    }

    /// Where it acts, if that came to be known.
    pub(crate) fn environment(&self) -> Option<&EnvironmentId> {
        self.environment.get()
    }

    /// Says which release the request is pinned to, unless that is known.
    pub(crate) fn pin(&self, version: Release) {
        self.version.get_or_init(|| version);
    }

    /// The release that it is answered by.
    pub(crate) fn version(&self) -> Release {
        self.version.get().copied().unwrap_or_default()
    }
}
