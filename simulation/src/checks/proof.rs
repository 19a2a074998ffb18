//! Proves the two checks of linearizability on histories that a generator makes: clients that write
//! and read the name of one rule at the same time, some of whose writes are answered by nobody, in an
//! order that a made-up log gives. Left as they are they are good; each way of spoiling one makes a
//! history that no register and no log can have made.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::made_up::{attempt, commits_name, commits_rule, created, done, history, read, renames};
use super::{
    acknowledged_writes_survive, answers_follow_the_log, one_effect_per_key, rules_are_registers,
};
use crate::history::{Answer, Attempt, Committed, History, Silence};

/// The rule.
const RULE: &str = "r1";
/// Operations after its making.
const OPERATIONS: u64 = 60;
/// How many histories of each kind there are, over all ways of spoiling them.
const HISTORIES: u64 = 50;

/// A way of spoiling a history.
#[derive(Clone, Copy, Debug)]
enum Spoilt {
    /// A read shows what was replaced before it began.
    StaleRead,
    /// An acknowledged write is lost: nobody sees it, and the log has no trace of it.
    LostWrite,
    /// A write takes effect again after another one replaced it.
    AppliedTwice,
    /// A read shows what nobody wrote.
    Phantom,
}

/// What happened, in the order of the log.
#[derive(Clone, Debug)]
struct Step {
    /// When it took effect.
    at: u64,
    called: u64,
    returned: u64,
    does: Does,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Does {
    Write { name: String, told: bool },
    Read,
}

/// A run of clients, one operation taking effect each 100 µs, which is called up to 250 µs before
/// and returns up to 250 µs after that.
fn steps(rng: &mut ChaCha8Rng) -> Vec<Step> {
    (0..OPERATIONS)
        .map(|number| {
            let at = 1_000 + 100 * number;
            let does = if rng.random_range(0..2) == 0 {
                Does::Read
            } else {
                Does::Write {
                    name: format!("n{number}"),
                    told: rng.random_range(0..10) > 0,
                }
            };
            Step {
                at,
                called: at - rng.random_range(1..250),
                returned: at + rng.random_range(1..250),
                does,
            }
        })
        .collect()
}

/// The history of these steps. A read shows the newest write, unless `shows` says otherwise of the
/// read with that place.
fn told(steps: &[Step], shows: impl Fn(usize) -> Option<String>) -> History {
    let mut attempts = vec![created("k1", RULE, 0, 1)];
    let mut journal = vec![commits_rule(1, "k1", RULE)];
    let (mut revision, mut name) = (1, "k1".to_owned());
    for (place, step) in steps.iter().enumerate() {
        attempts.push(match &step.does {
            Does::Write { name: new, told } => {
                revision += 1;
                name.clone_from(new);
                journal.push(commits_name(revision, RULE, new));
                write(step, revision, new, *told)
            }
            Does::Read => {
                let shown = shows(place).unwrap_or_else(|| name.clone());
                Attempt {
                    sent_us: step.called,
                    ended_us: step.returned,
                    ..read(RULE, &shown, 0, revision)
                }
            }
        });
    }
    finished(attempts, journal, &name)
}

fn write(step: &Step, revision: u64, name: &str, told: bool) -> Attempt {
    let answer = if told {
        done(revision, RULE, name)
    } else {
        Answer::Unknown(Silence::TimedOut)
    };
    attempt(renames(RULE, name), step.called, step.returned, answer)
}

fn finished(mut attempts: Vec<Attempt>, journal: Vec<Committed>, name: &str) -> History {
    attempts.sort_by_key(|attempt| attempt.ended_us);
    history(attempts, journal, &[(RULE, name)])
}

impl Step {
    /// The name that it writes, where its writer was told.
    fn told_name(&self) -> Option<&str> {
        match &self.does {
            Does::Write { name, told: true } => Some(name),
            _ => None,
        }
    }
}

/// The names that were replaced before a read began: another write began when the writer had been
/// told, and was told itself before the read began.
fn replaced(steps: &[Step], place: usize) -> Vec<String> {
    let called = steps[place].called;
    let newest = steps
        .iter()
        .filter(|step| step.told_name().is_some() && step.returned < called)
        .map(|step| step.called)
        .max();
    steps
        .iter()
        .filter(|step| newest.is_some_and(|newest| step.returned < newest))
        .filter_map(|step| step.told_name().map(str::to_owned))
        .collect()
}

/// A place among those for which something can be found.
fn any<T>(rng: &mut ChaCha8Rng, mut found: Vec<T>) -> Option<T> {
    (!found.is_empty()).then(|| found.swap_remove(rng.random_range(0..found.len())))
}

fn spoil(rng: &mut ChaCha8Rng, how: Spoilt) -> Option<History> {
    let mut steps = steps(rng);
    let reads: Vec<usize> = (0..steps.len())
        .filter(|place| steps[*place].does == Does::Read)
        .collect();
    match how {
        Spoilt::StaleRead => {
            let stale = reads.into_iter().flat_map(|place| {
                let names = replaced(&steps, place);
                names.into_iter().map(move |name| (place, name))
            });
            let (place, old) = any(rng, stale.collect())?;
            Some(told(&steps, |it| (it == place).then(|| old.clone())))
        }
        Spoilt::Phantom => {
            let place = any(rng, reads)?;
            Some(told(&steps, |it| {
                (it == place).then(|| "nobody's".to_owned())
            }))
        }
        Spoilt::LostWrite => lose(rng, &mut steps),
        Spoilt::AppliedTwice => apply_twice(rng, &mut steps),
    }
}

/// Takes a write out that was told, and that a read followed at once, when nothing else was under
/// way that could have replaced it.
fn lose(rng: &mut ChaCha8Rng, steps: &mut Vec<Step>) -> Option<History> {
    let is_lost = |place: &usize| {
        let (step, next) = (&steps[*place], &steps[place + 1]);
        let before = steps[..*place].iter().rfind(|it| it.does != Does::Read);
        step.told_name().is_some()
            && next.does == Does::Read
            && next.called > step.returned
            && before.is_none_or(|it| it.told_name().is_some() && it.returned < step.called)
    };
    let place = any(rng, (1..steps.len() - 1).filter(is_lost).collect())?;
    let step = steps.remove(place);
    let name = step.told_name()?.to_owned();
    let mut history = told(steps, |_| None);
    // It was told a revision that it never had.
    let before = &steps[..place];
    let writes = before.iter().filter(|it| it.does != Does::Read).count() as u64;
    history.attempts.push(write(&step, writes + 2, &name, true));
    history.attempts.sort_by_key(|attempt| attempt.ended_us);
    Some(history)
}

/// Has a write take effect once more, after another one that was told and seen, and before a read
/// that shows it.
fn apply_twice(rng: &mut ChaCha8Rng, steps: &mut Vec<Step>) -> Option<History> {
    let end = steps.last()?.at;
    let first = any(
        rng,
        steps
            .iter()
            .filter_map(|step| step.told_name().map(str::to_owned))
            .collect(),
    )?;
    let quiet = |at: u64, does| Step {
        at,
        called: at - 10,
        returned: at + 10,
        does,
    };
    let other = "replaces it".to_owned();
    steps.push(quiet(
        end + 1_000,
        Does::Write {
            name: other,
            told: true,
        },
    ));
    steps.push(quiet(end + 2_000, Does::Read));
    let seen_again = quiet(end + 3_000, Does::Read);
    let mut history = told(steps, |_| None);
    let revision = history.journal.last()?.revision + 1;
    history.journal.push(commits_name(revision, RULE, &first));
    history.attempts.push(Attempt {
        sent_us: seen_again.called,
        ended_us: seen_again.returned,
        ..read(RULE, &first, 0, revision)
    });
    if let Some(state) = history.finals.get_mut(&1) {
        state.rules[0].name = first;
        state.journal_rows += 1;
    }
    Some(history)
}

/// Whether the order of the log is kept: reads and writes, what was acknowledged, one effect a key.
fn log_says(history: &History) -> bool {
    [
        answers_follow_the_log::check,
        acknowledged_writes_survive::check,
        one_effect_per_key::check,
    ]
    .iter()
    .all(|check| check(history).is_empty())
}

fn register_says(history: &History) -> bool {
    rules_are_registers::check(history).is_empty()
}

#[test]
fn good_histories_are_good_to_both() {
    for seed in 0..HISTORIES {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = told(&steps(&mut rng), |_| None);
        assert!(log_says(&history), "seed {seed}");
        assert!(register_says(&history), "seed {seed}");
        let judged = rules_are_registers::judged(&history);
        assert_eq!((judged.known, judged.unknown), (1, 0), "seed {seed}");
    }
}

#[test]
fn spoilt_histories_are_found_by_both() {
    let ways = [
        Spoilt::StaleRead,
        Spoilt::LostWrite,
        Spoilt::AppliedTwice,
        Spoilt::Phantom,
    ];
    for number in 0..HISTORIES {
        let how = ways[usize::try_from(number).unwrap() % ways.len()];
        let (seed, history) = (0..)
            .map(|again| 1_000 * (number + 1) + again)
            .find_map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                Some((seed, spoil(&mut rng, how)?))
            })
            .unwrap();
        assert!(!log_says(&history), "{how:?} of seed {seed}");
        assert!(!register_says(&history), "{how:?} of seed {seed}");
    }
}
