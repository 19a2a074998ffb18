//! What commands do, one sentence per test. Every step in every test is checked against
//! [`crate::invariants`].

mod access;
mod api_keys;
mod idempotency;
mod manifests;
mod publish;
mod reads;
mod rollback;
mod routes;
mod rules;
mod upstreams;
mod world;
