//! HTTP/1.1 as its client, made for a proxy: an exchange is driven by whoever waits for it, within
//! one task, from the first byte of the request to the last of the response.
//!
//! hyper's client is a task of its own for each connection, to which requests, responses and pieces
//! of bodies are handed through channels. For small answers, that costs more than all the rest
//! that a proxy does. Here a response is read where it is wanted, into a buffer of which header
//! values and bodies are parts; nothing is handed over or allocated for a request in the steady
//! state.
//!
//! ```text
//!   Outgoing: head, then framed pieces of the body ---.            .--- Input: bytes as they came
//!     request: heads as bytes                         v            v      response: heads of bytes
//!                                                   Link: one connection    Decoder: bodies of bytes
//! ```
//!
//! What reads and writes bytes (`request`, `response`, [`crate::http1`]) is pure. It is strict:
//! whatever two readers could understand differently is no response.

mod link;
mod outgoing;
mod request;
mod response;

pub(super) use link::{Link, LinkError};
pub(super) use outgoing::Outgoing;
pub(super) use response::Head;
