//! Resolves the names of receivers. A name server of a customer's may take its time, and the operating
//! system's resolver holds a thread of the process for as long, also when nobody waits for the answer any
//! more. So few look-ups are under way at a time, and one for each name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use platform::Network;
use tokio::sync::Semaphore;

/// How many look-ups are under way at a time: an eighth of the threads that the runtime has for what blocks.
pub(super) const LOOK_UPS_MAX: usize = 64;

/// A look-up that several may wait for.
type LookUp = Shared<BoxFuture<'static, Option<Vec<SocketAddr>>>>;

/// Resolves names. Cloning shares the look-ups.
#[derive(Clone)]
pub(super) struct Resolver<N> {
    network: N,
    permits: Arc<Semaphore>,
    under_way: Arc<Mutex<BTreeMap<String, LookUp>>>,
}

impl<N: Network> Resolver<N> {
    pub(super) fn new(network: N) -> Self {
        Self {
            network,
            permits: Arc::new(Semaphore::new(LOOK_UPS_MAX)),
            under_way: Arc::default(),
        }
    }

    /// The addresses behind `host:port`; nothing, if it does not resolve. It has no deadline of its
    /// own, and whoever gives up waiting does not end the look-up.
    pub(super) async fn resolve(&self, name: String) -> Option<Vec<SocketAddr>> {
        let look_up = self.look_up(name);
        look_up.await
    }

    fn look_up(&self, name: String) -> LookUp {
        let mut under_way = self.under_way.lock();
        if let Some(look_up) = under_way.get(&name) {
            return look_up.clone();
        }
        // It ends behind the lock that is held here, so it is not taken out before it is put in.
        let task = tokio::spawn(self.clone().run(name.clone()));
        let look_up = task.map(|ended| ended.ok().flatten()).boxed().shared();
        under_way.insert(name, look_up.clone());
        look_up
    }

    async fn run(self, name: String) -> Option<Vec<SocketAddr>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await;
        let resolved = self.network.resolve(&name).await;
        drop(permit);
        self.under_way.lock().remove(&name);
        resolved.ok().filter(|addresses| !addresses.is_empty())
    }
}
