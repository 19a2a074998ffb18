//! Reads, each once: one that fails tells nothing.

use rand::RngExt;

use super::client::Client;
use super::request::{Request, Shape};
use super::rules::list;
use crate::history::Operation;

impl Client {
    pub(super) async fn read(&mut self) {
        let Some((_, rule)) = self.any_rule() else {
            return;
        };
        let path = format!("/v2/rules/{rule}");
        let request = Request::read(Operation::ReadRule, path).about(&rule);
        self.look(request).await;
    }

    pub(super) async fn list(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        self.look(list(&route.id)).await;
    }

    pub(super) async fn read_route(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let request = if self.rng.random_range(0..3) == 0 {
            Request::read(Operation::ReadManifest, "/v2/manifests/current".to_owned())
        } else {
            let path = format!("/v2/routes/{}", route.id);
            Request::read(Operation::ReadRoute, path).about(&route.id)
        };
        self.look(request).await;
    }

    pub(super) async fn read_snapshots(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let request = match &route.snapshot {
            Some(snapshot) if self.rng.random() => {
                let path = format!("/v2/snapshots/{snapshot}?include=content");
                Request::read(Operation::ReadSnapshot, path).about(snapshot)
            }
            _ => {
                let path = format!("/v2/routes/{}/snapshots?limit=5", route.id);
                Request::read(Operation::ListSnapshots, path)
                    .about(&route.id)
                    .shape(Shape::SnapshotsOf(route.id.clone()))
            }
        };
        self.look(request).await;
    }

    pub(super) async fn read_diff(&mut self) {
        let Some((_, route)) = self.any_route() else {
            return;
        };
        let path = format!("/v2/snapshots/active/diff/draft?route_id={}", route.id);
        let request = Request::read(Operation::ReadDiff, path).about(&route.id);
        self.look(request).await;
    }

    pub(super) async fn read_journal(&mut self) {
        let request = if self.rng.random() {
            let path = "/v2/events?limit=20".to_owned();
            Request::read(Operation::ListEvents, path).shape(Shape::Events)
        } else {
            let path = "/v2/audit_log?limit=20".to_owned();
            Request::read(Operation::ListAudit, path).shape(Shape::Audit)
        };
        self.look(request).await;
    }

    /// Reads, now and then what the node has applied, whatever the leader knows.
    async fn look(&mut self, request: Request) {
        let stale = self.rng.random_range(0..100) < self.mix.stale;
        let request = if stale { request.stale() } else { request };
        self.once(request).await;
    }
}
