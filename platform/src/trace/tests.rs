//! Spans as a collector gets them, whether it is there or not.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::testing::collector::Collector;

const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

fn who() -> Who {
    Who {
        component: "edge",
        name: "edge-1".to_owned(),
        region: "eu-central-1".to_owned(),
        environment: "production".to_owned(),
        version: "0.1.0",
    }
}

fn remote(sampled: bool) -> Option<TraceContext> {
    let text = format!("{REMOTE}-0{}", u8::from(sampled));
    TraceContext::parse(text.as_bytes())
}

fn start(url: String, sample_ratio: f64) -> (Tracer, Export) {
    let settings = TracingSettings {
        otlp_endpoint: Some(url),
        sample_ratio,
        ..TracingSettings::default()
    };
    Export::start(&settings, &who()).unwrap().unwrap()
}

#[tokio::test]
async fn a_trace_goes_on_beneath_what_was_asked_for_and_says_whose_it_is() {
    let collector = Collector::start();
    // The share is of those that nobody has decided about.
    let (tracer, export) = start(collector.url(), 0.0);
    let mut span = tracer.begin("asked", Kind::Server, remote(true));
    span.set("http.request.method", || "GET");
    let child_context = span
        .scope(async {
            tokio::task::yield_now().await;
            let mut part = child("part", Kind::Client);
            part.fail(|| "refused".to_owned());
            assert_eq!(current(), span.recorded());
            part.within(|| assert_eq!(current(), part.recorded()));
            part.context().unwrap()
        })
        .await;
    assert_eq!(current(), None);
    let context = span.context().unwrap();
    drop(span);
    let counts = export.counts();
    export.close();
    assert_eq!((counts.exported(), counts.dropped()), (2, 0));

    let asked = collector.wait("asked", |span| span.name == "asked");
    assert_eq!(asked.trace_id, &REMOTE[3..35]);
    assert_eq!(asked.parent, &REMOTE[36..]);
    assert_eq!(asked.span_id, context.span_id());
    assert_eq!(asked.service, "vectorgate-edge");
    assert_eq!(asked.instance, "edge-1");
    assert_eq!(asked.attributes["http.request.method"], "GET");
    assert!(!asked.failed);
    let part = collector.wait("part", |span| span.name == "part");
    assert_eq!(part.parent, asked.span_id);
    assert_eq!(part.span_id, child_context.span_id());
    assert_eq!(part.trace_id, asked.trace_id);
    assert_eq!(part.attributes["error.type"], "refused");
    assert!(part.failed);
    let heads = collector.heads();
    assert!(
        heads[0].starts_with("POST /v1/traces HTTP/1.1\r\n"),
        "{heads:?}"
    );
}

#[test]
fn who_asks_decides_about_recording_and_else_the_share_does() {
    let collector = Collector::start();
    for (ratio, remote, recorded) in [
        (0.0, None, false),
        (1.0, None, true),
        (0.0, remote(true), true),
        (1.0, remote(false), false),
    ] {
        let (tracer, export) = start(collector.url(), ratio);
        let span = tracer.begin("it", Kind::Server, remote);
        assert_eq!(span.is_recorded(), recorded, "{ratio} {remote:?}");
        // Whoever is asked next hears of the decision.
        let told = span.context().unwrap();
        assert_eq!(told.is_sampled(), recorded, "{ratio} {remote:?}");
        let followed = tracer.follow("it", Kind::Consumer, remote);
        assert_eq!(followed.is_recorded(), remote.is_some() && recorded);
        let beneath = span.within(|| child("part", Kind::Internal));
        assert_eq!(beneath.is_recorded(), recorded);
        drop((span, followed, beneath));
        export.close();
    }
    let off = Tracer::off().begin("it", Kind::Server, remote(true));
    assert_eq!((off.context(), off.is_recorded()), (None, false));
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let away = Collector::start().url().replace("127.0.0.1", "127.0.0.254");
    let (tracer, export) = start(away, 1.0);
    let counts = export.counts();
    let spans = 2 * queue::QUEUE_SPANS_MAX as u64;
    for _ in 0..spans {
        drop(tracer.begin("it", Kind::Server, None));
    }
    export.close();
    assert_eq!(counts.exported(), 0);
    assert_eq!(counts.dropped(), spans);
    // After the end nothing is counted twice, and nothing waits.
    drop(tracer.begin("late", Kind::Server, None));
    assert_eq!(counts.dropped(), spans);
}

#[test]
fn headers_for_the_collector_are_sent_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let expose = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, mode).unwrap();
    };
    let collector = Collector::start();
    let settings = TracingSettings {
        otlp_endpoint: Some(collector.url()),
        headers_file: Some(file.clone()),
        sample_ratio: 1.0,
        ..TracingSettings::default()
    };
    std::fs::write(&file, "# ours\nauthorization: Bearer word\n\nx-scope:a\n").unwrap();
    expose(0o644);
    let error = Export::start(&settings, &who()).unwrap_err();
    assert_eq!(error.field, "tracing.headers_file");
    expose(0o600);
    let (tracer, export) = Export::start(&settings, &who()).unwrap().unwrap();
    assert!(!format!("{export:?} {tracer:?}").contains("word"));
    drop(tracer.begin("it", Kind::Server, None));
    export.close();
    let head = collector.heads().remove(0);
    assert!(head.contains("authorization: Bearer word\r\n"), "{head}");
    assert!(head.contains("x-scope: a\r\n"), "{head}");
    std::fs::write(&file, "authorization Bearer word\n").unwrap();
    let error = Export::start(&settings, &who()).unwrap_err();
    assert!(
        error.reason.contains("line 1") && !error.reason.contains("word"),
        "{error}"
    );
}

/// Takes lines down.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .json()
            .event_format(Lines::default())
            .with_writer(self.clone())
            .finish()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn lines_of_the_log_name_the_span_they_were_written_for_if_it_is_recorded() {
    let collector = Collector::start();
    let (tracer, export) = start(collector.url(), 0.0);
    let log = Log::default();
    tracing::subscriber::with_default(log.subscriber(), || {
        let recorded = tracer.begin("it", Kind::Server, remote(true));
        let not = tracer.begin("it", Kind::Server, remote(false));
        recorded.within(|| tracing::info!(answer = 42, "within"));
        not.within(|| tracing::info!("beside"));
        tracing::info!("after");
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let place = recorded.context().unwrap();
        assert_eq!(lines[0]["trace_id"], place.trace_id());
        assert_eq!(lines[0]["span_id"], place.span_id());
        assert_eq!(lines[0]["fields"]["answer"], 42);
        for line in &lines[1..] {
            assert!(line.get("trace_id").is_none(), "{line}");
        }
        assert_eq!(lines.len(), 3);
    });
    export.close();
}
