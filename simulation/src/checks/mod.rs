//! What must hold of every run: one statement a file, each a function from the history to the
//! violations it finds.
//!
//! | | what is checked | by what |
//! |---|---|---|
//! | Raft | `one_leader_per_term` `logs_match` `leaders_are_complete` `committed_is_on_a_quorum` `committed_never_changes` `nothing_goes_back` `log_positions_are_ordered` `lost_disks_stay_out` | what an observer saw of nodes and their logs |
//! | state | `equal_states` `state_invariants` `outages_are_told_once` | hashes and rows of nodes |
//! | clients | `answers_follow_the_log` `acknowledged_writes_survive` `one_effect_per_key` `requests_are_done_once` `refused_means_not_applied` `priorities_are_unique` `one_audit_entry_per_change` `environments_are_apart` | answers, held against the journal |
//! | | `rules_are_registers` `reads_follow_writes` `limits_hold` `revoked_keys_are_refused` | answers alone |
//! | edges | `edges_never_go_back` `edges_serve_what_was_published` `requests_see_one_version` `edges_follow_in_time` `refused_manifests_change_nothing` `restarted_edges_serve` `converged` | what edges held, said and answered |
//! | webhooks | `events_are_delivered` `events_are_not_skipped` `deliveries_are_signed` `deliveries_are_of_events` `duplicates_are_rare` | what receivers got |
//! | liveness | `heals_in_time` `writes_go_on` `leaders_are_found` `requests_are_answered` `rollbacks_complete` | answers, held against the faults |
//!
//! Beside them: `book` (the journal, filed), `log_time` (the time at its revisions), `logs` (nodes' logs over time),
//! `calm` (who was in no trouble), `rotten` (edges with rotten disks), `deliveries` (webhooks by endpoint and event), `wgl` (the search behind
//! `rules_are_registers`) and `proof` (that both checks of linearizability find what they should).

mod acknowledged_writes_survive;
mod answers_follow_the_log;
mod book;
mod calm;
mod committed_is_on_a_quorum;
mod committed_never_changes;
mod converged;
mod deliveries;
mod deliveries_are_of_events;
mod deliveries_are_signed;
mod duplicates_are_rare;
mod edges_follow_in_time;
mod edges_never_go_back;
mod edges_serve_what_was_published;
mod environments_are_apart;
mod equal_states;
mod events_are_delivered;
mod events_are_not_skipped;
mod heals_in_time;
mod leaders_are_complete;
mod leaders_are_found;
mod limits_hold;
mod log_positions_are_ordered;
mod log_time;
mod logs;
mod logs_match;
mod lost_disks_stay_out;
#[cfg(test)]
pub(crate) mod made_up;
mod memberships;
mod nothing_goes_back;
mod one_audit_entry_per_change;
mod one_effect_per_key;
mod one_leader_per_term;
mod outages_are_told_once;
mod priorities_are_unique;
#[cfg(test)]
mod proof;
mod reads_follow_writes;
mod refused_manifests_change_nothing;
mod refused_means_not_applied;
mod requests_are_answered;
mod requests_are_done_once;
mod requests_see_one_version;
mod restarted_edges_serve;
mod revoked_keys_are_refused;
mod rollbacks_complete;
mod rotten;
mod rules_are_registers;
mod state_invariants;
mod wgl;
mod writes_go_on;

pub use rules_are_registers::{Judged, judged};

use crate::history::History;

/// A named check.
pub type Check = (&'static str, fn(&History) -> Vec<String>);

/// So many violations of one statement are told; one cause often has hundreds.
const TOLD_MAX: usize = 5;

macro_rules! checks {
    ($($name:ident: $statement:literal,)*) => {
        /// All of them.
        pub const ALL: &[Check] = &[$(($statement, $name::check),)*];
    };
}

checks! {
    one_leader_per_term: "a term and a node name a leader",
    logs_match: "logs match",
    leaders_are_complete: "leaders have what was committed",
    committed_is_on_a_quorum: "what is committed is on a majority",
    committed_never_changes: "what is committed never changes",
    nothing_goes_back: "terms, votes, commits and applies never go back",
    log_positions_are_ordered: "purged, checkpoint, applied, committed and last are in order",
    lost_disks_stay_out: "who lost its disk stays out",
    equal_states: "equal revisions have equal states",
    state_invariants: "the state keeps the domain's invariants",
    answers_follow_the_log: "answers follow the order of the log",
    rules_are_registers: "the names of rules are linearizable registers",
    acknowledged_writes_survive: "acknowledged writes survive",
    one_effect_per_key: "one effect and one answer per idempotency key",
    requests_are_done_once: "one request is one change",
    reads_follow_writes: "nobody is shown an older state than before",
    refused_means_not_applied: "what is refused is not applied",
    priorities_are_unique: "priorities are unique and archived rules are not live",
    one_audit_entry_per_change: "one audit entry per change, the same everywhere",
    environments_are_apart: "environments are apart",
    limits_hold: "rate limits hold",
    revoked_keys_are_refused: "revoked keys are refused",
    edges_never_go_back: "edges never go back",
    edges_serve_what_was_published: "edges serve what was published",
    requests_see_one_version: "requests see one version",
    edges_follow_in_time: "edges follow in time",
    refused_manifests_change_nothing: "refused manifests change nothing",
    restarted_edges_serve: "restarted edges serve",
    outages_are_told_once: "outages are told once",
    events_are_delivered: "events are delivered, the same and in time",
    events_are_not_skipped: "no event is skipped",
    deliveries_are_signed: "deliveries are signed",
    deliveries_are_of_events: "deliveries are of events that happened",
    duplicates_are_rare: "duplicates are rare",
    heals_in_time: "it heals in time",
    writes_go_on: "writes go on while a majority can",
    leaders_are_found: "leaders are found when links work one way",
    requests_are_answered: "requests are answered",
    rollbacks_complete: "rollbacks complete",
    converged: "everything converges after healing",
}

/// Those that need no more than what clients were told, a journal and the rules that nodes hold at
/// the end, and no long search: they judge histories of real processes as well.
pub const FOR_CLIENTS: &[Check] = &[
    (
        "answers follow the order of the log",
        answers_follow_the_log::check,
    ),
    (
        "acknowledged writes survive",
        acknowledged_writes_survive::check,
    ),
    (
        "one effect and one answer per idempotency key",
        one_effect_per_key::check,
    ),
    (
        "nobody is shown an older state than before",
        reads_follow_writes::check,
    ),
];

/// Runs those of [`FOR_CLIENTS`].
#[must_use]
pub fn violations_for_clients(history: &History) -> Vec<String> {
    run(FOR_CLIENTS, history)
}

/// Runs all checks.
#[must_use]
pub fn violations(history: &History) -> Vec<String> {
    run(ALL, history)
}

fn run(checks: &[Check], history: &History) -> Vec<String> {
    checks
        .iter()
        .flat_map(|(name, check)| {
            let found = check(history);
            let more = found.len().saturating_sub(TOLD_MAX);
            let more = (more > 0).then(|| format!("{name}: and {more} more"));
            let told = found.into_iter().take(TOLD_MAX);
            told.map(move |found| format!("{name}: {found}"))
                .chain(more)
        })
        .collect()
}
