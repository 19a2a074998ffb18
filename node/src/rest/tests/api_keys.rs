//! API keys: what a new one looks like, who sees it, and when it stops working.

use http::Method;
use serde_json::{Value, json};

use super::support::World;

impl World {
    /// A restricted key of production with the given scopes; its text.
    pub(super) async fn restricted(&self, scopes: Value) -> String {
        let body = json!({"type": "restricted", "name": "tooling", "scopes": scopes});
        text(&self.post("/v2/api_keys", body).created().await)
    }
}

fn text(key: &Value) -> String {
    key["key"].as_str().unwrap().to_owned()
}

fn path(key: &Value, action: &str) -> String {
    format!("/v2/api_keys/{}{action}", key["id"].as_str().unwrap())
}

const RETRY: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Contract: R-13, D-11, D-12.
#[tokio::test]
async fn a_new_key_shows_all_of_its_fields_and_its_text_never_again() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let scopes = json!({
        "environments": ["sandbox", "production"],
        "routes": [route],
        "methods": ["POST", "GET"],
        "resources": ["snapshots:write", "rules:read"],
    });
    let body = json!({"type": "restricted", "name": "deploys", "scopes": scopes, "expires_at": 1_714_330_000});
    let made = world.post("/v2/api_keys", body).created().await;
    let secret = text(&made);
    assert!(
        secret.starts_with("vg_rk_v2_") && secret.len() == 9 + 38,
        "{secret}"
    );
    let expected = json!({
        "id": made["id"],
        "object": "api_key",
        "environment": "sandbox",
        "type": "restricted",
        "name": "deploys",
        "key": secret,
        "scopes": {
            "environments": ["sandbox", "production"],
            "routes": [route],
            "methods": ["GET", "POST"],
            "resources": ["rules:read", "snapshots:write"],
        },
        "ip_allowlist": [],
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "updated_at": null,
        "expires_at": 1_714_330_000,
        "revoked_at": null,
        "previous_key_expires_at": null,
        "last_used_at": null,
    });
    assert_eq!(made, expected);
    let mut later = expected;
    later["key"] = Value::Null;
    assert_eq!(world.get(&path(&made, "")).ok().await, later);
    let current = world.get("/v2/api_keys/current").key(&secret).ok().await;
    assert_eq!(current, later);
    let list = world.get("/v2/api_keys?limit=100").send().await;
    assert!(!list.text().contains(&secret[9..]));
    let rows = world.control.rows();
    let bytes: Vec<u8> = rows.0.into_values().flatten().collect();
    let needle = &secret.as_bytes()[9..41];
    assert!(!bytes.windows(needle.len()).any(|window| window == needle));
}

#[tokio::test]
async fn a_retry_shows_the_same_key_to_whoever_made_it_and_to_nobody_else() {
    let world = World::new();
    let body = json!({"type": "live", "name": "second"});
    let create = || {
        let asking = world.post("/v2/api_keys", body.clone());
        asking.header("idempotency-key", RETRY)
    };
    let first = create().send().await;
    let again = create().send().await;
    assert_eq!(
        (&first.bytes, again.header("idempotent-replayed")),
        (&again.bytes, Some("true"))
    );
    let second = text(&first.json());
    world.get("/v2/rules").key(&second).ok().await;
    create()
        .key(&second)
        .fails(409, "idempotency_key_reused", None)
        .await;
    let roll = |key: &str| {
        let asking = world.request(Method::POST, &path(&first.json(), "/roll"));
        let retry = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
        asking.key(key).header("idempotency-key", retry)
    };
    let rolled = roll(&world.live).ok().await;
    assert_eq!(roll(&world.live).ok().await, rolled);
    roll(&text(&rolled))
        .fails(409, "idempotency_key_reused", None)
        .await;
}

