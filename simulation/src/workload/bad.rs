//! Requests that have to be refused, each for another reason, and change nothing.

use rand::RngExt;
use serde_json::json;

use super::client::{ApiKey, Client};
use super::request::Request;
use super::rules::new_rule;
use crate::history::{Environment, Operation};

impl Client {
    pub(super) async fn bad(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let key = self.key();
        let priority = self.next_priority();
        let good = new_rule(&route.id, &key, priority);
        let create = |kind| {
            let path = "/v2/rules".to_owned();
            Request::write(Operation::Bad(kind), "POST", path, Some(&good), &key)
        };
        let request = match self.rng.random_range(0..14) {
            0 => Request {
                body: Some("{\"name\":".to_owned()),
                ..create("half a body")
            },
            1 => with(create("a field is missing"), |rule| {
                drop(rule.remove("name"))
            }),
            2 => with(create("an unknown field"), |rule| {
                rule.insert("nmae".to_owned(), json!("typo"));
            }),
            3 => with(create("a priority out of range"), |rule| {
                rule.insert("priority".to_owned(), json!(-1));
            }),
            4 => with(create("a priority that is taken"), |rule| {
                rule.insert("priority".to_owned(), json!(1));
            }),
            5 => with(create("a route that is not there"), |rule| {
                rule.insert("route_id".to_owned(), json!("rt_000000000000000000000A"));
            }),
            6 => create("another content type").header("content-type", "text/plain"),
            7 => {
                let mut request = create("a key that is no UUID");
                request.call.key = None;
                request.header("idempotency-key", "not-a-uuid")
            }
            8 => create("nothing matches a new object").header("if-match", "\"7\""),
            9 => create("an unknown consistency").header("vectorgate-consistency", "eventual"),
            10 => self.of_the_other_environment(),
            11 => {
                let path = "/v2/rules?cursor=cur_nonsense".to_owned();
                Request::read(Operation::Bad("a cursor that is none"), path)
            }
            12 => {
                let path = format!("/v2/routes/{}/publish", route.id);
                let body = json!({"expected_active_snapshot_id": "snap_000000000000000000000A"});
                let kind = "another snapshot is active";
                Request::write(Operation::Bad(kind), "POST", path, Some(&body), &key)
            }
            _ => return self.reuse_key(&route.id).await,
        };
        if self.rng.random_range(0..14) == 0 {
            let node = self.any_node();
            let nobody = ApiKey {
                id: "nobody's".to_owned(),
                text: "vg_live_sk_v2_nobody".to_owned(),
            };
            self.attempt_with(&nobody, node, &request).await;
            return;
        }
        self.once(request).await;
    }

    /// A change of a rule that another environment has.
    fn of_the_other_environment(&mut self) -> Request {
        let other = match self.environment {
            Environment::Production => Environment::Sandbox,
            Environment::Sandbox => Environment::Production,
        };
        let rule = {
            let scenes = self.shared.scenes.lock();
            let routes = scenes.get(&other).map(|scene| &scene.routes);
            routes
                .and_then(|routes| Some(routes.first()?.marks.first()?.clone()))
                .unwrap_or_default()
        };
        let key = self.key();
        let body = json!({"name": "taken over"});
        let path = format!("/v2/rules/{rule}");
        let kind = Operation::Bad("an object of another environment");
        if self.rng.random() {
            Request::write(kind, "PATCH", path, Some(&body), &key)
        } else {
            Request::read(kind, path)
        }
    }

    /// Two different requests under one key: the second is refused.
    async fn reuse_key(&mut self, route: &str) {
        let key = self.key();
        let path = format!("/v2/routes/{route}");
        let body = json!({"name": key});
        let first = Request::write(
            Operation::ChangeRoute,
            "PATCH",
            path.clone(),
            Some(&body),
            &key,
        );
        let (answer, _) = self.until_known(first.about(route)).await;
        if answer.done().is_none() {
            return;
        }
        let body = json!({"name": format!("not {key}")});
        let kind = Operation::Bad("a key that was used for something else");
        let second = Request::write(kind, "PATCH", path, Some(&body), &key);
        self.once(second).await;
    }
}

/// Changes the fields of the body.
fn with(
    mut request: Request,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Request {
    let body = request.body.take().unwrap_or_default();
    let mut fields = serde_json::from_str(&body).unwrap_or_default();
    change(&mut fields);
    request.body = Some(serde_json::Value::Object(fields).to_string());
    request
}
