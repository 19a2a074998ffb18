//! Lists and look-ups.

use super::world::{World, furnished, rule, snapshot};
use crate::command::DesiredStatus;
use crate::id::RuleId;
use crate::model::{Priority, RuleStatus};
use crate::query::{self, RuleFilter};

fn numbered(world: &mut World) {
    for number in 1..=6 {
        world.create_rule(number, 10 * number as u32).unwrap();
    }
    world.archive_rule(2).unwrap();
    world
        .update_rule(3, |rule| rule.status = Some(DesiredStatus::Paused))
        .unwrap();
    world.publish(1).unwrap();
    world.create_rule(7, 35).unwrap();
}

fn pages(world: &World, filter: &RuleFilter, limit: usize) -> Vec<Vec<RuleId>> {
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = query::rules_page(&world.rows, filter, after, limit);
        after = page
            .items
            .last()
            .map(|rule| (rule.priority, rule.id.clone()));
        pages.push(page.items.into_iter().map(|rule| rule.id).collect());
        if !page.has_more {
            return pages;
        }
    }
}

#[test]
fn a_list_merges_the_statuses_in_order_of_priority_page_by_page() {
    let mut world = furnished();
    numbered(&mut world);
    let environment_id = world.actor.environment_id.clone();
    let all = RuleFilter {
        environment_id,
        route_id: None,
        status: None,
        include_archived: false,
    };
    let ids = |numbers: &[u64]| {
        numbers
            .iter()
            .map(|number| rule(*number))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        pages(&world, &all, 2),
        [ids(&[1, 3]), ids(&[7, 4]), ids(&[5, 6])]
    );
    assert_eq!(pages(&world, &all, 100), [ids(&[1, 3, 7, 4, 5, 6])]);
    let with_archived = RuleFilter {
        include_archived: true,
        ..all.clone()
    };
    assert_eq!(
        pages(&world, &with_archived, 4),
        [ids(&[1, 2, 3, 7]), ids(&[4, 5, 6])]
    );
    let by_status = |status| RuleFilter {
        status: Some(status),
        route_id: Some(super::world::route(1)),
        ..all.clone()
    };
    assert_eq!(
        pages(&world, &by_status(RuleStatus::Active), 3),
        [ids(&[1, 4, 5]), ids(&[6])]
    );
    assert_eq!(
        pages(&world, &by_status(RuleStatus::Archived), 3),
        [ids(&[2])]
    );
    assert_eq!(pages(&world, &by_status(RuleStatus::Draft), 1), [ids(&[7])]);
    let elsewhere = RuleFilter {
        route_id: Some(super::world::route(9)),
        ..all
    };
    assert_eq!(pages(&world, &elsewhere, 3), [ids(&[])]);
}

#[test]
fn a_page_goes_on_where_a_removed_row_was() {
    let mut world = furnished();
    numbered(&mut world);
    let environment_id = world.actor.environment_id.clone();
    let filter = RuleFilter {
        environment_id,
        route_id: None,
        status: None,
        include_archived: false,
    };
    let page = query::rules_page(&world.rows, &filter, Some((Priority(20), rule(2))), 1);
    assert_eq!(page.items[0].id, rule(3));
}

#[test]
fn routes_are_listed_in_order_of_creation_with_archived_ones_on_request() {
    let mut world = furnished();
    for number in 2..=5 {
        world
            .create_route(number, &format!("r{number}.example.net"), 1)
            .unwrap();
    }
    world.archive_route(3).unwrap();
    let list = |archived, limit| {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page = query::routes_page(
                &world.rows,
                &world.actor.environment_id,
                archived,
                after,
                limit,
            );
            after = page
                .items
                .last()
                .map(|(route, _)| (route.created_at, route.id.clone()));
            names.extend(page.items.into_iter().map(|(route, _)| route.name));
            if !page.has_more {
                return names;
            }
        }
    };
    assert_eq!(list(false, 2), ["route 1", "route 2", "route 4", "route 5"]);
    assert_eq!(
        list(true, 2),
        ["route 1", "route 2", "route 3", "route 4", "route 5"]
    );
}

#[test]
fn snapshots_are_listed_newest_first() {
    let mut world = furnished();
    world.create_route(2, "two.example.net", 1).unwrap();
    for number in [1, 2, 1, 1] {
        let name = format!("name {}", world.revision);
        world
            .update_route(number, |route| route.name = Some(name))
            .unwrap();
        world.publish(number).unwrap();
    }
    let environment = &world.actor.environment_id;
    let list = |route: Option<&crate::id::RouteId>| {
        let mut versions = Vec::new();
        let mut after = None;
        loop {
            let page = query::snapshots_page(&world.rows, environment, route, after, 2);
            after = page
                .items
                .last()
                .map(|snapshot| (snapshot.published_at, snapshot.id.clone()));
            versions.extend(
                page.items
                    .into_iter()
                    .map(|snapshot| (snapshot.route_id, snapshot.version.0)),
            );
            if !page.has_more {
                return versions;
            }
        }
    };
    let (one, two) = (super::world::route(1), super::world::route(2));
    assert_eq!(
        list(Some(&one)),
        [(one.clone(), 3), (one.clone(), 2), (one.clone(), 1)]
    );
    assert_eq!(
        list(None),
        [
            (one.clone(), 3),
            (one.clone(), 2),
            (two.clone(), 1),
            (one.clone(), 1)
        ]
    );
    let by_version = query::snapshot_by_version(
        &world.rows,
        environment,
        &two,
        crate::model::SnapshotVersion(1),
    );
    assert_eq!(by_version.unwrap().route_id, two);
}

/// 1. A node whose clock is ahead publishes, which moves the log's time.
/// 2. One whose clock is behind publishes: the time stands still, and the identifier, which has the
///    proposer's time, is smaller.
#[test]
fn a_routes_snapshots_of_one_moment_are_listed_newest_first() {
    let mut world = furnished();
    let moment = world.now;
    for number in 0..4 {
        world.now = moment;
        world
            .update_route(1, |route| {
                route.name = Some(format!("name {number}"));
                route.draft_id = snapshot(9_000 - number);
            })
            .unwrap();
        world.now = moment;
        world.publish(1).unwrap();
    }
    let environment = &world.actor.environment_id;
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let one = super::world::route(1);
        let page = query::snapshots_page(&world.rows, environment, Some(&one), after, 3);
        after = page
            .items
            .last()
            .map(|snapshot| (snapshot.published_at, snapshot.id.clone()));
        listed.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    let versions: Vec<u64> = listed.iter().map(|snapshot| snapshot.version.0).collect();
    assert_eq!(versions, [4, 3, 2, 1]);
    let first = &listed[0];
    assert!(
        listed
            .iter()
            .all(|snapshot| snapshot.published_at == first.published_at)
    );
}

#[test]
fn equal_rows_have_equal_hashes_and_others_have_not() {
    let mut world = furnished();
    let before = crate::machine::state_hash(&world.rows);
    assert_eq!(crate::machine::state_hash(&world.rows.clone()), before);
    world.create_rule(1, 10).unwrap();
    assert_ne!(crate::machine::state_hash(&world.rows), before);
}