#[tokio::test]
async fn a_rolled_key_works_with_both_texts_until_the_overlap_ends() {
    let world = World::new();
    let made = world
        .post("/v2/api_keys", json!({"type": "live", "name": "second"}))
        .created()
        .await;
    let old = text(&made);
    let body = json!({"overlap_s": 60});
    let rolled = world.post(&path(&made, "/roll"), body).ok().await;
    let new = text(&rolled);
    assert_eq!(
        (&rolled["id"], &rolled["previous_key_expires_at"]),
        (&made["id"], &json!(1_714_320_060))
    );
    assert_ne!(old, new);
    for key in [&old, &new] {
        world.get("/v2/rules").key(key).ok().await;
    }
    // Nothing is written meanwhile, so what is remembered of callers must not outlive the overlap.
    world.advance_ms(60_000);
    let ended = world.get("/v2/rules").key(&old);
    ended.fails(401, "invalid_api_key", None).await;
    world.get("/v2/rules").key(&new).ok().await;
    let again = world
        .post(&path(&made, "/roll"), json!({"overlap_s": 0}))
        .ok()
        .await;
    assert_eq!(again["previous_key_expires_at"], Value::Null);
    let ended = world.get("/v2/rules").key(&new);
    ended.fails(401, "invalid_api_key", None).await;
    let day = world
        .request(Method::POST, &path(&made, "/roll"))
        .ok()
        .await;
    assert_eq!(day["previous_key_expires_at"], 1_714_320_060 + 86_400);
}

/// Contract: D-11.
#[tokio::test]
async fn an_expired_key_and_a_revoked_one_are_refused_at_once() {
    let world = World::new();
    let body = json!({"type": "restricted", "name": "short", "expires_at": 1_714_320_010});
    let short = world.post("/v2/api_keys", body).created().await;
    world.get("/v2/rules").key(&text(&short)).ok().await;
    world.advance_ms(9_500);
    let ended = world.get("/v2/rules").key(&text(&short));
    ended.fails(401, "invalid_api_key", None).await;
    world
        .request(Method::POST, &path(&short, "/roll"))
        .fails(422, "api_key_inactive", None)
        .await;
    for (method, action) in [(Method::DELETE, ""), (Method::POST, "/revoke")] {
        let body = json!({"type": "restricted", "name": "gone"});
        let gone = world.post("/v2/api_keys", body).created().await;
        world.get("/v2/rules").key(&text(&gone)).ok().await;
        let revoke = || world.request(method.clone(), &path(&gone, action));
        let first = revoke().ok().await;
        assert!(first["revoked_at"].is_u64(), "{first}");
        world.advance_ms(1_000);
        assert_eq!(revoke().ok().await, first);
        let ended = world.get("/v2/rules").key(&text(&gone));
        ended.fails(401, "invalid_api_key", None).await;
    }
}

/// Contract: R-11, D-12.
#[tokio::test]
async fn a_restricted_key_acts_in_the_environments_of_its_scope_and_in_the_first_by_default() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let key = world
        .restricted(json!({"environments": ["sandbox", "production"]}))
        .await;
    let routes = async |environment: Option<&'static str>| {
        let asking = world.get("/v2/routes").key(&key);
        let asking = match environment {
            Some(name) => asking.header("vectorgate-environment", name),
            None => asking,
        };
        asking.ok().await["data"].clone()
    };
    assert_eq!(routes(None).await, json!([]));
    assert_eq!(routes(Some("sandbox")).await, json!([]));
    assert_eq!(routes(Some("production")).await[0]["id"], route.as_str());
    let unknown = world.get("/v2/routes").key(&key);
    unknown
        .header("vectorgate-environment", "staging")
        .fails(404, "resource_not_found", Some("VectorGate-Environment"))
        .await;
    let named = world
        .get("/v2/routes")
        .header("vectorgate-environment", "production");
    named.ok().await;
    let other = world
        .get("/v2/routes")
        .header("vectorgate-environment", "sandbox");
    other
        .fails(404, "resource_not_found", Some("VectorGate-Environment"))
        .await;
}

