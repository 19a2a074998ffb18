//! Where a connection leads, and whether its target is still there: a name may mean other addresses
//! by now than when the connection was made. Requests under way stay where they are.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::names::Addresses;

/// Where a connection leads.
#[derive(Debug, Default)]
pub(crate) struct Lead {
    /// The addresses behind the target's name; nothing where it has an address.
    of: Option<Arc<Addresses>>,
    /// Which of them it is; nothing where none was known.
    to: Option<SocketAddr>,
    /// By which of their changes it was one of them.
    seen: Cell<u64>,
}

impl Lead {
    /// A connection that was made to one of these addresses, as they were after so many changes.
    pub(super) fn new(of: Option<&Arc<Addresses>>, to: Option<SocketAddr>, seen: u64) -> Self {
        Self {
            of: of.map(Arc::clone),
            to,
            seen: Cell::new(seen),
        }
    }

    /// Whether it leads to its target still. One that was made before anything was known of the
    /// name leads there until something is.
    pub(super) fn holds(&self) -> bool {
        let Some(addresses) = &self.of else {
            return true;
        };
        // Mostly nothing has changed, and a number that is only read stays with every core.
        let changes = addresses.changes();
        if changes == self.seen.get() {
            return true;
        }
        let holds = self.to.is_some_and(|to| addresses.has(to));
        if holds {
            self.seen.set(changes);
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    #[test]
    fn a_connection_leads_to_its_target_while_the_name_has_its_address() {
        let name = Arc::<Addresses>::default();
        let early = Lead::new(Some(&name), None, name.changes());
        assert!(early.holds());
        name.set(vec![address(1), address(2)]);
        assert!(!early.holds());
        let lead = Lead::new(Some(&name), Some(address(1)), name.changes());
        name.set(vec![address(1), address(3)]);
        assert!(lead.holds());
        name.set(vec![address(2), address(3)]);
        assert!(!lead.holds() && !lead.holds());
        // Where nothing is known, nothing else is known to be right.
        name.set(Vec::new());
        assert!(lead.holds());
        assert!(Lead::default().holds());
    }
}
