//! Reads what a node holds at the end out of its state, for the history.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::id::EnvironmentId;
use domain::model::{EndpointStatus, JournalPlace, NoticeKind};
use domain::query::{JournalNotice, JournalRow};
use domain::rows::View;
use domain::{invariants, machine, query};

use crate::history::{Changed, Committed, Environment, FinalRule, FinalState, Told, short_hash};

/// Rows read at once.
const PAGE: usize = 500;

/// What a node holds; up to which revision is for whoever opened the view to say.
#[must_use]
pub fn final_state(view: &dyn View) -> FinalState {
    let journal = journal(view);
    let mut told = String::new();
    for committed in &journal {
        // Writing to a text cannot fail.
        let _ = writeln!(told, "{committed:?}");
    }
    let mut state = FinalState {
        hash: machine::state_hash(&view),
        taken_over: taken_over(view),
        invariants: invariants::check(&view).err(),
        journal_rows: journal.len(),
        journal_hash: short_hash(told.as_bytes()),
        ..FinalState::default()
    };
    for (environment, id) in environments(view) {
        state.rules.extend(rules(view, environment, &id));
        if environment == Environment::Production {
            state.outages = outages(view, &id);
        }
    }
    state
}

/// What was committed, of both environments, by revision.
#[must_use]
pub fn journal(view: &dyn View) -> Vec<Committed> {
    let mut found: Vec<Committed> = environments(view)
        .into_iter()
        .flat_map(|(environment, id)| {
            rows(view, &id)
                .into_iter()
                .map(move |row| committed(environment, query::told_in_full(view, &id, row)))
        })
        .collect();
    found.sort_by_key(|committed| (committed.revision, committed.environment));
    found
}

/// The environments of the workspace that bootstrap makes.
fn environments(view: &dyn View) -> Vec<(Environment, EnvironmentId)> {
    Environment::ALL
        .into_iter()
        .filter_map(|environment| {
            let found = query::environment_by_name(view, environment.name())?;
            Some((environment, found.id))
        })
        .collect()
}

fn rows(view: &dyn View, environment: &EnvironmentId) -> Vec<JournalRow> {
    let mut after = JournalPlace::default();
    let mut found = Vec::new();
    loop {
        let page = query::journal_after(view, environment, after, PAGE);
        let Some(last) = page.last() else {
            return found;
        };
        after = last.place;
        found.extend(page);
    }
}

fn committed(environment: Environment, row: JournalRow) -> Committed {
    let events = row
        .notices_from(0)
        .map(|notice| {
            let kind = notice.notice.kind.as_str().to_owned();
            (notice.id.to_string(), kind)
        })
        .collect();
    let changes = row.entry.changes.into_iter().map(|change| Changed {
        object: change.object.as_str(),
        id: change.id,
        route: change.route_id.map(|id| id.to_string()),
        before: change.before,
        after: change.after,
    });
    Committed {
        environment,
        revision: row.place.revision.0,
        at_ms: row.place.at.0,
        operation: row.entry.operation,
        actor: row.entry.actor.map(|id| id.to_string()),
        request_id: row.entry.request_id.to_string(),
        key: row.entry.idempotency_key.map(|key| key.0),
        changes: changes.collect(),
        events,
    }
}

fn taken_over(view: &dyn View) -> BTreeMap<String, u64> {
    let endpoints = query::all_webhook_endpoints(&view).into_iter();
    endpoints
        .filter(|endpoint| endpoint.status == EndpointStatus::Enabled)
        .map(|endpoint| (endpoint.id.to_string(), endpoint.delivered.row.revision.0))
        .collect()
}

fn outages(view: &dyn View, environment: &EnvironmentId) -> Vec<Told> {
    let told = |JournalNotice { notice, .. }| {
        let failed = match notice.kind {
            NoticeKind::UpstreamFailed => true,
            NoticeKind::UpstreamRecovered => false,
            _ => return None,
        };
        Some(Told {
            upstream: notice.about.upstream_id?.to_string(),
            region: notice.about.region?,
            failed,
        })
    };
    rows(view, environment)
        .iter()
        .flat_map(|row| row.notices_from(0))
        .filter_map(told)
        .collect()
}

fn rules(view: &dyn View, environment: Environment, id: &EnvironmentId) -> Vec<FinalRule> {
    let filter = query::RuleFilter {
        environment_id: id.clone(),
        route_id: None,
        status: None,
        include_archived: true,
    };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = query::rules_page(&view, &filter, after, PAGE);
        after = page
            .items
            .last()
            .map(|rule| (rule.priority, rule.id.clone()));
        found.extend(page.items.into_iter().map(|rule| FinalRule {
            environment,
            id: rule.id.to_string(),
            route: rule.route_id.to_string(),
            priority: rule.priority.0.into(),
            status: rule.status.as_str().to_owned(),
            live: rule.published.is_some(),
            key: rule.metadata.get("key").cloned(),
            name: rule.name,
        }));
        if !page.has_more {
            return found;
        }
    }
}
