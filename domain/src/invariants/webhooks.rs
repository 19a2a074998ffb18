//! Source: no committed event is lost on its way to an endpoint, and finished deliveries do not pile
//! up. Every delivery is listed under the time when it ends, every pending one under its next attempt
//! as well, and nothing else is; none ends before its history says, so none is overslept. A sealed secret is one that signs, of an
//! endpoint that is there.

use std::collections::BTreeMap;

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::model::DeliveryState;
use crate::query;
use crate::schema::{
    DELIVERIES_DUE, DELIVERY_ENDS, HISTORIES, History, WEBHOOK_DELIVERIES, WEBHOOK_SECRETS,
};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&DELIVERIES_DUE);
    expected.cover(&DELIVERY_ENDS);
    let mut pending = BTreeMap::<_, u64>::new();
    let deliveries = WEBHOOK_DELIVERIES.walk(&state.rows, WEBHOOK_DELIVERIES.all());
    for ((environment, id), delivery) in deliveries {
        let waits = delivery.state.is_pending();
        let ends_at = delivery.ends_at(delivery.state);
        expected.add(&DELIVERY_ENDS, (&environment, &waits, &ends_at, &id), &())?;
        if let DeliveryState::Pending { next_at } = delivery.state {
            let key = (&environment, &delivery.endpoint_id, &next_at, &id);
            expected.add(&DELIVERIES_DUE, key, &())?;
            *pending.entry(environment.clone()).or_default() += 1;
        }
        let history = HISTORIES.get(&state.rows, (&environment,));
        let history = history.unwrap_or(History::START);
        let from = if waits {
            history.pending_from
        } else {
            history.finished_from
        };
        ensure(from <= ends_at, || format!("delivery {id} is overslept"))?;
    }
    for ((environment,), history) in HISTORIES.walk(&state.rows, HISTORIES.all()) {
        let waiting = pending.remove(&environment).unwrap_or(0);
        ensure(history.pending == waiting, || {
            format!(
                "{environment}: {waiting} deliveries are pending, not {}",
                history.pending
            )
        })?;
    }
    ensure(pending.is_empty(), || {
        "deliveries are pending where there is no history".to_owned()
    })?;
    secrets(state)
}

fn secrets(state: &State) -> Result<(), String> {
    let secrets = WEBHOOK_SECRETS.walk(&state.rows, WEBHOOK_SECRETS.all());
    for ((environment, id, generation), _) in secrets {
        let endpoint = query::webhook_endpoint(&state.rows, &environment, &id);
        let signs = endpoint.is_some_and(|endpoint| {
            query::signing_generations(&endpoint).any(|signs| signs == generation)
        });
        ensure(signs, || {
            format!("secret {} of endpoint {id} is left over", generation.0)
        })?;
    }
    Ok(())
}
