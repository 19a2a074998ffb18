//! Where the threads' counts come together: what is to be sent to a node, and the totals that
//! `/metrics` shows.
//!
//! While no node is there, what is to be sent adds up in one batch, which is bounded as every
//! batch is. A frame that is on its way when a connection breaks is lost; nothing is sent twice.

use std::time::Duration;

use edge_protocol::telemetry::Batch;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::totals::Totals;

/// How often a node gets what was counted: soon enough for a graph that is drawn anew each ten
/// seconds, and little for the node of a thousand edges.
pub const SEND_PERIOD: Duration = Duration::from_secs(10);

/// Where counts come together.
#[derive(Debug, Default)]
pub struct Hub(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What no frame was made of yet.
    collected: Batch,
    /// Since when.
    since: Option<Instant>,
    /// What frames are made of now.
    sending: Batch,
    totals: Totals,
}

impl Hub {
    /// Takes in what a thread counted.
    pub fn take_in(&self, batch: Batch) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.since.get_or_insert(now);
        for (key, counts) in &batch.series {
            state.totals.add(key, counts, now);
        }
        state.collected.merge(batch);
    }

    /// Closes what was collected, so that frames are made of it: to be called each
    /// [`SEND_PERIOD`] while a node takes them.
    pub fn close(&self) {
        let mut state = self.0.lock();
        let Some(since) = state.since.take() else {
            return;
        };
        let mut batch = std::mem::take(&mut state.collected);
        batch.span_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.sending.merge(batch);
    }

    /// The next frame, if there is one.
    #[must_use]
    pub fn frame(&self) -> Option<Batch> {
        let mut state = self.0.lock();
        (!state.sending.is_empty()).then(|| state.sending.split_frame())
    }

    /// Looks at the totals.
    pub(crate) fn with_totals<T>(&self, look: impl FnOnce(&Totals) -> T) -> T {
        look(&self.0.lock().totals)
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::telemetry::{BATCH_SERIES_MAX, Counts, SeriesKey};

    use super::*;

    fn batch() -> Batch {
        let mut counts = Counts::default();
        counts.answered(2, 10);
        Batch {
            series: [(SeriesKey::beyond(), counts)].into(),
            ..Batch::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_collected_while_nobody_takes_it_is_one_bounded_batch() {
        let hub = Hub::default();
        assert!(hub.frame().is_none());
        for _ in 0..1000 {
            hub.take_in(batch());
            tokio::time::advance(DRAIN).await;
        }
        assert!(hub.frame().is_none(), "it was not closed");
        hub.close();
        let frame = hub.frame().unwrap();
        assert_eq!(frame.span_ms, 1_000_000);
        assert_eq!(frame.series[&SeriesKey::beyond()].answers(), 1000);
        assert!(frame.series.len() <= BATCH_SERIES_MAX);
        assert!(hub.frame().is_none());
        hub.close();
        assert!(hub.frame().is_none(), "nothing was counted since");
    }

    const DRAIN: Duration = Duration::from_secs(1);
}
