//! Nothing is sent of what was not committed: every delivery is of an event that the journal has, in
//! the endpoint's environment, of the type that it says.

use std::collections::BTreeMap;

use super::deliveries::{body, endpoint};
use crate::history::{Environment, History};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut events: BTreeMap<&str, (Environment, &str)> = BTreeMap::new();
    for committed in &history.journal {
        for (id, kind) in &committed.events {
            events.insert(id, (committed.environment, kind));
        }
    }
    let mut found = Vec::new();
    for delivery in &history.deliveries {
        let body = body(delivery);
        let said = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let Some((environment, kind)) = events.get(said("id").as_str()) else {
            found.push(format!("{delivery:?} is of no event"));
            continue;
        };
        if said("type") != *kind {
            found.push(format!("{delivery:?} is of a {kind}"));
        }
        let endpoint = endpoint(history, delivery);
        if endpoint.is_some_and(|endpoint| endpoint.environment != *environment) {
            found.push(format!("{delivery:?} is of another environment"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{commits_event, delivery, history};
    use super::check;
    use crate::history::Environment;

    #[test]
    fn what_was_not_committed_or_is_of_another_type_or_environment_is_found() {
        let journal = || vec![commits_event(5, "evt_1")];
        assert!(check(&history(journal(), vec![delivery("evt_1", 0, 200)])).is_empty());
        assert_eq!(
            check(&history(journal(), vec![delivery("evt_2", 0, 200)])).len(),
            1
        );
        let mut another = journal();
        another[0].events[0].1 = "rule.archived".to_owned();
        assert_eq!(
            check(&history(another, vec![delivery("evt_1", 0, 200)])).len(),
            1
        );
        let mut elsewhere = journal();
        elsewhere[0].environment = Environment::Sandbox;
        assert_eq!(
            check(&history(elsewhere, vec![delivery("evt_1", 0, 200)])).len(),
            1
        );
    }
}
