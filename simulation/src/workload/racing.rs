//! Changes of one route all at once: it is published, taken back, ordered anew, and one of its rules
//! is archived, each through a node of its own and at about the same time.

use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use serde_json::{Value, json};

use super::client::{Client, is_known};
use super::request::Request;
use super::rules::{list, new_rule};
use crate::history::{Answer, Operation, Seen};

/// By how much the changes begin one after another at most, in milliseconds.
const APART_MS_MAX: u64 = 60;

impl Client {
    /// Makes a rule, which is in the draft alone, and has everything that can happen to it happen.
    pub(super) async fn race(&mut self) {
        let Some((place, route)) = self.any_route() else {
            return;
        };
        let key = self.key();
        let body = new_rule(&route.id, &key, self.next_priority());
        let made = Request::write(
            Operation::CreateRule,
            "POST",
            "/v2/rules".to_owned(),
            Some(&body),
            &key,
        );
        let (answer, body) = self.until_known(made.naming("", &key)).await;
        if answer.done().is_none() {
            return;
        }
        let rule = super::answers::text(&body, "id");
        self.with_route(place, |route| route.rules.push(rule.clone()));
        let mut requests = vec![
            self.publishes(&route.id),
            self.rolls_back(&route.id),
            self.archives(&rule),
        ];
        requests.extend(self.reorders(&route.id).await);
        let answers = self.until_all_known(&requests).await;
        if answers[2].done().is_some() {
            self.with_route(place, |route| route.archived(rule));
        }
    }

    fn publishes(&mut self, route: &str) -> Request {
        let path = format!("/v2/routes/{route}/publish");
        let key = self.key();
        Request::write(Operation::Publish, "POST", path, Some(&json!({})), &key).about(route)
    }

    fn rolls_back(&mut self, route: &str) -> Request {
        let path = format!("/v2/routes/{route}/rollback");
        let body = json!({"steps": 1});
        let key = self.key();
        Request::write(Operation::RollBack, "POST", path, Some(&body), &key).about(route)
    }

    fn archives(&mut self, rule: &str) -> Request {
        let path = format!("/v2/rules/{rule}");
        let key = self.key();
        Request::write(Operation::ArchiveRule, "DELETE", path, None, &key).about(rule)
    }

    /// Has the last two rules swap places, as they are listed now.
    async fn reorders(&mut self, route: &str) -> Option<Request> {
        let (answer, _) = self.once(list(route)).await;
        let Some(Seen::Rules { rules, .. }) = answer.done().map(|done| &done.seen) else {
            return None;
        };
        // The first two are the markers, which stay where they are.
        let [_, _, .., one, other] = rules.as_slice() else {
            return None;
        };
        let body = json!({"moves": [
            {"rule_id": one.id, "priority": other.priority},
            {"rule_id": other.id, "priority": one.priority},
        ]});
        let path = format!("/v2/routes/{route}/rules/reorder");
        let key = self.key();
        Some(Request::write(Operation::Reorder, "POST", path, Some(&body), &key).about(route))
    }

    /// Asks for all of it, each at a random node, and again for what has no known outcome.
    async fn until_all_known(&mut self, requests: &[Request]) -> Vec<Answer> {
        let mut known: Vec<Option<Answer>> = vec![None; requests.len()];
        loop {
            let open = (0..requests.len()).filter(|place| known[*place].is_none());
            let asked: Vec<(usize, usize, Duration)> = open
                .map(|place| {
                    let wait = Duration::from_millis(self.rng.random_range(0..=APART_MS_MAX));
                    (place, self.any_node(), wait)
                })
                .collect();
            if asked.is_empty() {
                return known.into_iter().flatten().collect();
            }
            let this = &*self;
            let attempts = asked.into_iter().map(|(place, node, wait)| async move {
                tokio::time::sleep(wait).await;
                let (answer, _): (Answer, Value) = this.attempt(node, &requests[place]).await;
                (place, answer)
            });
            for (place, answer) in join_all(attempts).await {
                known[place] = Some(answer).filter(is_known);
            }
            self.pause_before_retry().await;
        }
    }
}
