//! Changes of rules and of routes' settings.

use rand::RngExt;
use serde_json::{Value, json};

use super::client::Client;
use super::request::{Request, Shape};
use super::scene::RouteScene;
use crate::history::{Operation, Seen};

/// So many rules that are not archived are left alone; with more, making one archives another.
const RULES_KEPT: usize = 40;

impl Client {
    pub(super) async fn create(&mut self) {
        let Some((place, route)) = self.any_route() else {
            return;
        };
        let live = route.rules.len().saturating_sub(route.archived.len());
        if live > RULES_KEPT {
            return self.archive().await;
        }
        let key = self.key();
        let priority = self.next_priority();
        let body = new_rule(&route.id, &key, priority);
        let request = Request::write(
            Operation::CreateRule,
            "POST",
            "/v2/rules".to_owned(),
            Some(&body),
            &key,
        );
        let request = request.naming("", &key);
        let (answer, body) = self.until_known(request).await;
        if answer.done().is_some() {
            let id = super::answers::text(&body, "id");
            self.with_route(place, |route| route.rules.push(id));
        }
    }

    pub(super) async fn rename(&mut self) {
        let Some((_, rule)) = self.any_rule() else {
            return;
        };
        let key = self.key();
        let body = json!({"name": key});
        self.change_rule(Operation::RenameRule, &rule, &body, &key)
            .await;
    }

    /// Mostly to a free place; now and then to one that may be taken.
    pub(super) async fn prioritise(&mut self) {
        let Some((_, rule)) = self.any_rule() else {
            return;
        };
        let fresh = self.next_priority();
        let priority = if self.rng.random_range(0..3) == 0 {
            self.rng.random_range(1..fresh)
        } else {
            fresh
        };
        let key = self.key();
        let body = json!({"priority": priority});
        self.change_rule(Operation::PrioritiseRule, &rule, &body, &key)
            .await;
    }

    async fn change_rule(&mut self, operation: Operation, rule: &str, body: &Value, key: &str) {
        let path = format!("/v2/rules/{rule}");
        let mut request = Request::write(operation, "PATCH", path, Some(body), key).about(rule);
        if operation == Operation::RenameRule {
            request = request.naming(rule, key);
        }
        self.until_known(request).await;
    }

    /// A rule that is live is refused.
    pub(super) async fn archive(&mut self) {
        let Some((place, rule)) = self.any_rule() else {
            return;
        };
        let key = self.key();
        let path = format!("/v2/rules/{rule}");
        let request = Request::write(Operation::ArchiveRule, "DELETE", path, None, &key);
        let (answer, _) = self.until_known(request.about(&rule)).await;
        if answer.done().is_some() {
            self.with_route(place, |route| route.archived(rule));
        }
    }

    pub(super) async fn pause(&mut self) {
        let Some((_, rule)) = self.any_rule() else {
            return;
        };
        let (operation, verb) = if self.rng.random() {
            (Operation::PauseRule, "pause")
        } else {
            (Operation::ResumeRule, "resume")
        };
        let key = self.key();
        // The short-cut that publishes this one rule, now and then.
        let body = json!({"publish": self.rng.random_range(0..4) == 0});
        let path = format!("/v2/rules/{rule}/{verb}");
        let request = Request::write(operation, "POST", path, Some(&body), &key);
        self.until_known(request.about(&rule)).await;
    }

