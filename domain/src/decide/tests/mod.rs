//! What commands do, one sentence per test. Every step in every test is checked against
//! [`crate::invariants`].

mod access;
mod idempotency;
mod journal;
mod manifests;
mod preconditions;
mod publish;
mod reads;
mod rollback;
mod routes;
mod rules;
mod upstreams;
mod webhooks;
mod world;
