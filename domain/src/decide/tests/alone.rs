//! Pausing, resuming, enabling and disabling, and making that live alone.

use super::world::{World, forward, furnished, refused, route, rule};
use crate::command::{Command, DesiredStatus, PublishAlone, SwitchRoute, SwitchRule};
use crate::content::{load_head, load_upstreams};
use crate::id::SnapshotId;
use crate::model::{Priority, Route, Rule, RuleStatus};
use crate::outcome::{Outcome, Reply};
use crate::query::ViewChunks;

use DesiredStatus::{Active, Paused};

impl World {
    fn alone(&mut self, publish: bool) -> Option<PublishAlone> {
        publish.then(|| PublishAlone {
            snapshot_id: self.draw(),
            comment: Some("fire".to_owned()),
        })
    }

    fn switch(&mut self, number: u64, status: DesiredStatus, publish: bool) -> Reply {
        let command = SwitchRule {
            id: rule(number),
            draft_id: self.draw(),
            status,
            publish: self.alone(publish),
        };
        self.apply(Command::SwitchRule(self.actor.clone(), command))
    }

    pub(super) fn enable(&mut self, number: u64, enabled: bool, publish: bool) -> Reply {
        let command = SwitchRoute {
            id: route(number),
            draft_id: self.draw(),
            enabled,
            publish: self.alone(publish),
        };
        self.apply(Command::SwitchRoute(self.actor.clone(), command))
    }

    fn live_numbers(&self) -> Vec<u32> {
        let live = self.live_rules(1);
        live.into_iter().map(|(_, priority)| priority).collect()
    }

    fn live_upstreams(&self, number: u64) -> usize {
        let chunks = ViewChunks(&self.rows);
        let head = self.route(number).0.published.unwrap().head;
        load_upstreams(&chunks, load_head(&chunks, head).unwrap().upstreams).count()
    }
}

fn switched(reply: Reply) -> (Rule, Option<SnapshotId>) {
    match reply {
        Ok(Outcome::RuleSwitched { rule, snapshot_id }) => (rule, snapshot_id),
        other => panic!("not switched: {other:?}"),
    }
}

fn enabled(reply: Reply) -> (Route, Option<SnapshotId>) {
    match reply {
        Ok(Outcome::RouteSwitched {
            route, snapshot_id, ..
        }) => (route, snapshot_id),
        other => panic!("not switched: {other:?}"),
    }
}

/// Route 1 with rules 1, 2 and 3 live at priorities 10, 20 and 30, all to upstream 1.
fn live() -> World {
    let mut world = furnished();
    for number in 1..=3 {
        world.create_rule(number, number as u32 * 10).unwrap();
    }
    world.publish(1).unwrap();
    world
}

#[test]
fn without_publishing_a_pause_is_a_change_of_the_draft() {
    let mut world = live();
    let (rule, snapshot) = switched(world.switch(2, Paused, false));
    assert_eq!(
        (rule.status, rule.pending_changes),
        (RuleStatus::Paused, true)
    );
    assert_eq!((snapshot, world.live_numbers()), (None, vec![10, 20, 30]));
}

#[test]
fn a_rule_is_paused_and_resumed_alone_while_the_rest_stays_pending() {
    let mut world = live();
    world
        .update_rule(1, |rule| rule.name = Some("half done".to_owned()))
        .unwrap();
    world.create_rule(4, 40).unwrap();
    let before = world.route(1).0.published.unwrap();
    let (rule, snapshot) = switched(world.switch(2, Paused, true));
    let after = world.route(1).0.published.unwrap();
    assert_eq!(
        (rule.status, rule.pending_changes),
        (RuleStatus::Paused, false)
    );
    assert_eq!(snapshot, Some(after.snapshot_id.clone()));
    assert_eq!(after.version.0, before.version.0 + 1);
    assert_eq!(world.live_numbers(), [10, 30]);
    assert!(world.is_pending(1) && world.rule(1).pending_changes && world.rule(4).pending_changes);

    let (rule, _) = switched(world.switch(2, Active, true));
    assert_eq!(
        (rule.status, rule.pending_changes),
        (RuleStatus::Active, false)
    );
    assert_eq!(world.live_numbers(), [10, 20, 30]);
    // The content is the first one's again, to the last bit.
    assert_eq!(world.route(1).0.published.unwrap().head, before.head);
    world.publish(1).unwrap();
    assert_eq!(world.live_numbers(), [10, 20, 30, 40]);
}

#[test]
fn where_nothing_else_is_pending_nothing_is_pending_afterwards() {
    let mut world = live();
    world
        .update_rule(3, |rule| rule.action = Some(forward(2)))
        .unwrap();
    world.publish(1).unwrap();
    assert_eq!(world.live_upstreams(1), 2);
    switched(world.switch(3, Paused, true));
    // The upstream that only this rule used has gone with it.
    assert_eq!((world.is_pending(1), world.live_upstreams(1)), (false, 1));
    switched(world.switch(3, Active, true));
    assert_eq!((world.is_pending(1), world.live_upstreams(1)), (false, 2));
}

