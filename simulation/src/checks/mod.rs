//! What must hold of every run: one statement a file, each a function from the history to the
//! violations it finds.

mod acknowledged_writes_survive;
mod converged;
mod edges_never_go_back;
mod edges_serve_what_was_published;
mod equal_states;
mod linearizable_reads;
mod one_effect_per_key;
mod outages_are_told_once;
mod state_invariants;

use crate::history::History;

/// A named check.
pub type Check = (&'static str, fn(&History) -> Vec<String>);

/// All of them.
pub const ALL: [Check; 9] = [
    (
        "acknowledged writes survive",
        acknowledged_writes_survive::check,
    ),
    ("one effect per idempotency key", one_effect_per_key::check),
    ("reads are linearizable", linearizable_reads::check),
    ("equal revisions have equal states", equal_states::check),
    (
        "the state keeps the domain's invariants",
        state_invariants::check,
    ),
    ("edges never go back", edges_never_go_back::check),
    (
        "edges serve what was published",
        edges_serve_what_was_published::check,
    ),
    ("outages are told once", outages_are_told_once::check),
    ("everything converges after healing", converged::check),
];

/// Runs all checks.
#[must_use]
pub fn violations(history: &History) -> Vec<String> {
    ALL.iter()
        .flat_map(|(name, check)| {
            check(history)
                .into_iter()
                .map(move |found| format!("{name}: {found}"))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod made_up {
    //! Small histories for the checks' own tests.

    use crate::history::{Answer, Attempt, Call, FinalRule, FinalState, History};

    pub(crate) fn attempt(call: Call, sent_us: u64, ended_us: u64, answer: Answer) -> Attempt {
        Attempt {
            client: 0,
            node: 1,
            call,
            sent_us,
            ended_us,
            answer,
        }
    }

    pub(crate) fn created(key: &str, rule: &str, at: u64, revision: u64) -> Attempt {
        let answer = done(revision, rule, key);
        attempt(
            Call::Create {
                key: key.to_owned(),
            },
            at,
            at + 10,
            answer,
        )
    }

    pub(crate) fn renamed(rule: &str, name: &str, at: u64, revision: u64) -> Attempt {
        let call = Call::Rename {
            key: name.to_owned(),
            rule: rule.to_owned(),
            name: name.to_owned(),
        };
        attempt(call, at, at + 10, done(revision, rule, name))
    }

    pub(crate) fn read(rule: &str, name: &str, at: u64, revision: u64) -> Attempt {
        attempt(
            Call::Read {
                rule: rule.to_owned(),
            },
            at,
            at + 10,
            done(revision, rule, name),
        )
    }

    pub(crate) fn done(revision: u64, rule: &str, name: &str) -> Answer {
        Answer::Done {
            revision,
            replayed: false,
            body: format!("{rule} {name}"),
            rule: Some((rule.to_owned(), name.to_owned())),
        }
    }

    pub(crate) fn history(attempts: Vec<Attempt>, rules: &[(&str, &str, &str)]) -> History {
        let rules = rules
            .iter()
            .map(|(id, name, key)| FinalRule {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                key: Some((*key).to_owned()),
            })
            .collect();
        let mut history = History {
            attempts,
            ..History::default()
        };
        history.finals.insert(
            1,
            FinalState {
                applied: 100,
                rules,
                ..FinalState::default()
            },
        );
        history
    }
}
