//! Single targets of an upstream.

use serde_json::json;

use super::support::World;

#[tokio::test]
async fn a_target_is_made_changed_and_removed_by_itself() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    world.publish(&route).await;
    let targets = format!("/v2/upstreams/{upstream}/targets");
    let made = world
        .post(&targets, json!({"address": "10.0.0.2", "port": 8202}))
        .created()
        .await;
    assert_eq!(
        made,
        json!({"id": made["id"], "object": "target", "address": "10.0.0.2", "port": 8202, "weight": 100, "regions": [], "drain": false})
    );
    let path = format!("{targets}/{}", made["id"].as_str().unwrap());
    assert_eq!(world.get(&path).ok().await, made);
    assert_eq!(
        world.get(&format!("/v2/routes/{route}")).ok().await["pending_changes"],
        true
    );
    let draining = json!({"drain": true, "regions": ["eu-central-1"]});
    let drains = world.patch(&path, draining).ok().await;
    assert_eq!(
        (&drains["drain"], &drains["regions"], &drains["weight"]),
        (&json!(true), &json!(["eu-central-1"]), &json!(100))
    );
    let changed = world.patch(&path, json!({"weight": 0})).ok().await;
    assert_eq!(
        (&changed["id"], &changed["weight"], &changed["port"]),
        (&made["id"], &json!(0), &json!(8202))
    );
    let shown = world.get(&format!("/v2/upstreams/{upstream}")).ok().await;
    assert_eq!(shown["targets"][1], changed);
    let deleted = world.delete(&path).ok().await;
    assert_eq!(
        deleted,
        json!({"id": made["id"], "object": "target", "deleted": true, "deleted_at": 1_714_320_000})
    );
    for again in [world.get(&path), world.delete(&path)] {
        again.fails(404, "resource_not_found", None).await;
    }
}

#[tokio::test]
async fn targets_come_in_pages() {
    let world = World::new();
    let upstream = world.upstream().await;
    let targets = format!("/v2/upstreams/{upstream}/targets");
    for port in 1..5 {
        world.advance_ms(1);
        let body = json!({"address": "10.0.0.2", "port": port});
        world.post(&targets, body).created().await;
    }
    let first = world.get(&format!("{targets}?limit=3")).ok().await;
    let path = format!(
        "{targets}?limit=3&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    let second = world.get(&path).ok().await;
    let ports: Vec<_> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|target| target["port"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [8201, 1, 2, 3, 4]);
    let (_, other) = world.route("api.example.net").await;
    let elsewhere = path.replace(&upstream, &other);
    world
        .get(&elsewhere)
        .fails(400, "invalid_cursor", Some("cursor"))
        .await;
}

#[tokio::test]
async fn bad_fields_of_a_target_are_named() {
    let world = World::new();
    let upstream = world.upstream().await;
    let targets = format!("/v2/upstreams/{upstream}/targets");
    for (body, code, param) in [
        (json!({"port": 1}), "parameter_missing", "address"),
        (json!({"address": "a.example"}), "parameter_missing", "port"),
        (
            json!({"address": "http://a", "port": 1}),
            "invalid_parameter",
            "address",
        ),
        (
            json!({"address": "a.example", "port": 0}),
            "invalid_parameter",
            "port",
        ),
        (
            json!({"address": "a.example", "port": 1, "weight": 1001}),
            "invalid_parameter",
            "weight",
        ),
        (
            json!({"address": "a.example", "port": 1, "drain": 1}),
            "invalid_parameter",
            "drain",
        ),
        (
            json!({"address": "a.example", "port": 1, "regions": ["eu", "eu"]}),
            "invalid_parameter",
            "regions",
        ),
        (
            json!({"address": "a.example", "port": 1, "state": "up"}),
            "unknown_parameter",
            "state",
        ),
    ] {
        world
            .post(&targets, body)
            .fails(400, code, Some(param))
            .await;
    }
    world
        .patch(&format!("{targets}/tgt_00000000"), json!({"weight": 1}))
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn a_patch_of_an_upstream_cannot_name_a_target_that_it_does_not_have() {
    let world = World::new();
    let upstream = world.upstream().await;
    let path = format!("/v2/upstreams/{upstream}");
    let mut targets = world.get(&path).ok().await["targets"].clone();
    targets
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "tgt_00000000", "address": "127.0.0.1", "port": 8202}));
    world
        .patch(&path, json!({"targets": targets}))
        .fails(400, "invalid_parameter", Some("targets[1].id"))
        .await;
}
