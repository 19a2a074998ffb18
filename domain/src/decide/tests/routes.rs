//! Routes.

use super::world::{
    actor, config, furnished, made_route, published, refused, route, upstream, world, world_with,
};
use crate::command::{Command, CreateRoute};
use crate::model::{Mode, Plan};
use crate::query;

#[test]
fn a_new_route_is_all_draft() {
    let world = furnished();
    let (route, draft) = world.route(1);
    assert_eq!((route.published, route.updated_at), (None, None));
    assert_eq!((draft.pending_changes, draft.next_version.0), (true, 1));
}

#[test]
fn a_change_gives_a_new_draft_and_touches_nothing_live() {
    let mut world = furnished();
    world.publish(1).unwrap();
    let (before, draft) = world.route(1);
    let manifest = world.manifest_version();
    let (after, changed) =
        made_route(world.update_route(1, |route| route.name = Some("Renamed".to_owned())));
    assert_eq!(
        (after.name.as_str(), &after.published),
        ("Renamed", &before.published)
    );
    assert_ne!(changed.snapshot_id, draft.snapshot_id);
    assert!(changed.pending_changes && !draft.pending_changes);
    assert!(after.updated_at > before.updated_at);
    assert_eq!(world.manifest_version(), manifest);
}

#[test]
fn a_change_and_its_opposite_leave_nothing_pending() {
    let mut world = furnished();
    world.publish(1).unwrap();
    let name = world.route(1).0.name;
    world
        .update_route(1, |route| route.name = Some("Renamed".to_owned()))
        .unwrap();
    world
        .update_route(1, |route| route.name = Some(name))
        .unwrap();
    assert!(!world.is_pending(1));
}

#[test]
fn an_update_that_changes_nothing_is_none() {
    let mut world = furnished();
    let before = world.route(1);
    let same =
        made_route(world.update_route(1, |route| route.config_patch = Some("{}".to_owned())));
    assert_eq!(same, before);
}

#[test]
fn config_is_merged_and_checked_as_a_whole() {
    let mut world = furnished();
    let check = |world: &mut super::world::World, mode: Option<Mode>, patch: &str| {
        refused(world.update_route(1, |route| {
            route.mode = mode;
            route.config_patch = Some(patch.to_owned());
        }))
    };
    assert_eq!(
        check(&mut world, None, r#"{"upstreams":null}"#),
        ("ParameterMissing", "config.upstreams".to_owned())
    );
    assert_eq!(
        check(&mut world, None, r#"{"colour":1}"#),
        ("UnknownParameter", "config.colour".to_owned())
    );
    assert_eq!(
        check(&mut world, None, "{"),
        ("InvalidParameter", "config".to_owned())
    );
    let mode = Some(Mode::CacheFirst);
    assert_eq!(check(&mut world, mode, "{}").0, "InvalidConfig");
    assert_eq!(
        check(&mut world, mode, r#"{"upstreams":null}"#).0,
        "ParameterMissing"
    );
    let patch = format!(
        r#"{{"upstreams":null,"cache":{{"ttl_s":60}},"origin_upstream_id":"{}"}}"#,
        upstream(2)
    );
    let (route, _) = made_route(world.update_route(1, |route| {
        route.mode = mode;
        route.config_patch = Some(patch);
    }));
    assert_eq!(route.mode, Mode::CacheFirst);
    world.delete_upstream(1).unwrap();
    assert_eq!(refused(world.delete_upstream(2)).0, "UpstreamInUse");
}

/// Contract: D-53.
#[test]
fn a_hostname_has_one_owner_in_an_environment() {
    let mut world = furnished();
    assert_eq!(
        refused(world.create_route(2, "one.example.net", 1)).0,
        "HostnameConflict"
    );
    world.create_route(2, "two.example.net", 1).unwrap();
    let taken = world.update_route(2, |route| {
        route.hostname = Some("one.example.net".to_owned())
    });
    assert_eq!(refused(taken).0, "HostnameConflict");
    world
        .update_route(2, |route| {
            route.hostname = Some("two.example.net".to_owned())
        })
        .unwrap();
    world.archive_route(1).unwrap();
    world
        .update_route(2, |route| {
            route.hostname = Some("one.example.net".to_owned())
        })
        .unwrap();
    world.actor = actor(1);
    world.create_upstream(1).unwrap();
    world.create_route(1, "one.example.net", 1).unwrap();
}

#[test]
fn a_hostname_that_is_still_live_elsewhere_cannot_be_published() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| {
            route.hostname = Some("new.example.net".to_owned())
        })
        .unwrap();
    world.create_route(2, "one.example.net", 1).unwrap();
    assert_eq!(refused(world.publish(2)).0, "HostnameConflict");
    world.publish(1).unwrap();
    world.publish(2).unwrap();
}

#[test]
fn hostnames_must_come_in_their_normal_form() {
    let mut world = furnished();
    for hostname in [
        "ONE.example.net",
        "x\0y.example.net",
        "",
        "10.0.0.1",
        "a b.net",
    ] {
        assert_eq!(
            refused(world.create_route(2, hostname, 1)),
            ("InvalidParameter", "hostname".to_owned()),
            "{hostname}"
        );
    }
}

/// Contract: R-71, D-54.
#[test]
fn the_plan_limits_routes_that_are_not_archived() {
    let mut world = world_with(Plan::Free);
    world.create_upstream(1).unwrap();
    for number in 1..=3 {
        world
            .create_route(number, &format!("r{number}.example.net"), 1)
            .unwrap();
    }
    assert_eq!(
        refused(world.create_route(4, "r4.example.net", 1)).0,
        "RouteLimitExceeded"
    );
    world.archive_route(2).unwrap();
    world.create_route(4, "r4.example.net", 1).unwrap();
}

#[test]
fn a_live_route_is_archived_only_after_its_disabling_was_published() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    assert_eq!(refused(world.archive_route(1)).0, "RoutePublished");
    world
        .update_route(1, |route| route.enabled = Some(false))
        .unwrap();
    assert_eq!(
        refused(world.archive_route(1)).0,
        "RoutePublished",
        "the disabling is only drafted"
    );
    world.publish(1).unwrap();
    let version = world.manifest_version();
    let (archived, _) = made_route(world.archive_route(1));
    assert!(archived.archived_at.is_some());
    assert_eq!(world.manifest_version(), version + 1);
    assert_eq!(
        made_route(world.archive_route(1)).0,
        archived,
        "archiving again is no change"
    );
    assert_eq!(world.manifest_version(), version + 1);
    world.delete_upstream(1).unwrap();
}

