//! What an edge counts, and how it is shown. Every serving thread counts for itself, so that no
//! counter travels between cores for a request; reading adds the threads up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use platform::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::active::Active;
use crate::cache::{self, Cache};
use crate::health::Registry as Targets;
use crate::proxy::Code;
use crate::subscriber::Status;

/// The upper bounds of the histogram of upstream times, in milliseconds.
const BOUNDS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000];

/// One thread's counts, to which that thread alone adds.
#[derive(Debug, Default)]
pub struct Tally {
    /// By whose answer it was ([`Answer`]) and by the class of its status.
    answers: [[AtomicU64; 5]; Answer::ALL.len()],
    errors: [AtomicU64; Code::ALL.len()],
    connections_opened: AtomicU64,
    connections_ended: AtomicU64,
    connections_overdue: AtomicU64,
    connections_flooding: AtomicU64,
    tunnels_opened: AtomicU64,
    tunnels_ended: AtomicU64,
    tunnels_overdue: AtomicU64,
    handshakes: AtomicU64,
    handshakes_failed: AtomicU64,
    sources_refused: AtomicU64,
    upstream_opened: AtomicU64,
    upstream_reused: AtomicU64,
    upstream_repeated: AtomicU64,
    upstream_retried: AtomicU64,
    upstream_retries_refused: AtomicU64,
    upstream_fell_back: AtomicU64,
    bodies_broken: AtomicU64,
    upstream_times: [AtomicU64; BOUNDS_MS.len() + 1],
    upstream_micros: AtomicU64,
    /// What the cache did.
    pub cache: cache::Counts,
    /// By which HTTP clients came, and what QUIC took.
    pub protocols: protocols::Counts,
}

/// Whose answer a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An origin's.
    Origin,
    /// A rule's: a redirect or a fixed response.
    Rule,
    /// The edge's: an error.
    Edge,
    /// An origin's, kept by the cache.
    Cache,
    /// That of a target of a fallback.
    Fallback,
}

impl Answer {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Origin, "origin"),
        (Self::Rule, "rule"),
        (Self::Edge, "edge"),
        (Self::Cache, "cache"),
        (Self::Fallback, "fallback"),
    ];
}

/// Adds to a counter to which nobody else adds at the same time: others only read it. So it costs no more than
/// a plain number does.
fn add(counter: &AtomicU64, amount: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(amount), Ordering::Relaxed);
}

impl Tally {
    /// A request was answered.
    pub fn answered(&self, answer: Answer, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        add(&self.answers[answer as usize][class], 1);
    }

    /// The edge answered with an error of its own.
    pub fn erred(&self, code: Code) {
        add(&self.errors[code as usize], 1);
    }

    /// A client connected.
    pub fn connection_opened(&self) {
        add(&self.connections_opened, 1);
    }

    /// A client's connection ended.
    pub fn connection_ended(&self) {
        add(&self.connections_ended, 1);
    }

    /// A client's connection was ended because the client was too slow.
    pub fn connection_overdue(&self) {
        add(&self.connections_overdue, 1);
    }

    /// A client's connection was ended because nothing on it was of use to anybody.
    pub fn connection_flooding(&self) {
        add(&self.connections_flooding, 1);
    }

    /// A client and an origin were joined.
    pub fn tunnel_opened(&self) {
        add(&self.tunnels_opened, 1);
    }

    /// A client and an origin are joined no longer.
    pub fn tunnel_ended(&self) {
        add(&self.tunnels_ended, 1);
    }

    /// A tunnel was ended because nothing moved in it.
    pub fn tunnel_overdue(&self) {
        add(&self.tunnels_overdue, 1);
    }

    /// TLS was agreed on with a client, or not.
    pub fn handshake_ended(&self, agreed: bool) {
        let counter = if agreed {
            &self.handshakes
        } else {
            &self.handshakes_failed
        };
        add(counter, 1);
    }

    /// A connection did not say where it came from, or is not believed.
    pub fn source_refused(&self) {
        add(&self.sources_refused, 1);
    }

    /// A connection to a target was begun.
    pub fn upstream_opened(&self) {
        add(&self.upstream_opened, 1);
    }

    /// A kept connection to a target was used.
    pub fn upstream_reused(&self) {
        add(&self.upstream_reused, 1);
    }

    /// A request was sent once more because a kept connection was closed.
    pub fn upstream_repeated(&self) {
        add(&self.upstream_repeated, 1);
    }

    /// A request was sent to another target because one failed.
    pub fn upstream_retried(&self) {
        add(&self.upstream_retried, 1);
    }

    /// A request was not sent to another target because there were too many retries already.
    pub fn upstream_retry_refused(&self) {
        add(&self.upstream_retries_refused, 1);
    }

    /// A request was answered by its route's fallback.
    pub fn upstream_fell_back(&self) {
        add(&self.upstream_fell_back, 1);
    }

