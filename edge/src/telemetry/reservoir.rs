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
    /// How often the sample was taken out.
    round: Cell<u64>,
    kept: RefCell<[Option<Decision>; DECISIONS_MAX]>,
}

/// A request's place in a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    round: u64,
    place: usize,
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
            round: Cell::new(0),
            kept: RefCell::default(),
        }
    }

    /// Where the next request goes in the sample, if it is one of it.
    pub(super) fn draw(&self) -> Option<Spot> {
        let seen = self.seen.get() + 1;
        self.seen.set(seen);
        let place = if seen <= DECISIONS_MAX as u64 {
            seen - 1
        } else {
            self.random.below(seen)
        };
        let place = usize::try_from(place).ok()?;
        let round = self.round.get();
        (place < DECISIONS_MAX).then_some(Spot { round, place })
    }

    /// Puts a request where [`Self::draw`] said. If that sample was taken out meanwhile, it is one of
    /// those of the next.
    pub(super) fn put(&self, drawn: Spot, decision: Decision) {
        let spot = if drawn.round == self.round.get() {
            Some(drawn)
        } else {
            self.draw()
        };
        if let Some(spot) = spot {
            self.kept.borrow_mut()[spot.place] = Some(decision);
        }
    }

    /// Takes the sample out and begins another one.
    pub(super) fn take(&self) -> Vec<Decision> {
        self.seen.set(0);
        self.round.set(self.round.get() + 1);
        self.kept.take().into_iter().flatten().collect()
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
                if let Some(spot) = reservoir.draw() {
                    sample[spot.place] = Some(request);
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

    fn decision(path: &str) -> Decision {
        let seed = domain::id::Seed {
            unix_ms: 0,
            random: 0,
        };
        Decision {
            at: domain::time::Timestamp(0),
            method: Decision::method("GET"),
            path: Decision::path(path),
            route: domain::id::RouteId::new(seed),
            snapshot: domain::id::SnapshotId::new(seed),
            rule: None,
            outcome: edge_protocol::telemetry::Outcome::Answered,
            target: None,
            status: 200,
            micros: 1,
        }
    }

    fn paths(reservoir: &Reservoir) -> Vec<String> {
        let taken = reservoir.take();
        taken
            .iter()
            .map(|one| one.path.as_str().to_owned())
            .collect()
    }

    #[test]
    fn none_takes_the_place_of_another_that_ended_in_another_order_or_round() {
        let reservoir = Reservoir::new(7);
        let (first, second) = (reservoir.draw().unwrap(), reservoir.draw().unwrap());
        reservoir.put(second, decision("/second"));
        reservoir.put(first, decision("/first"));
        assert_eq!(paths(&reservoir), ["/first", "/second"]);
        let slow = reservoir.draw().unwrap();
        assert!(reservoir.take().is_empty());
        reservoir.put(slow, decision("/slow"));
        let next = reservoir.draw().unwrap();
        reservoir.put(next, decision("/next"));
        assert_eq!(paths(&reservoir), ["/slow", "/next"]);
    }
}
