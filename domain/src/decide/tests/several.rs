//! Several rules at once: reordering and batches; and the history that changes leave.

use super::world::{World, forward, furnished, metadata, refused, route, rule};
use crate::command::{
    ArchiveRule, BatchRules, Command, ReorderRules, RuleOperation, RuleOrder, UpdateRule,
};
use crate::model::{Priority, Rule, RuleStatus, RuleVersionNumber};
use crate::outcome::{Outcome, Reply};
use crate::query;

impl World {
    fn reorder(&mut self, order: RuleOrder) -> Reply {
        let command = ReorderRules {
            route_id: route(1),
            draft_id: self.draw(),
            order,
        };
        self.apply(Command::ReorderRules(self.actor.clone(), command))
    }

    fn whole(&mut self, numbers: &[u64]) -> Reply {
        self.reorder(RuleOrder::Whole(
            numbers.iter().copied().map(rule).collect(),
        ))
    }

    fn moves(&mut self, moves: &[(u64, u32)]) -> Reply {
        let moves = moves.iter();
        self.reorder(RuleOrder::Moves(
            moves
                .map(|(number, priority)| (rule(*number), Priority(*priority)))
                .collect(),
        ))
    }

    fn batch(&mut self, operations: Vec<RuleOperation>) -> Reply {
        self.apply(Command::BatchRules(
            self.actor.clone(),
            BatchRules { operations },
        ))
    }

    fn create(&mut self, number: u64, priority: u32) -> RuleOperation {
        RuleOperation::Create(self.new_rule(number, priority))
    }

    fn prioritise(&mut self, number: u64, priority: u32) -> RuleOperation {
        RuleOperation::Update(UpdateRule {
            id: rule(number),
            draft_id: self.draw(),
            name: None,
            priority: Some(Priority(priority)),
            criteria: None,
            action: None,
            metadata: Vec::new(),
            status: None,
        })
    }

    fn archive(&mut self, number: u64) -> RuleOperation {
        RuleOperation::Archive(ArchiveRule {
            id: rule(number),
            draft_id: self.draw(),
        })
    }
}

fn rules(reply: Reply) -> Vec<Rule> {
    match reply {
        Ok(Outcome::Rules(rules)) => rules,
        other => panic!("no rules: {other:?}"),
    }
}

fn places(reply: Reply) -> Vec<(String, u32)> {
    let rules = rules(reply).into_iter();
    rules
        .map(|rule| (rule.id.to_string(), rule.priority.0))
        .collect()
}

fn numbered(places: &[(u64, u32)]) -> Vec<(String, u32)> {
    let places = places.iter();
    places
        .map(|(number, priority)| (rule(*number).to_string(), *priority))
        .collect()
}

/// Route 1 with rules 1, 2 and 3 at priorities 10, 20 and 30, and rule 4 archived.
fn ordered() -> World {
    let mut world = furnished();
    for number in 1..=4 {
        world.create_rule(number, number as u32 * 10).unwrap();
    }
    world.archive_rule(4).unwrap();
    world
}

#[test]
fn a_whole_order_shares_out_the_priorities_that_there_are() {
    let mut world = ordered();
    world.publish(1).unwrap();
    let draft = world.route(1).1.snapshot_id;
    assert_eq!(
        places(world.whole(&[3, 1, 2])),
        numbered(&[(3, 10), (1, 20), (2, 30)])
    );
    assert_ne!(world.route(1).1.snapshot_id, draft);
    world.publish(1).unwrap();
    assert_eq!(
        world.live_rules(1),
        [(rule(3), 10), (rule(1), 20), (rule(2), 30)]
    );
    let draft = world.route(1).1.snapshot_id;
    assert_eq!(
        places(world.whole(&[3, 1, 2])),
        numbered(&[(3, 10), (1, 20), (2, 30)])
    );
    assert_eq!(world.route(1).1.snapshot_id, draft, "nothing changed");
}

#[test]
fn moves_may_pass_through_each_other() {
    let mut world = ordered();
    assert_eq!(
        places(world.moves(&[(1, 20), (2, 10)])),
        numbered(&[(2, 10), (1, 20)])
    );
    assert_eq!(world.rule(3).priority, Priority(30));
    // A chain: each takes the place of the next, the last one a free one.
    assert_eq!(
        places(world.moves(&[(2, 20), (1, 30), (3, 40)])),
        numbered(&[(2, 20), (1, 30), (3, 40)])
    );
}

#[test]
fn an_order_that_does_not_add_up_is_refused() {
    let mut world = ordered();
    world.create_route(2, "two.example.net", 1).unwrap();
    let mut other = world.new_rule(5, 10);
    other.route_id = route(2);
    world
        .apply(Command::CreateRule(world.actor.clone(), other))
        .unwrap();
    let invalid = |param: &str| ("InvalidParameter", param.to_owned());
    for (order, expected) in [
        (vec![1, 2], invalid("rule_ids")),
        (vec![], invalid("rule_ids")),
        (vec![1, 2, 3, 4], invalid("rule_ids[3]")),
        (vec![1, 2, 2], invalid("rule_ids[2]")),
        (vec![1, 5, 2], invalid("rule_ids[1]")),
        (vec![1, 9, 2], ("NotFound", "rule".to_owned())),
    ] {
        assert_eq!(refused(world.whole(&order)), expected, "{order:?}");
    }
    let conflict = |text: &str| ("Items", text.to_owned());
    for (moves, expected) in [
        (vec![], invalid("moves")),
        (vec![(1, 30)], conflict("0:PriorityConflict:")),
        (
            vec![(1, 40), (2, 40), (3, 1_000_001)],
            conflict("1:PriorityConflict:,2:InvalidParameter:priority"),
        ),
        (vec![(1, 40), (1, 50)], invalid("moves[1].rule_id")),
        (vec![(4, 50)], invalid("moves[0].rule_id")),
    ] {
        assert_eq!(refused(world.moves(&moves)), expected, "{moves:?}");
    }
    let many: Vec<_> = (0..501).collect();
    assert_eq!(refused(world.whole(&many)), invalid("rule_ids"));
}

