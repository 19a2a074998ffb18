//! The control plane: consensus, the REST API, inter-node gRPC and the snapshot publisher.
//!
//! [`control_plane`] is what the parts know of each other; each part stands in its own module.
#![forbid(unsafe_code)]

pub mod control_plane;
pub mod keys;
