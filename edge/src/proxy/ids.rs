//! Identifiers for requests that are answered with an error: drawn without asking the operating
//! system each time, since errors come in floods.

use std::cell::Cell;
use std::sync::Arc;

use domain::id::{RequestId, Seed};
use platform::{Clock, Entropy};

/// A thread's source of request identifiers.
pub(super) struct RequestIds {
    clock: Arc<dyn Clock>,
    state: Cell<u64>,
}

impl RequestIds {
    pub(super) fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        Self {
            clock,
            state: Cell::new(entropy.next_u64()),
        }
    }

    pub(super) fn next(&self) -> RequestId {
        RequestId::new(Seed {
            unix_ms: self.clock.now().0,
            random: self.random(),
        })
    }

    /// A key for a WebSocket. It is no secret: it shows that an answer is to this very request.
    pub(super) fn websocket_key(&self) -> [u8; 16] {
        let bits = u128::from(self.random()) << 64 | u128::from(self.random());
        bits.to_be_bytes()
    }

    fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        mix(state)
    }
}

/// The finaliser of `SplitMix64`: consecutive states look unrelated. An identifier is no secret.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
