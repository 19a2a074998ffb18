//! Lists are walked by cursors, also while they change.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::World;

/// Walks a list to its end, doing `between` after each page; what was seen, in order.
async fn walk(world: &World, path: &str, mut between: impl AsyncFnMut(usize)) -> Vec<Value> {
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let list = world.get(&format!("{path}{cursor}")).ok().await;
        seen.extend(list["data"].as_array().unwrap().iter().cloned());
        let next = list["next_cursor"].as_str();
        assert_eq!(list["has_more"].as_bool().unwrap(), next.is_some());
        let Some(next) = next else { return seen };
        cursor = format!("&cursor={next}");
        pages += 1;
        between(pages).await;
    }
}

fn ids(seen: &[Value]) -> Vec<&str> {
    seen.iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

/// Contract: R-31, D-02, D-03.
#[tokio::test]
async fn a_walk_over_rules_sees_each_once_in_order_of_priority_then_identifier() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let (other, _) = world.route("assets.example.net").await;
    for priority in (0..23).rev() {
        world.rule(&route, priority * 2).await;
        world.rule(&other, priority * 2).await;
    }
    for limit in [1, 7, 46, 100] {
        let seen = walk(&world, &format!("/v2/rules?limit={limit}"), async |_| {}).await;
        let order: Vec<_> = seen
            .iter()
            .map(|rule| {
                (
                    rule["priority"].as_u64().unwrap(),
                    rule["id"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(order.len(), 46, "limit {limit}");
        assert!(
            order.is_sorted() && BTreeSet::from_iter(&order).len() == 46,
            "limit {limit}"
        );
    }
    assert_eq!(
        world.get("/v2/rules").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

/// Contract: D-02.
#[tokio::test]
async fn a_walk_misses_nothing_that_was_there_all_the_time_while_rules_come_and_go() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut stable = Vec::new();
    for priority in 0..30 {
        stable.push(world.rule(&route, priority * 10).await);
    }
    // The rule that a cursor names is archived right after the page: the position stays.
    let doomed: Vec<_> = [145, 146, 147].into_iter().collect();
    for priority in &doomed {
        world.rule(&route, *priority).await;
    }
    let seen = walk(&world, "/v2/rules?limit=4", async |page: usize| {
        // Some before the cursor, some after it, none where a rule is.
        let page = u32::try_from(page).unwrap();
        world
            .rule(
                &route,
                if page % 2 == 0 {
                    page * 4 + 1
                } else {
                    page * 20 + 3
                },
            )
            .await;
        for priority in &doomed {
            let list = world.get("/v2/rules?limit=100").ok().await;
            let rules = list["data"].as_array().unwrap();
            if let Some(rule) = rules.iter().find(|rule| rule["priority"] == *priority) {
                world
                    .delete(&format!("/v2/rules/{}", rule["id"].as_str().unwrap()))
                    .ok()
                    .await;
                break;
            }
        }
    })
    .await;
    let seen = ids(&seen);
    assert_eq!(
        BTreeSet::from_iter(&seen).len(),
        seen.len(),
        "something was seen twice"
    );
    for id in &stable {
        assert!(seen.contains(&id.as_str()), "{id} was missed");
    }
}

/// Contract: D-04.
#[tokio::test]
async fn every_list_can_be_walked() {
    let world = World::new();
    let (route, _) = world.route("r0.example.net").await;
    for number in 1..9 {
        world.advance_ms(if number % 2 == 0 { 0 } else { 700 });
        world.route(&format!("r{number}.example.net")).await;
        world.rule(&route, number).await;
        world.publish(&route).await;
    }
    for (path, count) in [
        ("/v2/routes?limit=2", 9),
        ("/v2/upstreams?limit=2", 9),
        ("/v2/snapshots?limit=3", 8),
        (&format!("/v2/routes/{route}/snapshots?limit=3"), 8),
        (&format!("/v2/snapshots?route_id={route}&limit=5"), 8),
        ("/v2/snapshots?limit=2&state=superseded", 7),
        ("/v2/snapshots?limit=2&min_version=3&max_version=5", 3),
        ("/v2/rules?limit=2&metadata[nobody]=x", 0),
        ("/v2/rules?limit=3&hostname=r0.example.net", 8),
    ] {
        let seen = walk(&world, path, async |_| {}).await;
        let ids = ids(&seen);
        assert_eq!(
            (ids.len(), BTreeSet::from_iter(&ids).len()),
            (count, count),
            "{path}"
        );
    }
    let snapshots = walk(&world, "/v2/snapshots?limit=3", async |_| {}).await;
    assert!(
        snapshots
            .iter()
            .map(|snapshot| snapshot["published_at"].as_u64())
            .rev()
            .is_sorted()
    );
    let routes = walk(&world, "/v2/routes?limit=2", async |_| {}).await;
    assert!(
        routes
            .iter()
            .map(|route| (route["created_at"].as_u64(), route["id"].as_str()))
            .is_sorted()
    );
}

/// Contract: D-02.
#[tokio::test]
async fn a_cursor_belongs_to_its_list_and_filters_and_not_to_its_limit() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.route("assets.example.net").await;
    for priority in 0..5 {
        world.rule(&route, priority).await;
    }
    let list = world.get("/v2/rules?limit=2&status=draft").ok().await;
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("/v2/rules?limit=100&status=draft&cursor={cursor}"))
        .ok()
        .await;
    assert_eq!(
        (rest["data"].as_array().unwrap().len(), &rest["next_cursor"]),
        (3, &Value::Null)
    );
    for other in [
        format!("/v2/rules?cursor={cursor}"),
        format!("/v2/rules?status=active&cursor={cursor}"),
        format!("/v2/rules?status=draft&route_id={route}&cursor={cursor}"),
        format!("/v2/rules?status=draft&metadata[a]=b&cursor={cursor}"),
        format!("/v2/routes?cursor={cursor}"),
        format!("/v2/snapshots?cursor={cursor}"),
    ] {
        world
            .get(&other)
            .fails(400, "invalid_cursor", Some("cursor"))
            .await;
    }
}

/// Contract: D-04.
#[tokio::test]
async fn routes_come_all_at_once_without_a_limit_and_by_pages_with_one() {
    let world = World::new();
    for number in 0..25 {
        world.route(&format!("r{number}.example.net")).await;
    }
    assert_eq!(
        world.get("/v2/routes").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        25
    );
    let page = world.get("/v2/routes?limit=10").ok().await;
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["has_more"]),
        (10, &json!(true))
    );
}
