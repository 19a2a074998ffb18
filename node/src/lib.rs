//! The control plane: consensus, the REST API, inter-node gRPC and the snapshot publisher.
//!
//! [`control_plane`] is what the parts know of each other; each part stands in its own module, and
//! [`assembly`] puts them together.
#![forbid(unsafe_code)]

mod admin;
pub mod assembly;
pub mod backup;
pub mod bootstrap;
pub mod ca;
pub mod consensus;
pub mod control_plane;
pub mod doctor;
pub mod enrolment;
mod errands;
pub mod fleet;
pub mod halt;
mod key_text;
pub mod keys;
pub mod limits;
mod log_time;
pub mod metrics;
pub mod publisher;
pub mod rest;
pub mod sealing;
pub mod settings;
pub mod signing;
mod sources;
#[cfg(feature = "testing")]
pub mod testing;
pub mod traces;
pub(crate) mod webhooks;
