//! Upstreams and the targets inside them.

use domain::command::{Command, OutageChange, RecordOutages, Stamped};
use domain::id::{RequestId, Seed, TargetId, UpstreamId};
use domain::time::Timestamp;
use edge_protocol::{HealthReport, OutCause, TargetOut};
use serde_json::{Value, json};

use super::fleet::edge;
use super::support::{START_MS, World, fixed_rule};

#[tokio::test]
async fn a_new_upstream_shows_all_of_its_fields() {
    let world = World::new();
    let targets = json!([
        {"address": "10.0.0.1", "port": 8080, "weight": 90},
        {"address": "origin.internal", "port": 443},
        {"address": "2001:db8::1", "port": 80, "weight": 0},
    ]);
    let upstream = world
        .post(
            "/v2/upstreams",
            json!({"name": "origin", "targets": targets}),
        )
        .created()
        .await;
    let target = |index: usize| &upstream["targets"][index];
    for index in 0..3 {
        assert!(target(index)["id"].as_str().unwrap().starts_with("tgt_"));
    }
    let shown = |index: usize, address: &str, port: u64, weight: u64| json!({"id": target(index)["id"], "object": "target", "address": address, "port": port, "weight": weight, "regions": [], "drain": false});
    let expected = json!({
        "id": upstream["id"],
        "object": "upstream",
        "environment": "production",
        "name": "origin",
        "algorithm": "weighted_round_robin",
        "protocol": "http1",
        "hash": "client_ip",
        "tls": null,
        "health_check": null,
        "ejection": {"failures": 5, "base_s": 15, "max_s": 300},
        "limits": {"requests": 8192, "pending": 1024},
        "targets": [shown(0, "10.0.0.1", 8080, 90), shown(1, "origin.internal", 443, 100), shown(2, "2001:db8::1", 80, 0)],
        "shift": null,
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "updated_at": null,
    });
    assert_eq!(upstream, expected);
    let path = format!("/v2/upstreams/{}", upstream["id"].as_str().unwrap());
    assert_eq!(world.get(&path).ok().await, expected);
}

#[tokio::test]
async fn targets_keep_their_identity_through_a_patch_that_names_them() {
    let world = World::new();
    let upstream = world.upstream().await;
    let path = format!("/v2/upstreams/{upstream}");
    let mut targets = world.get(&path).ok().await["targets"].clone();
    targets[0]["weight"] = json!(5);
    targets
        .as_array_mut()
        .unwrap()
        .push(json!({"address": "127.0.0.1", "port": 8202}));
    let patched = world.patch(&path, json!({"targets": targets})).ok().await;
    assert_eq!(
        (
            &patched["targets"][0]["id"],
            &patched["targets"][0]["weight"]
        ),
        (&targets[0]["id"], &json!(5))
    );
    assert_ne!(patched["targets"][1]["id"], targets[0]["id"]);
    assert_eq!(patched["updated_at"], 1_714_320_000);
    let renamed = world.patch(&path, json!({"name": "renamed"})).ok().await;
    assert_eq!(
        (&renamed["name"], &renamed["targets"]),
        (&json!("renamed"), &patched["targets"])
    );
}

/// Contract: D-48.
#[tokio::test]
async fn a_changed_upstream_gives_every_route_that_uses_it_a_new_draft() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    world.publish(&route).await;
    let path = format!("/v2/routes/{route}");
    let before = world.get(&path).ok().await;
    assert_eq!(before["pending_changes"], false);
    let targets = json!([{"address": "127.0.0.1", "port": 8299}]);
    world
        .patch(
            &format!("/v2/upstreams/{upstream}"),
            json!({"targets": targets}),
        )
        .ok()
        .await;
    let after = world.get(&path).ok().await;
    assert_eq!(after["pending_changes"], true);
    assert_ne!(after["draft_snapshot_id"], before["draft_snapshot_id"]);
}

