//! Shifts of weight, as clients ask for them and as the node that leads takes them on.

use domain::command::{Command, OutageChange, RecordOutages, Stamped};
use domain::id::{RequestId, Seed, TargetId, UpstreamId};
use edge_protocol::telemetry::{Counts, SeriesKey, Taker, TargetKey};
use http::Method;
use platform::Clock;
use serde_json::{Value, json};

use super::support::{START_MS, World, keys};
use crate::errands::{Parts, Runner};

impl World {
    /// A node that has come to lead.
    pub(super) fn leader(&self) -> Runner {
        Runner::new(Parts {
            control: self.control.clone(),
            fleet: self.fleet.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            keys: keys(),
        })
    }
}

/// A live route whose upstream has two targets, and the shift of all weight from the first.
struct Scene {
    world: World,
    route: String,
    upstream: String,
    from: String,
    to: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let (route, upstream) = world.route("api.example.net").await;
        let path = format!("/v2/upstreams/{upstream}");
        let second = json!({"address": "127.0.0.1", "port": 8202, "weight": 0});
        let to = world
            .post(&format!("{path}/targets"), second)
            .created()
            .await;
        let shown = world.get(&path).ok().await;
        assert_eq!(shown["shift"], Value::Null);
        world.publish(&route).await;
        world.advance_ms(1_000);
        let text = |id: &Value| id.as_str().unwrap().to_owned();
        let from = text(&shown["targets"][0]["id"]);
        Self {
            world,
            route,
            upstream,
            from,
            to: text(&to["id"]),
        }
    }

    fn path(&self) -> String {
        format!("/v2/upstreams/{}/shift", self.upstream)
    }

    fn body(&self) -> Value {
        json!({"from": self.from, "to": self.to, "steps": 2, "interval_s": 60})
    }

    async fn start(&self) -> Value {
        self.world.post(&self.path(), self.body()).ok().await
    }

    async fn shown(&self) -> Value {
        let path = format!("/v2/upstreams/{}", self.upstream);
        self.world.get(&path).ok().await
    }

    /// What the targets weigh in the active snapshot.
    async fn live(&self) -> [u64; 2] {
        let route = format!("/v2/routes/{}", self.route);
        let route = self.world.get(&route).ok().await;
        let snapshot = route["active_snapshot_id"].as_str().unwrap();
        let path = format!("/v2/snapshots/{snapshot}?include=content");
        let snapshot = self.world.get(&path).ok().await;
        let targets = &snapshot["content"]["upstreams"][0]["targets"];
        [0, 1].map(|at| targets[at]["weight"].as_u64().unwrap())
    }

    fn leader(&self) -> Runner {
        self.world.leader()
    }

    /// What the second target answered to the edges of a region.
    fn answered(&self, good: u64, server_errors: u64, failures: u64) {
        let key = SeriesKey {
            route: None,
            taker: Taker::Defaults,
            target: Some(TargetKey {
                upstream: UpstreamId::parse(&self.upstream).unwrap(),
                target: TargetId::parse(&self.to).unwrap(),
            }),
        };
        let counts = Counts {
            statuses: [0, good, 0, 0, server_errors],
            failures,
            ..Counts::default()
        };
        let mut traffic = self.world.fleet.traffic.lock();
        traffic.series = vec![("eu", key, counts)];
    }

    fn fail(&self) {
        let seed = Seed {
            unix_ms: START_MS,
            random: 77,
        };
        let change = OutageChange {
            upstream_id: UpstreamId::parse(&self.upstream).unwrap(),
            region: "eu".to_owned(),
            is_down: true,
            edges_down: 2,
            edges: 3,
        };
        let stamped = Stamped {
            at: self.world.clock.now(),
            request_id: RequestId::new(seed),
            idempotency: None,
            command: Command::RecordOutages(RecordOutages {
                environment_id: self.world.control.environment("production"),
                changes: vec![change],
            }),
            origin: Default::default(),
            precondition: None,
        };
        self.world.control.apply(&stamped).reply.unwrap();
    }
}

