//! Reads answers of the API into what the history keeps of them.

use serde_json::{Map, Value};

use super::request::Shape;
use crate::history::{
    Answer, Done, Environment, RuleSeen, Seen, Silence, SnapshotSeen, mention, short_hash,
};
use crate::http::{Failure, Response};

/// What identifiers begin with of objects that belong to one environment alone.
const OWNED: [&str; 7] = ["rule_", "rt_", "up_", "snap_", "evt_", "wh_", "whd_"];

/// What came of a request, and the body of the answer.
pub(super) fn classify(shape: &Shape, answered: Result<Response, Failure>) -> (Answer, Value) {
    let response = match answered {
        Ok(response) => response,
        Err(Failure::NotSent) => return (Answer::NotSent, Value::Null),
        Err(Failure::TimedOut) => return (Answer::Unknown(Silence::TimedOut), Value::Null),
        Err(Failure::Broken) => return (Answer::Unknown(Silence::Broken), Value::Null),
    };
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    let request_id = response
        .header("vectorgate-request-id")
        .unwrap_or_default()
        .to_owned();
    let code = || text(&body["error"], "code");
    let revision = response
        .header("vectorgate-revision")
        .and_then(|text| text.parse().ok());
    let replayed = response.header("idempotent-replayed").is_some();
    let answer = match (response.status, revision) {
        (200..300, Some(revision)) => Answer::Done(Box::new(Done {
            status: response.status,
            revision,
            replayed,
            request_id,
            digest: digest(&body, &response.body),
            seen: seen(shape, &body),
            mentions: mentions(&body),
            environments: environments(&body),
        })),
        (400..500, _) => Answer::Refused {
            status: response.status,
            code: code(),
            request_id,
            revision: revision.unwrap_or_default(),
            replayed,
            mentions: mentions(&body),
        },
        (503, _) if code() == "cluster_unavailable" => Answer::Unavailable { request_id },
        (status, _) => Answer::Unknown(Silence::Told {
            status,
            code: code(),
            request_id,
        }),
    };
    (answer, body)
}

/// What a replay has to repeat: everything but what became of a wait.
fn digest(body: &Value, text: &str) -> u64 {
    if body.get("wait").is_none() {
        return short_hash(text.as_bytes());
    }
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("wait");
    }
    short_hash(body.to_string().as_bytes())
}

fn seen(shape: &Shape, body: &Value) -> Seen {
    let id = || text(body, "id");
    match (shape, body["object"].as_str().unwrap_or_default()) {
        (Shape::RulesOf(route), "list") => Seen::Rules {
            route: route.clone(),
            rules: data(body).map(rule).collect(),
            more: body["has_more"] == true,
        },
        (Shape::SnapshotsOf(route), "list") => Seen::Snapshots {
            route: route.clone(),
            snapshots: data(body).map(snapshot).collect(),
            more: body["has_more"] == true,
        },
        (Shape::Audit, "list") => {
            Seen::Audit(data(body).map(|entry| number(entry, "revision")).collect())
        }
        (Shape::Events, "list") => {
            Seen::Events(data(body).map(|event| text(event, "id")).collect())
        }
        (Shape::One, "list") => Seen::Some(data(body).map(rule).collect()),
        (_, "rule") => Seen::Rule(rule(body)),
        (_, "snapshot") => Seen::Snapshot(snapshot(body)),
        (_, "route") => Seen::Route {
            id: id(),
            active: body["active_snapshot_id"].as_str().map(str::to_owned),
            version: number(body, "active_version"),
        },
        (_, "manifest") => Seen::Manifest {
            epoch: number(body, "epoch"),
            version: number(body, "version"),
        },
        _ if body["id"].is_string() => Seen::Object(id()),
        _ => Seen::Nothing,
    }
}

fn data(body: &Value) -> impl Iterator<Item = &Value> {
    body["data"].as_array().into_iter().flatten()
}

fn rule(body: &Value) -> RuleSeen {
    RuleSeen {
        id: text(body, "id"),
        route: text(body, "route_id"),
        name: text(body, "name"),
        priority: number(body, "priority"),
        status: text(body, "status"),
        live: body["publication"]["status"] == "published",
    }
}

fn snapshot(body: &Value) -> SnapshotSeen {
    SnapshotSeen {
        id: text(body, "id"),
        route: text(body, "route_id"),
        version: number(body, "version"),
        active: body["state"] == "published",
        manifest_version: number(body, "manifest_version"),
        unchanged: body["unchanged"] == true,
    }
}

pub(super) fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}

fn number(body: &Value, field: &str) -> u64 {
    body[field].as_u64().unwrap_or_default()
}

/// Identifiers of objects of one environment, wherever they stand.
fn mentions(body: &Value) -> Vec<u64> {
    let mut found = Vec::new();
    visit(body, &mut |text| {
        if OWNED.iter().any(|prefix| text.starts_with(prefix)) {
            found.push(mention(text));
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

fn visit(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| visit(item, take)),
        Value::Object(fields) => fields.values().for_each(|item| visit(item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The environments that the object, or the objects of the list, say they are in. Keys tell of
/// others than the caller's rightly.
fn environments(body: &Value) -> Vec<Environment> {
    let mut found: Vec<Environment> = std::iter::once(body)
        .chain(data(body))
        .filter_map(Value::as_object)
        .filter(|object| object.get("object").is_none_or(|kind| kind != "api_key"))
        .filter_map(environment)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn environment(object: &Map<String, Value>) -> Option<Environment> {
    let name = object.get("environment")?.as_str()?;
    Environment::ALL
        .into_iter()
        .find(|environment| environment.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("vectorgate-revision", ::http::HeaderValue::from_static("7"));
        Response {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    fn done(body: &str) -> Done {
        match classify(&Shape::One, Ok(response(200, body))).0 {
            Answer::Done(done) => *done,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn statuses_say_what_is_known() {
        let answer = |status, body: &str| classify(&Shape::One, Ok(response(status, body))).0;
        assert!(answer(201, "{}").done().is_some());
        let refused = answer(400, r#"{"error":{"code":"priority_conflict"}}"#);
        assert!(
            matches!(refused, Answer::Refused { status: 400, ref code, .. } if code == "priority_conflict")
        );
        let unavailable = answer(503, r#"{"error":{"code":"cluster_unavailable"}}"#);
        assert!(matches!(unavailable, Answer::Unavailable { .. }));
        let unknown = answer(503, r#"{"error":{"code":"outcome_unknown"}}"#);
        assert!(matches!(
            unknown,
            Answer::Unknown(Silence::Told { status: 503, .. })
        ));
        assert!(matches!(answer(500, "?"), Answer::Unknown(_)));
    }

    #[test]
    fn objects_and_environments_are_found_wherever_they_stand() {
        let found = done(
            r#"{"id":"snap_1","object":"snapshot","environment":"sandbox","created_by":"key_1",
                "content":{"rules":[{"id":"rule_2"}]}}"#,
        );
        let mut expected = vec![mention("snap_1"), mention("rule_2")];
        expected.sort_unstable();
        assert_eq!(found.mentions, expected);
        assert_eq!(found.environments, [Environment::Sandbox]);
    }

    #[test]
    fn what_became_of_a_wait_is_no_part_of_what_a_replay_repeats() {
        let one = done(r#"{"id":"snap_1","wait":{"reached":true}}"#);
        let other = done(r#"{"id":"snap_1","wait":{"reached":false}}"#);
        let different = done(r#"{"id":"snap_2","wait":{"reached":false}}"#);
        assert_eq!(one.digest, other.digest);
        assert_ne!(one.digest, different.digest);
    }
}
