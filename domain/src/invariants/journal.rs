//! Source: the audit log tells of a year and more. No row of the journal is older than its history
//! says, so none is overslept, each tells in full what it leaves to versions of rules, and each hangs
//! on the one before it.

use super::ensure;
use super::state::State;
use crate::audit;
use crate::id::{EnvironmentId, RuleId};
use crate::model::{JournalPlace, ObjectKind};
use crate::query::{JournalRow, told_in_full};
use crate::schema::{ENVIRONMENTS, HISTORIES, History, JOURNAL, RULE_VERSIONS, RULES};

pub(super) fn check(state: &State) -> Result<(), String> {
    let rows = &state.rows;
    for ((environment, at, revision), entry) in JOURNAL.walk(rows, JOURNAL.all()) {
        let history = HISTORIES
            .get(rows, (&environment,))
            .unwrap_or(History::START);
        ensure(history.journal_from <= at, || {
            format!("{environment}: the journal's row of {} is overslept", at.0)
        })?;
        for change in &entry.changes {
            let Some(version) = change.version else {
                continue;
            };
            let id = RuleId::parse(&change.id).map_err(|error| error.to_string())?;
            let is_only = || {
                RULES
                    .get(rows, (&environment, &id))
                    .is_some_and(|rule| rule.versions.len() == 1)
            };
            let there = change.object == ObjectKind::Rule
                && match RULE_VERSIONS.get(rows, (&environment, &id, &version)) {
                    Some(version) => (version.at, version.revision) == (at, revision),
                    None => version.0 == 1 && is_only(),
                };
            ensure(there, || {
                format!(
                    "the journal tells of version {} of {id}, which is not there",
                    version.0
                )
            })?;
        }
    }
    let histories = HISTORIES.walk(rows, HISTORIES.all());
    histories
        .into_iter()
        .try_for_each(|((environment,), history)| chained(state, &environment, history))
}

/// The rows of an environment are one chain from its base to its head.
fn chained(state: &State, environment: &EnvironmentId, history: History) -> Result<(), String> {
    let rows = &state.rows;
    let name = ENVIRONMENTS.get(rows, (environment,));
    let name = name.map_or_else(String::new, |environment| environment.name);
    let mut point = history.audit.base;
    for ((_, at, revision), entry) in JOURNAL.walk(rows, JOURNAL.under((environment,))) {
        let place = JournalPlace { at, revision };
        let link = entry.link;
        let row = told_in_full(rows, environment, JournalRow { place, entry });
        let expected = audit::link(point, audit::told(place, &row.entry, &name));
        // Rows of before there was a chain stand before its first one.
        let before_all = link.is_none() && point.index == 0;
        ensure(before_all || link == Some(expected), || {
            format!(
                "{environment}: the journal's row of {} does not hang on the one before it",
                at.0
            )
        })?;
        point = link.map_or(point, |link| link.point);
    }
    ensure(point == history.audit.head, || {
        format!("{environment}: the audit log does not end with its head")
    })
}