/// Contract: R-91.
#[tokio::test]
async fn a_shift_goes_on_by_itself_whoever_leads_and_is_shown_by_its_upstream() {
    let scene = Scene::new().await;
    let started = scene.start().await;
    let at = START_MS / 1000 + 1;
    assert_eq!(
        started["shift"],
        json!({
            "status": "running", "from": scene.from, "to": scene.to, "steps": 2, "steps_taken": 1, "interval_s": 60,
            "abort_on": {"upstream_failed": true, "error_rate": null, "min_requests": 100},
            "start_weights": {"from": 100, "to": 0}, "weights": {"from": 50, "to": 50},
            "started_by": scene.world.live_key_id.as_str(), "started_at": at, "next_step_at": at + 60,
            "ended_at": null, "aborted_by": null,
        })
    );
    assert_eq!(scene.shown().await, started);
    assert_eq!(scene.live().await, [50, 50]);
    let (mut first, mut second) = (scene.leader(), scene.leader());
    first.look().await;
    scene.world.advance_ms(59_000);
    second.look().await;
    assert_eq!(scene.shown().await, started, "nothing is due");
    scene.world.advance_ms(1_000);
    first.look().await;
    second.look().await;
    let stepped = scene.shown().await;
    assert_eq!(
        (
            &stepped["shift"]["steps_taken"],
            &stepped["shift"]["status"]
        ),
        (&json!(2), &json!("running"))
    );
    assert_eq!(scene.live().await, [0, 100]);
    scene.world.advance_ms(60_000);
    second.look().await;
    let ended = scene.shown().await;
    let shift = &ended["shift"];
    assert_eq!(
        (&shift["status"], &shift["next_step_at"], &shift["ended_at"]),
        (&json!("completed"), &Value::Null, &json!(at + 120))
    );
    let before = scene.world.control.applied();
    first.look().await;
    assert_eq!(scene.world.control.applied(), before, "nothing runs");
    let list = scene.world.get("/v2/upstreams").ok().await;
    assert_eq!(list["data"][0], ended);
}

/// Contract: D-62.
#[tokio::test]
async fn too_many_failures_of_the_target_bring_the_weights_back() {
    let scene = Scene::new().await;
    let mut body = scene.body();
    body["abort_on"] = json!({"error_rate": 0.05, "min_requests": 20});
    let started = scene.world.post(&scene.path(), body).ok().await;
    assert_eq!(
        started["shift"]["abort_on"],
        json!({"upstream_failed": true, "error_rate": 0.05, "min_requests": 20})
    );
    let mut leader = scene.leader();
    scene.world.advance_ms(60_000);
    for (good, server_errors, failures) in [(0, 19, 0), (95, 5, 0)] {
        scene.answered(good, server_errors, failures);
        leader.look().await;
        let shown = scene.shown().await;
        assert_eq!(shown["shift"]["status"], "running");
    }
    assert_eq!(scene.shown().await["shift"]["steps_taken"], 2);
    let asked = scene.world.fleet.traffic.lock().asked.clone().unwrap();
    assert_eq!(asked.minutes, 1, "since the last step");
    scene.answered(94, 5, 6);
    leader.look().await;
    let shift = scene.shown().await["shift"].clone();
    assert_eq!(
        (&shift["status"], &shift["weights"]),
        (&json!("aborted"), &json!({"from": 100, "to": 0}))
    );
    assert_eq!(
        shift["aborted_by"],
        json!({"condition": "error_rate", "region": null, "requests": 100, "errors": 6})
    );
    assert_eq!(scene.live().await, [100, 0]);
}