    /// A response's body broke off.
    pub fn body_broke(&self) {
        add(&self.bodies_broken, 1);
    }

    /// An origin's response began after this time.
    pub fn upstream_took(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let place = BOUNDS_MS
            .iter()
            .position(|bound| ms < *bound)
            .unwrap_or(BOUNDS_MS.len());
        add(&self.upstream_times[place], 1);
        add(
            &self.upstream_micros,
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        );
    }
}

/// What happened to manifests. It is counted where they are applied, by one thread at a time.
#[derive(Debug, Default)]
pub struct ApplyCounts {
    applied: AtomicU64,
    refused: AtomicU64,
    last_micros: AtomicU64,
}

impl ApplyCounts {
    /// A manifest was taken into use.
    pub fn applied(&self, elapsed: Duration) {
        add(&self.applied, 1);
        self.last_micros.store(
            u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// A manifest was refused.
    pub fn refused(&self) {
        add(&self.refused, 1);
    }
}

/// All counts of an edge.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Without the prefix: what every process has, under the names that it has everywhere.
    process: Mutex<Registry>,
    tallies: Arc<Mutex<Vec<Arc<Tally>>>>,
    applies: Arc<ApplyCounts>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("threads", &self.tallies.lock().len())
            .finish_non_exhaustive()
    }
}

impl Metrics {
    /// Counts at zero, beside what `active` says of itself.
    #[must_use]
    pub fn new(active: Arc<Active>) -> Self {
        let tallies = Arc::<Mutex<Vec<_>>>::default();
        let applies = Arc::<ApplyCounts>::default();
        let mut registry = Registry::with_prefix("vectorgate_edge");
        registry.register_collector(Box::new(Serving(Arc::clone(&tallies))));
        registry.register_collector(Box::new(Following {
            active,
            applies: Arc::clone(&applies),
        }));
        Self {
            registry: Mutex::new(registry),
            process: Mutex::default(),
            tallies,
            applies,
        }
    }

