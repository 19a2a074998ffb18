//! What is removed of an environment's history when its time is over, in log time: rows of the
//! journal, finished deliveries, and versions of rules that nothing tells of any more.
//!
//! | | kept | then |
//! |---|---|---|
//! | row of the journal | [`JOURNAL_KEPT_MS`] | removed |
//! | pending delivery | until its event is [`DELIVERABLE_MS`](crate::model::DELIVERABLE_MS) old | failed |
//! | finished delivery | [`DELIVERY_KEPT_MS`](crate::model::DELIVERY_KEPT_MS) | removed |
//! | version of a rule | the newest [`RuleVersion::KEPT`], and those that the journal tells of | removed |
//!
//! An entry that adds to an environment's history removes old rows of the same, a few more than it
//! adds: history cannot pile up, and no entry is held up. Each kind is in the order in which it ends,
//! and [`History`] says where it begins, so rows are found at a cost that does not depend on how many
//! there are. Where nothing is added nothing grows, and nothing is removed.
//!
//! An event stays while a delivery of it is pending: a delivery fails a day before its event goes, and
//! the journal waits until none is overdue.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::id::{EnvironmentId, RuleId, WebhookDeliveryId};
use crate::model::{
    DeliveryState, JOURNAL_KEPT_MS, JournalEntry, ObjectKind, RuleVersion, RuleVersionNumber,
    WebhookDelivery,
};
use crate::rows::View;
use crate::schema::{DELIVERY_ENDS, History, JOURNAL, RULES, WEBHOOK_DELIVERIES};
use crate::table::Span;
use crate::time::{Revision, Timestamp};

/// How many rows of a kind one step removes beyond as many as it adds.
pub const TRIMMED_PER_STEP: usize = 4;

/// After how many changes in removed rows of the journal a step removes no more of them: a row may
/// tell of thousands, and each is a look at a rule.
const CHANGES_PER_STEP: usize = 64;

/// Removes what is old from the history that `events` add to, which is as it was `before` them.
pub(crate) fn trim(
    view: &(impl View + ?Sized),
    at: Timestamp,
    (environment, before): (&EnvironmentId, History),
    events: &mut Vec<Event>,
) {
    let mut trimming = Trimming {
        view,
        environment,
        at,
        added: Added::of(events),
        history: before,
        events,
    };
    trimming.fail_pending();
    trimming.remove_finished();
    if trimming.history.pending_from.min(trimming.added.waits_from) > at {
        trimming.trim_journal();
    }
    let history = trimming.follow();
    if history != before {
        events.push(Event::HistoryMoved {
            environment_id: environment.clone(),
            history,
        });
    }
}

/// What a step adds by itself.
struct Added {
    /// How many deliveries.
    deliveries: usize,
    /// Those that it makes or changes: the view has them as they were.
    touched: BTreeSet<WebhookDeliveryId>,
    /// When the first of those ends that still wait after it.
    waits_from: Timestamp,
}

impl Added {
    fn of(events: &[Event]) -> Self {
        let changed = events.iter().filter_map(|event| match event {
            Event::DeliveryChanged { before, after, .. } => Some((before, after)),
            _ => None,
        });
        let waiting = changed
            .clone()
            .filter(|(_, after)| after.state.is_pending())
            .map(|(_, after)| after.ends_at(after.state));
        Self {
            waits_from: waiting.min().unwrap_or(History::START.pending_from),
            deliveries: changed
                .clone()
                .filter(|(before, _)| before.is_none())
                .count(),
            touched: changed.map(|(_, after)| after.id.clone()).collect(),
        }
    }
}

struct Trimming<'a, V: ?Sized> {
    view: &'a V,
    environment: &'a EnvironmentId,
    at: Timestamp,
    added: Added,
    history: History,
    events: &'a mut Vec<Event>,
}

