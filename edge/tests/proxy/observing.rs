//! What is seen of requests from outside: counts by route, the access log, the debug headers.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use domain::content::{Action, Criteria, PathPattern};
use edge::access_log::{AccessLog, Writing};
use http::{Request, Response};
use parking_lot::Mutex;
use platform::process::Who;
use platform::testing::collector::{Collector, Seen};
use platform::trace::{Export, TraceContext, TracingSettings};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::{ask, connect, empty, get, whole};
use crate::origin::{Origin, nobody};
use crate::publish::{Draft, HOST, forward};
use crate::world::{Options, World, eventually, run};

const KEY: &str = "4f2c0000-secret-debug-key";

fn debugging() -> (&'static str, &'static str) {
    // The settings take borrowed text for good.
    let digits: &'static str = Box::leak(hex(&Sha256::digest(KEY)).into_boxed_str());
    ("DEBUG__KEY_SHA256", digits)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(path: &str) -> Criteria {
    Criteria {
        path: vec![PathPattern::Exact(path.to_owned())],
        ..Criteria::default()
    }
}

fn fixed(status: u16, body: &str) -> Action {
    Action::FixedResponse {
        status,
        headers: BTreeMap::new(),
        body: body.to_owned(),
    }
}

/// A route with a rule that answers, one that forwards, and nothing for the rest.
fn draft(origin: &Origin) -> Draft {
    Draft {
        hostname: HOST.to_owned(),
        rules: vec![
            (at("/fixed"), fixed(200, "by rule")),
            (at("/origin"), forward(&[("main", 1)])),
        ],
        upstreams: vec![("main", vec![(origin.address, 1)])],
        ..Draft::default()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

async fn logging(share: f64, set: Vec<(&'static str, &'static str)>) -> (World, Sink, Writing) {
    let sink = Sink::default();
    let writing = AccessLog::start(share, Box::new(sink.clone())).unwrap();
    let world = World::start(Options {
        set,
        access_log: Some(writing.log()),
        ..Options::default()
    })
    .await;
    (world, sink, writing)
}

fn debugged(path: &str, key: &str) -> Request<crate::client::Body> {
    let mut request = get(path);
    request
        .headers_mut()
        .insert("vectorgate-debug", key.parse().unwrap());
    request
}

#[test]
fn whoever_shows_the_key_is_told_what_was_decided_and_the_origin_never_sees_it() {
    run(async {
        let origin = Origin::start(|_| async {
            let mut response = Response::new(whole("origin"));
            let forged = "forged".parse().unwrap();
            response.headers_mut().insert("x-vectorgate-rule", forged);
            response
        })
        .await;
        let (mut world, sink, writing) = logging(1.0, vec![debugging()]).await;
        world.publish(&[draft(&origin)]);
        for (path, rule, cache) in [
            ("/fixed", "rule_00000000", "none"),
            ("/origin", "rule_00000001", "miss"),
            ("/nothing", "none", "none"),
        ] {
            let answer = ask(world.address, debugged(path, KEY)).await;
            assert_eq!(answer.header("x-vectorgate-rule"), Some(rule), "{path}");
            assert_eq!(
                answer.header("x-vectorgate-snapshot"),
                Some("snap_00000000; version=1")
            );
            assert_eq!(answer.header("x-vectorgate-cache"), Some(cache));
            assert!(
                answer
                    .header("vectorgate-request-id")
                    .unwrap()
                    .starts_with("req_")
            );
        }
        for request in [debugged("/fixed", "another key"), get("/fixed")] {
            let answer = ask(world.address, request).await;
            assert_eq!(answer.header("x-vectorgate-rule"), None);
            assert_eq!(answer.header("x-vectorgate-snapshot"), None);
        }
        ask(world.address, debugged("/origin", "another key")).await;
        let asked = origin.asked.borrow().clone();
        assert_eq!(asked.len(), 2);
        for request in asked {
            assert_eq!(request.header("vectorgate-debug"), None);
        }
        world.running.shut_down().await;
        writing.close();
        let log = String::from_utf8(sink.0.lock().clone()).unwrap();
        assert_eq!(log.lines().count(), 6);
        assert!(!log.contains(KEY) && !log.contains("another key"), "{log}");
    });
}

#[test]
fn a_host_that_nobody_serves_has_neither_rule_nor_snapshot() {
    run(async {
        let (world, _, _writing) = logging(0.0, vec![debugging()]).await;
        let answer = ask(world.address, debugged("/", KEY)).await;
        assert_eq!(answer.code(), "no_configuration");
        assert_eq!(answer.header("x-vectorgate-rule"), Some("none"));
        assert_eq!(answer.header("x-vectorgate-snapshot"), Some("none"));
    });
}

#[test]
fn a_line_says_who_took_the_request_and_how_it_went() {
    run(async {
        let origin = Origin::start(|request| async move {
            let status = if request.uri().path() == "/origin" {
                201
            } else {
                500
            };
            let mut response = Response::new(whole("five!"));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            response
        })
        .await;
        let (mut world, sink, writing) = logging(1.0, Vec::new()).await;
        world.publish(&[draft(&origin)]);
        ask(world.address, get("/origin?secret=1")).await;
        ask(world.address, get("/fixed")).await;
        let refused = ask(world.address, get("/nothing")).await;
        let head = Request::head("/fixed").header("host", HOST).body(empty());
        ask(world.address, head.unwrap()).await;
        world.running.shut_down().await;
        writing.close();
        let lines = sink.lines();
        let [forwarded, answered, error, headed] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        for (name, expect) in [
            ("client", "127.0.0.1"),
            ("method", "GET"),
            ("host", HOST),
            ("path", "/origin"),
            ("protocol", "HTTP/1.1"),
            ("route", "rt_00000000"),
            ("snapshot", "snap_00000000"),
            ("rule", "rule_00000001"),
            ("upstream", "up_0000main"),
            ("target", "tgt_000main0"),
        ] {
            assert_eq!(forwarded[name], expect, "{name}");
        }
        assert_eq!(
            (&forwarded["status"], &forwarded["bytes"]),
            (&201.into(), &5.into())
        );
        assert_eq!(forwarded["snapshot_version"], 1);
        assert!(forwarded["complete"].as_bool().unwrap() && forwarded["error"].is_null());
        assert!(
            forwarded["request_id"]
                .as_str()
                .unwrap()
                .starts_with("req_")
        );
        let times = ["upstream_us", "head_us", "total_us"];
        let times = times.map(|name| forwarded[name].as_u64().unwrap());
        assert!(times.is_sorted(), "{times:?}");
        assert!(forwarded["at_ms"].as_u64().unwrap() > 0);
        assert_eq!(answered["rule"], "rule_00000000");
        assert!(answered["target"].is_null() && answered["upstream_us"].is_null());
        assert_eq!(answered["bytes"], 7);
        assert_eq!(error["error"], refused.code());
        assert_eq!(error["status"], 404);
        assert_eq!(
            error["request_id"].as_str(),
            refused.header("vectorgate-request-id")
        );
        assert_eq!(
            (&headed["bytes"], &headed["complete"]),
            (&0.into(), &true.into())
        );
    });
}

#[test]
fn an_answer_that_breaks_off_is_logged_as_such() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            use tokio::io::AsyncWriteExt;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
            crate::origin::read_head(&mut stream).await;
            stream.write_all(head).await.unwrap();
        })
        .await;
        let (mut world, sink, writing) = logging(1.0, Vec::new()).await;
        world.publish(&[Draft::to(origin.address)]);
        let response = connect(world.address)
            .await
            .send_request(get("/"))
            .await
            .unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.is_err());
        world.running.shut_down().await;
        writing.close();
        let lines = sink.lines();
        assert_eq!(
            (&lines[0]["bytes"], &lines[0]["complete"]),
            (&5.into(), &false.into())
        );
    });
}

