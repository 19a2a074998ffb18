//! One trace from a client's request to the edges that it changes: two nodes that are processes, an edge that follows one of them,
//! an origin behind it, and a collector that sees what each of them records.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use edge::assembly::{Own, Ports};
use edge::nodes::KnownNodes;
use edge::store::MemoryDirectory;
use edge::workers::Placement;
use platform::process::Who;
use platform::testing::TestAuthority;
use platform::testing::collector::{Collector, Seen};
use platform::trace::Export;
use platform::{SystemClock, SystemEntropy, TokioNetwork};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::place::{Place, Process, deadline, get, pause};

/// The client's own trace, of which each of its requests is a span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traceparent(span: u64, sampled: bool) -> String {
    format!("00-{TRACE}-{span:016x}-0{}", u8::from(sampled))
}

/// Two nodes that form a cluster.
struct Two {
    places: [Place; 2],
    nodes: [Process; 2],
    key: String,
}

impl Two {
    fn start(variables: &[(&str, &str)]) -> Self {
        let places = [Place::new(), Place::new()];
        let member = |(id, place): (usize, &Place)| {
            format!(
                "{{ id = {id}, region = \"eu-central-1\", internal = \"{}\", rest = \"http://{}\", publisher = \"{}\" }}",
                place.internal, place.rest, place.publisher
            )
        };
        let members: Vec<_> = (1..).zip(&places).map(member).collect();
        let members = format!("members = [{}]", members.join(", "));
        let settings = |index: usize| {
            let own = places[index].settings();
            let at = own.find("members = ").unwrap();
            let settings = format!("{}{members}\n", &own[..at]);
            match index {
                0 => settings,
                _ => settings
                    .replace("\nid = 1\n", "\nid = 2\n")
                    .replace("node.pem", "other.pem")
                    .replace("node.key", "other.key"),
            }
        };
        let settings = [settings(0), settings(1)];
        let mut nodes = [0, 1].map(|index| places[index].spawn(&settings[index], variables));
        for (place, node) in places.iter().zip(&mut nodes) {
            place.await_ready(node);
        }
        let mut bootstrap = places[0].command(&settings[0]);
        let made = bootstrap.args(["bootstrap"]).output().unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let key = made["environments"]["production"]["api_key"].as_str();
        let key = key.unwrap().to_owned();
        Self { places, nodes, key }
    }

    /// Who leads, and who follows.
    fn roles(&self) -> (usize, usize) {
        let deadline = deadline();
        loop {
            for (leader, follower) in [(0, 1), (1, 0)] {
                let metrics = get(self.places[leader].rest, "/metrics");
                if metrics.is_some_and(|it| it.contains("vectorgate_raft_is_leader 1")) {
                    return (leader, follower);
                }
            }
            pause(deadline, "a node leads");
        }
    }

    fn post(&self, node: usize, path: &str, traceparent: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             traceparent: {traceparent}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        let answer = say(self.places[node].rest, &format!("{head}{body}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
        let body = body.get(body.find('{').unwrap()..=body.rfind('}').unwrap());
        serde_json::from_str(body.unwrap()).unwrap()
    }
}

#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn say(to: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// An origin that answers everything, and gives away the heads of what it was asked.
#[allow(clippy::disallowed_methods, reason = "the test is an origin outside")]
fn origin() -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (heads, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heads = heads.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        return;
                    }
                }
                let mut stream = stream;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                stream.write_all(answer).unwrap();
                // A test that has ended does not listen.
                let _ = heads.send(head);
            });
        }
    });
    (address, asked)
}

/// An edge on a thread of its own, until it is dropped.
struct Edge {
    http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Edge {
    fn start(node: &Place, collector: &Collector) -> Self {
        let (told, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (publisher, url) = (node.publisher, collector.url());
        let text = format!(
            r#"
            [edge]
            id = "edge-1"
            region = "eu-central-1"
            environment = "production"
            data_dir = "/nowhere"
            [http]
            listen = "127.0.0.1:0"
            workers = 1
            [control]
            nodes = ["{publisher}"]
            [tls]
            ca_file = "ca"
            cert_file = "cert"
            key_file = "key"
            [tracing]
            otlp_endpoint = "{url}"
            sample_ratio = 0.0
            "#
        );
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let settings = edge::settings::Settings::parse(&text, []).unwrap();
            let who = Who {
                component: "edge",
                name: "edge-1".to_owned(),
                ..Who::default()
            };
            let (tracer, export) = Export::start(&settings.tracing, &who).unwrap().unwrap();
            let serving = async {
                let ports = Ports {
                    network: TokioNetwork,
                    clock: std::sync::Arc::new(SystemClock),
                    entropy: std::sync::Arc::new(SystemEntropy),
                    tracer,
                };
                let own = Own {
                    identity: TestAuthority::default().edge("edge-1").identity(),
                    nodes: KnownNodes::new(settings.control.nodes.clone(), Vec::new()),
                    https: None,
                    directory: Box::new(MemoryDirectory::default()),
                    access_log: None,
                    trust: None,
                    environment_id: None,
                };
                let edge = edge::assembly::start(settings, ports, own, Placement::Here);
                let edge = edge.await.unwrap();
                let mut status = edge.status();
                status
                    .wait_for(|status| status.manifest.is_some())
                    .await
                    .unwrap();
                told.send(edge.addresses().http).unwrap();
                // Whoever started it is gone, or says so.
                let _ = stopped.await;
                edge.shut_down().await;
            };
            LocalSet::new().block_on(&runtime, serving);
            export.close();
        });
        Self {
            http: address.recv_timeout(crate::place::PATIENCE).unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed.
            let _ = thread.join();
        }
    }
}

