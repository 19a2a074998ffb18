//! HTTP/3 clients over QUIC.

mod client;
mod connections;
mod drain;
mod limits;
mod messages;
mod noise;
mod raw;
mod threads;
mod tls;

use std::net::SocketAddr;

use crate::publish::Draft;
use crate::secured::{STRICT, secure, with};
use crate::world::World;

pub(crate) use raw::{DATA, HEADERS, Raw, frame, section};

/// The settings with which HTTP/3 is spoken.
pub(crate) const LISTEN: (&str, &str) = ("HTTP3__LISTEN", "127.0.0.1:0");

/// An edge that speaks HTTP/3 for these routes; see [`secure`].
async fn open(set: &[(&'static str, &'static str)], drafts: &[Draft]) -> (World, SocketAddr) {
    let (world, _) = secure(&[&[LISTEN], set].concat(), drafts).await;
    let address = world.http3.unwrap();
    (world, address)
}

/// The same for one host and one origin.
pub(crate) async fn open_to(
    set: &[(&'static str, &'static str)],
    origin: SocketAddr,
) -> (World, SocketAddr) {
    open(set, &[with(STRICT, origin)]).await
}
