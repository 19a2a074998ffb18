//! A request whose answer others wait for, so that an origin is asked once for what many want.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::store::Cache;
use super::stored::Place;

/// How a flight ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landed {
    /// Its answer is kept; look again.
    Kept,
    /// Its answer is its own, or there is none; ask for yourself.
    NotKept,
    /// Nobody waited for its answer any more; another may lead.
    Gone,
}

/// Leads a flight. Dropped before it landed, as when the client leaves, it lets those who wait choose
/// another.
#[derive(Debug)]
pub struct Lead {
    pub(super) cache: Arc<Cache>,
    pub(super) id: u64,
    /// Where the answer belongs.
    pub place: Place,
    pub(super) landed: watch::Sender<Option<Landed>>,
    pub(super) outdated: Arc<AtomicBool>,
}

impl Lead {
    /// Whether the URL was changed or purged meanwhile, so that the answer may be of before that.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    /// Tells those who wait how it ended. What is kept must be in the cache already.
    pub fn land(self, landed: Landed) {
        self.cache.end(self.place.hash, self.id);
        self.landed.send_replace(Some(landed));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.cache.end(self.place.hash, self.id);
    }
}

/// Waits until a flight has ended, in whatever way.
pub async fn wait(mut landed: watch::Receiver<Option<Landed>>) -> Landed {
    match landed.wait_for(Option::is_some).await {
        Ok(landed) => landed.unwrap_or(Landed::Gone),
        Err(_) => Landed::Gone,
    }
}
