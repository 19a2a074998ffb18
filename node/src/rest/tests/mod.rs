//! The API against a state machine in memory: no sockets, no consensus, the real router and the
//! real core. One file per resource or promise.

mod api_keys;
mod auth;
mod bad_input;
mod cluster;
mod contract;
mod dispatch;
mod document;
mod dry_run;
mod fleet;
mod history;
mod hostile;
mod idempotency;
mod isolation;
mod limits;
mod pages;
mod policy;
mod ports;
mod preconditions;
mod receivers;
mod release;
mod reply;
mod routes;
mod rule_sets;
mod rules;
mod strangers;
mod support;
mod switches;
mod targets;
mod upstreams;
mod versions;
mod webhooks;
mod wire;
mod workspace;
