//! The data plane: subscriber, last-good store and HTTP proxy.
#![forbid(unsafe_code)]

pub mod configuration;
