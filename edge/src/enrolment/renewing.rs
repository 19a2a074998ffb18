//! Renews the certificate in good time, for as long as the edge runs.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::enrolment::Asked;
use platform::renewal::OwnCertificate;
use platform::tls::{ALPN_ENROL, Identity};
use platform::{Clock, Entropy, Network};
use tokio::time::sleep;

use super::asking::{AskError, ask};
use super::{EnrolError, Enrolled, Folder, check};
use crate::nodes::KnownNodes;

/// The longest that the wall clock goes unlooked at: it may be set.
const LOOK_MAX: Duration = Duration::from_secs(10 * 60);

/// The shortest wait between two attempts.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The wait after a renewal by which the certificate looks as if it had ended: the clocks of edge and node are that far
/// apart.
const CLOCKS_APART: Duration = Duration::from_secs(10 * 60);

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    /// A node says no, or what came cannot be used or kept.
    #[error(transparent)]
    Refused(#[from] EnrolError),
    /// No node could do it now.
    #[error("no node renews it: {0}")]
    Unavailable(String),
}

/// Renews what `enrolled` has whenever it is due: what comes is kept first, and then used. It asks the nodes that are known, and tells
/// of those that it learns. It never returns.
pub async fn keep_renewed<N: Network>(
    network: N,
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    folder: Folder,
    (mut enrolled, identity): (Enrolled, Identity),
    (own, known): (Arc<OwnCertificate>, KnownNodes),
) {
    // Attempts that failed since the certificate ended.
    let mut failed = 0_u32;
    loop {
        let now_s = clock.now().0 / 1000;
        let left = Duration::from_secs(enrolled.due_s().saturating_sub(now_s));
        if !left.is_zero() {
            sleep(left.clamp(PAUSE_MIN, LOOK_MAX)).await;
            continue;
        }
        let to = (network.clone(), Arc::clone(&entropy));
        let nodes = known.all();
        match renew(to, &*clock, (&folder, &nodes), (&enrolled, &identity)).await {
            Ok(next) => {
                known.tell(&next.papers.nodes);
                own.renewed(next.term());
                tracing::info!(until_s = next.papers.until_s, "the certificate was renewed");
                enrolled = next;
                failed = 0;
                if enrolled.papers.until_s <= enrolled.obtained_s {
                    sleep(CLOCKS_APART).await;
                }
            }
            Err(error) => {
                match &error {
                    RenewError::Refused(_) => own.refused(),
                    RenewError::Unavailable(_) => own.unavailable(),
                }
                tracing::error!(%error, until_s = enrolled.papers.until_s, "the certificate could not be renewed; it is tried again");
                sleep(pause(&enrolled, now_s, failed, entropy.next_u64())).await;
                failed = failed.saturating_add(u32::from(enrolled.papers.until_s <= now_s));
            }
        }
    }
}

/// A twentieth of the time that is left; once there is none, twice as long after each attempt. Half of it is random, so that
/// edges whose certificates ended together do not ask together.
fn pause(enrolled: &Enrolled, now_s: u64, failed: u32, random: u64) -> Duration {
    let left_s = enrolled.papers.until_s.saturating_sub(now_s);
    let whole = if left_s > 0 {
        Duration::from_secs(left_s / 20)
    } else {
        PAUSE_MIN.saturating_mul(1 << failed.min(16))
    };
    let half = whole.clamp(PAUSE_MIN, LOOK_MAX) / 2;
    let spread_ms = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(random % (spread_ms + 1))
}

async fn renew<N: Network>(
    to: (N, Arc<dyn Entropy>),
    clock: &dyn Clock,
    (folder, nodes): (&Folder, &[String]),
    (enrolled, identity): (&Enrolled, &Identity),
) -> Result<Enrolled, RenewError> {
    let unusable = |error: &dyn std::fmt::Display| EnrolError::Unusable(error.to_string());
    let config = identity
        .client(ALPN_ENROL)
        .map_err(|error| unusable(&error))?;
    let asked = ask(to, config, nodes, &Asked::Renew).await;
    let papers = asked.map_err(|error| match error {
        AskError::Refused(reason) => EnrolError::Refused(reason).into(),
        AskError::Unavailable(reason) => RenewError::Unavailable(reason),
    })?;
    let next = Enrolled {
        edge_id: enrolled.edge_id.clone(),
        key: enrolled.key.clone(),
        obtained_s: clock.now().0 / 1000,
        papers,
        environment_id: enrolled.environment_id.clone(),
    };
    let other = check(&next, Some(&enrolled.papers))?;
    folder.keep(&next).map_err(EnrolError::from)?;
    identity.replace(&other).map_err(|error| unusable(&error))?;
    Ok(next)
}