#[tokio::test]
async fn an_upstream_is_deleted_once_nobody_uses_it() {
    let world = World::new();
    let (_, used) = world.route("api.example.net").await;
    world
        .delete(&format!("/v2/upstreams/{used}"))
        .fails(422, "upstream_in_use", None)
        .await;
    let unused = world.upstream().await;
    let path = format!("/v2/upstreams/{unused}");
    let deleted =
        json!({"id": unused, "object": "upstream", "deleted": true, "deleted_at": 1_714_320_000});
    assert_eq!(world.delete(&path).ok().await, deleted);
    world
        .get(&path)
        .fails(404, "resource_not_found", None)
        .await;
    world
        .delete(&path)
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn bad_targets_are_named_by_their_place() {
    let world = World::new();
    let good = json!({"address": "a.example", "port": 80});
    for (bad, code, param) in [
        (
            json!({"port": 80}),
            "parameter_missing",
            "targets[1].address",
        ),
        (
            json!({"address": "a.example"}),
            "parameter_missing",
            "targets[1].port",
        ),
        (
            json!({"address": "a.example", "port": 0}),
            "invalid_parameter",
            "targets[1].port",
        ),
        (
            json!({"address": "a.example", "port": 65536}),
            "invalid_parameter",
            "targets[1].port",
        ),
        (
            json!({"address": "a.example", "port": "80"}),
            "invalid_parameter",
            "targets[1].port",
        ),
        (
            json!({"address": "a.example", "port": 80, "weight": 1001}),
            "invalid_parameter",
            "targets[1].weight",
        ),
        (
            json!({"address": "a.example", "port": 80, "weight": 1.5}),
            "invalid_parameter",
            "targets[1].weight",
        ),
        (
            json!({"address": "http://a.example", "port": 80}),
            "invalid_parameter",
            "targets[1].address",
        ),
        (
            json!({"address": "a.example:80", "port": 80}),
            "invalid_parameter",
            "targets[1].address",
        ),
        (
            json!({"address": "[::1]", "port": 80}),
            "invalid_parameter",
            "targets[1].address",
        ),
        (
            json!({"address": "", "port": 80}),
            "invalid_parameter",
            "targets[1].address",
        ),
        (
            json!({"address": "a.example", "port": 80, "wieght": 1}),
            "unknown_parameter",
            "targets[1].wieght",
        ),
        (
            json!({"address": "a.example", "port": 80, "id": "tgt_01HX9K3M"}),
            "unknown_parameter",
            "targets[1].id",
        ),
        (json!("a.example:80"), "invalid_parameter", "targets[1]"),
        (Value::Null, "invalid_parameter", "targets[1]"),
    ] {
        let body = json!({"name": "origin", "targets": [good, bad]});
        world
            .post("/v2/upstreams", body)
            .fails(400, code, Some(param))
            .await;
    }
    let many: Vec<_> = (0..257).map(|_| good.clone()).collect();
    let reply = world
        .post("/v2/upstreams", json!({"name": "origin", "targets": many}))
        .send()
        .await;
    assert_eq!(reply.status.as_u16(), 422, "{}", reply.text());
}

#[tokio::test]
async fn a_draft_may_name_an_upstream_that_is_not_there_and_publishing_may_not() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let mut body = fixed_rule(&route, 40);
    body["action"] = json!({"type": "forward", "upstream_id": "up_01J2A8K6"});
    let rule = world.post("/v2/rules", body).created().await;
    let kinds: Vec<_> = rule["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["created", "validation_failed"]);
    let publish = world.request(http::Method::POST, &format!("/v2/routes/{route}/publish"));
    let reply = publish.fails(422, "validation_failed", None).await;
    let details = &reply.json()["error"]["details"];
    assert_eq!(details[0]["code"], "unknown_upstream");
    assert!(
        details[0]["param"]
            .as_str()
            .unwrap()
            .contains(rule["id"].as_str().unwrap()),
        "{details}"
    );
}

#[tokio::test]
async fn settings_change_one_by_one_and_null_is_their_default() {
    let world = World::new();
    let path = format!("/v2/upstreams/{}", world.upstream().await);
    let changes = json!({
        "algorithm": "hash",
        "hash": {"header": "X-User"},
        "protocol": "h2",
        "tls": {"server_name": "origin.example.net"},
        "health_check": {"type": "tcp", "interval_s": 30},
        "limits": {"requests": 10},
    });
    let changed = world.patch(&path, changes).ok().await;
    for (name, expected) in [
        ("algorithm", json!("hash")),
        ("hash", json!({"header": "x-user"})),
        ("protocol", json!("h2")),
        (
            "tls",
            json!({"enabled": true, "server_name": "origin.example.net"}),
        ),
        (
            "health_check",
            json!({"type": "tcp", "interval_s": 30, "timeout_s": 5, "healthy_threshold": 2, "unhealthy_threshold": 3}),
        ),
        ("limits", json!({"requests": 10, "pending": 1024})),
    ] {
        assert_eq!(changed[name], expected, "{name}");
    }
    // What was shown may be sent back.
    let mut again = changed.clone();
    for shown in [
        "id",
        "object",
        "environment",
        "shift",
        "created_by",
        "created_at",
        "updated_at",
    ] {
        again.as_object_mut().unwrap().remove(shown);
    }
    assert_eq!(world.patch(&path, again).ok().await, changed);
    let plain = world
        .patch(&path, json!({"protocol": null, "tls": null, "hash": null}))
        .ok()
        .await;
    assert_eq!(
        (&plain["protocol"], &plain["tls"], &plain["hash"]),
        (&json!("http1"), &Value::Null, &json!("client_ip"))
    );
}

#[tokio::test]
async fn bad_settings_are_named() {
    let world = World::new();
    for (settings, status, code, param) in [
        (
            json!({"algorithm": "random"}),
            400,
            "invalid_parameter",
            "algorithm",
        ),
        (
            json!({"protocol": "h3"}),
            400,
            "invalid_parameter",
            "protocol",
        ),
        (json!({"protocol": "h2"}), 422, "invalid_config", "protocol"),
        (
            json!({"tls": {"verify": false}}),
            400,
            "unknown_parameter",
            "tls.verify",
        ),
        (
            json!({"tls": {"ca": "none"}}),
            400,
            "invalid_parameter",
            "tls.ca",
        ),
        (
            json!({"hash": {"header": ""}}),
            400,
            "invalid_parameter",
            "hash.header",
        ),
        (
            json!({"limits": {"requests": 0}}),
            400,
            "invalid_parameter",
            "limits.requests",
        ),
        (
            json!({"health_check": {}}),
            400,
            "parameter_missing",
            "health_check.path",
        ),
    ] {
        let mut body = json!({"name": "origin", "targets": []});
        body.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        world
            .post("/v2/upstreams", body)
            .fails(status, code, Some(param))
            .await;
    }
}

#[tokio::test]
async fn health_is_what_edges_say_by_region() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    let path = format!("/v2/upstreams/{upstream}/health");
    let before = world.get(&path).ok().await;
    assert_eq!(
        (&before["status"], &before["regions"]),
        (&json!("unknown"), &json!([]))
    );
    world.publish(&route).await;
    let shown = world.get(&format!("/v2/upstreams/{upstream}")).ok().await;
    let target = shown["targets"][0]["id"].as_str().unwrap().to_owned();
    let mut sees_down = edge("edge-2", "eu", Some(1));
    sees_down.health = HealthReport {
        out: vec![TargetOut {
            upstream_id: UpstreamId::parse(&upstream).unwrap(),
            target_id: TargetId::parse(&target).unwrap(),
            cause: OutCause::Check,
            error: "it answered with 503".to_owned(),
            since: Timestamp(START_MS - 5_000),
        }],
        down: vec![UpstreamId::parse(&upstream).unwrap()],
        more: 0,
    };
    let mut gone = edge("edge-4", "us", Some(1));
    gone.connected = false;
    let others = [
        edge("edge-1", "eu", Some(1)),
        edge("edge-3", "asia", Some(1)),
    ];
    let edges = [vec![sees_down, gone], others.to_vec()].concat();
    world.fleet.set(edges, vec![2]);
    let health = world.get(&path).ok().await;
    assert_eq!(
        (&health["status"], &health["silent_nodes"]),
        (&json!("degraded"), &json!([2]))
    );
    let [asia, eu] = &health["regions"].as_array().unwrap()[..] else {
        panic!("two regions have edges that are online: {health}")
    };
    assert_eq!(
        (
            &asia["region"],
            &asia["status"],
            &asia["targets"][0]["status"]
        ),
        (&json!("asia"), &json!("healthy"), &json!("healthy"))
    );
    assert_eq!(
        eu,
        &json!({
            "region": "eu",
            "status": "degraded",
            "failed_at": null,
            "edges": 2,
            "edges_down": 1,
            "targets": [{
                "id": target,
                "address": shown["targets"][0]["address"],
                "port": shown["targets"][0]["port"],
                "status": "degraded",
                "edges_down": 1,
                "since": START_MS / 1000 - 5,
                "cause": "check",
                "last_error": "it answered with 503",
                "observers": ["edge-2"],
            }],
        })
    );
    world
        .get("/v2/upstreams/up_00000000/health")
        .fails(404, "resource_not_found", None)
        .await;
}

