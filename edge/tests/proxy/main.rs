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
mod floods;
mod forwarding;
mod frames;
mod grpc;
mod health;
mod http2;
mod http3;
mod limits;
mod names;
mod observing;
mod origin;
mod proxy_protocol;
mod publish;
mod reuse;
mod secured;
mod sharing;
mod shutdown;
mod smuggling;
mod streaming;
mod swap;
mod tls;
mod upstream_http2;
mod upstream_leaving;
mod upstream_tls;
mod websocket;
mod world;