    /// Several changes at once, one of which may be refused, and all with it.
    pub(super) async fn batch(&mut self) {
        let Some((place, route)) = self.any_route() else {
            return;
        };
        let key = self.key();
        let mut operations = Vec::new();
        for number in 0..self.rng.random_range(1..=3) {
            let name = format!("{key} {number}");
            let mut operation = new_rule(&route.id, &name, self.next_priority());
            operation["op"] = json!("create");
            operations.push(operation);
        }
        let mut named = None;
        if let Some((_, rule)) = self.any_rule() {
            let name = format!("{key} u");
            operations.push(json!({"op": "update", "id": rule, "name": name}));
            named = Some((rule, name));
        }
        let mut archived = None;
        if self.rng.random_range(0..2) == 0
            && let Some((of, rule)) = self.any_rule()
        {
            operations.push(json!({"op": "archive", "id": rule}));
            archived = Some((of, rule));
        }
        let body = json!({"operations": operations});
        let path = "/v2/rules/batch".to_owned();
        let mut request = Request::write(Operation::Batch, "POST", path, Some(&body), &key);
        if let Some((rule, name)) = named {
            request = request.naming(&rule, &name);
        }
        let (answer, body) = self.until_known(request).await;
        if answer.done().is_none() {
            return;
        }
        let made: Vec<String> = body["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|rule| {
                rule["metadata"]["key"]
                    .as_str()
                    .is_some_and(|label| label.starts_with(&key))
            })
            .map(|rule| super::answers::text(rule, "id"))
            .collect();
        self.with_route(place, |route| route.rules.extend(made));
        if let Some((of, rule)) = archived {
            self.with_route(of, |route| route.archived(rule));
        }
    }

    /// Looks at the order and changes it, whole or by two that swap places; whoever came between
    /// makes it be refused.
    pub(super) async fn reorder(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let (answer, _) = self.once(list(&route.id)).await;
        let Some(Seen::Rules { rules, more, .. }) = answer.done().map(|done| &done.seen) else {
            return;
        };
        let marks = route.marks.len();
        if rules.len() < marks + 2 {
            return;
        }
        let one = self.rng.random_range(marks..rules.len());
        let other = self.rng.random_range(marks..rules.len());
        let body = if *more || self.rng.random() {
            json!({"moves": [
                {"rule_id": rules[one].id, "priority": rules[other].priority},
                {"rule_id": rules[other].id, "priority": rules[one].priority},
            ]})
        } else {
            let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
            ids.swap(one, other);
            json!({"rule_ids": ids})
        };
        let key = self.key();
        let path = format!("/v2/routes/{}/rules/reorder", route.id);
        let request = Request::write(Operation::Reorder, "POST", path, Some(&body), &key);
        self.until_known(request.about(&route.id)).await;
    }

    pub(super) async fn change_route(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let key = self.key();
        let path = format!("/v2/routes/{}", route.id);
        let body = json!({"name": key});
        let request = Request::write(Operation::ChangeRoute, "PATCH", path, Some(&body), &key);
        self.until_known(request.about(&route.id)).await;
    }

    /// A route of the scene, with its place there.
    pub(super) fn any_route(&mut self) -> Option<(usize, RouteScene)> {
        let scenes = self.shared.scenes.lock();
        let routes = &scenes.get(&self.environment)?.routes;
        let place = self.rng.random_range(0..routes.len());
        Some((place, routes[place].clone()))
    }

    pub(super) fn with_route(&self, place: usize, change: impl FnOnce(&mut RouteScene)) {
        let mut scenes = self.shared.scenes.lock();
        if let Some(scene) = scenes.get_mut(&self.environment) {
            change(&mut scene.routes[place]);
        }
    }

    /// A rule, with its route's place. The newest rules get most of the attention, so that reads
    /// and writes meet.
    pub(super) fn any_rule(&mut self) -> Option<(usize, String)> {
        let (place, route) = self.any_route()?;
        let rules = &route.rules;
        if rules.is_empty() {
            return None;
        }
        let newest = rules.len().saturating_sub(8);
        Some((
            place,
            rules[self.rng.random_range(newest..rules.len())].clone(),
        ))
    }
}

/// The first page of a route's rules.
pub(super) fn list(route: &str) -> Request {
    let path = format!("/v2/rules?route_id={route}&limit=100");
    Request::read(Operation::ListRules, path)
        .about(route)
        .shape(Shape::RulesOf(route.to_owned()))
}

/// A rule that takes no request of the probes.
pub(super) fn new_rule(route: &str, key: &str, priority: u32) -> Value {
    json!({
        "route_id": route, "name": key, "priority": priority,
        "match": {"path": "/never", "header": {"x-rule": key}},
        "action": {"type": "fixed_response", "status": 204, "headers": {}, "body": ""},
        "metadata": {"key": key},
    })
}