fn variables(url: &str) -> [(&str, &str); 4] {
    [
        ("VECTORGATE_TRACING__OTLP_ENDPOINT", url),
        // What the client wants recorded is, and nothing else.
        ("VECTORGATE_TRACING__SAMPLE_RATIO", "0.0"),
        ("VECTORGATE_LOG__FORMAT", "json"),
        ("VECTORGATE_LOG__LEVEL", "info,node=debug"),
    ]
}

#[test]
fn a_publish_is_one_trace_from_the_client_over_follower_and_leader_to_the_edge_and_a_request_goes_on_to_the_origin()
 {
    let collector = Collector::start();
    let url = collector.url();
    let two = Two::start(&variables(&url));
    let (leader, follower) = two.roles();
    let instance = |index: usize| (index + 1).to_string();
    let (origin, asked) = origin();
    let quiet = traceparent(1, false);
    let upstream = json!({
        "name": "Origin",
        "targets": [{ "address": "127.0.0.1", "port": origin.port(), "weight": 1 }],
    });
    let upstream = two.post(follower, "/v2/upstreams", &quiet, &upstream);
    let upstream = upstream["id"].as_str().unwrap();
    let route = json!({
        "name": "API",
        "hostname": "api.example.net",
        "mode": "balanced",
        "config": { "upstreams": [{ "upstream_id": upstream, "weight": 1 }] },
    });
    let route = two.post(follower, "/v2/routes", &quiet, &route);
    let route = route["id"].as_str().unwrap();
    let rule = |priority: u32| {
        json!({ "route_id": route, "name": "All", "priority": priority, "match": {},
                "action": { "type": "forward", "upstream_id": upstream } })
    };
    two.post(follower, "/v2/rules", &quiet, &rule(10));
    let publish = format!("/v2/routes/{route}/publish");
    two.post(follower, &publish, &quiet, &json!({}));
    // It follows the leader: the trace gets to it over the log's own way, and not from the node that was asked.
    let edge = Edge::start(&two.places[leader], &collector);

    two.post(follower, "/v2/rules", &quiet, &rule(20));
    two.post(follower, &publish, &traceparent(2, true), &json!({}));
    let of = |name: &'static str, at: String| {
        collector.wait(name, |span| span.name == name && span.instance == at)
    };
    let request = of("POST /v2/routes/{id}/publish", instance(follower));
    assert_eq!(request.parent, format!("{:016x}", 2));
    assert_eq!(request.kind, 2, "a server's");
    assert_eq!(request.service, "vectorgate-node");
    assert_eq!(request.attributes["http.route"], "/v2/routes/{id}/publish");
    assert_eq!(request.attributes["http.response.status_code"], "200");
    let environment = &request.attributes["vectorgate.environment"];
    assert!(environment.starts_with("env_"), "{environment}");
    let propose = of("propose", instance(follower));
    let forward = of("forward", instance(follower));
    let append = of("append", instance(leader));
    let follow = of("follow manifest", "edge-1".to_owned());
    let fetch = of("fetch", "edge-1".to_owned());
    let apply = of("take into use", "edge-1".to_owned());
    let store = of("store", "edge-1".to_owned());
    let compile = of("compile and swap", "edge-1".to_owned());
    let parts: [(&Seen, &Seen); 8] = [
        (&propose, &request),
        (&forward, &propose),
        (&append, &forward),
        (&follow, &append),
        (&fetch, &follow),
        (&apply, &follow),
        (&store, &apply),
        (&compile, &apply),
    ];
    for (part, whole) in parts {
        assert_eq!(part.trace_id, TRACE, "{part:?}");
        assert_eq!(part.parent, whole.span_id, "{part:?} in {whole:?}");
        assert!(!part.failed, "{part:?}");
    }

    let ask = |more: &str| {
        let head = "GET /a?token=word HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n";
        let answer = say(edge.http, &format!("{head}{more}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        asked.recv_timeout(crate::place::PATIENCE).unwrap()
    };
    let traced = format!(
        "traceparent: {}\r\ntracestate: a=b\r\n",
        traceparent(3, true)
    );
    let head = ask(&traced);
    let served = of("GET", "edge-1".to_owned());
    assert_eq!(served.trace_id, TRACE);
    assert_eq!(served.parent, format!("{:016x}", 3));
    assert_eq!(served.attributes["url.path"], "/a");
    assert_eq!(served.attributes["http.response.status_code"], "200");
    assert_eq!(served.attributes["vectorgate.route"], route);
    assert_eq!(served.attributes["vectorgate.upstream"], upstream);
    let told = format!("traceparent: 00-{TRACE}-{}-01\r\n", served.span_id);
    assert!(head.contains(&told), "{head}");
    assert!(head.contains("tracestate: a=b\r\n"), "{head}");
    // What the client does not want recorded is passed on as it is.
    let head = ask(&format!("traceparent: {}\r\n", traceparent(4, false)));
    let told = format!("traceparent: {}\r\n", traceparent(4, false));
    assert!(head.contains(&told), "{head}");

    drop(edge);
    let spans = collector.spans();
    // Nobody asked for more.
    let others: Vec<_> = spans.iter().filter(|span| span.trace_id != TRACE).collect();
    assert!(others.is_empty(), "{others:#?}");
    let secret = |text: &str| text.contains("word") || text.contains(&two.key);
    for span in &spans {
        assert!(
            !span.attributes.values().any(|value| secret(value)),
            "{span:?}"
        );
    }
    let Two { places, nodes, .. } = two;
    for node in nodes {
        assert_eq!(node.terminate(), Some(0));
    }
    let log = fs::read_to_string(places[follower].path("log")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines
        .filter(|line: &Value| line["trace_id"] == TRACE)
        .collect();
    let id = &request.attributes["vectorgate.request_id"];
    let line = lines
        .iter()
        .find(|line| line["fields"]["request_id"] == **id);
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(line["span_id"], request.span_id);
}

#[test]
fn without_its_collector_a_node_answers_as_before_counts_what_is_lost_and_says_so_once() {
    let place = Place::new();
    place.write_secret(
        "headers",
        "authorization: Bearer a-word-for-the-collector\n",
    );
    let headers = place.path("headers").display().to_string();
    // Nobody listens there.
    let away = format!("http://{}", crate::place::free_address());
    let node = place.start_with(&[
        ("VECTORGATE_TRACING__OTLP_ENDPOINT", &away),
        ("VECTORGATE_TRACING__HEADERS_FILE", &headers),
        ("VECTORGATE_TRACING__SAMPLE_RATIO", "1.0"),
        ("VECTORGATE_LOG__LEVEL", "info,platform=trace,node=debug"),
    ]);
    let deadline = deadline();
    let lost = || {
        let metrics = get(place.rest, "/metrics").unwrap();
        let name = "vectorgate_trace_spans_dropped_total{reason=\"export_failed\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{metrics}"))
            .parse::<u64>()
            .unwrap()
    };
    // Two batches at least.
    let first = loop {
        let first = lost();
        if first > 0 {
            break first;
        }
        pause(deadline, "spans are lost");
    };
    while lost() <= first {
        pause(deadline, "more spans are lost");
    }
    assert_eq!(node.terminate(), Some(0));
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert_eq!(log.matches("spans are dropped").count(), 1, "{log}");
    assert!(!log.contains("a-word-for-the-collector"), "{log}");
}

#[test]
fn what_is_wrong_with_tracing_ends_with_64_and_the_setting() {
    let place = Place::new();
    let with = |more: &str| {
        let settings = format!("{}\n[tracing]\n{more}\n", place.settings());
        place.command(&settings)
    };
    let url = "otlp_endpoint = \"https://collector.example.net\"";
    for (more, named) in [
        (
            "otlp_endpoint = \"collector:4318\"".to_owned(),
            "tracing.otlp_endpoint",
        ),
        ("sample_ratio = 2.0".to_owned(), "tracing.sample_ratio"),
        ("otlp_header = \"a\"".to_owned(), "otlp_header"),
        (
            format!("{url}\nheaders_file = \"/none\""),
            "tracing.headers_file",
        ),
        (format!("{url}\nca_file = \"/none\""), "tracing.ca_file"),
        (
            "otlp_endpoint = \"http://collector.example.net\"\nheaders_file = \"/none\"".to_owned(),
            "tracing.headers_file",
        ),
    ] {
        crate::place::fails(with(&more), 64, named);
    }
}
