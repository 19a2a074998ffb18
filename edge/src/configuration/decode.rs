//! Decodes a route's rules, on several cores where there are many: it is most of what an edge does before it
//! can serve.

use std::num::NonZero;
use std::panic;
use std::thread;

use domain::content::{DecodeError, RuleContent};

/// A thread of its own is worth its while for so many rules, some 5 ms of work.
const RULES_A_THREAD: usize = 4096;

/// Threads at most: what follows is done by one, and soon takes longer.
const THREADS_MAX: usize = 8;

/// The rules that these bytes are, in the same order.
///
/// # Errors
/// The first one's that is none.
pub(super) fn rules(encoded: &[Vec<u8>]) -> Result<Vec<RuleContent>, DecodeError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (encoded.len() / RULES_A_THREAD).min(cores).min(THREADS_MAX);
    on_threads(encoded, threads)
}

fn on_threads(encoded: &[Vec<u8>], threads: usize) -> Result<Vec<RuleContent>, DecodeError> {
    if threads < 2 {
        return here(encoded);
    }
    let mut parts = encoded.chunks(encoded.len().div_ceil(threads).max(1));
    let first = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let thread = thread::Builder::new().name("decode".to_owned());
                (part, thread.spawn_scoped(scope, move || here(part)))
            })
            .collect();
        let mut rules = here(first)?;
        rules.reserve_exact(encoded.len() - first.len());
        for (part, other) in others {
            let decoded = match other {
                Ok(other) => other
                    .join()
                    .unwrap_or_else(|told| panic::resume_unwind(told)),
                // No thread can be had: it takes longer.
                Err(_) => here(part),
            };
            rules.append(&mut decoded?);
        }
        Ok(rules)
    })
}

fn here(encoded: &[Vec<u8>]) -> Result<Vec<RuleContent>, DecodeError> {
    let mut rules = Vec::with_capacity(encoded.len());
    for encoded in encoded {
        rules.push(RuleContent::decode(encoded)?);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::content::{Action, Criteria};
    use domain::id::RuleId;
    use domain::model::Priority;

    use super::*;

    fn rule(number: u32) -> RuleContent {
        RuleContent {
            id: RuleId::parse(&format!("rule_{number:08}")).unwrap(),
            priority: Priority(number),
            name: format!("rule {number}"),
            criteria: Criteria::default(),
            action: Action::Redirect {
                url: "/".to_owned(),
                status: 302,
                preserve_path: false,
            },
            metadata: BTreeMap::new(),
        }
    }

    #[test]
    fn rules_come_in_their_order_from_however_many_threads() {
        let all: Vec<_> = (0..50).map(rule).collect();
        for count in [0, 1, 2, 3, 7, 50] {
            let encoded: Vec<_> = all[..count].iter().map(RuleContent::encode).collect();
            for threads in [0, 1, 2, 3, 8, 60] {
                let decoded = on_threads(&encoded, threads).unwrap();
                assert_eq!(decoded, all[..count], "{threads} threads");
            }
            assert_eq!(rules(&encoded).unwrap(), all[..count]);
        }
    }

    #[test]
    fn the_first_that_is_no_rule_is_told() {
        let mut encoded: Vec<_> = (0..50).map(|number| rule(number).encode()).collect();
        encoded[40].truncate(3);
        let alone = RuleContent::decode(&encoded[40]).unwrap_err();
        for threads in [1, 2, 8] {
            let told = on_threads(&encoded, threads).unwrap_err();
            assert_eq!(told.to_string(), alone.to_string());
        }
    }
}