#[test]
fn nothing_is_logged_of_a_share_of_nothing() {
    run(async {
        let (world, sink, writing) = logging(0.0, Vec::new()).await;
        for _ in 0..20 {
            ask(world.address, get("/")).await;
        }
        world.running.shut_down().await;
        writing.close();
        assert!(sink.lines().is_empty());
    });
}

#[test]
fn metrics_tell_routes_and_upstreams_apart_and_name_no_rule() {
    run(async {
        let origin = Origin::saying("origin").await;
        let (mut world, _, _writing) = logging(1.0, Vec::new()).await;
        let mut broken = draft(&origin);
        broken.hostname = "broken.example.net".to_owned();
        broken.upstreams = vec![("main", vec![(nobody().await, 1)])];
        world.publish(&[draft(&origin), broken]);
        for path in ["/origin", "/origin", "/fixed", "/nothing"] {
            ask(world.address, get(path)).await;
        }
        let elsewhere = Request::get("/origin").header("host", "broken.example.net");
        ask(world.address, elsewhere.body(empty()).unwrap()).await;
        let unknown = Request::get("/").header("host", "unknown.example.net");
        ask(world.address, unknown.body(empty()).unwrap()).await;
        let expect = [
            (
                "route_responses_total",
                r#"route="rt_00000000",upstream="up_0000main",status="2xx""#,
                2,
            ),
            (
                "route_responses_total",
                r#"route="rt_00000000",upstream="",status="2xx""#,
                1,
            ),
            (
                "route_responses_total",
                r#"route="rt_00000000",upstream="",status="4xx""#,
                1,
            ),
            (
                "route_responses_total",
                r#"route="rt_00000001",upstream="up_0000main",status="5xx""#,
                1,
            ),
            (
                "route_responses_total",
                r#"route="",upstream="",status="4xx""#,
                1,
            ),
            (
                "route_upstream_failures_total",
                r#"route="rt_00000001",upstream="up_0000main""#,
                1,
            ),
            (
                "route_upstream_failures_total",
                r#"route="rt_00000000",upstream="up_0000main""#,
                0,
            ),
            (
                "route_response_seconds_count",
                r#"route="rt_00000000",upstream="up_0000main""#,
                2,
            ),
        ];
        let text = || world.serving.metrics.render().unwrap();
        let line = |(name, labels, value): &(&str, &str, u64)| {
            format!("vectorgate_edge_{name}{{{labels}}} {value}\n")
        };
        eventually("the counts are drained", || {
            let text = text();
            expect.iter().all(|row| text.contains(&line(row)))
        })
        .await;
        let text = text();
        assert!(!text.contains("rule_") && !text.contains("tgt_"), "{text}");
        assert_eq!(world.metric("access_log_lines_dropped_total"), 0);
    });
}

