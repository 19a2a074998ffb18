//! The data plane: subscriber, last-good store and HTTP proxy.
