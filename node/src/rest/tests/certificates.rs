//! Certificates: what is taken, what is shown of it, and what never is.

use platform::testing::{Pems, TestAuthority, dns};
use serde_json::{Value, json};

use super::support::{START_MS, World};

fn pems(name: &str, hosts: &[&str]) -> Pems {
    let names = hosts.iter().map(|host| dns(host)).collect();
    TestAuthority::default().issue(name, names)
}

fn body(pems: &Pems) -> Value {
    json!({"name": "mine", "chain": pems.cert, "private_key": pems.key})
}

fn path(certificate: &Value) -> String {
    format!("/v2/certificates/{}", certificate["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_new_certificate_shows_all_of_its_fields_and_not_its_key() {
    let world = World::new();
    let pems = pems("mine", &["API.example.net", "*.example.net"]);
    let reply = world.post("/v2/certificates", body(&pems)).created().await;
    let fingerprint = reply["fingerprint"].as_str().unwrap();
    assert!(fingerprint.starts_with("sha256:") && fingerprint.len() == 71);
    let expected = json!({
        "id": reply["id"],
        "object": "certificate",
        "environment": "production",
        "name": "mine",
        "chain": pems.cert,
        "dns_names": ["api.example.net", "*.example.net"],
        "fingerprint": fingerprint,
        "not_before": reply["not_before"],
        "expires_at": reply["expires_at"],
        "version": 1,
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "updated_at": null,
    });
    assert_eq!(reply, expected);
    assert!(reply["not_before"].as_u64() < reply["expires_at"].as_u64());
    assert_eq!(world.get(&path(&reply)).ok().await, expected);
    let list = world.get("/v2/certificates").ok().await;
    assert_eq!(list["data"], json!([expected]));
    let secret = pems.key.lines().nth(1).unwrap();
    for shown in [
        reply.to_string(),
        list.to_string(),
        world.get("/v2/audit_log").ok().await.to_string(),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_certificate_is_renamed_renewed_and_removed() {
    let world = World::new();
    let made = world
        .post("/v2/certificates", body(&pems("one", &["api.example.net"])))
        .created()
        .await;
    let path = path(&made);
    let renamed = world.patch(&path, json!({"name": "other"})).ok().await;
    assert_eq!(
        (&renamed["name"], &renamed["version"]),
        (&json!("other"), &json!(1))
    );
    let other = pems("two", &["www.example.net"]);
    let renewal = json!({"chain": other.cert, "private_key": other.key});
    let renewed = world.patch(&path, renewal).ok().await;
    assert_eq!(
        (&renewed["dns_names"], &renewed["version"]),
        (&json!(["www.example.net"]), &json!(2))
    );
    assert_ne!(renewed["fingerprint"], made["fingerprint"]);
    let deleted = world.delete(&path).ok().await;
    assert_eq!(
        (&deleted["object"], &deleted["deleted"]),
        (&json!("certificate"), &json!(true))
    );
    world
        .get(&path)
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused() {
    let world = World::new();
    let (one, other) = (
        pems("one", &["api.example.net"]),
        pems("two", &["api.example.net"]),
    );
    let nameless = pems("three", &[]);
    for (body, code, param) in [
        (json!({"name": "x"}), "parameter_missing", "chain"),
        (
            json!({"name": "x", "chain": one.cert}),
            "parameter_missing",
            "private_key",
        ),
        (
            json!({"name": "x", "private_key": one.key}),
            "parameter_missing",
            "chain",
        ),
        (
            json!({"chain": one.cert, "private_key": one.key}),
            "parameter_missing",
            "name",
        ),
        (
            json!({"name": "x", "chain": one.cert, "private_key": other.key}),
            "invalid_parameter",
            "private_key",
        ),
        (
            json!({"name": "x", "chain": "PEM", "private_key": one.key}),
            "invalid_parameter",
            "chain",
        ),
        (
            json!({"name": "x", "chain": format!("{}{}", one.cert, other.cert), "private_key": one.key}),
            "invalid_parameter",
            "chain",
        ),
        (
            json!({"name": "x", "chain": nameless.cert, "private_key": nameless.key}),
            "invalid_parameter",
            "chain",
        ),
        (
            json!({"name": "x", "chain": one.cert, "private_key": "k".repeat(20_000)}),
            "invalid_parameter",
            "private_key",
        ),
    ] {
        let request = world.post("/v2/certificates", body);
        request.fails(400, code, Some(param)).await;
    }
    let list = world.get("/v2/certificates").ok().await;
    assert_eq!(list["data"], json!([]));
}

#[tokio::test]
async fn a_route_shows_what_is_there_and_for_it_and_holds_it() {
    let world = World::new();
    let (route, _) = world.route("api.example.net").await;
    let route = format!("/v2/routes/{route}");
    let show = |id: &Value| json!({"config": {"tls": {"policy": "strict", "certificate_id": id}}});
    let param = Some("config.tls.certificate_id");
    world
        .patch(&route, show(&json!("cert_01HW2J9Q")))
        .fails(404, "resource_not_found", param)
        .await;
    let foreign = world
        .post("/v2/certificates", body(&pems("one", &["www.example.net"])))
        .created()
        .await;
    world
        .patch(&route, show(&foreign["id"]))
        .fails(422, "invalid_config", param)
        .await;
    let fitting = world
        .post("/v2/certificates", body(&pems("two", &["*.example.net"])))
        .created()
        .await;
    world.patch(&route, show(&fitting["id"])).ok().await;
    world
        .delete(&path(&fitting))
        .fails(422, "certificate_in_use", None)
        .await;
    world.delete(&path(&foreign)).ok().await;
    world
        .patch(&route, json!({"config": {"tls": null}}))
        .ok()
        .await;
    world.delete(&path(&fitting)).ok().await;
}

#[tokio::test]
async fn that_a_certificate_expires_is_told_once_whoever_leads() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let world = World::new();
    let pems = pems("mine", &["api.example.net"]);
    let made = world.post("/v2/certificates", body(&pems)).created().await;
    let expires_at = made["expires_at"].as_u64().unwrap();
    world.advance_ms(expires_at * 1000 - START_MS - 31 * DAY_MS);
    let mut told = Vec::new();
    for (passed, days) in [
        (0, None),
        (DAY_MS, Some(30)),
        (28 * DAY_MS, Some(7)),
        (DAY_MS, Some(1)),
    ] {
        world.advance_ms(passed);
        world.leader().look().await;
        world.leader().look().await;
        told.extend(days);
        let path = "/v2/events?type=certificate.expiring";
        let events = world.get(path).ok().await;
        let newest_first = events["data"].as_array().unwrap().iter().rev();
        let found: Vec<_> = newest_first.map(|event| event["data"].clone()).collect();
        let expected = told.iter().map(|days| {
            json!({"certificate_id": made["id"], "expires_at": expires_at, "expires_within_days": days})
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
    let log = world.get("/v2/audit_log?limit=1").ok().await;
    let entry = &log["data"][0];
    assert_eq!(
        (&entry["operation"], &entry["actor"]["type"]),
        (&json!("tell_expiries"), &json!("system"))
    );
    assert_eq!(entry["changes"][0]["id"], made["id"]);
}