#[test]
fn what_is_counted_reaches_the_hub_with_its_rule_and_target() {
    run(async {
        use edge_protocol::telemetry::{Outcome, Taker};
        let origin = Origin::saying("origin").await;
        let (mut world, _, _writing) = logging(0.0, Vec::new()).await;
        world.publish(&[draft(&origin)]);
        ask(world.address, get("/origin?secret=1")).await;
        world.publish(&[draft(&origin)]);
        ask(world.address, get("/origin")).await;
        let hub = Arc::clone(&world.serving.hub);
        world.running.shut_down().await;
        hub.close();
        let batch = hub.frame().unwrap();
        let (key, counts) = batch.series.first_key_value().unwrap();
        assert_eq!(batch.series.len(), 1, "{batch:?}");
        assert!(matches!(&key.taker, Taker::Rule(rule) if rule.as_str() == "rule_00000001"));
        assert_eq!(key.target.as_ref().unwrap().target.as_str(), "tgt_000main0");
        assert_eq!((counts.statuses, counts.failures), ([0, 2, 0, 0, 0], 0));
        assert_eq!(counts.latency.count(), 2);
        let [first, _] = batch.decisions.as_slice() else {
            panic!("{:?}", batch.decisions);
        };
        assert_eq!(
            (first.path.as_str(), first.method.as_str()),
            ("/origin", "GET")
        );
        assert_eq!((first.outcome, first.status), (Outcome::Forwarded, 200));
        assert_eq!(first.rule.as_ref().unwrap().as_str(), "rule_00000001");
    });
}

/// What an origin is told of a trace, at an edge that records this share of those that nobody has decided about.
async fn told_of_trace(
    (share, collector): (f64, &Collector),
    sent: &[&str],
) -> (Option<String>, Option<String>, Export) {
    let settings = TracingSettings {
        otlp_endpoint: Some(collector.url()),
        sample_ratio: share,
        ..TracingSettings::default()
    };
    let started = Export::start(&settings, &Who::default()).unwrap();
    let (tracer, export) = started.unwrap();
    let origin = Origin::saying("hello").await;
    let mut world = World::start(Options {
        tracer,
        ..Options::default()
    })
    .await;
    world.publish(&[Draft::to(origin.address)]);
    let mut request = get("/");
    let fields = request.headers_mut();
    for traceparent in sent {
        fields.append("traceparent", traceparent.parse().unwrap());
    }
    fields.insert("tracestate", "a=b".parse().unwrap());
    assert_eq!(ask(world.address, request).await.status, 200);
    let asked = origin.last();
    assert!(asked.headers.get_all("traceparent").iter().count() <= 1);
    let told = |name| asked.header(name).map(str::to_owned);
    (told("traceparent"), told("tracestate"), export)
}

#[test]
fn the_origin_is_told_of_one_trace_whatever_the_client_said_of_it() {
    run(async {
        let collector = Collector::start();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let (recorded, not) = (format!("{trace}-01"), format!("{trace}-00"));
        let (recorded, not) = (recorded.as_str(), not.as_str());
        for (share, sent, goes_on, sampled) in [
            (0.0, &[][..], false, false),
            (1.0, &[], false, true),
            (1.0, &["whatever"], false, true),
            (0.0, &["whatever"], false, false),
            (0.0, &[recorded, recorded], false, false),
            (0.0, &[recorded], true, true),
            (1.0, &[not], true, false),
        ] {
            let (parent, state, export) = told_of_trace((share, &collector), sent).await;
            let parent = parent.unwrap_or_else(|| panic!("{sent:?}"));
            let place = TraceContext::parse(parent.as_bytes()).unwrap();
            assert_eq!(place.is_sampled(), sampled, "{share} {sent:?}");
            assert_eq!(
                parent.starts_with(&trace[..35]),
                goes_on,
                "{sent:?}: {parent}"
            );
            // The edge's own place, unless nobody will see that.
            assert_eq!(parent == not, sent == [not], "{sent:?}: {parent}");
            assert_ne!(parent, recorded, "{sent:?}");
            // What belongs to a trace goes where that goes.
            assert_eq!(state.is_some(), goes_on, "{sent:?}");
            if sampled {
                let is_it = |span: &Seen| place.span_id() == span.span_id;
                eventually("its span", || collector.spans().iter().any(is_it)).await;
            }
            export.close();
        }
        assert_eq!(collector.spans().len(), 3);
    });
}
