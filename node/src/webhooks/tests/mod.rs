//! Tests of delivery's parts: signatures against the document's own verifier, addresses by table,
//! sending against real sockets.

mod address;
mod sender;
mod signature;
mod tls;
mod world;
