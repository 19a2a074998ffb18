//! Two parsers of this crate that read what strangers wrote and are nobody's business outside of it, as narrow
//! as fuzzing needs them. Only there with the feature `testing`.

use std::net::IpAddr;

use domain::id::EnvironmentId;

use crate::keys::KeyRing;
use crate::rest::cursor::{Cursors, Position, Scope};
use crate::webhooks::address::{self, AddressPolicy, Scheme};

/// The cursors of one list.
#[derive(Clone)]
pub struct CursorOf {
    cursors: Cursors,
    environment_id: EnvironmentId,
    list: &'static str,
    filter: &'static str,
}

impl std::fmt::Debug for CursorOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorOf")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

impl CursorOf {
    /// Those of a list with a filter, made with a pepper.
    ///
    /// # Panics
    /// When the pepper is too short or too long.
    #[must_use]
    pub fn new(
        pepper: &[u8],
        environment_id: EnvironmentId,
        list: &'static str,
        filter: &'static str,
    ) -> Self {
        let keys = KeyRing::new(pepper).expect("a pepper has its length");
        Self {
            cursors: Cursors::new(keys.purposed("vectorgate cursor v1")),
            environment_id,
            list,
            filter,
        }
    }

    /// The cursor behind the item with an identifier and a sort key.
    #[must_use]
    pub fn give(&self, id: &str, key: u64) -> String {
        let position = Position {
            id: id.to_owned(),
            key,
        };
        self.cursors.encode(&self.scope(), &position)
    }

    /// Which item a cursor stands behind, if it is one of this list.
    #[must_use]
    pub fn take(&self, text: &str) -> Option<(String, u64)> {
        let position = self.cursors.decode(&self.scope(), text).ok()?;
        Some((position.id, position.key))
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            environment_id: &self.environment_id,
            list: self.list,
            filter: self.filter.to_owned(),
        }
    }
}

/// A webhook's receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Whether it is spoken to over TLS.
    pub https: bool,
    /// The host, and the port unless it is the scheme's own.
    pub authority: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub target: String,
}

/// Reads a webhook's URL, where the operator allows these networks besides public ones.
///
/// # Errors
/// With what its owner is told is wrong with it.
///
/// # Panics
/// When what is allowed is no network.
pub fn receiver(url: &str, allowed: &[&str]) -> Result<Receiver, String> {
    let allowed = allowed
        .iter()
        .map(|range| range.parse().expect("a network"));
    let policy = AddressPolicy::new(allowed.collect());
    let receiver = address::Receiver::parse(url, &policy)?;
    Ok(Receiver {
        https: receiver.scheme == Scheme::Https,
        port: receiver.port,
        target: receiver.target.to_string(),
        authority: receiver.authority,
    })
}

/// Whether webhooks go to an address over TLS where the operator allows nothing.
#[must_use]
pub fn receives(address: IpAddr) -> bool {
    AddressPolicy::default()
        .check(Scheme::Https, address)
        .is_ok()
}
