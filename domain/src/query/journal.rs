//! What happened in an environment, as the journal has it: the audit log, row by row, and the
//! events that clients hear of, of which a row may have none or several.

use crate::id::{AuditId, EnvironmentId, EventId, RuleId};
use crate::journal::told_by;
use crate::model::{JOURNAL_KEPT_MS, JournalEntry, JournalPlace, Notice};
use crate::query::page::Page;
use crate::query::{log_time, rule_version};
use crate::rows::View;
use crate::schema::JOURNAL;
use crate::table::Span;
use crate::time::{Revision, Timestamp};

/// How many rows are read at a time in search of events: most rows have one or two.
const ROWS_STEP: usize = 64;

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Where it is.
    pub place: JournalPlace,
    /// What the entry did.
    pub entry: JournalEntry,
}

impl JournalRow {
    /// Its name in the audit log.
    #[must_use]
    pub fn audit_id(&self) -> AuditId {
        self.entry.audit_id(self.place.at)
    }

    /// Its events, in the order in which they happened.
    #[must_use]
    pub fn notices(self) -> Vec<JournalNotice> {
        let Self { place, entry } = self;
        let ids: Vec<_> = (0..entry.notices.len())
            .map(|index| entry.event_id(place.at, index))
            .collect();
        let notices = ids.into_iter().zip(entry.notices);
        notices
            .map(|(id, notice)| JournalNotice { place, id, notice })
            .collect()
    }
}

/// An event, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalNotice {
    /// The row that it is part of.
    pub place: JournalPlace,
    /// Its identifier.
    pub id: EventId,
    /// What happened.
    pub notice: Notice,
}

type Row = ((EnvironmentId, Timestamp, Revision), JournalEntry);

fn row(((_, at, revision), entry): Row) -> JournalRow {
    let place = JournalPlace { at, revision };
    JournalRow { place, entry }
}

/// A row as the audit log shows it: with what its changes leave to versions of rules.
pub fn told_in_full(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    mut row: JournalRow,
) -> JournalRow {
    for change in &mut row.entry.changes {
        let (Some(version), None, None) = (change.version, &change.before, &change.after) else {
            continue;
        };
        let id = RuleId::parse(&change.id).ok();
        match id.and_then(|id| rule_version(view, environment, &id, version)) {
            Some((version, _)) => (change.before, change.after) = told_by(&version),
            None => view.broken(&format!("the journal tells of a version of {}", change.id)),
        }
    }
    row
}

/// Rows, newest first, from before the given place on.
pub fn journal_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    before: Option<JournalPlace>,
    limit: usize,
) -> Page<JournalRow> {
    let mut span = JOURNAL.under((environment,));
    if let Some(JournalPlace { at, revision }) = before {
        span.until = JOURNAL.key((environment, &at, &revision));
    }
    let mut rows = JOURNAL.scan_back(view, &span, limit.saturating_add(1));
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    Page {
        items: rows.into_iter().map(row).collect(),
        has_more,
    }
}

/// Up to `limit` rows in log order, from behind the given place on.
pub fn journal_after(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    after: JournalPlace,
    limit: usize,
) -> Vec<JournalRow> {
    let JournalPlace { at, revision } = after;
    let next = Revision(revision.0.saturating_add(1));
    let span = Span {
        from: JOURNAL.key((environment, &at, &next)),
        until: JOURNAL.under((environment,)).until,
    };
    let rows = JOURNAL.scan(view, &span, limit);
    rows.into_iter().map(row).collect()
}

/// The rows that were written at that very millisecond.
fn journal_at(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    at: Timestamp,
) -> impl Iterator<Item = JournalRow> {
    let span = JOURNAL.under((environment, &at));
    let rows: Vec<_> = JOURNAL.walk(view, span).collect();
    rows.into_iter().map(row)
}

/// The row with this name in the audit log.
pub fn audit_entry(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &AuditId,
) -> Option<JournalRow> {
    let at = Timestamp(id.unix_ms()?);
    let row = journal_at(view, environment, at).find(|row| row.audit_id() == *id)?;
    Some(told_in_full(view, environment, row))
}

/// The event with this identifier.
pub fn event(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &EventId,
) -> Option<JournalNotice> {
    let at = Timestamp(id.unix_ms()?);
    journal_at(view, environment, at)
        .flat_map(JournalRow::notices)
        .find(|notice| notice.id == *id)
}

/// Whether what happened at this time may be known no more.
pub fn is_beyond_journal(view: &(impl View + ?Sized), at: Timestamp) -> bool {
    at.plus_ms(JOURNAL_KEPT_MS) <= log_time(view)
}

/// Events, newest first, from before the given one on. Few rows have none, so a page costs about
/// its length.
pub fn events_page(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    before: Option<&EventId>,
    limit: usize,
) -> Page<JournalNotice> {
    let mut passed = before.is_none();
    let mut place = before.and_then(|id| id.unix_ms()).map(|at| JournalPlace {
        at: Timestamp(at),
        revision: Revision(u64::MAX),
    });
    let mut items = Vec::new();
    loop {
        let page = journal_page(view, environment, place, ROWS_STEP);
        place = page.items.last().map(|row| row.place);
        for row in page.items {
            // A place that has gone is as good as passed once its time is.
            let later = before.and_then(|id| id.unix_ms()) == Some(row.place.at.0);
            for notice in row.notices().into_iter().rev() {
                if passed || !later {
                    items.push(notice);
                } else if Some(&notice.id) == before {
                    passed = true;
                }
            }
            if items.len() > limit {
                items.truncate(limit);
                let has_more = true;
                return Page { items, has_more };
            }
        }
        if !page.has_more {
            let has_more = false;
            return Page { items, has_more };
        }
    }
}
