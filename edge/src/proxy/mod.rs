//! The proxy: what clients connect to. A serving thread accepts connections, settles what each
//! request means, lets the configuration in use decide, and streams the answer.
//!
//! The way of a request, and why in this order:
//! 1. `request`: refuse what two readers could understand differently, before anything is
//!    decided by it.
//! 2. The configuration in use is taken once; the request keeps it to its last byte.
//! 3. Host → route → rule → action, by `domain::matching`.
//! 4. `caching`: what is kept of the origins' answers serves where it may.
//! 5. `headers`: only what is forwarded is rewritten, and only after rules have seen it.
//! 6. `dispatch`: one target after the other, then the fallback.
//! 7. [`crate::upstream`]: a connection, deadlines, the response's head.
//! 8. `body`: both bodies are streamed; each side is read only as fast as the other takes it.

mod accepted;
mod body;
mod caching;
mod client;
mod connection;
mod dispatch;
mod error;
mod flood;
mod headers;
mod http;
mod http1;
mod http3;
mod ids;
mod preface;
mod prefixed;
mod proxy_protocol;
mod request;
mod scheme;
mod server;
mod service;
mod sticky;
mod tls;
mod tunnel;
mod watched;
mod websocket;

pub use error::{Code, REQUEST_ID};
pub use http3::quic_server;
pub use server::{Listeners, serve};
pub use service::{Common, Worker};
pub use tls::Tls;
