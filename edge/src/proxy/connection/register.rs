//! A thread's connections: who they are, what they are told, and which of them are too slow.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Connection, Order};
use crate::settings::TimeoutSettings;

/// A thread's connections, in the order of their acceptance.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Connections {
    live: RefCell<BTreeMap<u64, Rc<Connection>>>,
    next: Cell<u64>,
    ended: Notify,
}

/// A connection's entry; dropping it strikes the connection off.
#[derive(Debug)]
pub(in crate::proxy) struct Registered {
    of: Rc<Connections>,
    number: u64,
}

impl Connections {
    pub(in crate::proxy) fn register(self: &Rc<Self>, connection: &Rc<Connection>) -> Registered {
        let number = self.next.get();
        self.next.set(number + 1);
        self.live.borrow_mut().insert(number, Rc::clone(connection));
        Registered {
            of: Rc::clone(self),
            number,
        }
    }

    pub(in crate::proxy) fn len(&self) -> usize {
        self.live.borrow().len()
    }

    /// Ends the oldest where there are more than `count`.
    pub(in crate::proxy) fn keep_to(&self, count: usize) {
        let live = self.live.borrow();
        if let Some((_, oldest)) = live.first_key_value().filter(|_| live.len() > count) {
            oldest.obey(Order::Abort);
        }
    }

    /// Gives every connection the same order.
    pub(in crate::proxy) fn order(&self, order: Order) {
        for connection in self.live.borrow().values() {
            connection.obey(order);
        }
    }

    /// Ends what is overdue, and says how many connections were aborted.
    pub(in crate::proxy) fn sweep(&self, timeouts: &TimeoutSettings) -> usize {
        let now = Instant::now();
        let mut aborted = 0;
        for connection in self.live.borrow().values() {
            if let Some(order) = connection.overdue(now, timeouts) {
                aborted += usize::from(order == Order::Abort);
                connection.obey(order);
            }
            connection.tire(now);
        }
        aborted
    }

    /// Waits until there are fewer than `count`.
    pub(in crate::proxy) async fn fewer_than(&self, count: usize) {
        while self.len() >= count {
            self.ended.notified().await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.of.live.borrow_mut().remove(&self.number);
        self.of.ended.notify_one();
    }
}
