//! The API against a state machine in memory: no sockets, no consensus, the real router and the
//! real core. One file per resource or promise.

mod api_keys;
mod auth;
mod bad_input;
mod cluster;
mod document;
mod fleet;
mod idempotency;
mod isolation;
mod pages;
mod policy;
mod release;
mod routes;
mod rules;
mod strangers;
mod support;
mod upstreams;
mod wire;
mod workspace;
