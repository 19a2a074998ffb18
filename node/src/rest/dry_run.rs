//! Changes that are only judged: by the function that judges log entries, on what a linearizable
//! read sees. Nothing is proposed, so nothing can remain of one, and none has an unknown outcome.

use domain::command::Stamped;
use domain::machine;
use domain::outcome::Applied;
use domain::rows::View;
use domain::time::Revision;

use super::Api;
use crate::control_plane::{Consistency, ProposeError, ReadError};

/// What the log would answer to a command now. The idempotency key is not looked at.
pub(super) async fn judge(api: &Api, stamped: Stamped) -> Result<Applied, ProposeError> {
    let judge = |view: &dyn View| machine::decide(view, &stamped, Revision::default());
    let judged = api.control.read(Consistency::Linearizable, judge).await;
    let (decision, revision) = judged.map_err(unavailable)?;
    Ok(Applied {
        reply: decision.map(|decision| decision.outcome),
        revision,
        replayed: false,
    })
}

/// What cannot be read cannot be judged; nothing has been changed either way.
fn unavailable(error: ReadError) -> ProposeError {
    let reason = error.to_string();
    let retry_after_s = match error {
        ReadError::Unavailable { retry_after_s, .. } => retry_after_s,
        ReadError::Storage => 1,
    };
    ProposeError::Unavailable {
        retry_after_s,
        reason,
    }
}
