//! Webhook endpoints, API keys and environments, and a client that asks for more than its limit.

use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use serde_json::json;

use super::client::Client;
use super::request::Request;
use super::scene::origin;
use super::{answers, receiver};
use crate::history::{Endpoint, Environment, Operation};

/// How many requests the client that outruns its limit has under way.
const HURRIES: usize = 12;
/// How many webhook endpoints there are at most for each receiver.
const ENDPOINTS_EACH: usize = 2;

impl Client {
    /// Makes an endpoint at one of the receivers, or gives one a new secret.
    pub(super) async fn endpoint(&mut self) {
        if self.shared.receivers == 0 || self.environment != Environment::Production {
            return;
        }
        let endpoints = self.shared.history.lock().endpoints.len();
        if endpoints < ENDPOINTS_EACH * self.shared.receivers && self.rng.random() {
            self.make_endpoint().await;
        } else if endpoints > 0 {
            self.rotate_secret().await;
        }
    }

    pub(super) async fn make_endpoint(&mut self) {
        let key = self.key();
        let number = self.shared.endpoints_begun();
        let receiver = receiver(number % self.shared.receivers.max(1));
        let hook = format!("/hooks/{number}");
        let body = json!({"url": format!("http://{receiver}{hook}"), "description": key});
        let path = "/v2/webhook_endpoints".to_owned();
        let request = Request::write(Operation::MakeEndpoint, "POST", path, Some(&body), &key);
        let (answer, body) = self.until_known(request).await;
        let Some(done) = answer.done() else { return };
        self.shared.history.lock().endpoints.push(Endpoint {
            id: answers::text(&body, "id"),
            environment: self.environment,
            receiver,
            path: hook,
            secrets: vec![(done.revision, answers::text(&body, "secret"))],
        });
    }

    async fn rotate_secret(&mut self) {
        let endpoint = {
            let history = self.shared.history.lock();
            let place = self.rng.random_range(0..history.endpoints.len());
            history.endpoints[place].id.clone()
        };
        let key = self.key();
        let path = format!("/v2/webhook_endpoints/{endpoint}/rotate_secret");
        let body = json!({"grace_seconds": 3600});
        let request = Request::write(Operation::RotateSecret, "POST", path, Some(&body), &key);
        let (answer, body) = self.until_known(request.about(&endpoint)).await;
        let Some(done) = answer.done() else { return };
        let secret = (done.revision, answers::text(&body, "secret"));
        let mut history = self.shared.history.lock();
        if let Some(known) = history
            .endpoints
            .iter_mut()
            .find(|known| known.id == endpoint)
        {
            known.secrets.push(secret);
            known.secrets.sort();
        }
    }

    /// Makes a key that may read, reads with it, ends it, and tries it again.
    pub(super) async fn use_and_revoke_key(&mut self) {
        let body =
            json!({"type": "restricted", "name": "short-lived", "scopes": {"methods": ["GET"]}});
        let short_lived = self.make_key(&body).await;
        let who = Request::read(Operation::Hurry, "/v2/api_keys/current".to_owned());
        for _ in 0..2 {
            let node = self.any_node();
            self.attempt_with(&short_lived, node, &who).await;
        }
        let key = self.key();
        let path = format!("/v2/api_keys/{}/revoke", short_lived.id);
        let request = Request::write(Operation::RevokeKey, "POST", path, None, &key);
        self.until_known(request.about(&short_lived.id)).await;
        for _ in 0..2 {
            let node = self.any_node();
            self.attempt_with(&short_lived, node, &who).await;
        }
    }

    /// Makes something in both environments under one idempotency key, of one body or of two: an
    /// environment knows nothing of what a key is used for in another one.
    pub(super) async fn use_key_in_both(&mut self) {
        let (own, own_key) = (self.environment, self.api_key.clone());
        let (key, alike) = (self.key(), self.rng.random::<bool>());
        for environment in Environment::ALL {
            self.environment = environment;
            if environment == own {
                self.api_key = own_key.clone();
            } else {
                self.take_key(environment).await;
            }
            let name = if alike { "both" } else { environment.name() };
            let upstream = origin(&format!("{key} {name}"));
            let path = "/v2/upstreams".to_owned();
            let request =
                Request::write(Operation::MakeUpstream, "POST", path, Some(&upstream), &key);
            self.until_known(request).await;
        }
        (self.environment, self.api_key) = (own, own_key);
    }

    /// Asks as fast as it can until the faults are over.
    pub(super) async fn hurry(&mut self) {
        let who = Request::read(Operation::Hurry, "/v2/api_keys/current".to_owned()).stale();
        while !*self.shared.winding_up.lock() {
            let nodes: Vec<usize> = (0..HURRIES).map(|_| self.any_node()).collect();
            join_all(nodes.into_iter().map(|node| self.attempt(node, &who))).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
