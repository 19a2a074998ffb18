//! Signs what edges follow. The private key is in the replicated state, sealed, and Ed25519 draws nothing, so
//! every node signs the same manifest alike, and none has to ask another.
//!
//! ```text
//! signer   opens the key, signs each manifest once, and keeps that
//! draw     draws keys, for the cluster's first and for those that come after
//! ```
//!
//! It costs nothing on the way of a write: a manifest is signed when somebody is to be told of it. What a
//! signature means, and whom edges believe, is [`edge_protocol::signing`]'s matter.

mod draw;
mod signer;

pub use draw::{founding, next_key, retirement};
pub(crate) use signer::open;
pub use signer::{Signer, SigningError};
