//! HTTP/1.1 as its server, made for a proxy: a connection is one task, in which a request's head is read, the
//! answer made, and written, one after the other. Nothing is handed over and, in the steady state, nothing is
//! allocated.
//!
//! ```text
//!   Session: whose turn it is
//!     .--> silent --bytes--> Wire -- request: head of bytes --> Worker::answer -- answer: head as bytes --.
//!     |                       '----- body: as it is wanted ---------^                                     |
//!     '------------------------ busy, until it was silent for a while <-------- Sending: framed pieces <--'
//! ```
//!
//! A connection that is silent holds its stream and little else. What serving takes, the state of a request
//! above all, is there while requests come, and goes when none has come for a while.
//!
//! What reads and writes bytes (`request`, `answer`, [`crate::http1`]) is pure. What a request means, and what
//! it is answered with, is [`super::service`]'s matter; how long anything may take is [`super::connection`]'s.

mod answer;
mod body;
mod date;
mod request;
mod sending;
mod session;
mod wire;

pub(super) use date::Dates;
pub(super) use session::{End, Session};