impl<V: View + ?Sized> Trimming<'_, V> {
    fn fail_pending(&mut self) {
        let (ended, from) = self.ended(true, self.history.pending_from);
        self.history.pending_from = from;
        for delivery in ended {
            let failed = DeliveryState::Failed { at: self.at };
            self.events.push(Event::DeliveryChanged {
                environment_id: self.environment.clone(),
                before: Some(delivery.state),
                after: WebhookDelivery {
                    state: failed,
                    ..delivery
                },
            });
        }
    }

    fn remove_finished(&mut self) {
        let (ended, from) = self.ended(false, self.history.finished_from);
        self.history.finished_from = from;
        let environment = self.environment;
        let removed = |delivery| Event::DeliveryRemoved {
            environment_id: environment.clone(),
            delivery,
        };
        self.events.extend(ended.into_iter().map(removed));
    }

    /// Deliveries that have ended, none before `from`, and before when no further one ends.
    fn ended(&self, pending: bool, from: Timestamp) -> (Vec<WebhookDelivery>, Timestamp) {
        let mut ended = Vec::new();
        if self.at < from {
            return (ended, from);
        }
        let environment = self.environment;
        let span = Span {
            from: DELIVERY_ENDS.under((environment, &pending, &from)).from,
            until: DELIVERY_ENDS.under((environment, &pending)).until,
        };
        let most = TRIMMED_PER_STEP + self.added.deliveries;
        // Those that the step itself changes are listed elsewhere after it.
        let scanned = most + self.added.touched.len() + 1;
        for ((_, _, ends_at, id), ()) in DELIVERY_ENDS.scan(self.view, &span, scanned) {
            if self.added.touched.contains(&id) {
                continue;
            }
            if ends_at > self.at || ended.len() == most {
                return (ended, ends_at);
            }
            let delivery = WEBHOOK_DELIVERIES.get(self.view, (environment, &id));
            if delivery.is_none() {
                self.view
                    .broken(&format!("delivery {id} ends but does not exist"));
            }
            ended.extend(delivery);
        }
        (ended, History::START.finished_from)
    }

    fn trim_journal(&mut self) {
        let (environment, from) = (self.environment, self.history.journal_from);
        if self.at < from.plus_ms(JOURNAL_KEPT_MS) {
            return;
        }
        let span = Span {
            from: JOURNAL.under((environment, &from)).from,
            until: JOURNAL.under((environment,)).until,
        };
        let mut changes = 0;
        self.history.journal_from = History::START.journal_from;
        let rows = JOURNAL.scan(self.view, &span, TRIMMED_PER_STEP + 1);
        for (count, ((_, at, revision), entry)) in rows.into_iter().enumerate() {
            let young = self.at < at.plus_ms(JOURNAL_KEPT_MS);
            if young || count == TRIMMED_PER_STEP || changes >= CHANGES_PER_STEP {
                self.history.journal_from = at;
                return;
            }
            changes += entry.changes.len();
            self.trim_row(at, revision, &entry);
        }
    }

    fn trim_row(&mut self, at: Timestamp, revision: Revision, entry: &JournalEntry) {
        self.events.push(Event::JournalTrimmed {
            environment_id: self.environment.clone(),
            at,
            revision,
        });
        if let Some(link) = entry.link {
            self.history.audit.base = link.point;
        }
        for change in &entry.changes {
            let id = RuleId::parse(&change.id).ok();
            let id = id.filter(|_| change.object == ObjectKind::Rule);
            let (Some(id), Some(version)) = (id, change.version) else {
                continue;
            };
            if version.0.saturating_add(RuleVersion::KEPT) <= self.newest_version(&id).0 {
                self.events.push(Event::RuleVersionRemoved {
                    environment_id: self.environment.clone(),
                    rule_id: id,
                    version,
                });
            }
        }
    }

    /// A rule's newest version once the step is done.
    fn newest_version(&self, id: &RuleId) -> RuleVersionNumber {
        let added = self.events.iter().rev().find_map(|event| match event {
            Event::RuleVersioned {
                rule_id, version, ..
            } if rule_id == id => Some(version.version),
            _ => None,
        });
        let stored = || {
            let rule = RULES.get(self.view, (self.environment, id))?;
            Some(RuleVersionNumber(rule.versions.last()?.version))
        };
        added.or_else(stored).unwrap_or(RuleVersionNumber(0))
    }

    /// Where history begins with what the step adds.
    fn follow(self) -> History {
        let mut history = self.history;
        for event in self.events.iter() {
            match event {
                Event::Journaled { at, entry, .. } => {
                    history.journal_from = history.journal_from.min(*at);
                    if let Some(link) = entry.link {
                        history.audit.head = link.point;
                    }
                }
                Event::DeliveryChanged { before, after, .. } => {
                    let was_pending = before.is_some_and(DeliveryState::is_pending);
                    history.pending = (history.pending + u64::from(after.state.is_pending()))
                        .saturating_sub(u64::from(was_pending));
                    let from = if after.state.is_pending() {
                        &mut history.pending_from
                    } else {
                        &mut history.finished_from
                    };
                    *from = after.ends_at(after.state).min(*from);
                }
                _ => {}
            }
        }
        history
    }
}