#[tokio::test]
async fn keys_are_listed_to_those_whose_environments_they_keep_to() {
    let world = World::new();
    let both = json!({"environments": ["production", "sandbox"]});
    world.restricted(both).await;
    let reader = world
        .restricted(json!({"resources": ["api_keys:read"]}))
        .await;
    let names = async |key: &str| {
        let list = world.get("/v2/api_keys").key(key).ok().await;
        let data = list["data"].as_array().unwrap().clone();
        data.iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&world.live).await.len(), 4);
    assert_eq!(names(&world.test).await, ["sandbox, made at bootstrap"]);
    assert_eq!(
        names(&reader).await,
        ["production, made at bootstrap", "tooling"]
    );
    assert_eq!(names(&world.stranger).await, ["theirs"]);
}

#[tokio::test]
async fn bad_bodies_are_refused_by_field() {
    let world = World::new();
    let with = |scopes: Value| json!({"type": "restricted", "name": "x", "scopes": scopes});
    for (body, status, code, param) in [
        (json!({"name": "x"}), 400, "parameter_missing", "type"),
        (json!({"type": "live"}), 400, "parameter_missing", "name"),
        (
            json!({"type": "secret", "name": "x"}),
            400,
            "invalid_parameter",
            "type",
        ),
        (
            json!({"type": "live", "name": "x", "key": "mine"}),
            400,
            "unknown_parameter",
            "key",
        ),
        (
            json!({"type": "test", "name": "x"}),
            400,
            "invalid_parameter",
            "type",
        ),
        (
            json!({"type": "restricted", "name": "x", "expires_at": 1}),
            400,
            "invalid_parameter",
            "expires_at",
        ),
        (
            with(json!({"ips": []})),
            400,
            "unknown_parameter",
            "scopes.ips",
        ),
        (
            with(json!({"methods": ["get"]})),
            400,
            "invalid_parameter",
            "scopes.methods[0]",
        ),
        (
            with(json!({"methods": "GET"})),
            400,
            "invalid_parameter",
            "scopes.methods",
        ),
        (
            with(json!({"resources": ["rules:read", "rules"]})),
            400,
            "invalid_parameter",
            "scopes.resources[1]",
        ),
        (
            with(json!({"resources": ["edges:write"]})),
            400,
            "invalid_parameter",
            "scopes.resources[0]",
        ),
        (
            with(json!({"routes": ["rt_01HW2K1M6PC5RSTU1W3M7A"]})),
            404,
            "resource_not_found",
            "scopes.routes[0]",
        ),
        (
            with(json!({"routes": ["up_01J2A8K6"]})),
            404,
            "resource_not_found",
            "scopes.routes[0]",
        ),
        (
            with(json!({"environments": ["staging"]})),
            404,
            "resource_not_found",
            "scopes.environments[0]",
        ),
    ] {
        let asking = world.post("/v2/api_keys", body);
        asking.fails(status, code, Some(param)).await;
    }
    let own = format!("/v2/api_keys/{}", world.live_key_id);
    world
        .delete(&own)
        .fails(400, "invalid_parameter", Some("id"))
        .await;
    let renamed = world.patch(&own, json!({"name": "ours"})).ok().await;
    assert_eq!(
        (&renamed["name"], &renamed["updated_at"]),
        (&json!("ours"), &json!(1_714_320_000))
    );
    world
        .patch(&own, json!({"scopes": {}}))
        .fails(400, "unknown_parameter", Some("scopes"))
        .await;
}

const INSIDE: &str = "203.0.113.7";
const OUTSIDE: &str = "203.0.114.7";

