//! Tests of delivery's parts: signatures against the document's own verifier, addresses by table,
//! sending against real sockets, resolving names.

mod address;
mod resolver;
mod sender;
mod signature;
mod tls;
mod world;
