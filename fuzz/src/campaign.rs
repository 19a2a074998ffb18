//! Runs a target: first with what is kept, then with mutations of that, until a bound is reached or a
//! property does not hold.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::corpus::Kept;
use crate::mutate::mutated;
use crate::{Seen, Target};

/// Inputs that are mutated further: more would only dilute those that lead somewhere.
const POOL_MAX: usize = 4096;

/// One input may take so long. It is a bound on work that grows faster than its input, and far above what
/// a busy machine makes of a millisecond.
const TIME_MAX: Duration = Duration::from_secs(10);

/// When a campaign ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many made inputs.
    Inputs(u64),
    /// After so much time.
    Elapsed(Duration),
}

/// What a campaign came to, in which nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Inputs that were tried, those of the corpus included.
    pub inputs: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Made inputs that led to something new.
    pub found: Vec<Vec<u8>>,
    /// The longest time of one input.
    pub slowest: Duration,
    /// The most bytes that were allocated at once for one input.
    pub largest: u64,
}

/// An input for which a property does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// Its name in the corpus, if it is from there.
    pub kept: Option<String>,
    /// What does not hold.
    pub what: String,
}

/// What one input did.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it led to.
    pub seen: Seen,
    /// How long it took.
    pub elapsed: Duration,
    /// The most bytes that were allocated for it at once.
    pub allocated: u64,
}

/// Tries one input.
///
/// # Errors
/// With what does not hold.
#[allow(
    clippy::disallowed_methods,
    reason = "it measures real time, outside of the simulation"
)]
pub fn run(target: &Target, input: &[u8]) -> Result<Run, String> {
    let began = Instant::now();
    let mut outcome = None;
    let counted = allocation_counter::measure(|| {
        outcome = Some(catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
    });
    let elapsed = began.elapsed();
    let seen = match outcome {
        Some(Ok(seen)) => seen,
        Some(Err(panic)) => return Err(message(&*panic)),
        None => return Err("it was not run".to_owned()),
    };
    let allowed = target.allocates.allowed(input.len());
    if counted.bytes_max > allowed {
        let (bytes, length) = (counted.bytes_max, input.len());
        return Err(format!(
            "{bytes} bytes were allocated at once for an input of {length}, and {allowed} are allowed"
        ));
    }
    if elapsed > TIME_MAX {
        return Err(format!("it took {} ms", elapsed.as_millis()));
    }
    Ok(Run {
        seen,
        elapsed,
        allocated: counted.bytes_max,
    })
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// Runs a target with what is kept for it and then with mutations, which follow from `seed`. Each input is
/// shown to `before` ahead of its run.
///
/// # Errors
/// With the first input for which a property does not hold.
#[allow(
    clippy::disallowed_methods,
    reason = "it measures real time, outside of the simulation"
)]
pub fn campaign(
    target: &Target,
    kept: &[Kept],
    seed: u64,
    until: Until,
    mut before: impl FnMut(&[u8]),
) -> Result<Report, Box<Failure>> {
    let began = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pool: Vec<Vec<u8>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut report = Report {
        inputs: 0,
        elapsed: Duration::ZERO,
        found: Vec::new(),
        slowest: Duration::ZERO,
        largest: 0,
    };
    let mut attempt = |input: &[u8], kept: Option<&str>, report: &mut Report| {
        before(input);
        report.inputs += 1;
        let run = run(target, input).map_err(|what| {
            Box::new(Failure {
                input: input.to_vec(),
                kept: kept.map(str::to_owned),
                what,
            })
        })?;
        report.slowest = report.slowest.max(run.elapsed);
        report.largest = report.largest.max(run.allocated);
        Ok::<_, Box<Failure>>(seen.insert(run.seen))
    };
    for kept in kept {
        attempt(&kept.input, Some(&kept.name), &mut report)?;
        pool.push(kept.input.clone());
    }
    if pool.is_empty() {
        pool.push(Vec::new());
    }
    let mut made = 0_u64;
    loop {
        let is_over = match until {
            Until::Inputs(inputs) => made >= inputs,
            Until::Elapsed(time) => made.is_multiple_of(64) && began.elapsed() >= time,
        };
        if is_over {
            break;
        }
        made += 1;
        let input = &pool[random.random_range(0..pool.len())];
        let other = &pool[random.random_range(0..pool.len())];
        let input = mutated(&mut random, input, other, target.words);
        if attempt(&input, None, &mut report)? && pool.len() < POOL_MAX {
            report.found.push(input.clone());
            pool.push(input);
        }
    }
    report.elapsed = began.elapsed();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Allocates;

    fn target(run: fn(&[u8]) -> Seen) -> Target {
        Target {
            name: "made-up",
            what: "",
            run,
            words: &[b"magic"],
            allocates: Allocates {
                always: 1000,
                per_byte: 1,
            },
        }
    }

    fn find(run: fn(&[u8]) -> Seen, inputs: u64) -> Result<Report, Box<Failure>> {
        campaign(&target(run), &[], 1, Until::Inputs(inputs), |_| ())
    }

    #[test]
    fn an_input_that_breaks_a_property_is_found_and_told() {
        let failure = find(
            |input| {
                assert!(!input.starts_with(b"magic"), "it is magic");
                Seen::of(input.first() == Some(&b'm'))
            },
            100_000,
        );
        let failure = failure.unwrap_err();
        assert_eq!(failure.what, "it is magic");
        assert!(failure.input.starts_with(b"magic"));
        assert_eq!(failure.kept, None);
    }

    #[test]
    fn what_takes_too_much_memory_for_its_length_is_a_failure() {
        let failure = find(|input| Seen::of(vec![0_u8; 2000 + input.len()].len()), 1);
        assert!(failure.unwrap_err().what.contains("were allocated"));
        assert!(find(|input| Seen::of(vec![0_u8; input.len()].len()), 100).is_ok());
    }

    #[test]
    fn the_same_seed_finds_the_same_and_what_is_kept_comes_first() {
        let run = |input: &[u8]| Seen::of(input.len());
        assert_eq!(find(run, 500).unwrap().found, find(run, 500).unwrap().found);
        let kept = [Kept {
            name: "first".to_owned(),
            input: b"bad".to_vec(),
        }];
        let target = target(|input| {
            assert_ne!(input, b"bad");
            Seen::of(0)
        });
        let failure = campaign(&target, &kept, 1, Until::Inputs(1), |_| ()).unwrap_err();
        assert_eq!(failure.kept.as_deref(), Some("first"));
    }
}
