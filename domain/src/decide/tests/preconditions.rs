//! A command that says what it expects is judged by what is there in its own entry.

use super::world::{World, furnished, made_rule, refused, route, rule, upstream};
use crate::command::{
    ArchiveRoute, ArchiveRule, BatchRules, ChangeTarget, Command, DeleteUpstream, DesiredStatus,
    DraftSeed, Precondition, Publish, ReorderRules, Rollback, RollbackTo, RuleOrder, Stamped,
    SwitchRoute, SwitchRule, TargetChange, UpdateRoute, UpdateRule, UpdateUpstream,
};
use crate::machine;
use crate::outcome::Reply;
use crate::time::Revision;

fn expecting(world: &World, command: Command, precondition: Precondition) -> Stamped {
    Stamped {
        precondition: Some(precondition),
        ..world.stamped(command, None)
    }
}

/// What would be answered, without doing it.
fn judged(world: &World, command: Command, precondition: Precondition) -> Reply {
    let stamped = expecting(world, command, precondition);
    machine::decide(&world.rows, &stamped, Revision(world.revision + 1))
        .map(|decision| decision.outcome)
}

/// Every command about an object, each of which may be carried out, with the object's revision.
fn commands(world: &mut World) -> Vec<(Command, Revision)> {
    let (settings, draft) = world.route(1);
    let written = settings.revision.max(draft.revision);
    let (first, second) = (world.rule(1).revision, world.rule(2).revision);
    let used = crate::query::upstream(&world.rows, &world.actor.environment_id, &upstream(1));
    let unused = crate::query::upstream(&world.rows, &world.actor.environment_id, &upstream(9));
    let actor = world.actor.clone();
    let update_rule = UpdateRule {
        id: rule(1),
        draft_id: world.draw(),
        name: Some("renamed".to_owned()),
        priority: None,
        criteria: None,
        action: None,
        metadata: Vec::new(),
        status: None,
    };
    let archive_rule = ArchiveRule {
        id: rule(2),
        draft_id: world.draw(),
    };
    let update_route = UpdateRoute {
        id: route(1),
        draft_id: world.draw(),
        name: Some("renamed".to_owned()),
        hostname: None,
        mode: None,
        enabled: None,
        config_patch: None,
    };
    let publish = Publish {
        route_id: route(1),
        next_draft_id: world.draw(),
        draft_id: None,
        expected_active: None,
        comment: None,
    };
    let rollback = Rollback {
        route_id: route(1),
        snapshot_id: world.draw(),
        next_draft_id: world.draw(),
        to: RollbackTo::Steps(1),
        expected_active: None,
        reset_draft: false,
        comment: None,
    };
    let update_upstream = UpdateUpstream {
        id: upstream(1),
        draft_seed: DraftSeed {
            unix_ms: 1,
            random: 1,
        },
        name: Some("renamed".to_owned()),
        algorithm: None,
        targets: None,
        named: Vec::new(),
        settings: None,
    };
    let switch_rule = SwitchRule {
        id: rule(1),
        draft_id: world.draw(),
        status: DesiredStatus::Paused,
        publish: None,
    };
    let switch_route = SwitchRoute {
        id: route(1),
        draft_id: world.draw(),
        enabled: false,
        publish: None,
    };
    let reorder = ReorderRules {
        route_id: route(1),
        draft_id: world.draw(),
        order: RuleOrder::Whole(vec![rule(2), rule(1)]),
    };
    let used = used.unwrap();
    let target = ChangeTarget {
        upstream_id: upstream(1),
        draft_seed: DraftSeed {
            unix_ms: 1,
            random: 2,
        },
        change: TargetChange::Remove(used.targets[0].id.clone()),
    };
    vec![
        (Command::SwitchRule(actor.clone(), switch_rule), first),
        (Command::SwitchRoute(actor.clone(), switch_route), written),
        (Command::ReorderRules(actor.clone(), reorder), written),
        (Command::ChangeTarget(actor.clone(), target), used.revision),
        (Command::UpdateRule(actor.clone(), update_rule), first),
        (Command::ArchiveRule(actor.clone(), archive_rule), second),
        (Command::UpdateRoute(actor.clone(), update_route), written),
        (Command::Publish(actor.clone(), publish), written),
        (Command::Rollback(actor.clone(), rollback), written),
        (
            Command::UpdateUpstream(actor.clone(), update_upstream),
            used.revision,
        ),
        (
            Command::DeleteUpstream(actor, DeleteUpstream { id: upstream(9) }),
            unused.unwrap().revision,
        ),
    ]
}

