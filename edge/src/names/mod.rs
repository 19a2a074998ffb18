//! The names of targets, resolved in the background: each is asked for again when its answer ends,
//! what was known last goes on where no answer comes, and connections go to all addresses in turn.
//!
//! Serving threads never wait for a name, but for the first connections to a target that is new:
//! these go by the network's own way. One task of the edge asks for all names.

mod addresses;
mod resolution;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use platform::{Lookup, Network};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

pub use addresses::Addresses;
pub use resolution::Resolution;

/// How long an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How many names are asked for at once.
const QUESTIONS_MAX: usize = 16;

/// How long to wait where there is nothing to wait for.
const NOTHING: Duration = Duration::from_secs(3600);

/// The names that targets in use have.
#[derive(Debug, Default)]
pub struct Names {
    known: Mutex<BTreeMap<String, Weak<Addresses>>>,
    wake: Notify,
}

impl Names {
    /// The addresses behind `host:port`; nothing where that is an address already.
    #[must_use]
    pub fn of(&self, authority: &str) -> Option<Arc<Addresses>> {
        if is_address(authority) {
            return None;
        }
        let mut known = self.known.lock();
        if let Some(addresses) = known.get(authority).and_then(Weak::upgrade) {
            return Some(addresses);
        }
        let addresses = Arc::<Addresses>::default();
        known.insert(authority.to_owned(), Arc::downgrade(&addresses));
        self.wake.notify_one();
        Some(addresses)
    }

    /// The names that somebody uses still.
    fn used(&self) -> BTreeMap<String, Arc<Addresses>> {
        let mut known = self.known.lock();
        known.retain(|_, addresses| addresses.strong_count() > 0);
        let used = known
            .iter()
            .filter_map(|(name, addresses)| Some((name.clone(), addresses.upgrade()?)));
        used.collect()
    }
}

fn is_address(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map(|(host, _)| host);
    authority.parse::<SocketAddr>().is_ok()
        || host.is_some_and(|host| host.parse::<IpAddr>().is_ok())
}

/// An answer to a question for a name.
type Answered = (String, Result<Lookup, String>);

/// Keeps the names resolved for as long as it runs. To be called within a `LocalSet`.
pub(crate) async fn refresh<N: Network>(network: N, names: Arc<Names>) {
    let (answers, mut answered) = mpsc::channel::<Answered>(QUESTIONS_MAX);
    let mut states = BTreeMap::<String, Resolution>::new();
    loop {
        let used = names.used();
        states.retain(|name, _| used.contains_key(name));
        for name in used.keys() {
            let known = states.contains_key(name);
            if !known {
                states.insert(name.clone(), Resolution::new(Instant::now()));
            }
        }
        let mut asked = states.values().filter(|state| state.is_asked()).count();
        let now = Instant::now();
        for (name, state) in &mut states {
            if asked < QUESTIONS_MAX && state.poll(now) {
                asked += 1;
                ask(network.clone(), name.clone(), answers.clone());
            }
        }
        let due = states.values().filter_map(Resolution::due).min();
        let due = due.filter(|_| asked < QUESTIONS_MAX);
        // Nothing of `used` is held while waiting, or names would be in use for good.
        drop(used);
        tokio::select! {
            Some((name, answer)) = answered.recv() => {
                take(&names, &mut states, &name, answer);
            }
            () = names.wake.notified() => {}
            () = sleep_until(due.unwrap_or(now + NOTHING)) => {}
        }
    }
}

fn ask<N: Network>(network: N, name: String, answers: mpsc::Sender<Answered>) {
    tokio::task::spawn_local(async move {
        let answer = match timeout(ANSWER_MAX, network.lookup(&name)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer came in time".to_owned()),
        };
        // Where nobody keeps names any more, nobody wants to know.
        let _ = answers.send((name, answer)).await;
    });
}

fn take(
    names: &Names,
    states: &mut BTreeMap<String, Resolution>,
    name: &str,
    answer: Result<Lookup, String>,
) {
    let Some(state) = states.get_mut(name) else {
        return;
    };
    let now = Instant::now();
    match answer {
        Ok(Lookup { addresses, ttl }) => {
            state.answered(now, ttl);
            if let Some(known) = names.known.lock().get(name).and_then(Weak::upgrade) {
                known.set(addresses);
            }
        }
        Err(reason) => {
            if state.failed(now) {
                tracing::warn!(
                    name,
                    reason,
                    "a target's name is not resolved; what was known goes on"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
