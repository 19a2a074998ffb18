//! Taking turns: what is compared is measured round by round, each round in another order, first
//! with the proxy on one core and then on the other.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::benchmarks::blocking;
use crate::figures::{median, median_round};
use crate::load::Round;
use crate::processes::Pid;
use crate::tools::Load;

/// How many cores take part.
pub(super) const CORES: usize = 2;

/// What takes a turn.
pub(super) struct Contender<'a> {
    pub(super) name: String,
    /// The proxy.
    pub(super) pid: Pid,
    /// What it is sent; its core is set for each turn.
    pub(super) load: Load<'a>,
}

/// What a turn showed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Turn {
    #[serde(flatten)]
    pub(super) round: Round,
    /// Processor time of the proxy for a request.
    pub(super) cpu_us: f64,
    /// The share of its core that the proxy used. Far below 1, something else was the limit.
    pub(super) busy: f64,
}

/// A contender's turns.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Course {
    pub(super) name: String,
    /// The core that the proxy had.
    pub(super) core: usize,
    pub(super) median: Turn,
    pub(super) turns: Vec<Turn>,
}

/// How the first contender does beside another: medians of the ratios of all rounds on all cores.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) with: String,
    pub(super) per_second: f64,
    pub(super) p99: f64,
    pub(super) cpu: f64,
}

/// Has all of them take so many turns on each core, and the origin be on the other.
pub(super) fn take(
    contenders: &[Contender<'_>],
    origin: Pid,
    rounds: usize,
) -> Result<Vec<Course>> {
    let mut courses = Vec::new();
    for core in 0..CORES {
        origin.pin(CORES - 1 - core)?;
        for contender in contenders {
            contender.pid.pin(core)?;
        }
        let mut turns: Vec<Vec<Turn>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for turn in 0..contenders.len() {
                let place = (round + turn) % contenders.len();
                turns[place].push(blocking(|| one(&contenders[place], core))?);
            }
        }
        let named = contenders.iter().zip(turns);
        courses.extend(named.map(|(contender, turns)| course(contender, core, turns)));
    }
    Ok(courses)
}

/// One turn, with the proxy on this core.
pub(super) fn one(contender: &Contender<'_>, core: usize) -> Result<Turn> {
    let load = Load {
        core: CORES - 1 - core,
        ..contender.load
    };
    let (began, before) = (Instant::now(), contender.pid.processor_time()?);
    let seen = load.run()?;
    let taken = (contender.pid.processor_time()? - before).as_secs_f64();
    let requests = f64::from(u32::try_from(seen.requests).unwrap_or(u32::MAX));
    Ok(Turn {
        round: seen.round,
        cpu_us: taken * 1e6 / requests,
        busy: taken / began.elapsed().as_secs_f64(),
    })
}

fn course(contender: &Contender<'_>, core: usize, turns: Vec<Turn>) -> Course {
    let rounds: Vec<Round> = turns.iter().map(|turn| turn.round).collect();
    Course {
        name: contender.name.clone(),
        core,
        median: Turn {
            round: median_round(&rounds),
            cpu_us: median(turns.iter().map(|turn| turn.cpu_us).collect()),
            busy: median(turns.iter().map(|turn| turn.busy).collect()),
        },
        turns,
    }
}

/// How `name` does beside each other contender.
pub(super) fn compare(courses: &[Course], name: &str) -> Vec<Comparison> {
    let of = |name: &str| -> Vec<Turn> {
        let courses = courses.iter().filter(|course| course.name == name);
        courses.flat_map(|course| course.turns.clone()).collect()
    };
    let ours = of(name);
    let others = courses
        .iter()
        .filter(|course| course.core == 0 && course.name != name);
    others
        .map(|other| {
            let theirs = of(&other.name);
            let ratio = |figure: fn(&Turn) -> f64| {
                let pairs = ours.iter().zip(&theirs);
                median(pairs.map(|(we, they)| figure(we) / figure(they)).collect())
            };
            Comparison {
                with: other.name.clone(),
                per_second: ratio(|turn| turn.round.per_second),
                p99: ratio(|turn| turn.round.p99_ms),
                cpu: ratio(|turn| turn.cpu_us),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(name: &str, core: usize, rates: &[f64]) -> Course {
        let turn = |per_second: &f64| Turn {
            round: Round {
                per_second: *per_second,
                p50_ms: 1.0,
                p99_ms: 2.0,
            },
            cpu_us: 1e6 / per_second,
            busy: 1.0,
        };
        Course {
            name: name.to_owned(),
            core,
            median: Turn::default(),
            turns: rates.iter().map(turn).collect(),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_their_median_counts() {
        let courses = [
            course("edge", 0, &[110.0, 55.0]),
            course("nginx", 0, &[100.0, 50.0]),
            course("edge", 1, &[90.0]),
            course("nginx", 1, &[100.0]),
        ];
        let comparisons = compare(&courses, "edge");
        assert_eq!(comparisons.len(), 1);
        assert_eq!(comparisons[0].with, "nginx");
        assert!((comparisons[0].per_second - 1.1).abs() < 1e-9);
        assert!((comparisons[0].cpu - 1.0 / 1.1).abs() < 1e-9);
        assert!((comparisons[0].p99 - 1.0).abs() < 1e-9);
    }
}
