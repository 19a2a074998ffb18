//! Purging, as clients ask for it.

use http::Method;
use serde_json::json;

use super::support::World;

/// Contract: D-61.
#[tokio::test]
async fn a_purge_is_told_by_the_next_manifest() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let path = format!("/v2/routes/{route}/purge");
    let nothing = world.request(Method::POST, &path).ok().await;
    assert_eq!(
        (&nothing["version"], &nothing["manifest_version"]),
        (&json!(0), &json!(0))
    );
    world.publish(&route).await;
    let before = world.get("/v2/manifests/current").ok().await["version"]
        .as_u64()
        .unwrap();
    let some = json!({"urls": ["https://api.example.net/v1?page=2", "/v1"]});
    for (number, body) in [(1, some), (2, json!({}))] {
        let purged = world.post(&path, body).ok().await;
        assert_eq!(
            (&purged["object"], &purged["route_id"], &purged["version"]),
            (&json!("cache_purge"), &json!(route), &json!(number))
        );
        assert_eq!(purged["manifest_version"], json!(before + number));
    }
    let after = world.get("/v2/manifests/current").ok().await;
    assert_eq!(after["version"], json!(before + 2));
    let route = world.get(&format!("/v2/routes/{route}")).ok().await;
    assert_eq!(route["pending_changes"], json!(false));
}

#[tokio::test]
async fn what_is_no_url_is_refused_with_its_place() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    world.publish(&route).await;
    let path = format!("/v2/routes/{route}/purge");
    for (body, code, param) in [
        (json!({"urls": []}), "invalid_parameter", "urls"),
        (json!({"urls": "/a"}), "invalid_parameter", "urls"),
        (json!({"urls": vec!["/a"; 31]}), "invalid_parameter", "urls"),
        (json!({"urls": ["/a", 7]}), "invalid_parameter", "urls[1]"),
        (json!({"urls": ["/a", "b"]}), "invalid_parameter", "urls[1]"),
        (json!({"url": "/a"}), "unknown_parameter", "url"),
    ] {
        world.post(&path, body).fails(400, code, Some(param)).await;
    }
    let many = vec![format!("/{}", "x".repeat(1_000)); 9];
    let large = world.post(&path, json!({"urls": many}));
    large.fails(422, "limit_exceeded", Some("urls")).await;
}