#[test]
fn an_archived_route_is_frozen_with_its_rules() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.archive_route(1).unwrap();
    let frozen = ("Archived", "route".to_owned());
    assert_eq!(refused(world.create_rule(2, 20)), frozen);
    assert_eq!(
        refused(world.update_rule(1, |rule| rule.name = Some("x".to_owned()))),
        frozen
    );
    assert_eq!(refused(world.archive_rule(1)), frozen);
    assert_eq!(refused(world.publish(1)), frozen);
    assert_eq!(
        refused(world.update_route(1, |route| route.enabled = Some(false))),
        frozen
    );
}

/// Contract: D-50.
#[test]
fn a_disabled_route_takes_no_rules_and_no_publish_until_it_is_enabled() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    world
        .update_route(1, |route| route.enabled = Some(false))
        .unwrap();
    world.create_rule(2, 20).unwrap();
    let (snapshot, unchanged) = published(world.publish(1));
    assert_eq!(
        (snapshot.version.0, unchanged),
        (2, false),
        "publishing the disabling is allowed"
    );
    assert_eq!(refused(world.create_rule(3, 30)).0, "RouteDisabled");
    assert_eq!(refused(world.publish(1)).0, "RouteDisabled");
    world
        .update_route(1, |route| route.enabled = Some(true))
        .unwrap();
    assert_eq!(
        refused(world.create_rule(3, 30)).0,
        "RouteDisabled",
        "it is still disabled at the edges"
    );
    world.publish(1).unwrap();
    world.create_rule(3, 30).unwrap();
}

#[test]
fn nothing_is_found_in_another_environment() {
    let mut world = furnished();
    world.create_rule(1, 10).unwrap();
    world.actor = actor(1);
    assert_eq!(refused(world.publish(1)), ("NotFound", "route".to_owned()));
    assert_eq!(
        refused(world.create_rule(2, 20)),
        ("NotFound", "route".to_owned())
    );
    assert_eq!(
        refused(world.archive_rule(1)),
        ("NotFound", "rule".to_owned())
    );
    assert_eq!(
        refused(world.weigh_upstream(1, 2)),
        ("NotFound", "upstream".to_owned())
    );
    assert_eq!(
        query::route(&world.rows, &world.actor.environment_id, &route(1)),
        None
    );
}

#[test]
fn an_identifier_drawn_twice_is_refused() {
    let mut world = furnished();
    assert_eq!(
        refused(world.create_route(1, "other.example.net", 1)).0,
        "IdTaken"
    );
    assert_eq!(refused(world.create_upstream(1)).0, "IdTaken");
    world.create_rule(1, 10).unwrap();
    assert_eq!(refused(world.create_rule(1, 20)).0, "IdTaken");
}

#[test]
fn a_route_needs_a_workspace_that_exists() {
    let mut world = world();
    world.actor.workspace_id = crate::id::WorkspaceId::parse("ws_00000000").unwrap();
    let command = CreateRoute {
        id: route(1),
        draft_id: world.draw(),
        name: "x".to_owned(),
        hostname: "x.example.net".to_owned(),
        mode: Mode::Balanced,
        enabled: true,
        config: config(1),
    };
    let reply = world.apply(Command::CreateRoute(world.actor.clone(), command));
    assert_eq!(refused(reply), ("NotFound", "workspace".to_owned()));
}
