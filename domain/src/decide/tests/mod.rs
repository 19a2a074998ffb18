//! What commands do, one sentence per test. Every step in every test is checked against
//! [`crate::invariants`].

mod access;
mod alone;
mod api_keys;
mod certificates;
mod cluster;
mod edges;
mod expiries;
mod idempotency;
mod journal;
mod manifests;
mod outages;
mod preconditions;
mod publish;
mod purge;
mod reads;
mod retention;
mod rollback;
mod routes;
mod rules;
mod several;
mod shifts;
mod upstreams;
mod validation;
mod webhooks;
mod world;