/// A route published twice, with a rule that is live and one that is not, and an unused upstream.
fn busy() -> World {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world
        .update_rule(1, |update| update.name = Some("again".to_owned()))
        .unwrap();
    world.publish(1).unwrap();
    world.create_rule(2, 20).unwrap();
    world.create_upstream(9).unwrap();
    world
}

#[test]
fn every_command_about_an_object_goes_on_only_if_the_object_is_as_expected() {
    let mut world = busy();
    for (command, written) in commands(&mut world) {
        let name = command.name();
        let judge = |precondition| judged(&world, command.clone(), precondition);
        let other = Revision(written.0 - 1);
        for good in [
            Precondition::Exists,
            Precondition::WrittenAt(vec![written]),
            Precondition::WrittenAt(vec![other, written]),
        ] {
            assert!(judge(good.clone()).is_ok(), "{name} {good:?}");
        }
        for bad in [vec![], vec![other], vec![Revision(world.revision + 1)]] {
            assert_eq!(
                refused(judge(Precondition::WrittenAt(bad))),
                ("PreconditionFailed", "If-Match".to_owned()),
                "{name}"
            );
        }
    }
}

#[test]
fn a_change_of_a_rule_changes_what_its_route_was_last_written_at() {
    let mut world = busy();
    let seen = |world: &World| {
        let (route, draft) = world.route(1);
        route.last_written(&draft)
    };
    let before = seen(&world);
    world
        .update_rule(2, |update| update.name = Some("other".to_owned()))
        .unwrap();
    assert_eq!(seen(&world), Revision(world.revision));
    let archive = Command::ArchiveRoute(world.actor.clone(), ArchiveRoute { id: route(1) });
    let stale = judged(&world, archive, Precondition::WrittenAt(vec![before]));
    assert_eq!(refused(stale).0, "PreconditionFailed");
}

#[test]
fn of_two_changes_that_saw_the_same_state_one_is_refused() {
    let mut world = busy();
    let seen = world.rule(1).revision;
    let (command, _) = commands(&mut world).remove(4);
    let first = expecting(&world, command.clone(), Precondition::WrittenAt(vec![seen]));
    let rule = made_rule(world.step(&first).reply);
    let second = expecting(&world, command, Precondition::WrittenAt(vec![seen]));
    assert_eq!(refused(world.step(&second).reply).0, "PreconditionFailed");
    assert_eq!(world.rule(1), rule);
}

#[test]
fn what_does_not_exist_is_told_as_that_and_what_is_yet_to_be_made_matches_nothing() {
    let mut world = furnished();
    let missing = ArchiveRule {
        id: rule(7),
        draft_id: world.draw(),
    };
    let missing = Command::ArchiveRule(world.actor.clone(), missing);
    let create = Command::CreateRule(world.actor.clone(), world.new_rule(3, 30));
    for precondition in [
        Precondition::Exists,
        Precondition::WrittenAt(vec![Revision(1)]),
    ] {
        let found = judged(&world, missing.clone(), precondition.clone());
        assert_eq!(refused(found).0, "NotFound");
        let found = judged(&world, create.clone(), precondition.clone());
        assert_eq!(refused(found).0, "PreconditionFailed");
        // Of several things at once nothing can be expected.
        let operations = Vec::new();
        let batch = Command::BatchRules(world.actor.clone(), BatchRules { operations });
        let found = refused(judged(&world, batch, precondition));
        assert_eq!(found, ("InvalidParameter", "If-Match".to_owned()));
    }
}

#[test]
fn a_retry_gets_its_first_answer_although_its_expectation_no_longer_holds() {
    let mut world = busy();
    let seen = world.rule(1).revision;
    let (command, _) = commands(&mut world).remove(4);
    let asked = Stamped {
        precondition: Some(Precondition::WrittenAt(vec![seen])),
        ..world.stamped(command, Some(("a", 1)))
    };
    let first = world.step(&asked);
    let again = world.step(&asked);
    assert!(again.replayed && first.reply.is_ok());
    assert_eq!(again.reply, first.reply);
}
