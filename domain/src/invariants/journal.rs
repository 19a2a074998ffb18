//! Source: the audit log tells of a year and more. No row of the journal is older than its history
//! says, so none is overslept, and each tells in full what it leaves to versions of rules.

use super::ensure;
use super::state::State;
use crate::id::RuleId;
use crate::model::ObjectKind;
use crate::schema::{HISTORIES, History, JOURNAL, RULE_VERSIONS, RULES};

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
    Ok(())
}
