//! A collector of traces for tests: takes what processes export (OTLP over HTTP) and shows what came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

/// By when spans that have to come have come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The process's `service.name`.
    pub service: String,
    /// The process's `service.instance.id`.
    pub instance: String,
    /// What it is called.
    pub name: String,
    /// The trace, in hexadecimal.
    pub trace_id: String,
    /// The span, in hexadecimal.
    pub span_id: String,
    /// What it is part of, in hexadecimal; empty for the first of a trace.
    pub parent: String,
    /// `server`, `client` and so on by OTLP's number.
    pub kind: i32,
    /// What it says of itself, as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it failed.
    pub failed: bool,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Seen>>,
    /// The head of each request.
    heads: Mutex<Vec<String>>,
    came: Condvar,
}

/// A collector that runs until its test ends.
pub struct Collector {
    address: SocketAddr,
    state: Arc<State>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Collector").field(&self.address).finish()
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::start()
    }
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "tests of real processes talk to them"
    )]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || take(stream, &shared));
            }
        });
        Self { address, state }
    }

    /// What to give a process as `tracing.otlp_endpoint`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests that came.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        lock(&self.state.heads).clone()
    }

    /// All spans that came.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        lock(&self.state.spans).clone()
    }

    /// Waits for a span.
    ///
    /// # Panics
    /// When none like it comes in time.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "tests of real processes wait by the wall clock"
    )]
    pub fn wait(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        let mut spans = lock(&self.state.spans);
        loop {
            if let Some(found) = spans.iter().find(|span| is_it(span)) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} did not come: {:#?}", *spans);
            let waited = self.state.came.wait_timeout(spans, left);
            spans = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(stream: TcpStream, state: &State) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        })?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let request = ExportTraceServiceRequest::decode(&body[..]).ok()?;
        lock(&state.heads).push(head);
        lock(&state.spans).extend(seen(request));
        state.came.notify_all();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

fn seen(request: ExportTraceServiceRequest) -> impl Iterator<Item = Seen> {
    request.resource_spans.into_iter().flat_map(|resource| {
        let about = attributes(resource.resource.unwrap_or_default().attributes);
        let of = |key: &str| about.get(key).cloned().unwrap_or_default();
        let (service, instance) = (of("service.name"), of("service.instance.id"));
        let spans = resource.scope_spans.into_iter().flat_map(|it| it.spans);
        spans.map(move |span| Seen {
            service: service.clone(),
            instance: instance.clone(),
            name: span.name,
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind,
            attributes: attributes(span.attributes),
            // OTLP's STATUS_CODE_ERROR.
            failed: span.status.is_some_and(|status| status.code == 2),
        })
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    list.into_iter()
        .map(|pair| (pair.key, pair.value.map(text).unwrap_or_default()))
        .collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