#[tokio::test]
async fn an_upstream_that_fails_brings_the_weights_back_unless_that_is_not_wanted() {
    let scene = Scene::new().await;
    let mut body = scene.body();
    body["abort_on"] = json!({"upstream_failed": false});
    scene.world.post(&scene.path(), body).ok().await;
    scene.fail();
    scene.leader().look().await;
    assert_eq!(scene.shown().await["shift"]["status"], "running");
    let revert = format!("{}?revert=true", scene.path());
    scene.world.delete(&revert).ok().await;
    let refused = scene.world.post(&scene.path(), scene.body());
    let param = Some("abort_on.upstream_failed");
    refused.fails(422, "invalid_config", param).await;

    let scene = Scene::new().await;
    scene.start().await;
    scene.fail();
    scene.leader().look().await;
    let shift = scene.shown().await["shift"].clone();
    assert_eq!(
        shift["aborted_by"],
        json!({"condition": "upstream_failed", "region": "eu", "requests": null, "errors": null})
    );
    assert_eq!(scene.live().await, [100, 0]);
}

#[tokio::test]
async fn who_ends_a_shift_says_whether_the_weights_go_back() {
    for (query, weights) in [
        ("", [50, 50]),
        ("?revert=false", [50, 50]),
        ("?revert=true", [100, 0]),
    ] {
        let scene = Scene::new().await;
        scene.start().await;
        let path = format!("{}{query}", scene.path());
        let ended = scene.world.delete(&path).ok().await;
        assert_eq!(ended["shift"]["status"], "cancelled");
        assert_eq!(
            ended["shift"]["weights"],
            json!({"from": weights[0], "to": weights[1]})
        );
        assert_eq!(scene.live().await, weights);
        let again = scene.world.delete(&path);
        again.fails(422, "shift_not_running", None).await;
    }
    let scene = Scene::new().await;
    let odd = scene.world.delete(&format!("{}?revert=1", scene.path()));
    odd.fails(400, "invalid_parameter", Some("revert")).await;
}

#[tokio::test]
async fn while_a_shift_runs_its_weights_are_its_own() {
    let scene = Scene::new().await;
    scene.start().await;
    let world = &scene.world;
    let second = world.post(&scene.path(), scene.body());
    second.fails(409, "shift_in_progress", None).await;
    let target = format!("/v2/upstreams/{}/targets/{}", scene.upstream, scene.to);
    let weighed = world.patch(&target, json!({"weight": 1}));
    weighed.fails(409, "shift_in_progress", None).await;
    let removed = world.delete(&target);
    removed.fails(409, "shift_in_progress", None).await;
    let upstream = format!("/v2/upstreams/{}", scene.upstream);
    let emptied = world.patch(&upstream, json!({"targets": []}));
    emptied.fails(409, "shift_in_progress", None).await;
    let renamed = world.patch(&upstream, json!({"name": "pool"})).ok().await;
    assert_eq!(renamed["shift"]["status"], "running");
}

#[tokio::test]
async fn what_is_wrong_with_a_shift_is_named() {
    let scene = Scene::new().await;
    let without = |field: &str| {
        let mut body = scene.body();
        body.as_object_mut().unwrap().remove(field);
        (body, 400, "parameter_missing", field.to_owned())
    };
    let with = |field: &str, value: Value, status, code, param: &str| {
        let mut body = scene.body();
        body[field] = value;
        (body, status, code, param.to_owned())
    };
    let invalid = |field: &str, value: Value| with(field, value, 400, "invalid_parameter", field);
    let abort = |value: Value, code, param: &str| {
        let param = format!("abort_on{param}");
        with("abort_on", value, 400, code, &param)
    };
    for (body, status, code, param) in [
        without("from"),
        without("to"),
        without("steps"),
        without("interval_s"),
        invalid("steps", json!(0)),
        invalid("steps", json!(101)),
        invalid("interval_s", json!(9)),
        invalid("interval_s", json!(86_401)),
        invalid("interval_s", json!("60")),
        with("step", json!(1), 400, "unknown_parameter", "step"),
        with(
            "from",
            json!("tgt_00000000"),
            404,
            "resource_not_found",
            "from",
        ),
        with("to", json!("up_00000000"), 404, "resource_not_found", "to"),
        with("to", json!(scene.from), 422, "invalid_config", "to"),
        with("from", json!(scene.to), 422, "invalid_config", "to"),
        abort(json!(true), "invalid_parameter", ""),
        abort(json!({"p99": 1}), "unknown_parameter", ".p99"),
        abort(
            json!({"upstream_failed": 1}),
            "invalid_parameter",
            ".upstream_failed",
        ),
        abort(json!({"error_rate": 1}), "invalid_parameter", ".error_rate"),
        abort(
            json!({"error_rate": "5%"}),
            "invalid_parameter",
            ".error_rate",
        ),
        abort(
            json!({"min_requests": 5}),
            "invalid_parameter",
            ".min_requests",
        ),
        abort(
            json!({"error_rate": 0.1, "min_requests": 0}),
            "invalid_parameter",
            ".min_requests",
        ),
    ] {
        let asked = scene.world.post(&scene.path(), body);
        asked.fails(status, code, Some(&param)).await;
    }
    let target = format!("/v2/upstreams/{}/targets/{}", scene.upstream, scene.to);
    let drained = scene.world.patch(&target, json!({"weight": 7}));
    drained.ok().await;
    let unpublished = scene.world.post(&scene.path(), scene.body());
    unpublished
        .fails(422, "snapshot_not_publishable", None)
        .await;
    assert_eq!(scene.shown().await["shift"], Value::Null);
}