#[tokio::test]
async fn a_key_works_from_the_addresses_that_it_is_for_and_no_others() {
    let world = World::new();
    let ranges = json!(["203.0.113.0/24", "2001:db8::/32", "198.51.100.1"]);
    let body = json!({"type": "live", "name": "office", "ip_allowlist": ranges});
    let made = world.post("/v2/api_keys", body).created().await;
    let shown = json!(["198.51.100.1/32", "203.0.113.0/24", "2001:db8::/32"]);
    assert_eq!(made["ip_allowlist"], shown);
    let key = text(&made);
    let ask = |address: &str| world.get("/v2/rules").key(&key).from(address);
    for inside in [INSIDE, "::ffff:203.0.113.7", "198.51.100.1", "2001:db8::9"] {
        ask(inside).ok().await;
    }
    for outside in [OUTSIDE, "198.51.100.2", "2001:db9::1", "::ffff:203.0.114.7"] {
        let refused = ask(outside).fails(403, "ip_not_allowed", None).await;
        assert!(!refused.text().contains("203.0.113"), "{}", refused.text());
        // Only the connection counts, and refusals do not use up the key's requests.
        let forged = ask(outside)
            .header("x-forwarded-for", INSIDE)
            .header("forwarded", "for=203.0.113.7");
        let refused = forged.fails(403, "ip_not_allowed", None).await;
        assert_eq!(refused.header("x-ratelimit-remaining"), None);
    }
    let nowhere = world.get("/v2/rules").key(&key);
    nowhere.fails(403, "ip_not_allowed", None).await;
    // A bad key is one, wherever it comes from.
    world.post(&path(&made, "/revoke"), json!({})).ok().await;
    ask(OUTSIDE).fails(401, "invalid_api_key", None).await;
}

#[tokio::test]
async fn where_a_key_works_from_can_be_changed_at_once_and_is_audited() {
    let world = World::new();
    let body = json!({"type": "live", "name": "office", "ip_allowlist": ["203.0.113.0/24"]});
    let made = world.post("/v2/api_keys", body).created().await;
    let (key, path) = (text(&made), path(&made, ""));
    let ask = |address: &str| world.get("/v2/rules").key(&key).from(address);
    ask(OUTSIDE).fails(403, "ip_not_allowed", None).await;
    let moved = json!({"ip_allowlist": ["203.0.114.0/24"]});
    world.patch(&path, moved).ok().await;
    ask(OUTSIDE).ok().await;
    ask(INSIDE).fails(403, "ip_not_allowed", None).await;
    let log = world
        .get("/v2/audit_log?operation=update_api_key")
        .ok()
        .await;
    assert_eq!(
        (
            &log["data"][0]["changes"][0]["before"],
            &log["data"][0]["changes"][0]["after"]
        ),
        (
            &json!({"ip_allowlist": ["203.0.113.0/24"]}),
            &json!({"ip_allowlist": ["203.0.114.0/24"]})
        )
    );
    world.patch(&path, json!({"name": "cellar"})).ok().await;
    ask(INSIDE).fails(403, "ip_not_allowed", None).await;
    let open = world.patch(&path, json!({"ip_allowlist": []})).ok().await;
    assert_eq!(open["ip_allowlist"], json!([]));
    ask(INSIDE).ok().await;
    for (bad, code, param) in [
        (json!("203.0.113.0/24"), "invalid_parameter", "ip_allowlist"),
        (json!(null), "invalid_parameter", "ip_allowlist"),
        (json!([7]), "invalid_parameter", "ip_allowlist[0]"),
        (
            json!(["203.0.113.0/24", "203.0.113.7/24"]),
            "invalid_parameter",
            "ip_allowlist[1]",
        ),
    ] {
        let asking = world.patch(&path, json!({ "ip_allowlist": bad }));
        asking.fails(400, code, Some(param)).await;
    }
    let many: Vec<_> = (0..51).map(|last| format!("192.0.2.{last}")).collect();
    let asking = world.patch(&path, json!({ "ip_allowlist": many }));
    asking
        .fails(422, "limit_exceeded", Some("ip_allowlist"))
        .await;
}

#[tokio::test]
async fn a_key_does_not_lock_out_whoever_changes_it() {
    let world = World::new();
    let own = format!("/v2/api_keys/{}", world.live_key_id);
    let confine = |range: &str| {
        let asking = world.patch(&own, json!({ "ip_allowlist": [range] }));
        asking.from(INSIDE)
    };
    confine("203.0.114.0/24")
        .fails(422, "validation_failed", Some("ip_allowlist"))
        .await;
    confine("203.0.113.0/24").ok().await;
    let opened = world.patch(&own, json!({"ip_allowlist": []}));
    opened.from(INSIDE).ok().await;
    world.get("/v2/rules").from(OUTSIDE).ok().await;
}
