//! Rules by networks: one table for all, asked once for each length of prefix that is in it. Few
//! lengths are in use, however many networks there are.

use std::net::IpAddr;

use super::lists::ListId;
use super::texts::Table;
use crate::model::IpRange;

/// The networks that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    networks: Table<IpRange>,
    /// Lengths of prefixes of IPv4 networks, and of IPv6 networks.
    lengths: [Vec<u8>; 2],
}

impl Networks {
    /// A table of these networks.
    pub(super) fn new(networks: Vec<(IpRange, ListId)>) -> Self {
        let mut lengths = [Vec::new(), Vec::new()];
        for (network, _) in &networks {
            lengths[family(network.first())].push(network.prefix());
        }
        for lengths in &mut lengths {
            lengths.sort_unstable();
            lengths.dedup();
        }
        Self {
            networks: networks.into_iter().collect(),
            lengths,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Shows the lists of every network that an address is in, the widest first.
    pub(super) fn visit(&self, address: IpAddr, mut visit: impl FnMut(ListId)) {
        let address = address.to_canonical();
        for prefix in &self.lengths[family(address)] {
            let network = IpRange::around(address, *prefix);
            if let Some(list) = network.and_then(|network| self.networks.get(&network)) {
                visit(*list);
            }
        }
    }
}

fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}
