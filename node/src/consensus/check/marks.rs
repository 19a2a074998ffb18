//! The leader names the positions at which states are compared: it writes a blank entry now and then.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{sleep, timeout};

use super::Checker;

/// How long an entry may take. A leader that has no quorum goes on when it has one, or is none any more.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How often is looked whether the comparison under way has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes them for ever. The next one waits for the end of the comparison before it: a member that hashes slowly
/// would else begin anew again and again.
pub(crate) async fn run(checker: Checker, every: Duration) {
    let raft = &checker.parts().raft;
    let this = checker.parts().this;
    loop {
        sleep(every).await;
        while checker.is_busy() {
            sleep(LOOK_EVERY).await;
        }
        let leads = raft.metrics().borrow_watched().current_leader == Some(this);
        if !leads {
            continue;
        }
        match timeout(WRITE_DEADLINE, raft.write_blank()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "states are not compared now"),
            Err(_) => tracing::debug!("states are not compared now: the entry took too long"),
        }
    }
}
