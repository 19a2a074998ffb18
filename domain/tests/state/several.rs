//! Samples of what changes one thing alone or several at once, and of what that leaves behind.

use domain::command::{
    ArchiveRule, BatchRules, ChangeTarget, Command, DesiredStatus, DraftSeed, PublishAlone,
    PurgeCache, ReorderRules, RuleOperation, RuleOrder, SwitchRoute, SwitchRule, TargetChange,
};
use domain::model::{FieldChange, Priority, RuleField, RuleVersion, RuleVersionNumber};
use domain::outcome::Outcome;
use domain::time::{Revision, Timestamp};

use crate::commands::actor;
use crate::samples::{
    api_key_id, draft, purges, route, route_id, rule, rule_id, snapshot_id, target, upstream_id,
};

pub(crate) fn rule_version() -> RuleVersion {
    RuleVersion {
        version: RuleVersionNumber(3),
        changes: vec![FieldChange {
            field: RuleField::Priority,
            before: Some("40".to_owned()),
            after: "41".to_owned(),
        }],
        actor: api_key_id(),
        at: Timestamp(24),
        revision: Revision(25),
    }
}

pub(crate) fn commands() -> Vec<Command> {
    let alone = PublishAlone {
        snapshot_id: snapshot_id(),
        comment: Some("why".to_owned()),
    };
    let reorder = |order| {
        Command::ReorderRules(
            actor(0),
            ReorderRules {
                route_id: route_id(),
                draft_id: snapshot_id(),
                order,
            },
        )
    };
    let change = |change| {
        Command::ChangeTarget(
            actor(0),
            ChangeTarget {
                upstream_id: upstream_id(),
                draft_seed: DraftSeed {
                    unix_ms: 1,
                    random: 2,
                },
                change,
            },
        )
    };
    vec![
        Command::SwitchRule(
            actor(0),
            SwitchRule {
                id: rule_id(),
                draft_id: snapshot_id(),
                status: DesiredStatus::Paused,
                publish: Some(alone.clone()),
            },
        ),
        Command::SwitchRoute(
            actor(0),
            SwitchRoute {
                id: route_id(),
                draft_id: snapshot_id(),
                enabled: true,
                publish: Some(alone),
            },
        ),
        Command::PurgeCache(
            actor(0),
            PurgeCache {
                route_id: route_id(),
                urls: Some(purges().recent.concat()),
            },
        ),
        reorder(RuleOrder::Whole(vec![rule_id()])),
        reorder(RuleOrder::Moves(vec![(rule_id(), Priority(40))])),
        Command::BatchRules(
            actor(0),
            BatchRules {
                operations: vec![RuleOperation::Archive(ArchiveRule {
                    id: rule_id(),
                    draft_id: snapshot_id(),
                })],
            },
        ),
        change(TargetChange::Add(target())),
        change(TargetChange::Update {
            id: target().id,
            address: Some("10.0.0.1".to_owned()),
            port: Some(8080),
            weight: Some(300),
            regions: None,
            drain: None,
        }),
        change(TargetChange::Remove(target().id)),
    ]
}

pub(crate) fn outcomes() -> Vec<(&'static str, Outcome)> {
    vec![
        (
            "rule_switched",
            Outcome::RuleSwitched {
                rule: rule(),
                snapshot_id: Some(snapshot_id()),
            },
        ),
        (
            "route_switched",
            Outcome::RouteSwitched {
                route: route(),
                draft: draft().shown(),
                snapshot_id: Some(snapshot_id()),
            },
        ),
        ("rules", Outcome::Rules(vec![rule()])),
        ("target", Outcome::Target(target())),
        (
            "target_deleted",
            Outcome::TargetDeleted {
                id: target().id,
                at: Timestamp(1),
            },
        ),
    ]
}
