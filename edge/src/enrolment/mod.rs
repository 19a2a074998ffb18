//! How this edge comes by the certificate that nodes know it by, where it has none from its operator: by a
//! join token at first, and from then on by the certificate that it has. The private key is drawn here
//! and never leaves. What it came by is on its disk, so that a restart needs neither token nor node.

mod asking;
mod keeping;
mod renewing;

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::enrolment::{Asked, JoinToken, Papers};
use platform::authority::NewKey;
use platform::tls::{ALPN_ENROL, Identity, Peer};
use platform::{Clock, Entropy, Network};
use tokio::time::sleep;

use asking::{AskError, ask};

pub use keeping::{Enrolled, Folder, KeepError};
pub use renewing::keep_renewed;

/// How long an edge waits before it asks all nodes again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Why an edge did not come by a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The nodes say no, and will again.
    #[error("the cluster does not let this edge in: {0}")]
    Refused(String),
    /// What came cannot be used.
    #[error("what a node answered cannot be used: {0}")]
    Unusable(String),
    /// The token names authorities that cannot be read.
    #[error("the join token cannot be used: {0}")]
    Token(String),
    /// The disk does not keep it.
    #[error("the certificate cannot be kept")]
    Keep(#[from] KeepError),
}

/// Comes by a certificate with a token, and keeps it. It asks the nodes that the token names again and
/// again, until one answers. The key that it asks with is kept before: if this edge dies after the cluster has let it in and before it has
/// kept the certificate, it asks with the same key and token once more, and gets one.
///
/// # Errors
/// When the token is not good, or what came cannot be used or kept.
pub async fn enrol<N: Network>(
    network: &N,
    (clock, entropy): (&dyn Clock, Arc<dyn Entropy>),
    folder: &Folder,
    (token, edge_id): (&JoinToken, &str),
) -> Result<Enrolled, EnrolError> {
    let unusable = |error: &dyn std::fmt::Display| EnrolError::Unusable(error.to_string());
    let key = match folder.pending(edge_id)? {
        Some(pem) => NewKey::read(&pem).map_err(|error| unusable(&error))?,
        None => {
            let key = NewKey::draw(&*entropy).map_err(|error| unusable(&error))?;
            folder.keep_pending(edge_id, &key.pem)?;
            key
        }
    };
    let asked = Asked::Enrol {
        secret: token.secret,
        edge_id: edge_id.to_owned(),
        key: key.public.0,
    };
    let mut pause = PAUSE_MIN;
    let papers = loop {
        let config = Identity::stranger(&token.authorities, ALPN_ENROL)
            .map_err(|error| EnrolError::Token(error.to_string()))?;
        let to = (network.clone(), Arc::clone(&entropy));
        match ask(to, config, &token.nodes, &asked).await {
            Ok(papers) => break papers,
            Err(AskError::Refused(reason)) => return Err(EnrolError::Refused(reason)),
            Err(AskError::Unavailable(reason)) => {
                tracing::warn!(
                    reason,
                    wait_ms = pause.as_millis(),
                    "no node lets this edge in; it asks again"
                );
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    };
    let enrolled = Enrolled {
        edge_id: edge_id.to_owned(),
        key: key.pem,
        obtained_s: clock.now().0 / 1000,
        papers,
        environment_id: Some(token.environment_id.clone()),
    };
    check(&enrolled, None)?;
    folder.keep(&enrolled)?;
    Ok(enrolled)
}

/// The identity that a certificate makes, if it is this edge's.
fn check(enrolled: &Enrolled, before: Option<&Papers>) -> Result<Identity, EnrolError> {
    let identity = enrolled
        .identity()
        .map_err(|error| EnrolError::Unusable(error.to_string()))?;
    let named = identity.peer();
    if named != Some(Peer::Edge(enrolled.edge_id.clone())) {
        return Err(EnrolError::Unusable(format!("it is for {named:?}")));
    }
    let environment = &enrolled.papers.environment;
    let named = identity.environment();
    if named.as_ref() != Some(environment) {
        return Err(EnrolError::Unusable(format!(
            "the certificate is for the environment {named:?}"
        )));
    }
    if before.is_some_and(|before| before.environment != *environment) {
        return Err(EnrolError::Unusable(format!(
            "it is for the environment {environment}"
        )));
    }
    Ok(identity)
}
