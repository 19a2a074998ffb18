//! What holds of any log.

use domain::command::{Command, Idempotency, Stamped};
use domain::content::{RuleContent, load_head, load_rules};
use domain::id::{EnvironmentId, RouteId, RuleId};
use domain::invariants;
use domain::machine;
use domain::model::{Fingerprint, IdempotencyKey, RuleStatus};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::{MemoryRows, Overlay, Rows};
use domain::time::Revision;
use proptest::prelude::*;

use crate::commands::{command, log};
use crate::webhooks::{awaited, of_real_events};

/// The tables that a refused command may write: the clock, and what is remembered of answers.
const BOOKKEEPING: [u8; 3] = [0x01, 0x40, 0x41];

fn apply(rows: &mut impl Rows, log: &[Stamped]) -> Vec<Applied> {
    (1..)
        .zip(log)
        .map(|(revision, stamped)| machine::step(rows, Revision(revision), stamped))
        .collect()
}

/// The rows without the tables of bookkeeping.
fn substance(rows: &MemoryRows) -> Vec<(&Vec<u8>, &Vec<u8>)> {
    rows.0
        .iter()
        .filter(|(key, _)| !BOOKKEEPING.contains(&key[0]))
        .collect()
}

/// The live rules of a route, but for one.
fn live_rules(
    rows: &MemoryRows,
    environment: &EnvironmentId,
    route: &RouteId,
    except: Option<&RuleId>,
) -> Vec<RuleContent> {
    let chunks = query::ViewChunks(rows);
    let live = query::route(rows, environment, route).and_then(|(route, _)| route.published);
    let Some(live) = live else {
        return Vec::new();
    };
    let head = load_head(&chunks, live.head).unwrap();
    load_rules(&chunks, head.rules)
        .map(|rule| rule.unwrap())
        .filter(|rule| except != Some(&rule.id))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_log_keeps_the_invariants(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let before = rows.clone();
            let applied = machine::step(&mut rows, Revision(revision), stamped);
            if let Err(error) = invariants::check(&rows) {
                return Err(TestCaseError::fail(format!("{error}\nat {stamped:#?}")));
            }
            prop_assert!(query::log_time(&rows) >= query::log_time(&before), "log time went back");
            if applied.reply.is_err() || applied.replayed {
                prop_assert_eq!(substance(&rows), substance(&before), "a refused command changed something");
            }
        }
    }

    #[test]
    fn publishing_gives_what_the_draft_promised(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let promised = match &stamped.command {
                Command::Publish(actor, publish) => {
                    Some(query::draft_head(&rows, &actor.environment_id, &publish.route_id).0)
                }
                _ => None,
            };
            let applied = machine::step(&mut rows, Revision(revision), stamped);
            let (Ok(Outcome::Published { snapshot, .. }), Some(promised), false) =
                (applied.reply, promised, applied.replayed)
            else {
                continue;
            };
            prop_assert_eq!(snapshot.head, promised);
            let (route, draft) = query::route(&rows, &snapshot.environment_id, &snapshot.route_id).unwrap();
            prop_assert!(!draft.pending_changes, "nothing is pending after a publish");
            prop_assert_eq!(route.published.unwrap().snapshot_id, snapshot.id);
        }
    }

    #[test]
    fn resetting_the_draft_leaves_only_upstreams_pending(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let applied = machine::step(&mut rows, Revision(revision), stamped);
            let (Command::Rollback(actor, rollback), Ok(_), false) = (&stamped.command, applied.reply, applied.replayed)
            else {
                continue;
            };
            if rollback.reset_draft {
                let key = (&actor.environment_id, &rollback.route_id);
                let draft = domain::schema::DRAFTS.get(&rows, key).unwrap();
                prop_assert_eq!((draft.dirty_rules, draft.dirty_settings), (0, false));
            }
        }
    }

    #[test]
    fn what_is_published_alone_leaves_everything_else_as_it_is(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let before = rows.clone();
            let applied = machine::step(&mut rows, Revision(revision), stamped);
            match (applied.reply, applied.replayed) {
                (Ok(Outcome::RuleSwitched { rule, snapshot_id: Some(snapshot) }), false) => {
                    let others = |rows| live_rules(rows, &rule.environment_id, &rule.route_id, Some(&rule.id));
                    prop_assert_eq!(others(&rows), others(&before));
                    let wanted = rule.status == RuleStatus::Active;
                    prop_assert_eq!(rule.published.is_some(), wanted, "live as asked");
                    let (route, _) = query::route(&rows, &rule.environment_id, &rule.route_id).unwrap();
                    prop_assert_eq!(route.published.map(|live| live.snapshot_id), Some(snapshot));
                }
                (Ok(Outcome::RouteSwitched { route, snapshot_id: Some(_), .. }), false) => {
                    let all = |rows| live_rules(rows, &route.environment_id, &route.id, None);
                    prop_assert_eq!(all(&rows), all(&before));
                    prop_assert_eq!(route.published.map(|live| live.enabled), Some(route.enabled));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_event_goes_while_a_delivery_of_it_waits(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let before = awaited(&rows);
            let command = of_real_events(&rows, &stamped.command);
            machine::step(&mut rows, Revision(revision), &Stamped { command, ..stamped.clone() });
            for (delivery, event, there) in awaited(&rows) {
                let was_there = before.contains(&(delivery.clone(), event.clone(), true));
                prop_assert!(there || !was_there, "{delivery} waits for {event}, which has gone");
            }
        }
    }

    #[test]
    fn events_told_again_give_the_same_rows(log in log(1..120)) {
        let mut rows = MemoryRows::default();
        let mut retold = MemoryRows::default();
        for (revision, stamped) in (1..).zip(&log) {
            let (events, planned) = machine::plan(&rows, Revision(revision), stamped);
            prop_assert_eq!(machine::step(&mut rows, Revision(revision), stamped), planned);
            events.iter().for_each(|event| machine::evolve(&mut retold, event));
        }
        prop_assert_eq!(machine::state_hash(&rows), machine::state_hash(&retold));
        prop_assert_eq!(rows, retold);
    }

    #[test]
    fn batches_give_what_single_entries_give(log in log(1..120), sizes in proptest::collection::vec(1..20usize, 1..20)) {
        let mut one_by_one = MemoryRows::default();
        let replies = apply(&mut one_by_one, &log);
        let mut rows = MemoryRows::default();
        let mut batched = Vec::new();
        let mut rest = log.as_slice();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (batch, later) = rest.split_at(rest.len().min(*size));
            let mut overlay = Overlay::new(&rows);
            for stamped in batch {
                let revision = Revision(batched.len() as u64 + 1);
                batched.push(machine::step(&mut overlay, revision, stamped));
            }
            let (_, pending) = overlay.into_parts();
            for (key, value) in pending {
                match value {
                    Some(value) => rows.put(key, value),
                    None => rows.delete(key),
                }
            }
            rest = later;
        }
        prop_assert_eq!(batched, replies);
        prop_assert_eq!(rows, one_by_one);
    }

    #[test]
    fn a_retry_has_the_first_answer_and_no_effect(log in log(1..80), command in command(), later in log(0..20)) {
        let mut rows = MemoryRows::default();
        apply(&mut rows, &log);
        let idempotency = Idempotency { key: IdempotencyKey("retried".to_owned()), fingerprint: Fingerprint([7; 32]) };
        let asked = Stamped { at: query::log_time(&rows), idempotency: Some(idempotency), ..log[0].clone() };
        let asked = Stamped { command, ..asked };
        let Some(actor) = asked.command.actor().cloned() else {
            return Ok(());
        };
        let first = machine::step(&mut rows, Revision(1_000), &asked);
        let start = asked.at.0;
        for stamped in &later {
            // Later entries stay within the 24 hours and use other keys.
            let at = domain::time::Timestamp(start + stamped.at.0 % 1_000);
            machine::step(&mut rows, Revision(1_001), &Stamped { at, ..stamped.clone() });
        }
        let before = rows.clone();
        let again = machine::step(&mut rows, Revision(2_000), &asked);
        prop_assert_eq!(substance(&rows), substance(&before));
        prop_assert!(again.replayed && !first.replayed);
        prop_assert_eq!((&again.reply, again.revision), (&first.reply, first.revision));
        let key = IdempotencyKey("retried".to_owned());
        let record = query::idempotency(&rows, &actor.environment_id, &key);
        prop_assert_eq!(record.map(|record| record.reply), Some(first.reply));
    }
}

/// Guards against generators that only make refused commands.
#[test]
fn arbitrary_logs_are_not_vacuous() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut done = std::collections::BTreeMap::<&str, (u32, u32)>::new();
    for _ in 0..220 {
        let log = log(100..120).new_tree(&mut runner).unwrap().current();
        let mut rows = MemoryRows::default();
        for (applied, stamped) in apply(&mut rows, &log).iter().zip(&log) {
            let counts = done.entry(stamped.command.name()).or_default();
            counts.0 += 1;
            let changed = !matches!(
                applied.reply,
                Ok(Outcome::Published {
                    unchanged: true,
                    ..
                }) | Err(_)
            );
            counts.1 += u32::from(changed && !applied.replayed);
        }
    }
    for (name, (asked, changed)) in &done {
        assert!(
            *changed >= 20 || *name == "bootstrap",
            "{name}: {changed} of {asked} took effect: {done:?}"
        );
    }
}