/// Contract: R-52.
#[tokio::test]
async fn an_outage_is_an_event_and_shows_in_the_health() {
    let world = World::new();
    let (route, upstream) = world.route("api.example.net").await;
    world.publish(&route).await;
    let stands = |number: u64, is_down| {
        let changes = vec![OutageChange {
            upstream_id: UpstreamId::parse(&upstream).unwrap(),
            region: "eu".to_owned(),
            is_down,
            edges_down: 2,
            edges: 3,
        }];
        let seed = Seed {
            unix_ms: START_MS,
            random: number,
        };
        let stamped = Stamped {
            at: Timestamp(START_MS),
            request_id: RequestId::new(seed),
            idempotency: None,
            command: Command::RecordOutages(RecordOutages {
                environment_id: world.control.environment("production"),
                changes,
            }),
            origin: Default::default(),
            precondition: None,
        };
        world.control.apply(&stamped).reply.unwrap();
    };
    stands(1, true);
    stands(2, true);
    let path = format!("/v2/upstreams/{upstream}/health");
    let health = world.get(&path).ok().await;
    assert_eq!(
        (&health["status"], &health["regions"][0]["failed_at"]),
        (&json!("down"), &json!(START_MS / 1000))
    );
    stands(3, false);
    for (kind, region, count) in [
        ("upstream.failed", "eu", 1),
        ("upstream.recovered", "eu", 1),
        ("upstream.failed", "us", 0),
    ] {
        let path = format!("/v2/events?type={kind}&region={region}");
        let events = world.get(&path).ok().await;
        let events = events["data"].as_array().unwrap();
        assert_eq!(events.len(), count, "{kind} {region}");
        for event in events {
            assert_eq!(
                event["data"],
                json!({"upstream_id": upstream, "region": region})
            );
        }
    }
}
