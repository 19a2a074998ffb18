//! What clients work on: several routes in both environments, each with two marker rules that
//! always say the same, and the webhook endpoints of production. The first client makes all of it
//! before the others begin.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::Client;
use super::request::Request;
use crate::faults;
use crate::history::{Environment, Operation};

/// The hostnames of production's routes.
pub const HOSTNAMES: [&str; 3] = ["a.example.net", "b.example.net", "c.example.net"];
/// The hostnames of the sandbox's routes: one of them is production's too, which is another route.
const SANDBOX_HOSTNAMES: [&str; 2] = ["a.example.net", "z.example.net"];
/// The paths that a route's marker rules answer.
pub(super) const MARK_PATHS: [&str; 2] = ["/mark-1", "/mark-2"];
/// The header that a marker's answer repeats its body in.
pub(super) const MARK_HEADER: &str = "x-mark";
/// Where the origin listens.
pub(super) const ORIGIN_PORT: u16 = 80;

/// What is made in an environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) routes: Vec<RouteScene>,
}

/// A route that clients work on.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteScene {
    pub(super) id: String,
    /// Its two marker rules.
    pub(super) marks: Vec<String>,
    /// Rules that were made, archived ones too.
    pub(super) rules: Vec<String>,
    /// Rules that are archived.
    pub(super) archived: BTreeSet<String>,
    /// A snapshot that was seen.
    pub(super) snapshot: Option<String>,
}

impl RouteScene {
    /// A rule was archived, perhaps not for the first time.
    pub(super) fn archived(&mut self, rule: String) {
        self.archived.insert(rule);
    }
}

/// The action of a marker rule: it answers with `token`, twice.
pub(super) fn mark_action(token: &str) -> Value {
    json!({
        "type": "fixed_response", "status": 200,
        "headers": {"content-type": "text/plain", MARK_HEADER: token}, "body": token,
    })
}

/// An upstream of this name, which is the origin.
pub(super) fn origin(name: &str) -> Value {
    json!({
        "name": name,
        "targets": [{"address": faults::ORIGIN, "port": ORIGIN_PORT, "weight": 1}],
        "health_check": {"type": "tcp", "interval_s": 5, "timeout_s": 1,
            "healthy_threshold": 1, "unhealthy_threshold": 1},
    })
}

impl Client {
    /// Makes an environment's scene, whatever it takes.
    pub(super) async fn set_up(&mut self, environment: Environment) {
        self.environment = environment;
        let upstream = self
            .make(Operation::MakeUpstream, "upstreams", &origin("origin"))
            .await;
        let hostnames = match environment {
            Environment::Production => HOSTNAMES.as_slice(),
            Environment::Sandbox => SANDBOX_HOSTNAMES.as_slice(),
        };
        let mut scene = Scene::default();
        for hostname in hostnames {
            scene
                .routes
                .push(self.set_up_route(hostname, &upstream).await);
        }
        self.shared.scenes.lock().insert(environment, scene);
    }

    async fn set_up_route(&mut self, hostname: &str, upstream: &str) -> RouteScene {
        let route = json!({
            "name": hostname, "hostname": hostname, "mode": "balanced",
            "config": {"upstreams": [{"upstream_id": upstream, "weight": 1}]},
        });
        let route = self.make(Operation::MakeRoute, "routes", &route).await;
        let token = self.token();
        let mut marks = Vec::new();
        for (place, path) in MARK_PATHS.iter().enumerate() {
            let mark = json!({
                "route_id": route, "name": format!("mark {path}"), "priority": place + 1,
                "match": {"path": path}, "action": mark_action(&token),
            });
            marks.push(self.make(Operation::CreateRule, "rules", &mark).await);
        }
        let key = self.key();
        let path = format!("/v2/routes/{route}/publish");
        let publish = Request::write(Operation::Publish, "POST", path, Some(&json!({})), &key);
        self.until_known(publish.about(&route)).await;
        RouteScene {
            id: route,
            marks,
            ..RouteScene::default()
        }
    }

    /// Makes an object through random nodes until it is there, and gives its identifier.
    async fn make(&mut self, operation: Operation, collection: &str, body: &Value) -> String {
        loop {
            let key = self.key();
            let path = format!("/v2/{collection}");
            let request = Request::write(operation, "POST", path, Some(body), &key);
            let (answer, body) = self.until_known(request).await;
            if answer.done().is_some() {
                return super::answers::text(&body, "id");
            }
            self.pause_before_retry().await;
        }
    }
}
