//! The API against a state machine in memory: no sockets, no consensus, the real router and the
//! real core. One file per resource or promise.

mod auth;
mod bad_input;
mod cluster;
mod document;
mod fleet;
mod idempotency;
mod isolation;
mod limits;
mod pages;
mod release;
mod reply;
mod routes;
mod rules;
mod support;
mod upstreams;
mod wire;
