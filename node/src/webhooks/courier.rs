//! One attempt at one endpoint: signs an event with the endpoint's secrets and the present time, and
//! has it posted. What is attempted when, and what is remembered of it, is the worker's matter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::id::EventId;
use domain::model::WebhookEndpoint;
use domain::time::Timestamp;
use http::HeaderMap;
use platform::{Clock, Network};

use super::sender::{Attempted, Sender};
use super::signature;
use crate::control_plane::BoxFuture;
use crate::keys::KeyRing;

/// Posts one request; [`Sender`] does, and tests write down what would have been sent.
pub(crate) trait Post: Send + Sync + 'static {
    /// Sends it, and says what came of that within a bounded time.
    fn post<'a>(
        &'a self,
        url: &'a str,
        headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Attempted>;
}

impl<N: Network> Post for Sender<N> {
    fn post<'a>(
        &'a self,
        url: &'a str,
        headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Attempted> {
        Box::pin(async move {
            // The operator may have changed his mind since the endpoint was made.
            match self.receiver(url) {
                Ok(receiver) => self.send(&receiver, headers, body).await,
                Err(reason) => Attempted::unsent(format!("the URL is refused: {reason}")),
            }
        })
    }
}

impl Attempted {
    /// An attempt that nothing was sent for.
    pub(super) fn unsent(error: String) -> Self {
        Self {
            status: None,
            error: Some(error),
            latency: Duration::ZERO,
            head: String::new(),
        }
    }
}

/// Signs and posts.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) post: Arc<dyn Post>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Courier {
    /// Makes one attempt to deliver `body`, which is an event with this identifier.
    pub(crate) async fn attempt(
        &self,
        endpoint: &WebhookEndpoint,
        event_id: &EventId,
        body: Bytes,
    ) -> Attempted {
        let now = self.clock.now();
        let secrets = self.secrets(endpoint, now);
        let headers = signature::headers(event_id.as_str(), &secrets, now.unix_seconds(), &body);
        self.post.post(&endpoint.url, headers, body).await
    }

    /// The newest secret, and the one before as long as it is good.
    fn secrets(&self, endpoint: &WebhookEndpoint, now: Timestamp) -> Vec<String> {
        let newest = endpoint.secret_generation;
        let overlap = endpoint
            .previous_secret_until
            .is_some_and(|until| until > now);
        let previous = newest
            .checked_sub(1)
            .filter(|before| *before > 0 && overlap);
        let secret = |generation| {
            let secret = self.keys.webhook_secret(endpoint.id.as_str(), generation);
            secret.reveal().to_owned()
        };
        [Some(newest), previous]
            .into_iter()
            .flatten()
            .map(secret)
            .collect()
    }
}
