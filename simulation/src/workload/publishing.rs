//! Publishing, taking back, and purging.

use rand::RngExt;
use serde_json::json;

use super::client::Client;
use super::request::Request;
use super::scene::mark_action;
use crate::history::{Operation, Seen};

impl Client {
    /// Sets both markers of a route, in one step, and publishes it.
    pub(super) async fn publish(&mut self) {
        let Some((place, route)) = self.any_route() else {
            return;
        };
        let token = self.token();
        let action = mark_action(&token);
        let operations: Vec<_> = route
            .marks
            .iter()
            .map(|mark| json!({"op": "update", "id": mark, "action": action}))
            .collect();
        let key = self.key();
        let body = json!({"operations": operations});
        let path = "/v2/rules/batch".to_owned();
        let marked = Request::write(Operation::MarkRules, "POST", path, Some(&body), &key);
        self.until_known(marked).await;
        let (operation, body) = if self.rng.random_range(0..5) == 0 {
            let quorum = [json!("all"), json!(50), json!({"region": "eu-central-1"})];
            let quorum = &quorum[self.rng.random_range(0..quorum.len())];
            let timeout_s = self.rng.random_range(1..=3);
            let wait = json!({"wait": {"quorum": quorum, "timeout_s": timeout_s}});
            (Operation::PublishAndWait, wait)
        } else {
            (Operation::Publish, json!({}))
        };
        let key = self.key();
        let path = format!("/v2/routes/{}/publish", route.id);
        let mut request = Request::write(operation, "POST", path, Some(&body), &key);
        if operation == Operation::PublishAndWait {
            request = request.patient();
        }
        let (answer, _) = self.until_known(request.about(&route.id)).await;
        if let Some(Seen::Snapshot(snapshot)) = answer.done().map(|done| &done.seen) {
            let id = snapshot.id.clone();
            self.with_route(place, |route| route.snapshot = Some(id));
        }
    }

    pub(super) async fn roll_back(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let mut body = json!({"reset_draft": self.rng.random_range(0..4) == 0});
        match &route.snapshot {
            Some(snapshot) if self.rng.random() => body["snapshot_id"] = json!(snapshot),
            _ => body["steps"] = json!(self.rng.random_range(1..=2)),
        }
        let key = self.key();
        let path = format!("/v2/routes/{}/rollback", route.id);
        let request = Request::write(Operation::RollBack, "POST", path, Some(&body), &key);
        self.until_known(request.about(&route.id)).await;
    }

    /// Has edges give up what they keep of a route, half the time without a key: then it is asked
    /// for once, since each time would be another purge.
    pub(super) async fn purge(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let key = self.key();
        let path = format!("/v2/routes/{}/purge", route.id);
        let request = Request::write(Operation::Purge, "POST", path, Some(&json!({})), &key);
        let request = request.about(&route.id);
        if self.rng.random() {
            self.until_known(request).await;
        } else {
            self.once(request.keyless()).await;
        }
    }
}