#[test]
fn an_upstream_that_something_live_may_need_stays() {
    let mut world = live();
    for number in [2, 3] {
        world
            .update_rule(number, |rule| rule.action = Some(forward(2)))
            .unwrap();
    }
    world.publish(1).unwrap();
    // In the draft rule 2 does not need upstream 2 any more; what is live of it does.
    world
        .update_rule(2, |rule| rule.action = Some(forward(1)))
        .unwrap();
    switched(world.switch(3, Paused, true));
    assert_eq!(
        (world.live_numbers(), world.live_upstreams(1)),
        (vec![10, 20], 2)
    );
    world.publish(1).unwrap();
    assert_eq!(world.live_upstreams(1), 1);
}

#[test]
fn what_is_as_asked_already_makes_no_snapshot() {
    let mut world = live();
    let version = world.manifest_version();
    let active = world.route(1).0.published.unwrap().snapshot_id;
    assert_eq!(
        switched(world.switch(1, Active, true)).1,
        Some(active.clone())
    );
    world.create_rule(4, 40).unwrap();
    let (rule, snapshot) = switched(world.switch(4, Paused, true));
    assert_eq!((rule.status, snapshot), (RuleStatus::Paused, Some(active)));
    assert_eq!(world.manifest_version(), version);
}

#[test]
fn a_rule_s_own_pending_changes_go_live_with_it() {
    let mut world = live();
    world
        .update_rule(1, |rule| rule.priority = Some(Priority(15)))
        .unwrap();
    let (rule, _) = switched(world.switch(1, Active, true));
    assert_eq!(
        (rule.published.unwrap().priority, world.live_numbers()),
        (Priority(15), vec![15, 20, 30])
    );
    assert!(!world.is_pending(1));
}

#[test]
fn a_priority_that_another_rule_is_still_live_with_is_refused() {
    let mut world = live();
    world
        .update_rule(2, |rule| rule.priority = Some(Priority(25)))
        .unwrap();
    world
        .update_rule(1, |rule| rule.priority = Some(Priority(20)))
        .unwrap();
    assert_eq!(refused(world.switch(1, Active, true)).0, "PriorityConflict");
    switched(world.switch(2, Active, true));
    switched(world.switch(1, Active, true));
    assert_eq!(world.live_numbers(), [20, 25, 30]);
}

#[test]
fn what_cannot_be_published_alone_is_refused_whole() {
    let mut world = live();
    world
        .update_rule(1, |rule| rule.action = Some(forward(9)))
        .unwrap();
    let problem = ("ValidationFailed", "unknown_upstream".to_owned());
    assert_eq!(refused(world.switch(1, Active, true)), problem);
    // Pausing it needs nothing of what is wrong with it.
    switched(world.switch(1, Paused, true));
    world.create_route(2, "two.example.net", 1).unwrap();
    let mut elsewhere = world.new_rule(5, 10);
    elsewhere.route_id = route(2);
    world
        .apply(Command::CreateRule(world.actor.clone(), elsewhere))
        .unwrap();
    assert_eq!(
        refused(world.switch(5, Paused, true)).0,
        "SnapshotNotPublishable"
    );
    assert_eq!(world.rule(5).status, RuleStatus::Draft);
    assert_eq!(refused(world.switch(9, Paused, true)).0, "NotFound");
    enabled(world.enable(1, false, true));
    assert_eq!(refused(world.switch(2, Paused, true)).0, "RouteDisabled");
}

#[test]
fn a_route_is_disabled_alone_and_enabled_again() {
    let mut world = live();
    let head = world.route(1).0.published.unwrap().head;
    world
        .update_route(1, |route| route.name = Some("half done".to_owned()))
        .unwrap();
    let (route, snapshot) = enabled(world.enable(1, false, true));
    let live = route.published.clone().unwrap();
    assert_eq!((route.enabled, live.enabled), (false, false));
    assert_eq!(snapshot, Some(live.snapshot_id));
    assert_eq!(world.route(1).0, route);
    assert!(world.is_pending(1), "the name is still to be published");
    let (route, _) = enabled(world.enable(1, true, true));
    assert_eq!(route.published.unwrap().head, head);
}

#[test]
fn a_live_hostname_is_not_taken_back_from_another_route() {
    let mut world = live();
    enabled(world.enable(1, false, true));
    world
        .update_route(1, |route| {
            route.hostname = Some("moved.example.net".to_owned())
        })
        .unwrap();
    world.create_route(2, "one.example.net", 1).unwrap();
    world.publish(2).unwrap();
    assert_eq!(refused(world.enable(1, true, true)).0, "HostnameConflict");
    enabled(world.enable(1, true, false));
    // It is live under that name already.
    assert!(enabled(world.enable(2, true, true)).1.is_some());
    assert_eq!(refused(world.enable(9, true, true)).0, "NotFound");
}
