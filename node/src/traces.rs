//! In which traces requests were recorded, as far as this node has heard of it lately. It is how a change that one node took is told of in
//! the trace of its request wherever it goes: to the leader, with the entry to every node, and on to edges and receivers.
//!
//! It is kept beside the log and never in it: nothing is decided by it, no two nodes need know the same, and what is forgotten is a gap
//! in a trace and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::id::{EnvironmentId, RequestId};
use domain::model::JournalPlace;
use domain::query;
use domain::rows::View;
use parking_lot::Mutex;
use platform::trace::TraceContext;
use raft_store::types::{Entry, Payload};

/// Requests that are remembered, some 100 bytes each: those of a second in which a busy cluster records each.
const KEPT_MAX: usize = 4096;

/// What is known. Cloning shares it.
#[derive(Clone, Default)]
pub struct Traces {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Whether anything was ever heard of: without traces nothing is looked up.
    any: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    places: BTreeMap<RequestId, TraceContext>,
    /// The oldest first.
    order: VecDeque<RequestId>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// A request is recorded there. What is known already stays: it is nearer to where the request came from.
    pub(crate) fn note(&self, request_id: &RequestId, place: Option<TraceContext>) {
        let Some(place) = place.filter(TraceContext::is_sampled) else {
            return;
        };
        self.inner.any.store(true, Ordering::Relaxed);
        let mut kept = self.inner.kept.lock();
        if kept.places.contains_key(request_id) {
            return;
        }
        if kept.order.len() == KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.places.remove(&oldest);
        }
        kept.order.push_back(request_id.clone());
        kept.places.insert(request_id.clone(), place);
    }

    /// Where a request is recorded, if that is known.
    pub(crate) fn of(&self, request_id: &RequestId) -> Option<TraceContext> {
        if !self.inner.any.load(Ordering::Relaxed) {
            return None;
        }
        self.inner.kept.lock().places.get(request_id).copied()
    }

    /// What is known of the requests of these entries.
    pub(crate) fn of_entries(&self, entries: &[Entry]) -> Vec<(RequestId, TraceContext)> {
        if !self.inner.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let known = entries.iter().filter_map(|entry| {
            let Payload::Normal(proposal) = &entry.payload else {
                return None;
            };
            let request_id = &proposal.stamped().request_id;
            Some((request_id.clone(), self.of(request_id)?))
        });
        known.collect()
    }

    /// Where the request is recorded that made an environment's manifest.
    pub(crate) fn of_manifest(
        &self,
        view: &dyn View,
        environment: &EnvironmentId,
    ) -> Option<TraceContext> {
        if !self.inner.any.load(Ordering::Relaxed) {
            return None;
        }
        let manifest = query::manifest(view, environment);
        let place = JournalPlace {
            at: manifest.updated_at,
            revision: manifest.revision,
        };
        self.of_change(view, environment, place)
    }

    /// Where the request is recorded that made a row of the journal.
    pub(crate) fn of_change(
        &self,
        view: &dyn View,
        environment: &EnvironmentId,
        place: JournalPlace,
    ) -> Option<TraceContext> {
        if !self.inner.any.load(Ordering::Relaxed) {
            return None;
        }
        let rows = query::journal_after(view, environment, place.before(), 1);
        let row = rows.first().filter(|row| row.place == place)?;
        self.of(&row.entry.request_id)
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;

    fn id(random: u64) -> RequestId {
        RequestId::new(Seed { unix_ms: 1, random })
    }

    fn place(span: u64, sampled: bool) -> Option<TraceContext> {
        let flags = u8::from(sampled);
        let text = format!("00-{:032x}-{span:016x}-{flags:02x}", 7);
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn the_first_that_is_heard_stays_and_what_is_not_recorded_is_not_kept() {
        let traces = Traces::default();
        assert_eq!(traces.of(&id(1)), None);
        traces.note(&id(1), place(1, true));
        traces.note(&id(1), place(2, true));
        traces.note(&id(2), place(3, false));
        traces.note(&id(3), None);
        assert_eq!(traces.of(&id(1)), place(1, true));
        assert_eq!(traces.of(&id(2)), None);
        assert_eq!(traces.of(&id(3)), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let traces = Traces::default();
        for number in 0..=KEPT_MAX as u64 {
            traces.note(&id(number), place(number + 1, true));
        }
        assert_eq!(traces.of(&id(0)), None);
        assert_eq!(traces.of(&id(1)), place(2, true));
        assert_eq!(traces.inner.kept.lock().places.len(), KEPT_MAX);
    }
}
