//! Source: no committed event is lost on its way to an endpoint. Every pending delivery is listed
//! under its time, and nothing else is.

use super::expected::Expected;
use super::state::State;
use crate::model::DeliveryState;
use crate::schema::{DELIVERIES_DUE, WEBHOOK_DELIVERIES};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&DELIVERIES_DUE);
    let deliveries = WEBHOOK_DELIVERIES.walk(&state.rows, WEBHOOK_DELIVERIES.all());
    for ((environment, id), delivery) in deliveries {
        if let DeliveryState::Pending { next_at } = delivery.state {
            let key = (&environment, &delivery.endpoint_id, &next_at, &id);
            expected.add(&DELIVERIES_DUE, key, &())?;
        }
    }
    Ok(())
}
