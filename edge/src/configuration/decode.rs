//! Decodes a route's rules and makes them ready, on several cores where there are many: it is most of what an
//! edge does before it can serve.

use std::num::NonZero;
use std::panic;
use std::thread;

use domain::content::{DecodeError, RuleContent};
use domain::matching::{CompileError, CompiledRoute, ReadyRules, RuleChange};
use domain::tree::Change;

use super::breather::Breather;

/// A thread of its own is worth its while for so many rules, some 5 ms of work.
const RULES_A_THREAD: usize = 4096;

/// Threads at most: what follows is done by one, and soon takes longer.
const THREADS_MAX: usize = 8;

/// More changes are read with all else, on several cores.
const CHANGES_MAX: usize = RULES_A_THREAD;

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RuleError {
    /// It is none.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The rules that these bytes are, in the same order, after the route's `previous` content.
///
/// # Errors
/// The first one's that is none or does not compile.
pub(super) fn rules<'a>(
    encoded: &[Vec<u8>],
    previous: Option<&'a CompiledRoute>,
    breather: &mut Breather,
) -> Result<ReadyRules<'a>, RuleError> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (encoded.len() / RULES_A_THREAD).min(cores).min(THREADS_MAX);
    on_threads(encoded, previous, threads, breather)
}

/// The rules of a route's `previous` content with these changes; nothing if they do not fit it, or are so many
/// that reading all takes no longer.
///
/// # Errors
/// When a rule that came is none or does not compile.
pub(super) fn changed(
    previous: &CompiledRoute,
    changes: Vec<Change>,
) -> Result<Option<ReadyRules<'_>>, RuleError> {
    if changes.len() > CHANGES_MAX {
        return Ok(None);
    }
    let mut decoded = Vec::with_capacity(changes.len());
    for Change { key, after, .. } in changes {
        let after = after.as_deref().map(RuleContent::decode).transpose()?;
        decoded.push(RuleChange { key, after });
    }
    Ok(ReadyRules::changed(previous, decoded)?)
}

fn on_threads<'a>(
    encoded: &[Vec<u8>],
    previous: Option<&'a CompiledRoute>,
    threads: usize,
    breather: &mut Breather,
) -> Result<ReadyRules<'a>, RuleError> {
    let another = breather.another();
    let mut here = |part: &[Vec<u8>], room| ready(part, previous, room, breather);
    if threads < 2 {
        return here(encoded, encoded.len());
    }
    let mut parts = encoded.chunks(encoded.len().div_ceil(threads).max(1));
    let first = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let thread = thread::Builder::new().name("decode".to_owned());
                let mut breather = another;
                let work = move || ready(part, previous, part.len(), &mut breather);
                (part, thread.spawn_scoped(scope, work))
            })
            .collect();
        let mut rules = here(first, encoded.len())?;
        for (part, other) in others {
            let made = match other {
                Ok(other) => other
                    .join()
                    .unwrap_or_else(|told| panic::resume_unwind(told)),
                // No thread can be had: it takes longer.
                Err(_) => here(part, part.len()),
            };
            rules.append(made?);
        }
        Ok(rules)
    })
}

/// Makes these ready, with room for so many.
fn ready<'a>(
    encoded: &[Vec<u8>],
    previous: Option<&'a CompiledRoute>,
    room: usize,
    breather: &mut Breather,
) -> Result<ReadyRules<'a>, RuleError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    for encoded in encoded {
        decoded.push(RuleContent::decode(encoded)?);
        breather.breathe();
    }
    // All at once, and not one by one as they are decoded: what requests are compared with is close together in
    // memory then, without gaps where something was that only decoding needed.
    let mut rules = ReadyRules::after(previous, room);
    for rule in decoded {
        rules.add(rule)?;
        breather.breathe();
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::content::{Action, Criteria, PathPattern, RouteContent};
    use domain::id::{RouteId, RuleId};
    use domain::matching::Request;
    use domain::model::{Mode, Priority};
    use domain::tree::Hash;

    use super::*;

    fn rule(number: u32) -> RuleContent {
        let pattern = format!("/{}/.*", number / 2);
        RuleContent {
            id: RuleId::parse(&format!("rule_{number:08}")).unwrap(),
            priority: Priority(number),
            name: format!("rule {number}"),
            criteria: Criteria {
                path: vec![PathPattern::Regex(pattern)],
                method: vec![["GET", "POST"][number as usize % 2].to_owned()],
                ..Criteria::default()
            },
            action: Action::Redirect {
                url: "/".to_owned(),
                status: 302,
                preserve_path: false,
            },
            metadata: BTreeMap::new(),
        }
    }

    fn route(rules: ReadyRules<'_>) -> CompiledRoute {
        let content = RouteContent {
            route_id: RouteId::parse("rt_00000001").unwrap(),
            name: "test".to_owned(),
            hostname: "api.example.net".to_owned(),
            mode: Mode::Balanced,
            enabled: true,
            default_upstreams: Vec::new(),
            config: "{}".to_owned(),
            upstreams: Hash::EMPTY_TREE,
            rules: Hash::EMPTY_TREE,
            rule_count: 0,
        };
        CompiledRoute::assemble(content, rules, Vec::new()).unwrap()
    }

    fn takes(route: &CompiledRoute, method: &str, path: &str) -> Option<RuleId> {
        let request = Request {
            method,
            host: "api.example.net",
            path,
            query: "",
            headers: &[] as &[(&str, &str)],
            client: "192.0.2.1".parse().unwrap(),
            region: "eu",
        };
        route.find(&request).map(|(_, rule)| rule.id.clone())
    }

    #[test]
    fn a_route_is_the_same_from_however_many_threads() {
        let all: Vec<_> = (0..50).map(rule).collect();
        for count in [0, 1, 2, 3, 7, 50] {
            let encoded: Vec<_> = all[..count].iter().map(RuleContent::encode).collect();
            for threads in [0, 1, 2, 3, 8, 60] {
                let route =
                    route(on_threads(&encoded, None, threads, &mut Breather::Never).unwrap());
                let ids = route.rules().iter().map(|rule| &rule.id);
                assert!(
                    ids.eq(all[..count].iter().map(|rule| &rule.id)),
                    "{threads} threads"
                );
                for (place, rule) in all[..count].iter().enumerate() {
                    let path = format!("/{}/x", place / 2);
                    let taken = takes(&route, &rule.criteria.method[0], &path);
                    assert_eq!(taken.as_ref(), Some(&rule.id), "{threads} threads");
                }
            }
        }
    }

    #[test]
    fn the_first_that_is_no_rule_is_told() {
        let mut encoded: Vec<_> = (0..50).map(|number| rule(number).encode()).collect();
        encoded[40].truncate(3);
        let alone = RuleContent::decode(&encoded[40]).unwrap_err();
        for threads in [1, 2, 8] {
            let told = on_threads(&encoded, None, threads, &mut Breather::Never).unwrap_err();
            assert_eq!(told, RuleError::Decode(alone.clone()));
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_told_with_its_rule() {
        let mut all: Vec<_> = (0..50).map(rule).collect();
        all[40].criteria.path = vec![PathPattern::Regex("(".to_owned())];
        let encoded: Vec<_> = all.iter().map(RuleContent::encode).collect();
        for threads in [1, 2, 8] {
            let told = on_threads(&encoded, None, threads, &mut Breather::Never).unwrap_err();
            assert!(told.to_string().contains("rule_00000040"), "{told}");
        }
    }
}
