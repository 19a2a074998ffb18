//! One attempt at one endpoint: shows an event by the release that the endpoint is pinned to, signs
//! it with the endpoint's secrets and the present time, and has it posted. What is attempted when, and what is remembered of it, is the worker's matter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::id::EventId;
use domain::model::WebhookEndpoint;
use domain::query;
use domain::time::Timestamp;
use http::HeaderMap;
use platform::{Clock, Network};

use super::sender::{Attempted, Sender};
use super::signature;
use crate::control_plane::{BoxFuture, ControlPlane};
use crate::keys::KeyRing;
use crate::rest;

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
    /// Where secrets are kept.
    pub(crate) control: Arc<dyn ControlPlane>,
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
        let secrets = match self.secrets(endpoint, now) {
            Ok(secrets) => secrets,
            Err(reason) => {
                tracing::error!(endpoint = %endpoint.id, reason, "a webhook cannot be signed");
                return Attempted::unsent("it cannot be signed".to_owned());
            }
        };
        let (body, (name, version)) = rest::sent_by_version(&endpoint.api_version, body);
        let (id, at) = (event_id.as_str(), now.unix_seconds());
        let mut headers = signature::headers(id, &secrets, at, &body);
        headers.insert(name, version);
        self.post.post(&endpoint.url, headers, body).await
    }

    /// The newest secret, and the one before as long as it is good.
    fn secrets(&self, endpoint: &WebhookEndpoint, now: Timestamp) -> Result<Vec<String>, String> {
        let overlap = endpoint
            .previous_secret_until
            .is_some_and(|until| until > now);
        let signing = query::signing_generations(endpoint).take(if overlap { 2 } else { 1 });
        let read = self.control.read_local(|view| {
            let secret = |generation| self.keys.webhook_secret(view, endpoint, generation);
            let secrets = signing.map(secret).collect::<Result<Vec<_>, _>>();
            secrets.map_err(|error| error.to_string())
        });
        let (secrets, _) = read.map_err(|error| error.to_string())?;
        let texts = secrets?.into_iter();
        Ok(texts.map(|secret| secret.reveal().to_owned()).collect())
    }
}