#[test]
fn a_batch_is_judged_in_order_each_seeing_the_ones_before() {
    let mut world = ordered();
    let batch = vec![
        world.archive(1),
        world.create(5, 10),
        world.prioritise(5, 11),
        world.prioritise(2, 10),
    ];
    let rules = rules(world.batch(batch));
    let seen: Vec<_> = rules
        .iter()
        .map(|rule| (rule.status, rule.priority.0))
        .collect();
    assert_eq!(
        seen,
        [
            (RuleStatus::Archived, 10),
            (RuleStatus::Draft, 10),
            (RuleStatus::Draft, 11),
            (RuleStatus::Draft, 10),
        ]
    );
    assert_eq!(
        (world.rule(5).priority, world.rule(2).priority),
        (Priority(11), Priority(10))
    );
}

#[test]
fn a_batch_with_one_refusal_changes_nothing_and_tells_all() {
    let mut world = ordered();
    let before = world.rows.clone();
    let batch = vec![
        world.create(5, 40),
        world.create(6, 40),
        world.archive(9),
        world.prioritise(4, 50),
        world.create(7, 50),
    ];
    assert_eq!(
        refused(world.batch(batch)),
        (
            "Items",
            "1:PriorityConflict:,2:NotFound:rule,3:Archived:rule".to_owned()
        )
    );
    let clock = crate::schema::CLOCK.key(());
    let substance = |rows: &crate::rows::MemoryRows| {
        let mut rows = rows.0.clone();
        rows.remove(&clock);
        rows
    };
    assert_eq!(substance(&world.rows), substance(&before));
}

#[test]
fn a_batch_is_bounded_in_operations_and_in_what_it_answers() {
    let mut world = furnished();
    let invalid = ("InvalidParameter", "operations".to_owned());
    assert_eq!(refused(world.batch(Vec::new())), invalid);
    let many: Vec<_> = (0..101)
        .map(|number| world.create(number, number as u32))
        .collect();
    assert_eq!(refused(world.batch(many)), invalid);
    let body = "x".repeat(60 * 1024);
    for number in 0..80 {
        let mut fat = world.new_rule(number, number as u32);
        fat.action = format!(r#"{{"type":"fixed_response","status":200,"body":"{body}"}}"#);
        world
            .apply(Command::CreateRule(world.actor.clone(), fat))
            .unwrap();
    }
    let all: Vec<_> = (0..80)
        .map(|number| world.prioritise(number, 1_000 + number as u32))
        .collect();
    let too_large = ("LimitExceeded", "operations".to_owned());
    assert_eq!(refused(world.batch(all)), too_large);
    let some: Vec<_> = (0..40)
        .map(|number| world.prioritise(number, 1_000 + number as u32))
        .collect();
    assert_eq!(rules(world.batch(some)).len(), 40);
}

#[test]
fn every_version_is_kept_with_what_it_changed() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    let labels = metadata(&[("owner", "edge")]);
    for round in 0..60u32 {
        let priority = Priority(20 + round);
        world
            .update_rule(1, |rule| rule.priority = Some(priority))
            .unwrap();
    }
    world
        .update_rule(1, |rule| {
            rule.action = Some(forward(2));
            rule.metadata = labels
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect();
        })
        .unwrap();
    let environment = &world.actor.environment_id;
    let version = |number| {
        query::rule_version(
            &world.rows,
            environment,
            &rule(1),
            RuleVersionNumber(number),
        )
    };
    let (first, live) = version(1).unwrap();
    assert_eq!(live, world.rule(1).published.map(|live| live.snapshot_id));
    assert!(first.changes.iter().all(|change| change.before.is_none()));
    let told = |number| {
        let (version, live) = version(number).unwrap();
        assert_eq!(live, None);
        let changes = version.changes.into_iter();
        changes
            .map(|change| (change.field.as_str(), change.before.unwrap(), change.after))
            .collect::<Vec<_>>()
    };
    let text = str::to_owned;
    assert_eq!(told(3), [("priority", text("20"), text("21"))]);
    assert_eq!(
        told(62),
        [
            ("action", forward(1), forward(2)),
            ("metadata", text("{}"), text(r#"{"owner":"edge"}"#)),
        ]
    );
    assert_eq!(version(63), None);

    let page = query::rule_versions_page(
        &world.rows,
        environment,
        &rule(1),
        Some(RuleVersionNumber(3)),
        5,
    );
    let numbers: Vec<_> = page
        .items
        .iter()
        .map(|(version, _)| version.version.0)
        .collect();
    assert_eq!((numbers, page.has_more), (vec![2, 1], false));
    let page = query::rule_versions_page(&world.rows, environment, &rule(1), None, 2);
    let numbers: Vec<_> = page
        .items
        .iter()
        .map(|(version, _)| version.version.0)
        .collect();
    assert_eq!((numbers, page.has_more), (vec![62, 61], true));
}
