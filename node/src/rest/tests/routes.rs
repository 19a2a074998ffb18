//! Routes: their shape, defaults, patches, archiving.

use serde_json::{Value, json};

use super::support::World;

/// Contract: R-42, D-53.
#[tokio::test]
async fn a_new_route_shows_all_of_its_fields() {
    let world = World::new();
    let upstream = world.upstream().await;
    let config = json!({"upstreams": [{"upstream_id": upstream, "weight": 100}]});
    let body = json!({"name": "Public API", "hostname": "API.Example.NET", "mode": "balanced", "config": config});
    let route = world.post("/v2/routes", body).created().await;
    let id = route["id"].as_str().unwrap();
    assert!(
        id.starts_with("rt_")
            && route["draft_snapshot_id"]
                .as_str()
                .unwrap()
                .starts_with("snap_")
    );
    let expected = json!({
        "id": id,
        "object": "route",
        "environment": "production",
        "name": "Public API",
        "hostname": "api.example.net",
        "mode": "balanced",
        "enabled": true,
        "status": "active",
        "config": config,
        "draft_snapshot_id": route["draft_snapshot_id"],
        "active_snapshot_id": null,
        "active_version": null,
        "pending_changes": true,
        "published_at": null,
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "updated_at": null,
        "archived_at": null,
    });
    assert_eq!(route, expected);
    assert_eq!(world.get(&format!("/v2/routes/{id}")).ok().await, expected);
}

#[tokio::test]
async fn publishing_shows_on_the_route() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.advance_ms(9_000);
    let snapshot = world.publish(&route).await;
    let shown = world.get(&format!("/v2/routes/{route}")).ok().await;
    assert_eq!(
        (&shown["active_snapshot_id"], &shown["active_version"]),
        (&snapshot["id"], &json!(1))
    );
    assert_eq!(
        (&shown["pending_changes"], &shown["published_at"]),
        (&json!(false), &json!(1_714_320_009))
    );
    assert_eq!(shown["updated_at"], shown["published_at"]);
    assert_ne!(shown["draft_snapshot_id"], snapshot["id"]);
}

/// Contract: R-43, D-51.
#[tokio::test]
async fn a_patch_changes_what_it_names_and_merges_config() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    let fallback = json!({"upstream_id": upstream});
    let patched = world
        .patch(
            &path,
            json!({"name": "Renamed", "config": {"fallback": fallback}}),
        )
        .ok()
        .await;
    assert_eq!(
        (&patched["name"], &patched["hostname"]),
        (&json!("Renamed"), &json!("api.example.net"))
    );
    assert_eq!(patched["config"]["fallback"], fallback);
    assert!(patched["config"]["upstreams"].is_array());
    let patched = world
        .patch(
            &path,
            json!({"config": {"fallback": null}, "enabled": false}),
        )
        .ok()
        .await;
    assert_eq!(
        (&patched["config"]["fallback"], &patched["enabled"]),
        (&Value::Null, &json!(false))
    );
    world
        .patch(&path, json!({"config": {"upstreams": null}}))
        .fails(400, "parameter_missing", Some("config.upstreams"))
        .await;
    world
        .patch(&path, json!({"config": {"nothing": 1}}))
        .fails(400, "unknown_parameter", Some("config.nothing"))
        .await;
}

/// Contract: R-42, D-29, D-52.
#[tokio::test]
async fn config_must_fit_the_mode() {
    let world = World::new();
    let upstream = world.upstream().await;
    let create = |mode: &str, config: Value| {
        world.post(
            "/v2/routes",
            json!({"name": "r", "hostname": "a.example", "mode": mode, "config": config}),
        )
    };
    for (mode, config, status, code, param) in [
        (
            "balanced",
            json!({}),
            400,
            "parameter_missing",
            "config.upstreams",
        ),
        (
            "cache_first",
            json!({"origin_upstream_id": upstream}),
            400,
            "parameter_missing",
            "config.cache",
        ),
        (
            "cache_first",
            json!({"origin_upstream_id": upstream, "cache": {}}),
            400,
            "parameter_missing",
            "config.cache.ttl_s",
        ),
        (
            "origin_first",
            json!({"origin_upstream_id": upstream}),
            400,
            "parameter_missing",
            "config.fallback",
        ),
        (
            "balanced",
            json!({"upstreams": [], "cache": {"ttl_s": 1}}),
            422,
            "invalid_config",
            "config.cache",
        ),
        (
            "balanced",
            json!({"upstreams": [{"upstream_id": 1}]}),
            400,
            "invalid_parameter",
            "config.upstreams[0].upstream_id",
        ),
        (
            "balanced",
            json!({"upstream": []}),
            400,
            "unknown_parameter",
            "config.upstream",
        ),
        ("balanced", json!([]), 400, "invalid_parameter", "config"),
        ("best", json!({}), 400, "invalid_parameter", "mode"),
    ] {
        create(mode, config).fails(status, code, Some(param)).await;
    }
}

/// Contract: D-53.
#[tokio::test]
async fn hostnames_are_checked_and_unique_in_an_environment() {
    let world = World::new();
    let (_, upstream) = world.route("api.example.net").await;
    let create = |hostname: &str| {
        let config = json!({"upstreams": [{"upstream_id": upstream}]});
        world.post(
            "/v2/routes",
            json!({"name": "r", "hostname": hostname, "mode": "balanced", "config": config}),
        )
    };
    create("API.example.net")
        .fails(422, "hostname_conflict", Some("hostname"))
        .await;
    for bad in [
        "",
        "10.0.0.1",
        "example.net:80",
        "example.net.",
        "a..b",
        "http://a.example",
        "*.*.example",
        "-a.example",
    ] {
        create(bad)
            .fails(422, "validation_failed", Some("hostname"))
            .await;
    }
    assert_eq!(
        create("*.Bücher.example").created().await["hostname"],
        "*.xn--bcher-kva.example"
    );
}

/// Contract: D-55.
#[tokio::test]
async fn a_route_is_archived_once_it_is_not_live_and_its_hostname_is_free_again() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}");
    world.publish(&route).await;
    world
        .delete(&path)
        .fails(422, "route_published", None)
        .await;
    world.patch(&path, json!({"enabled": false})).ok().await;
    world
        .delete(&path)
        .fails(422, "route_published", None)
        .await;
    world.publish(&route).await;
    let archived = world.delete(&path).ok().await;
    assert_eq!(
        (&archived["status"], &archived["archived_at"]),
        (&json!("archived"), &json!(1_714_320_000))
    );
    assert_eq!(world.get("/v2/routes").ok().await["data"], json!([]));
    assert_eq!(
        world.get("/v2/routes?include_archived=true").ok().await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    world
        .patch(&path, json!({"name": "x"}))
        .fails(422, "resource_archived", None)
        .await;
    world.route("api.example.net").await;
}
