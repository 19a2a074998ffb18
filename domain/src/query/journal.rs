//! What happened in an environment, as the journal has it: the audit log, row by row, and the
//! events that clients hear of, of which a row may have none or several.

use crate::id::{AuditId, EnvironmentId, EventId, RuleId};
use crate::journal::told_by;
use crate::model::{
    AuditChain, Change, JOURNAL_KEPT_MS, JournalEntry, JournalPlace, Notice, NoticePlace,
};
use crate::query::page::Page;
use crate::query::{log_time, rule_version};
use crate::rows::View;
use crate::schema::{HISTORIES, History, JOURNAL};
use crate::table::Span;
use crate::time::{Revision, Timestamp};

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

    /// Its events from one on, each made when it is asked for.
    pub fn notices_from(&self, index: u32) -> impl Iterator<Item = JournalNotice> + '_ {
        (index..u32::MAX).map_while(|index| self.notice(index))
    }

    fn notice(&self, index: u32) -> Option<JournalNotice> {
        let place = usize::try_from(index).ok()?;
        let notice = self.entry.notices.get(place)?;
        let change = self.entry.changes.get(place);
        Some(JournalNotice {
            place: self.place,
            index,
            id: self.entry.event_id(self.place.at, index),
            notice: notice.clone(),
            change: change.filter(|_| notice.kind.is_of_a_change()).cloned(),
        })
    }
}

/// An event, with where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalNotice {
    /// The row that it is part of.
    pub place: JournalPlace,
    /// Its place among the events of the row.
    pub index: u32,
    /// Its identifier.
    pub id: EventId,
    /// What happened.
    pub notice: Notice,
    /// What it did, where [`NoticeKind::is_of_a_change`](crate::model::NoticeKind::is_of_a_change).
    pub change: Option<Change>,
}

impl JournalNotice {
    /// Where it is.
    #[must_use]
    pub fn at(&self) -> NoticePlace {
        NoticePlace {
            row: self.place,
            index: self.index,
        }
    }
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

/// The rows that were written at that very millisecond: few, unless the log's time stood still.
fn journal_at<'v, V: View + ?Sized>(
    view: &'v V,
    environment: &EnvironmentId,
    at: Timestamp,
) -> impl Iterator<Item = JournalRow> + use<'v, V> {
    let span = JOURNAL.under((environment, &at));
    JOURNAL.walk(view, span).map(row)
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

/// The event at this place.
pub fn event_at(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    NoticePlace { row: place, index }: NoticePlace,
) -> Option<JournalNotice> {
    let entry = JOURNAL.get(view, (environment, &place.at, &place.revision))?;
    JournalRow { place, entry }.notice(index)
}

/// The event with this identifier.
pub fn event(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &EventId,
) -> Option<JournalNotice> {
    let at = Timestamp(id.unix_ms()?);
    journal_at(view, environment, at)
        .find_map(|row| row.notices_from(0).find(|notice| notice.id == *id))
}

/// Whether what happened at this time may be known no more.
pub fn is_beyond_journal(view: &(impl View + ?Sized), at: Timestamp) -> bool {
    at.plus_ms(JOURNAL_KEPT_MS) <= log_time(view)
}

/// The chain of an environment's audit log.
pub fn audit_chain(view: &(impl View + ?Sized), environment: &EnvironmentId) -> AuditChain {
    let history = HISTORIES.get(view, (environment,));
    history.unwrap_or(History::START).audit
}
