//! A fair sample of requests: each that came since the last drain is as likely to be in it as any
//! other (Algorithm R; Vitter, "Random Sampling with a Reservoir", 1985).

use std::cell::{Cell, RefCell};

use edge_protocol::telemetry::Decision;

/// Examples that a thread keeps between two drains, a second apart: enough to see what an edge
/// decides, too few to cost anything.
pub(super) const DECISIONS_MAX: usize = 4;

/// The sample of a thread.
#[derive(Debug)]
pub(super) struct Reservoir {
    random: Random,
    seen: Cell<u64>,
    kept: RefCell<Vec<Decision>>,
}

/// A thread's cheap randomness, for sampling alone: the `SplitMix64` generator
/// (<https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug)]
pub(super) struct Random(Cell<u64>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^ (state >> 31)
    }

    /// A number below `end`, as good as evenly: the high half of a product.
    fn below(&self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(u64::MAX)
    }
}

impl Reservoir {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            seen: Cell::new(0),
            kept: RefCell::default(),
        }
    }

    /// Where the next request goes in the sample, if it is one of it.
    pub(super) fn draw(&self) -> Option<usize> {
        let seen = self.seen.get() + 1;
        self.seen.set(seen);
        let place = if seen <= DECISIONS_MAX as u64 {
            seen - 1
        } else {
            self.random.below(seen)
        };
        usize::try_from(place)
            .ok()
            .filter(|place| *place < DECISIONS_MAX)
    }

    /// Puts a request where [`Self::draw`] said, or next to the others if those went meanwhile.
    pub(super) fn put(&self, place: usize, decision: Decision) {
        let mut kept = self.kept.borrow_mut();
        match kept.get_mut(place) {
            Some(other) => *other = decision,
            None => kept.push(decision),
        }
    }

    /// Takes the sample out and begins another one.
    pub(super) fn take(&self) -> Vec<Decision> {
        self.seen.set(0);
        self.kept.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_as_likely_as_any_other() {
        let reservoir = Reservoir::new(7);
        let (rounds, requests) = (2_000, 100);
        let mut chosen = vec![0_u32; requests];
        for _ in 0..rounds {
            let mut sample = [None; DECISIONS_MAX];
            for request in 0..requests {
                if let Some(place) = reservoir.draw() {
                    sample[place] = Some(request);
                }
            }
            for request in sample.into_iter().flatten() {
                chosen[request] += 1;
            }
            assert!(reservoir.take().is_empty());
        }
        let expect = f64::from(rounds) * DECISIONS_MAX as f64 / requests as f64;
        for (request, count) in chosen.into_iter().enumerate() {
            let off = (f64::from(count) - expect).abs();
            // Six standard deviations of a count.
            assert!(off < 6.0 * expect.sqrt(), "request {request}: {count}");
        }
    }
}
