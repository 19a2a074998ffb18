//! Source: retries have one effect for 24 hours. Each answer has one expiry and the other way
//! round, and the clock does not oversleep any and counts them.

use super::ensure;
use super::expected::Expected;
use super::state::State;
use crate::answers;
use crate::model::{IDEMPOTENCY_TTL_MS, StoredReply};
use crate::schema::{ANSWER_EXPIRIES, ANSWERS};

pub(super) fn derive(state: &State, expected: &mut Expected) -> Result<(), String> {
    expected.cover(&ANSWER_EXPIRIES);
    let mut kept = 0;
    for ((environment, key), record) in ANSWERS.walk(&state.rows, ANSWERS.all()) {
        kept += 1;
        expected.add(
            &ANSWER_EXPIRIES,
            (&record.expires_at, &environment, &key),
            &(),
        )?;
        if let StoredReply::RuleCreated { rule_id } = &record.reply {
            let told = answers::tell(&state.rows, &environment, record.clone());
            ensure(told.is_some(), || {
                format!("the answer to {} cannot tell how {rule_id} was made", key.0)
            })?;
        }
        ensure(state.clock.next_expiry <= record.expires_at, || {
            format!("the answer to {} is overslept", key.0)
        })?;
        let latest = state.clock.at.plus_ms(IDEMPOTENCY_TTL_MS);
        ensure(record.expires_at <= latest, || {
            format!("the answer to {} is kept too long", key.0)
        })?;
    }
    ensure(state.clock.answers == kept, || {
        format!("{kept} answers are kept, {} counted", state.clock.answers)
    })
}
