//! What was answered to requests with an idempotency key.

use crate::event::AnswerScope;
use crate::model::IdempotencyRecord;
use crate::rows::Rows;
use crate::schema::{ANSWER_EXPIRIES, ANSWERS};
use crate::time::Timestamp;

pub(super) fn answered(
    rows: &mut impl Rows,
    scope: &AnswerScope,
    record: &IdempotencyRecord,
    replaces: Option<Timestamp>,
) {
    if let Some(expires_at) = replaces {
        ANSWER_EXPIRIES.delete(rows, (&expires_at, &scope.environment_id, &scope.key));
    }
    ANSWERS.put(rows, (&scope.environment_id, &scope.key), record);
    ANSWER_EXPIRIES.put(
        rows,
        (&record.expires_at, &scope.environment_id, &scope.key),
        &(),
    );
}

pub(super) fn expired(rows: &mut impl Rows, scope: &AnswerScope, expires_at: Timestamp) {
    ANSWERS.delete(rows, (&scope.environment_id, &scope.key));
    ANSWER_EXPIRIES.delete(rows, (&expires_at, &scope.environment_id, &scope.key));
}
