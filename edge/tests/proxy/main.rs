//! The proxy between real sockets: clients on one side, small origins on the other, and
//! configurations made as the control plane makes them.

mod answers;
mod balance;
mod bodies;
mod caching;
mod client;
mod deadlines;
mod failures;
mod fallback;
mod forwarding;
mod health;
mod http2;
mod limits;
mod names;
mod observing;
mod origin;
mod publish;
mod reuse;
mod sharing;
mod shutdown;
mod smuggling;
mod swap;
mod upstream_http2;
mod upstream_tls;
mod world;
