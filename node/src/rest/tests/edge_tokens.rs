//! Join tokens over HTTP: what is shown, once, and what never is; and edges that are turned away.

use domain::command::{Actor, Command, EnrolEdge, Stamped};
use domain::id::RequestId;
use domain::model::{EdgePublicKey, REVOKED_EDGE_KEPT_MS};
use domain::query;
use edge_protocol::enrolment::JoinToken;
use http::Method;
use platform::{Clock, Entropy};
use serde_json::{Value, json};

use super::support::{World, keys};

const MINUTES_15: u64 = 15 * 60;

fn path(token: &Value) -> String {
    format!("/v2/edge_tokens/{}", token["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_new_token_shows_all_of_its_fields_and_its_text_once() {
    let world = World::new();
    let body = json!({"edge_id": "edge-1", "region": "eu-central-1", "labels": {"rack": "7"}});
    let reply = world.post("/v2/edge_tokens", body).created().await;
    let expected = json!({
        "id": reply["id"],
        "object": "edge_token",
        "environment": "production",
        "edge_id": "edge-1",
        "region": "eu-central-1",
        "labels": {"rack": "7"},
        "token": reply["token"],
        "created_by": world.live_key_id.as_str(),
        "created_at": 1_714_320_000,
        "expires_at": 1_714_320_000 + MINUTES_15,
        "used_by": null,
        "used_at": null,
    });
    assert_eq!(reply, expected);
    let text = reply["token"].as_str().unwrap();
    let token = JoinToken::parse(text).unwrap();
    assert_eq!(token.authorities, [vec![1, 2, 3]]);
    assert!(!token.nodes.is_empty());

    let mut shown = expected;
    shown["token"] = Value::Null;
    assert_eq!(world.get(&path(&reply)).ok().await, shown);
    let list = world.get("/v2/edge_tokens").ok().await;
    assert_eq!(list["data"], json!([shown]));
    let log = world.get("/v2/audit_log").ok().await;
    let entry = &log["data"][0];
    assert_eq!(entry["operation"], "create_edge_token");
    for shown in [list.to_string(), log.to_string()] {
        assert!(!shown.contains(&text[11..40]), "{shown}");
    }
}

#[tokio::test]
async fn a_retry_shows_the_same_token_to_the_same_key_alone() {
    let world = World::new();
    let ask = || {
        let body = json!({"region": "eu-central-1"});
        let key = "550e8400-e29b-41d4-a716-446655440000";
        world
            .post("/v2/edge_tokens", body)
            .header("idempotency-key", key)
    };
    let first = ask().created().await;
    let again = ask().created().await;
    assert_eq!(first, again);
    let list = world.get("/v2/edge_tokens").ok().await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_is_deleted() {
    let world = World::new();
    let body = json!({"region": "eu-central-1"});
    let made = world.post("/v2/edge_tokens", body).created().await;
    let deleted = world.delete(&path(&made)).ok().await;
    assert_eq!(
        (&deleted["object"], &deleted["deleted"]),
        (&json!("edge_token"), &json!(true))
    );
    world
        .get(&path(&made))
        .fails(404, "resource_not_found", None)
        .await;
}

#[tokio::test]
async fn what_a_token_cannot_say_is_refused() {
    let world = World::new();
    for (body, code, param) in [
        (json!({}), "parameter_missing", "region"),
        (json!({"region": "a b"}), "invalid_parameter", "region"),
        (
            json!({"region": "eu", "edge_id": ""}),
            "invalid_parameter",
            "edge_id",
        ),
        (
            json!({"region": "eu", "labels": {"a": 1}}),
            "invalid_parameter",
            "labels.a",
        ),
        (
            json!({"region": "eu", "environment": "production"}),
            "unknown_parameter",
            "environment",
        ),
    ] {
        world
            .post("/v2/edge_tokens", body)
            .fails(400, code, Some(param))
            .await;
    }
}

#[tokio::test]
async fn an_edge_is_revoked_for_good_and_that_is_written_down() {
    let world = World::new();
    let revoke = || world.request(Method::POST, "/v2/edges/edge-1/revoke");
    let reply = revoke().ok().await;
    assert_eq!(
        reply,
        json!({
            "id": "edge-1",
            "object": "edge_revocation",
            "environment": "production",
            "revoked": true,
            "revoked_at": 1_714_320_000,
        })
    );
    assert_eq!(revoke().ok().await, reply);
    let body = json!({"region": "eu", "edge_id": "edge-1"});
    world
        .post("/v2/edge_tokens", body)
        .fails(400, "invalid_parameter", Some("edge_id"))
        .await;
    let log = world.get("/v2/audit_log?object=edge").ok().await;
    let entries = log["data"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!(entries[0]["operation"], "revoke_edge");
    assert_eq!(entries[0]["changes"][0]["id"], "edge-1");
}

/// Contract: D-64.
#[tokio::test]
async fn a_revoked_edge_is_forgotten_by_itself_a_month_later_if_it_came_by_a_token() {
    let world = World::new();
    let body = json!({"edge_id": "edge-1", "region": "eu-central-1"});
    let made = world.post("/v2/edge_tokens", body.clone()).created().await;
    let token = JoinToken::parse(made["token"].as_str().unwrap()).unwrap();
    let hash = keys().active().join_hash(&token.secret);
    let known = query::edge_token_by_hash(&world.control.rows(), &hash).unwrap();
    let actor = Actor {
        workspace_id: known.workspace_id,
        environment_id: known.environment_id,
        api_key_id: known.created_by,
    };
    let enrol = EnrolEdge {
        token_id: known.id,
        hash,
        edge_id: "edge-1".to_owned(),
        key: EdgePublicKey([1; 32]),
    };
    let at = world.clock.now();
    let enrolled = world.control.apply(&Stamped {
        at,
        request_id: RequestId::new(world.entropy.seed(at)),
        idempotency: None,
        command: Command::EnrolEdge(actor, enrol),
        origin: Default::default(),
        precondition: None,
    });
    enrolled.reply.unwrap();
    for edge in ["edge-1", "edge-2"] {
        let revoke = format!("/v2/edges/{edge}/revoke");
        world.request(Method::POST, &revoke).ok().await;
    }
    world.advance_ms(REVOKED_EDGE_KEPT_MS - 1);
    world.leader().look().await;
    let refused = world.post("/v2/edge_tokens", body.clone());
    refused
        .fails(400, "invalid_parameter", Some("edge_id"))
        .await;
    world.advance_ms(1);
    world.leader().look().await;
    world.post("/v2/edge_tokens", body).created().await;
    let body = json!({"edge_id": "edge-2", "region": "eu-central-1"});
    let refused = world.post("/v2/edge_tokens", body);
    refused
        .fails(400, "invalid_parameter", Some("edge_id"))
        .await;
}
