//! Receivers of webhooks that do what a test says, and write down what they are sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::ports::HandClock;
use super::support::keys;
use crate::control_plane::{BoxFuture, ControlPlane};
use crate::webhooks::courier::{Courier, Post};
use crate::webhooks::sender::Attempted;

/// What a receiver does with one request.
#[derive(Clone)]
pub(super) enum Behaviour {
    /// Answers at once.
    Say(u16),
    /// Answers when the test lets it.
    Wait(Arc<Semaphore>, u16),
    /// Never answers.
    Hang,
    /// Cannot be reached.
    Unreachable,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Posted {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// All receivers. Those that nothing was said about answer 200.
#[derive(Default)]
pub(super) struct Receivers {
    posted: Mutex<Vec<Posted>>,
    scripts: Mutex<BTreeMap<String, VecDeque<Behaviour>>>,
}

impl Receivers {
    /// What the receiver at `url` does with its next requests; the last is for all that follow.
    pub(super) fn script(&self, url: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        let behaviours = behaviours.into_iter().collect();
        self.scripts.lock().insert(url.to_owned(), behaviours);
    }

    /// What arrived at `url`.
    pub(super) fn posted(&self, url: &str) -> Vec<Posted> {
        let posted = self.posted.lock();
        let here = posted.iter().filter(|posted| posted.url == url);
        here.cloned().collect()
    }

    /// What attempts at them are made by.
    pub(super) fn courier(
        self: &Arc<Self>,
        control: Arc<dyn ControlPlane>,
        clock: &Arc<HandClock>,
    ) -> Courier {
        Courier {
            post: self.clone(),
            control,
            keys: keys(),
            clock: clock.clone(),
        }
    }

    fn next(&self, url: &str) -> Behaviour {
        let mut scripts = self.scripts.lock();
        let Some(script) = scripts.get_mut(url) else {
            return Behaviour::Say(200);
        };
        match script.len() {
            0 => Behaviour::Say(200),
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        }
    }
}

impl Post for Receivers {
    fn post<'a>(
        &'a self,
        url: &'a str,
        headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Attempted> {
        let url_posted = url.to_owned();
        self.posted.lock().push(Posted {
            url: url_posted,
            headers,
            body,
        });
        let behaviour = self.next(url);
        Box::pin(async move {
            let status = match behaviour {
                Behaviour::Say(status) => Some(status),
                Behaviour::Wait(gate, status) => {
                    gate.acquire().await.unwrap().forget();
                    Some(status)
                }
                Behaviour::Hang => std::future::pending().await,
                Behaviour::Unreachable => None,
            };
            Attempted {
                status,
                error: status.is_none().then(|| "cannot connect".to_owned()),
                latency: Duration::from_millis(7),
                head: status.map_or_else(String::new, |_| "hello".to_owned()),
            }
        })
    }
}
