//! The ports to the outside world, the network, the wall clock and entropy, and the adapters that
//! production uses. The simulation has adapters of its own; everything above takes these as
//! values and never asks the operating system itself. Durations are tokio's matter, which the
//! simulation controls.
#![forbid(unsafe_code)]

pub mod authority;
pub mod certificate;
pub mod clock;
pub mod entropy;
mod names;
pub mod network;
pub mod notify;
pub mod process;
pub mod renewal;
pub mod secret_file;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod trace;

pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use names::Lookup;
pub use network::{Listener, Network, TTL_UNKNOWN, TokioNetwork};