    /// A new thread's counts.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        let tally = Arc::<Tally>::default();
        self.tallies.lock().push(Arc::clone(&tally));
        tally
    }

    /// Counts of what happened to manifests.
    #[must_use]
    pub fn applies(&self) -> Arc<ApplyCounts> {
        Arc::clone(&self.applies)
    }

    /// Shows from now on how the subscriber stands.
    pub fn follow(&self, status: watch::Receiver<Status>) {
        self.registry
            .lock()
            .register_collector(Box::new(following::Subscription(status)));
    }

    /// Shows from now on what is done about targets.
    pub fn watch(&self, health: Arc<Targets>) {
        self.registry
            .lock()
            .register_collector(Box::new(targets::Health(health)));
    }

    /// Shows from now on how full the cache is.
    pub fn show_cache(&self, cache: Arc<Cache>) {
        self.show(Box::new(caching::Keeping(cache)));
    }

    /// Shows from now on how the process stands.
    pub fn show_process(&self, process: Process) {
        self.process.lock().register_collector(Box::new(process));
    }

    /// Shows from now on what another part of the edge counts.
    pub(crate) fn show(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// When a metric cannot be written, which is a fault of ours.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry.lock())?;
        encode_registry(&mut text, &self.process.lock())?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// Shows what the serving threads count.
struct Serving(Arc<Mutex<Vec<Arc<Tally>>>>);

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// Writes metrics one by one.
struct Writer<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Writer<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = ([(&'static str, &'static str); N], u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

impl Collector for Serving {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let tallies = self.0.lock().clone();
        let sum = |counter: &dyn Fn(&Tally) -> &AtomicU64| {
            tallies
                .iter()
                .map(|tally| counter(tally).load(Ordering::Relaxed))
                .sum::<u64>()
        };
        let mut writer = Writer(&mut encoder);
        const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let answers = Answer::ALL.into_iter().flat_map(|(answer, by)| {
            let sum = &sum;
            CLASSES.into_iter().enumerate().map(move |(class, status)| {
                (
                    [("by", by), ("status", status)],
                    sum(&|tally| &tally.answers[answer as usize][class]),
                )
            })
        });
        writer.counters(
            "responses",
            "Responses by whose they were and by the class of their status",
            answers,
        )?;
        let errors = Code::ALL.into_iter().map(|code| {
            (
                [("code", code.as_str())],
                sum(&|tally| &tally.errors[code as usize]),
            )
        });
        writer.counters(
            "errors",
            "Responses with an error of the edge's own",
            errors,
        )?;
        let opened = sum(&|tally| &tally.connections_opened);
        let open = opened.saturating_sub(sum(&|tally| &tally.connections_ended));
        writer.counter("connections", "Connections accepted", opened)?;
        writer.gauge(
            "connections_open",
            "Connections open now",
            i64::try_from(open).unwrap_or(i64::MAX),
        )?;
        writer.counter(
            "connections_overdue",
            "Connections ended because the client was too slow",
            sum(&|tally| &tally.connections_overdue),
        )?;
        writer.counter(
            "connections_flooding",
            "Connections ended because nothing on them was of use to anybody",
            sum(&|tally| &tally.connections_flooding),
        )?;
        writer.counter(
            "tls_handshakes",
            "TLS handshakes with clients that succeeded",
            sum(&|tally| &tally.handshakes),
        )?;
        writer.counter(
            "tls_handshakes_failed",
            "TLS handshakes with clients that did not succeed",
            sum(&|tally| &tally.handshakes_failed),
        )?;
        writer.counter(
            "proxy_headers_refused",
            "Connections ended for want of a PROXY header that is believed",
            sum(&|tally| &tally.sources_refused),
        )?;
        let tunnels = sum(&|tally| &tally.tunnels_opened);
        let open = tunnels.saturating_sub(sum(&|tally| &tally.tunnels_ended));
        writer.counter(
            "tunnels",
            "WebSockets and passed-through connections",
            tunnels,
        )?;
        writer.gauge(
            "tunnels_open",
            "WebSockets and passed-through connections open now",
            i64::try_from(open).unwrap_or(i64::MAX),
        )?;
        writer.counter(
            "tunnels_overdue",
            "Tunnels ended because nothing moved in them",
            sum(&|tally| &tally.tunnels_overdue),
        )?;
        writer.counter(
            "upstream_connections",
            "Connections to targets begun",
            sum(&|tally| &tally.upstream_opened),
        )?;
        writer.counter(
            "upstream_reuses",
            "Requests sent on a kept connection",
            sum(&|tally| &tally.upstream_reused),
        )?;
        writer.counter(
            "upstream_repeats",
            "Requests sent once more because a kept connection was closed",
            sum(&|tally| &tally.upstream_repeated),
        )?;
        writer.counter(
            "upstream_retries",
            "Requests sent to another target because one failed",
            sum(&|tally| &tally.upstream_retried),
        )?;
        writer.counter(
            "upstream_retries_refused",
            "Requests not sent to another target because there were too many retries",
            sum(&|tally| &tally.upstream_retries_refused),
        )?;
        writer.counter(
            "upstream_fallbacks",
            "Requests answered by their route's fallback",
            sum(&|tally| &tally.upstream_fell_back),
        )?;
        writer.counter(
            "upstream_bodies_broken",
            "Response bodies that broke off",
            sum(&|tally| &tally.bodies_broken),
        )?;
        caching::encode(&mut writer, &tallies)?;
        protocols::encode(&mut writer, &tallies)?;
        let counts: Vec<_> = (0..=BOUNDS_MS.len())
            .map(|place| sum(&|tally| &tally.upstream_times[place]))
            .collect();
        encode_times(&mut encoder, &counts, sum(&|tally| &tally.upstream_micros))
    }
}

fn encode_times(encoder: &mut DescriptorEncoder<'_>, counts: &[u64], micros: u64) -> fmt::Result {
    let bounds = BOUNDS_MS
        .iter()
        .map(|ms| Duration::from_millis(*ms).as_secs_f64())
        .chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
    let sum = Duration::from_micros(micros).as_secs_f64();
    encoder
        .encode_descriptor(
            "upstream_response_seconds",
            "From sending a request to the head of its response",
            None,
            MetricType::Histogram,
        )?
        .encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
}

/// Shows which configuration is in use and how it came about.
#[derive(Debug)]
struct Following {
    active: Arc<Active>,
    applies: Arc<ApplyCounts>,
}

impl Collector for Following {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let current = self.active.current();
        let manifest = current
            .manifest()
            .map_or((0, 0), |manifest| (manifest.epoch.0, manifest.version.0));
        let mut writer = Writer(&mut encoder);
        writer.gauge(
            "manifest_epoch",
            "The epoch of the manifest in use; 0 where there is none",
            signed(manifest.0),
        )?;
        writer.gauge(
            "manifest_version",
            "The version of the manifest in use; 0 where there is none",
            signed(manifest.1),
        )?;
        writer.gauge(
            "routes",
            "Routes of the manifest in use",
            signed(current.routes().len() as u64),
        )?;
        writer.counter(
            "configuration_generation",
            "How often the configuration in use was replaced",
            self.active.generation(),
        )?;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        writer.counter(
            "manifests_applied",
            "Manifests taken into use",
            read(&self.applies.applied),
        )?;
        writer.counter(
            "manifests_refused",
            "Manifests refused",
            read(&self.applies.refused),
        )?;
        let last = Duration::from_micros(read(&self.applies.last_micros));
        encoder
            .encode_descriptor(
                "manifest_apply_seconds",
                "How long taking the last manifest into use took",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&last.as_secs_f64())
    }
}

mod caching;
mod following;
mod protocols;
mod targets;
#[cfg(test)]
mod tests;