#[tokio::test]
async fn a_shift_is_tried_dry_retried_by_its_key_and_expected_of_a_tag() {
    let scene = Scene::new().await;
    let dry = format!("{}?dry_run=true", scene.path());
    let judged = scene.world.post(&dry, scene.body()).ok().await;
    assert_eq!(
        (&judged["dry_run"], &judged["shift"]["steps_taken"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(scene.live().await, [100, 0]);
    let stale = scene.world.post(&scene.path(), scene.body());
    let stale = stale.header("if-match", "\"1\"");
    stale
        .fails(412, "precondition_failed", Some("If-Match"))
        .await;
    let key = "0b8e6c1e-2f0a-4a53-9d3c-6d0f7f3f1d11";
    let ask = || {
        let asked = scene.world.post(&scene.path(), scene.body());
        asked.header("idempotency-key", key)
    };
    let first = ask().send().await;
    let again = ask().send().await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert!(first.header("etag").is_some());
    assert_eq!(scene.live().await, [50, 50]);
}

#[tokio::test]
async fn steps_are_told_and_audited() {
    let scene = Scene::new().await;
    scene.start().await;
    scene.world.advance_ms(60_000);
    scene.leader().look().await;
    let log = scene.world.get("/v2/audit_log?limit=2").ok().await;
    let [step, start] = log["data"].as_array().unwrap().as_slice() else {
        panic!("{log}");
    };
    assert_eq!(
        (
            &step["operation"],
            &step["actor"]["type"],
            &start["operation"]
        ),
        (
            &json!("step_shift"),
            &json!("system"),
            &json!("start_shift")
        )
    );
    let changed = &step["changes"];
    assert_eq!(changed[0]["after"]["targets"][1]["weight"], 100);
    assert_eq!(changed[1]["after"]["shift"]["steps_taken"], 2);
    assert_eq!(changed[2]["object"], "snapshot");
    let path = format!("/v2/events?type=route.published&route_id={}", scene.route);
    let events = scene.world.get(&path).ok().await;
    assert_eq!(events["data"].as_array().unwrap().len(), 3);
    let events = scene
        .world
        .get("/v2/events?type=upstream.updated")
        .ok()
        .await;
    let data = &events["data"][0]["data"];
    assert_eq!(data, &json!({"upstream_id": scene.upstream}));
}

#[tokio::test]
async fn a_key_that_may_not_publish_starts_no_shift_but_ends_one_as_it_stands() {
    let scene = Scene::new().await;
    scene.start().await;
    let scopes = json!({"resources": ["upstreams:write"]});
    let key = scene.world.restricted(scopes).await;
    let world = &scene.world;
    let started = world.post(&scene.path(), scene.body()).key(&key);
    started.fails(403, "insufficient_scope", None).await;
    let revert = format!("{}?revert=true", scene.path());
    let reverted = world.request(Method::DELETE, &revert).key(&key);
    reverted.fails(403, "insufficient_scope", None).await;
    world.delete(&scene.path()).key(&key).ok().await;
}
