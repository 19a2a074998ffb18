//! The openraft log store and state machine over a small storage-engine port.
#![forbid(unsafe_code)]

pub mod codec;
pub mod fault;
pub mod runtime;
pub mod types;
