//! Looking at a draft as publishing would.

use super::world::{World, forward, furnished, refused, route};
use crate::query::{self, Validation};
use crate::rejection::Rejection;

impl World {
    fn validate(&self, number: u64) -> Result<Validation, Rejection> {
        query::validate(&self.rows, &self.actor.environment_id, &route(number))
    }

    /// The codes of errors and warnings.
    fn told(&self, number: u64) -> (Vec<String>, Vec<String>) {
        let Validation {
            errors, warnings, ..
        } = self.validate(number).unwrap();
        let codes = |problems: Vec<crate::rejection::Problem>| {
            problems.into_iter().map(|problem| problem.code).collect()
        };
        (codes(errors), codes(warnings))
    }
}

#[test]
fn the_errors_are_those_of_publishing() {
    let mut world = furnished();
    assert_eq!(world.told(1), (vec![], vec![]));
    world.create_rule(1, 10).unwrap();
    world
        .update_rule(1, |rule| rule.action = Some(forward(9)))
        .unwrap();
    assert_eq!(world.told(1).0, ["unknown_upstream"]);
    assert_eq!(
        refused(world.publish(1)),
        ("ValidationFailed", "unknown_upstream".to_owned())
    );
    world
        .update_rule(1, |rule| rule.action = Some(forward(2)))
        .unwrap();
    world.weigh_upstream(2, 0).unwrap();
    assert_eq!(world.told(1).0, ["no_weight"]);
    world.weigh_upstream(2, 1).unwrap();
    assert_eq!(world.told(1).0, [""; 0]);
    assert_eq!(
        world.validate(1).unwrap().draft_id,
        world.route(1).1.snapshot_id
    );
    world.publish(1).unwrap();
}

#[test]
fn a_hostname_that_is_live_elsewhere_and_a_disabled_route_are_errors() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| {
            route.hostname = Some("moved.example.net".to_owned())
        })
        .unwrap();
    world.create_route(2, "one.example.net", 1).unwrap();
    assert_eq!(world.told(2).0, ["hostname_conflict"]);
    assert_eq!(refused(world.publish(2)).0, "HostnameConflict");
    world
        .update_route(1, |route| route.enabled = Some(false))
        .unwrap();
    assert_eq!(world.told(1).0, [""; 0]);
    world.publish(1).unwrap();
    assert_eq!(world.told(1).0, ["route_disabled"]);
    assert_eq!(refused(world.publish(1)).0, "RouteDisabled");
}

/// Contract: D-40.
#[test]
fn warnings_are_about_rules_that_would_be_published() {
    let mut world = furnished();
    for (number, criteria) in [
        (1, "{}"),
        (2, r#"{"method":"PUT"}"#),
        (3, r#"{"method":"PUT"}"#),
    ] {
        let mut command = world.new_rule(number, number as u32 * 10);
        command.criteria = criteria.to_owned();
        world
            .apply(crate::command::Command::CreateRule(
                world.actor.clone(),
                command,
            ))
            .unwrap();
    }
    let unreachable = ["catch_all_not_last", "unreachable_rule", "unreachable_rule"];
    assert_eq!(world.told(1).1, unreachable);
    let paused = Some(crate::command::DesiredStatus::Paused);
    world.update_rule(1, |rule| rule.status = paused).unwrap();
    assert_eq!(world.told(1).1, ["unreachable_rule"]);
    // Warnings keep nothing from being published.
    world.publish(1).unwrap();
    assert_eq!(world.told(1).1, ["unreachable_rule"]);
}

#[test]
fn a_route_that_is_not_there_or_archived_cannot_be_looked_at() {
    let mut world = furnished();
    assert!(matches!(world.validate(9), Err(Rejection::NotFound { .. })));
    world.archive_route(1).unwrap();
    assert!(matches!(world.validate(1), Err(Rejection::Archived { .. })));
}
