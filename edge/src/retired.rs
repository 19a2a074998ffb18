//! Configurations that were replaced, freed away from the serving threads.
//!
//! Whoever lets go of a configuration last frees it, and one of many rules is hundreds of thousands of
//! pieces of memory: a serving thread would keep its clients waiting for tens of milliseconds. So
//! each configuration that is replaced is held here until nobody else holds it, and freed on a
//! thread that nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::active::Active;
use crate::configuration::Configuration;
use crate::workers::Placement;

/// How often it is looked whether what was replaced is still held. A request holds its
/// configuration to its last byte, and a thread without requests holds the last it saw.
const PERIOD: Duration = Duration::from_secs(1);

/// What was replaced and may be held yet.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    waiting: Mutex<Vec<Arc<Configuration>>>,
    added: Notify,
}

impl Retired {
    /// One more. From now on nobody can come to hold it who does not hold it already.
    pub(crate) fn add(&self, configuration: Arc<Configuration>) {
        self.waiting.lock().push(configuration);
        self.added.notify_one();
    }

    /// Those that nobody holds any more.
    fn take_free(&self) -> Vec<Arc<Configuration>> {
        let free = |configuration: &mut Arc<Configuration>| Arc::strong_count(configuration) == 1;
        self.waiting.lock().extract_if(.., free).collect()
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

/// Frees what was replaced, once nobody holds it, for as long as the edge serves.
pub(crate) async fn free(active: Arc<Active>, placement: Placement) {
    let retired = active.retired();
    loop {
        while retired.is_empty() {
            retired.added.notified().await;
        }
        sleep(PERIOD).await;
        let free = retired.take_free();
        match placement {
            // If it panics that was printed, and memory is all that is at stake.
            Placement::Threads if !free.is_empty() => drop(spawn_blocking(|| drop(free)).await),
            Placement::Threads | Placement::Here => drop(free),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_kept_and_goes_once_it_is_let_go() {
        let active = Active::default();
        let held = active.current();
        active.replace(Arc::default());
        active.replace(Arc::default());
        assert_eq!(active.retired().take_free().len(), 1, "one is held");
        assert!(!active.retired().is_empty());
        drop(held);
        assert_eq!(active.retired().take_free().len(), 1);
        assert!(active.retired().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_held_it_last_does_not_free_it() {
        let active = Arc::<Active>::default();
        let freeing = tokio::spawn(free(Arc::clone(&active), Placement::Here));
        let held = active.current();
        active.replace(Arc::default());
        sleep(10 * PERIOD).await;
        assert_eq!(Arc::strong_count(&held), 2, "it is held here and there");
        let weak = Arc::downgrade(&held);
        drop(held);
        assert!(weak.upgrade().is_some());
        sleep(2 * PERIOD).await;
        assert!(weak.upgrade().is_none());
        freeing.abort();
    }
}
