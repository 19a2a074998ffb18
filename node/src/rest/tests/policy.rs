//! Who may do what: every operation with keys of every kind and scope, against a table that is
//! written out. An operation that the table does not know is a failure, as is one that is not.

use axum::routing::MethodFilter;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::{Reply, World, fixed_rule};

/// The columns of the table: what a restricted key is restricted to, after the two secret keys.
/// `MINE` stands for the route in question, `OTHER` for another one of the environment.
const SCOPES: [(&str, &str); 12] = [
    ("free", "{}"),
    ("GET", r#"{"methods": ["GET"]}"#),
    ("POST", r#"{"methods": ["POST"]}"#),
    ("rules:read", r#"{"resources": ["rules:read"]}"#),
    ("rules:write", r#"{"resources": ["rules:write"]}"#),
    ("routes:write", r#"{"resources": ["routes:write"]}"#),
    ("snapshots:write", r#"{"resources": ["snapshots:write"]}"#),
    ("upstreams:write", r#"{"resources": ["upstreams:write"]}"#),
    (
        "others:read",
        r#"{"resources": ["edges:read", "api_keys:read", "environments:read", "workspace:read",
            "events:read", "audit_log:read", "webhooks:read"]}"#,
    ),
    (
        "GET rules",
        r#"{"methods": ["GET"], "resources": ["rules:write"]}"#,
    ),
    ("mine", r#"{"routes": ["MINE"]}"#),
    ("other", r#"{"routes": ["OTHER"]}"#),
];

/// `+` is allowed, `-` is 403. The columns are the live key, the test key, and then
/// free, GET, POST, rules:read, rules:write, routes:write, snapshots:write, upstreams:write,
/// others:read, GET with rules:write, the route itself, another route.
const TABLE: &[(&str, &str)] = &[
    ("rules.list", "++ ++- ++---- + ++"),
    ("rules.create", "++ +-+ -+---- - +-"),
    ("rules.get", "++ ++- ++---- + +-"),
    ("rules.update", "++ +-- -+---- - +-"),
    ("rules.archive", "++ +-- -+---- - +-"),
    ("routes.list", "++ ++- --+--- - ++"),
    ("routes.create", "++ +-+ --+--- - --"),
    ("routes.get", "++ ++- --+--- - +-"),
    ("routes.update", "++ +-- --+--- - +-"),
    ("routes.archive", "++ +-- --+--- - +-"),
    ("routes.publish", "++ +-+ ---+-- - +-"),
    ("routes.rollback", "++ +-+ ---+-- - +-"),
    ("routes.snapshots", "++ ++- ---+-- - +-"),
    ("upstreams.list", "++ ++- ----+- - ++"),
    ("upstreams.create", "++ +-+ ----+- - --"),
    ("upstreams.get", "++ ++- ----+- - ++"),
    ("upstreams.update", "++ +-- ----+- - --"),
    ("upstreams.delete", "++ +-- ----+- - --"),
    ("snapshots.list", "++ ++- ---+-- - ++"),
    ("snapshots.get", "++ ++- ---+-- - +-"),
    ("snapshots.diff", "++ ++- ---+-- - +-"),
    ("snapshots.propagation", "++ ++- ---+-- - +-"),
    ("edges.list", "++ ++- -----+ - ++"),
    ("api_keys.list", "++ ++- -----+ - ++"),
    ("api_keys.create", "++ --- ------ - --"),
    ("api_keys.current", "++ +++ ++++++ + ++"),
    ("api_keys.get", "++ ++- -----+ - ++"),
    ("api_keys.update", "++ --- ------ - --"),
    ("api_keys.delete", "++ --- ------ - --"),
    ("api_keys.roll", "++ --- ------ - --"),
    ("api_keys.revoke", "++ --- ------ - --"),
    ("environments.list", "++ ++- -----+ - ++"),
    ("environments.create", "++ --- ------ - --"),
    ("environments.get", "++ ++- -----+ - ++"),
    ("workspace.get", "++ ++- -----+ - ++"),
    ("workspace.update", "+- --- ------ - --"),
    ("workspace.usage", "++ ++- -----+ - ++"),
    ("workspace.limits", "++ ++- -----+ - ++"),
    ("rules.pause", "++ +-+ -+---- - +-"),
    ("rules.resume", "++ +-+ -+---- - +-"),
    ("rules.batch", "++ +-+ -+---- - --"),
    ("rules.versions", "++ ++- ++---- + +-"),
    ("rules.version", "++ ++- ++---- + +-"),
    ("routes.enable", "++ +-+ --+--- - +-"),
    ("routes.disable", "++ +-+ --+--- - +-"),
    ("routes.purge", "++ +-+ --+--- - +-"),
    ("routes.reorder", "++ +-+ -+---- - +-"),
    ("routes.validate", "++ +-+ --+--- - +-"),
    ("targets.list", "++ ++- ----+- - ++"),
    ("targets.create", "++ +-+ ----+- - --"),
    ("targets.get", "++ ++- ----+- - ++"),
    ("targets.update", "++ +-- ----+- - --"),
    ("targets.delete", "++ +-- ----+- - --"),
    ("upstreams.shift", "++ +-+ ------ - --"),
    ("upstreams.cancel_shift", "++ +-- ----+- - --"),
    ("snapshots.acks", "++ ++- ---+-- - +-"),
    ("snapshots.signature", "++ ++- ---+-- - +-"),
    ("manifests.current", "++ ++- ---+-- - ++"),
    ("edges.get", "++ ++- -----+ - ++"),
    ("edges.revoke", "++ --- ------ - --"),
    ("edge_tokens.list", "++ ++- -----+ - ++"),
    ("edge_tokens.create", "++ --- ------ - --"),
    ("edge_tokens.get", "++ ++- -----+ - ++"),
    ("edge_tokens.delete", "++ --- ------ - --"),
    ("upstreams.health", "++ ++- ----+- - ++"),
    ("regions.list", "++ ++- -----+ - ++"),
    ("regions.get", "++ ++- -----+ - ++"),
    ("telemetry.latency", "++ ++- -----+ - ++"),
    ("telemetry.availability", "++ ++- -----+ - ++"),
    ("telemetry.decisions", "++ ++- -----+ - ++"),
    ("rules.stats", "++ ++- ++---- + +-"),
    ("events.list", "++ ++- -----+ - ++"),
    ("events.stream", "++ ++- -----+ - ++"),
    ("events.get", "++ ++- -----+ - +-"),
    ("events.replay", "++ +-+ ------ - --"),
    ("audit_log.list", "++ ++- -----+ - ++"),
    ("audit_log.proof", "++ ++- -----+ - ++"),
    ("audit_log.get", "++ ++- -----+ - +-"),
    ("webhooks.list", "++ ++- -----+ - ++"),
    ("webhooks.create", "++ +-+ ------ - --"),
    ("webhooks.get", "++ ++- -----+ - ++"),
    ("webhooks.update", "++ +-- ------ - --"),
    ("webhooks.rotate_secret", "++ +-+ ------ - --"),
    ("webhooks.enable", "++ +-+ ------ - --"),
    ("webhooks.disable", "++ +-+ ------ - --"),
    ("webhooks.test", "++ +-+ ------ - --"),
    ("deliveries.list", "++ ++- -----+ - ++"),
    ("deliveries.get", "++ ++- -----+ - +-"),
    ("deliveries.retry", "++ +-+ ------ - --"),
    ("webhooks.delete", "++ +-- ------ - --"),
    ("certificates.list", "++ ++- ------ - ++"),
    ("certificates.create", "++ +-+ ------ - --"),
    ("certificates.get", "++ ++- ------ - ++"),
    ("certificates.update", "++ +-- ------ - --"),
    ("certificates.delete", "++ +-- ------ - --"),
];

/// One object of each kind in an environment.
struct Objects {
    route: String,
    rule: String,
    upstream: String,
    snapshot: String,
    api_key: String,
    environment: String,
    target: String,
    event: String,
    audit_entry: String,
    endpoint: String,
    delivery: String,
    certificate: String,
    edge_token: String,
}

/// What is asked of the fleet is in no environment's rows, and nothing is in these tests' fleet. A name is
/// revoked in the caller's own environment, whether an edge has it or not.
const OF_THE_FLEET: [&str; 3] = ["edges.get", "regions.get", "edges.revoke"];

impl Objects {
    /// Makes them with a secret key.
    async fn of(world: &World, key: &str) -> Self {
        let text = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let make =
            async |path: &str, body: Value| text(&world.post(path, body).key(key).created().await);
        let target = json!([{"address": "127.0.0.1", "port": 8201}]);
        let body = json!({"name": "origin", "targets": target});
        let upstream = make("/v2/upstreams", body).await;
        let config = json!({"upstreams": [{"upstream_id": upstream}]});
        let body = json!({"name": "Public API", "hostname": "api.example.net", "mode": "balanced", "config": config});
        let route = make("/v2/routes", body).await;
        let rule = make("/v2/rules", fixed_rule(&route, 40)).await;
        let publish = world.request(Method::POST, &format!("/v2/routes/{route}/publish"));
        let snapshot = text(&publish.key(key).ok().await);
        let body = json!({"type": "restricted", "name": "spare"});
        let api_key = make("/v2/api_keys", body).await;
        let current = world.get("/v2/api_keys/current").key(key).ok().await;
        let all = world.get("/v2/environments").key(key).ok().await;
        let mut all = all["data"].as_array().unwrap().iter();
        let own = all.find(|environment| environment["name"] == current["environment"]);
        let environment = text(own.unwrap());
        let path = format!("/v2/upstreams/{upstream}");
        let shown = world.get(&path).key(key).ok().await;
        let target = text(&shown["targets"][0]);
        // The newest is the publication: what it is about is the route.
        let newest = |list: Value| text(&list["data"][0]);
        let named = format!("?route_id={route}&limit=1");
        let events = world.get(&format!("/v2/events{named}")).key(key);
        let event = newest(events.ok().await);
        let log = world.get(&format!("/v2/audit_log{named}")).key(key);
        let audit_entry = newest(log.ok().await);
        let body = json!({"url": "https://hooks.example.net/"});
        let endpoint = make("/v2/webhook_endpoints", body).await;
        let pems = platform::testing::TestAuthority::default()
            .issue("policy", vec![platform::testing::dns("api.example.net")]);
        let body = json!({"name": "mine", "chain": pems.cert, "private_key": pems.key});
        let certificate = make("/v2/certificates", body).await;
        let edge_token = make("/v2/edge_tokens", json!({"region": "eu-central-1"})).await;
        let replay = world.request(Method::POST, &format!("/v2/events/{event}/replay"));
        let delivery = newest(replay.key(key).ok().await);
        Self {
            route,
            rule,
            upstream,
            snapshot,
            api_key,
            environment,
            target,
            event,
            audit_entry,
            endpoint,
            delivery,
            certificate,
            edge_token,
        }
    }

    /// The path of an operation on these objects.
    fn path(&self, pattern: &str) -> String {
        let id = match pattern.split('/').nth(2) {
            Some("rules") => &self.rule,
            Some("routes") => &self.route,
            Some("upstreams") => &self.upstream,
            Some("snapshots") => &self.snapshot,
            Some("api_keys") => &self.api_key,
            Some("environments") => &self.environment,
            Some("events") => &self.event,
            Some("audit_log") => &self.audit_entry,
            Some("webhook_endpoints") => &self.endpoint,
            Some("webhook_deliveries") => &self.delivery,
            Some("certificates") => &self.certificate,
            Some("edge_tokens") => &self.edge_token,
            Some("edges" | "regions") => "nowhere",
            _ => "",
        };
        assert!(
            !pattern.contains('{') || !id.is_empty(),
            "no object for {pattern}"
        );
        pattern
            .replace("{id}", id)
            .replace("{other}", &self.snapshot)
            .replace("{target}", &self.target)
            .replace("{version}", "1")
    }

    /// A body that does no harm, and names the route where only the body does.
    fn body(&self, name: &str) -> Value {
        match name {
            "rules.create" => fixed_rule(&self.route, 40),
            "environments.create" => json!({"name": "production", "kind": "test"}),
            "rules.batch" => json!({"operations": [{"op": "archive", "id": self.rule}]}),
            "targets.create" => json!({"address": "127.0.0.1", "port": 8202}),
            "upstreams.shift" => {
                json!({"from": self.target, "to": self.target, "steps": 1, "interval_s": 60})
            }
            "routes.reorder" => json!({"rule_ids": [self.rule]}),
            _ => json!({}),
        }
    }
}

pub(super) fn method(filter: MethodFilter) -> Method {
    let known = [
        (MethodFilter::GET, Method::GET),
        (MethodFilter::POST, Method::POST),
        (MethodFilter::PATCH, Method::PATCH),
        (MethodFilter::DELETE, Method::DELETE),
    ];
    let found = known.into_iter().find(|(known, _)| *known == filter);
    found.expect("a method of the API").1
}

/// The keys of the table's columns, each with the objects of its environment.
async fn columns<'a>(
    world: &World,
    production: &'a Objects,
    sandbox: &'a Objects,
    other: &str,
) -> Vec<(&'static str, String, &'a Objects)> {
    let mut columns = vec![
        ("live", world.live.clone(), production),
        ("test", world.test.clone(), sandbox),
    ];
    for (name, scopes) in SCOPES {
        let scopes = scopes
            .replace("MINE", &production.route)
            .replace("OTHER", other);
        let scopes: Value = serde_json::from_str(&scopes).unwrap();
        columns.push((name, world.restricted(scopes).await, production));
    }
    columns
}

/// Contract: R-04, R-11, R-12, R-91, D-15.
#[tokio::test]
async fn every_operation_follows_the_table_and_foreign_objects_do_not_exist_for_any_key() {
    let world = World::new();
    let production = Objects::of(&world, &world.live).await;
    let sandbox = Objects::of(&world, &world.test).await;
    let strangers = Objects::of(&world, &world.stranger).await;
    let (other, _) = world.route("other.example.net").await;
    let columns = columns(&world, &production, &sandbox, &other).await;
    let mut known: Vec<_> = TABLE.iter().map(|(name, _)| *name).collect();
    for (filter, operation) in &world.operations {
        let row = TABLE.iter().find(|(name, _)| *name == operation.name);
        let (_, row) = row.unwrap_or_else(|| panic!("{} is not in the table", operation.name));
        known.retain(|name| *name != operation.name);
        let cells: Vec<char> = row.chars().filter(|cell| *cell != ' ').collect();
        assert_eq!(cells.len(), columns.len(), "{}", operation.name);
        let method = method(*filter);
        let ask = async |key: &str, objects: &Objects| {
            // What is removed would be missing in the next column.
            let dry = if method == Method::DELETE {
                "?dry_run=true"
            } else {
                ""
            };
            let path = format!("{}{dry}", objects.path(operation.path));
            let asking = world.request(method.clone(), &path);
            let asking = match method {
                Method::POST | Method::PATCH => asking.json(&objects.body(operation.name)),
                _ => asking,
            };
            // A stream does not end: its head says enough.
            if operation.name == "events.stream" {
                let (parts, body) = asking.key(key).open().await.into_parts();
                let bytes = match parts.status {
                    StatusCode::OK => Bytes::new(),
                    _ => body.collect().await.unwrap().to_bytes(),
                };
                return Reply {
                    status: parts.status,
                    headers: parts.headers,
                    bytes,
                };
            }
            asking.key(key).send().await
        };
        for ((column, key, objects), cell) in columns.iter().zip(cells) {
            let what = format!("{} with {column}", operation.name);
            let reply = ask(key, objects).await;
            match (cell, reply.status.as_u16()) {
                ('+', 404) if OF_THE_FLEET.contains(&operation.name) => {}
                ('+', 401 | 403 | 404) => panic!("{what}: {}", reply.text()),
                ('+', _) => {}
                _ if operation.name == "rules.create" && *column == "other" => {
                    reply.is_error(403, "insufficient_scope", Some("route_id"), &what);
                }
                _ => reply.is_error(403, "insufficient_scope", None, &what),
            }
            let listed = !OF_THE_FLEET.contains(&operation.name);
            if operation.path.contains("{id}") && *column != "test" && listed {
                for foreign in [&strangers, &sandbox] {
                    // A live key manages the keys and environments of its whole workspace.
                    let kind = operation.name.split('.').next();
                    let managed =
                        *column == "live" && matches!(kind, Some("api_keys" | "environments"));
                    if managed && std::ptr::eq(foreign, &sandbox) {
                        continue;
                    }
                    let reply = ask(key, foreign).await;
                    reply.is_error(404, "resource_not_found", None, &what);
                }
            }
        }
    }
    assert!(known.is_empty(), "no such operations: {known:?}");
}

/// Contract: R-12, D-13.
#[tokio::test]
async fn a_test_key_changes_nothing_of_production_whatever_it_asks() {
    let world = World::new();
    let production = Objects::of(&world, &world.live).await;
    let rows = world.control.rows();
    for (filter, operation) in &world.operations {
        // A name is revoked in the key's own environment, whether an edge has it or not.
        if !operation.path.contains("{id}") || operation.name == "edges.revoke" {
            continue;
        }
        let asking = world.request(method(*filter), &production.path(operation.path));
        let asking = match *filter {
            MethodFilter::POST | MethodFilter::PATCH => {
                asking.json(&production.body(operation.name))
            }
            _ => asking,
        };
        let reply = asking.key(&world.test).send().await;
        reply.is_error(404, "resource_not_found", None, operation.name);
    }
    let rule = world.post("/v2/rules", fixed_rule(&production.route, 7));
    rule.key(&world.test)
        .fails(404, "resource_not_found", Some("route_id"))
        .await;
    for (kind, environment) in [
        ("restricted", "production"),
        ("live", "production"),
        ("test", "production"),
    ] {
        let scopes = json!({"environments": [environment]});
        let body = json!({"type": kind, "name": "mine", "scopes": scopes});
        world
            .post("/v2/api_keys", body)
            .key(&world.test)
            .fails(404, "resource_not_found", Some("scopes.environments[0]"))
            .await;
    }
    let body = json!({"type": "live", "name": "mine"});
    let live = world.post("/v2/api_keys", body).key(&world.test);
    live.fails(400, "invalid_parameter", Some("type")).await;
    let list = world
        .get("/v2/rules")
        .header("vectorgate-environment", "production");
    list.key(&world.test)
        .fails(404, "resource_not_found", Some("VectorGate-Environment"))
        .await;
    assert_eq!(world.control.rows(), rows);
}

/// Contract: R-11, D-15.
#[tokio::test]
async fn lists_show_what_a_confined_key_is_for_and_naming_another_route_is_refused() {
    let world = World::new();
    let mine = Objects::of(&world, &world.live).await;
    let (other, _) = world.route("other.example.net").await;
    world.rule(&other, 41).await;
    world.publish(&other).await;
    let key = world.restricted(json!({"routes": [mine.route]})).await;
    for path in ["/v2/rules", "/v2/routes", "/v2/snapshots"] {
        let list = world.get(path).key(&key).ok().await;
        let all = list["data"].as_array().unwrap();
        assert_eq!(all.len(), 1, "{path}: {list}");
        let whole = world.get(path).ok().await;
        assert_eq!(whole["data"].as_array().unwrap().len(), 2, "{path}");
        let of_route = if path == "/v2/routes" {
            "id"
        } else {
            "route_id"
        };
        assert_eq!(all[0][of_route], mine.route.as_str(), "{path}");
    }
    for path in ["/v2/rules", "/v2/snapshots"] {
        let param = Some("route_id");
        let named = |route: &str| world.get(&format!("{path}?route_id={route}")).key(&key);
        named(&mine.route).ok().await;
        named(&other).fails(403, "insufficient_scope", param).await;
        let unknown = "rt_01HW2K1M6PC5RSTU1W3M7A";
        named(unknown).fails(404, "resource_not_found", param).await;
    }
    let unknown = fixed_rule("rt_01HW2K1M6PC5RSTU1W3M7A", 9);
    world
        .post("/v2/rules", unknown)
        .key(&key)
        .fails(404, "resource_not_found", Some("route_id"))
        .await;
    let words = |route: &str| {
        let path = format!("/v2/snapshots/active/diff/draft?route_id={route}");
        world.get(&path).key(&key)
    };
    words(&mine.route).ok().await;
    words(&other).fails(403, "insufficient_scope", None).await;
}

#[tokio::test]
async fn a_confined_key_sees_its_routes_in_the_manifest_and_deliveries_of_their_events() {
    let world = World::new();
    let mine = Objects::of(&world, &world.live).await;
    let (other, _) = world.route("other.example.net").await;
    world.publish(&other).await;
    let events = format!("/v2/events?route_id={other}&limit=1");
    let foreign = world.get(&events).ok().await["data"][0]["id"].clone();
    let replay = format!("/v2/events/{}/replay", foreign.as_str().unwrap());
    let made = world.request(Method::POST, &replay).ok().await;
    let path = format!(
        "/v2/webhook_deliveries/{}",
        made["data"][0]["id"].as_str().unwrap()
    );
    let key = world.restricted(json!({"routes": [mine.route]})).await;
    let column = |list: &Value, name: &str| -> Vec<String> {
        let items = list["data"].as_array().unwrap().iter();
        items
            .map(|item| item[name].as_str().unwrap().to_owned())
            .collect()
    };
    let manifest = world.get("/v2/manifests/current");
    let whole = manifest.clone().ok().await;
    assert_eq!(column(&whole["routes"], "route_id").len(), 2);
    let seen = manifest.key(&key).ok().await;
    assert_eq!(column(&seen["routes"], "route_id"), [mine.route]);
    let deliveries = world.get("/v2/webhook_deliveries");
    assert_eq!(column(&deliveries.clone().ok().await, "id").len(), 2);
    let seen = deliveries.key(&key).ok().await;
    assert_eq!(column(&seen, "event_id"), [mine.event]);
    world
        .get(&path)
        .key(&key)
        .fails(403, "insufficient_scope", None)
        .await;
}

#[tokio::test]
async fn a_confined_key_walks_its_rules_through_a_crowd_of_others() {
    let world = World::new();
    let (mine, _) = world.route("mine.example.net").await;
    let (other, _) = world.route("other.example.net").await;
    for priority in 0..30 {
        world
            .rule(if priority % 3 == 0 { &mine } else { &other }, priority)
            .await;
    }
    let key = world.restricted(json!({"routes": [mine]})).await;
    let (mut found, mut path) = (0, "/v2/rules?limit=3".to_owned());
    loop {
        let list = world.get(&path).key(&key).ok().await;
        found += list["data"].as_array().unwrap().len();
        let Some(cursor) = list["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v2/rules?limit=3&cursor={cursor}");
    }
    assert_eq!(found, 10);
}
