//! What an edge's process records of requests, and what becomes of requests when nobody takes that.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use platform::testing::collector::Collector;
use serde_json::Value;

use crate::kept;
use crate::place::{Place, get};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const WORD: &str = "a-word-for-the-collector";

/// A request with these lines in its head.
#[allow(clippy::disallowed_methods, reason = "a test talks to a real process")]
fn ask(to: SocketAddr, lines: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    let head = format!("GET /a?secret=query HTTP/1.1\r\nhost: api.example.net\r\n{lines}");
    write!(stream, "{head}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_recorded_request_is_in_its_clients_trace_and_both_logs_name_it() {
    let place = Place::new();
    kept::keep(&place.path("data"), 1, "hello");
    let collector = Collector::start();
    let access_log = place.path("access.log").display().to_string();
    let edge = place.start(&[
        ("VECTORGATE_TRACING__OTLP_ENDPOINT", &collector.url()),
        ("VECTORGATE_TRACING__SAMPLE_RATIO", "0"),
        ("VECTORGATE_TRACING__SERVICE_NAME", "the-edge"),
        ("VECTORGATE_LOG__LEVEL", "info,edge=debug"),
        ("VECTORGATE_ACCESS_LOG__SAMPLE", "1"),
        ("VECTORGATE_ACCESS_LOG__FILE", &access_log),
    ]);
    for flag in ["01", "00"] {
        let line = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-{flag}\r\n");
        assert!(ask(edge.http, &line).ends_with("hello"));
    }
    assert!(ask(edge.http, "").ends_with("hello"));
    let span = collector.wait("the request", |span| span.name == "GET");
    let (code, log) = edge.stop("-TERM");
    assert_eq!(code, Some(0));
    assert_eq!(collector.spans().len(), 1);
    assert_eq!(span.trace_id, TRACE);
    assert_eq!(span.parent, "00f067aa0ba902b7");
    assert_eq!(span.service, "the-edge");
    assert_eq!(span.instance, "edge-1");
    assert_eq!(span.attributes["vectorgate.rule"], "rule_00000001");
    assert_eq!(span.attributes["http.response.body.size"], "5");
    assert_eq!(span.attributes["vectorgate.complete"], "true");
    let told = format!("{:?}", span.attributes);
    assert!(!told.contains("query"), "{told}");

    let of = |text: &str| -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let accessed = of(&fs::read_to_string(&access_log).unwrap());
    let ids: Vec<_> = accessed.iter().map(|line| &line["trace_id"]).collect();
    assert_eq!(ids, [&Value::from(TRACE), &Value::Null, &Value::Null]);
    assert_eq!(
        accessed[0]["request_id"],
        span.attributes["vectorgate.request_id"]
    );
    let log = of(&log);
    let routed: Vec<_> = log
        .iter()
        .filter(|line| line["fields"]["message"] == "request routed")
        .collect();
    assert_eq!(routed.len(), 3);
    assert_eq!(routed[0]["trace_id"], TRACE);
    assert_eq!(routed[0]["span_id"], span.span_id);
    assert!(routed[1].get("trace_id").is_none(), "{}", routed[1]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test waits by the wall clock")]
fn without_its_collector_an_edge_answers_as_before_and_counts_what_is_lost() {
    let place = Place::new();
    kept::keep(&place.path("data"), 1, "hello");
    let headers = place.path("headers");
    fs::write(&headers, format!("authorization: Bearer {WORD}\n")).unwrap();
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600)).unwrap();
    // It takes connections and answers nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let edge = place.start(&[
        ("VECTORGATE_TRACING__OTLP_ENDPOINT", &url),
        (
            "VECTORGATE_TRACING__HEADERS_FILE",
            headers.to_str().unwrap(),
        ),
        ("VECTORGATE_TRACING__SAMPLE_RATIO", "1"),
        ("VECTORGATE_LOG__LEVEL", "info,platform=trace"),
    ]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let name = "vectorgate_trace_spans_dropped_total{reason=\"export_failed\"} ";
    loop {
        assert!(ask(edge.http, "").ends_with("hello"));
        let metrics = get(edge.admin, "/metrics", "x");
        let lost = metrics.lines().find_map(|line| line.strip_prefix(name));
        if lost.unwrap_or_else(|| panic!("{metrics}")) != "0" {
            break;
        }
        assert!(Instant::now() < deadline, "spans are lost: {metrics}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut log = edge.before.clone();
    let (code, rest) = edge.stop("-TERM");
    assert_eq!(code, Some(0));
    log.push_str(&rest);
    assert_eq!(log.matches("spans are dropped").count(), 1, "{log}");
    assert!(!log.contains(WORD), "{log}");
}
