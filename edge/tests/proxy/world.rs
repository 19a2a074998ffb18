//! An edge that serves on a free port, within the test's own runtime unless told otherwise.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::time::Timestamp;
use edge::access_log::AccessLog;
use edge::assembly::{self, Ports, Running, Serving};
use edge::certificates::Keyring;
use edge::network::SharedPorts;
use edge::settings::Settings;
use edge::workers::Placement;
use platform::trace::Tracer;
use platform::{Clock, Network, SystemClock, SystemEntropy};

use crate::publish::{Draft, Publisher};

/// The longest that a test waits for anything: far beyond what happens, short of a stuck test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An edge under test.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http3: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) serving: Serving,
    pub(crate) running: Running,
    pub(crate) publisher: Publisher,
    pub(crate) clock: Arc<Hand>,
}

/// The wall clock, as far ahead as a test has moved it.
#[derive(Default)]
pub(crate) struct Hand(AtomicU64);

impl Hand {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::Relaxed))
    }
}

/// How the edge is started.
pub(crate) struct Options<N> {
    /// More variables for the settings.
    pub(crate) set: Vec<(&'static str, &'static str)>,
    pub(crate) network: N,
    pub(crate) placement: Placement,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) keyring: Keyring,
    pub(crate) tracer: Tracer,
}

impl Default for Options<SharedPorts> {
    fn default() -> Self {
        Self {
            set: Vec::new(),
            network: SharedPorts::default(),
            placement: Placement::Here,
            access_log: None,
            keyring: Keyring::default(),
            tracer: Tracer::off(),
        }
    }
}

/// Runs a test within a `LocalSet`, with a deadline.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(3 * PATIENCE, test)
            .await
            .expect("the test is stuck");
    });
}

fn settings(set: &[(&'static str, &'static str)]) -> Settings {
    let text = r#"
        [edge]
        id = "edge-1"
        region = "eu-central-1"
        environment = "production"
        data_dir = "unused"
        [http]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [control]
        nodes = ["127.0.0.1:1"]
        [tls]
        ca_file = "unused"
        cert_file = "unused"
        key_file = "unused"
    "#;
    let variable =
        |(name, value): &(&str, &str)| (format!("VECTORGATE_{name}"), (*value).to_owned());
    Settings::parse(text, set.iter().map(variable)).unwrap()
}

impl World {
    /// An edge with defaults and one published route.
    pub(crate) async fn with(draft: Draft) -> Self {
        let mut world = Self::start(Options::default()).await;
        world.publish(&[draft]);
        world
    }

    /// An edge to which nothing was ever published.
    pub(crate) async fn start<N: Network>(options: Options<N>) -> Self {
        let serving = Serving {
            access_log: options.access_log,
            ..Serving::new(String::new(), options.keyring)
        };
        let clock = Arc::<Hand>::default();
        let ports = Ports {
            network: options.network,
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SystemEntropy),
            tracer: options.tracer,
        };
        let settings = Arc::new(settings(&options.set));
        let running = assembly::serve(settings, &ports, &serving, options.placement)
            .await
            .unwrap();
        Self {
            address: running.addresses().http,
            https: running.addresses().https,
            http3: running.addresses().http3,
            admin: running.addresses().admin.unwrap(),
            serving,
            running,
            publisher: Publisher::default(),
            clock,
        }
    }

    pub(crate) fn publish(&mut self, drafts: &[Draft]) {
        self.publisher.publish(&*self.serving.applier, drafts);
    }

    /// The value of a metric without labels, or with these.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.serving.metrics.render().unwrap();
        let line = text.lines().find_map(|line| {
            line.strip_prefix("vectorgate_edge_")?
                .strip_prefix(name)?
                .strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse()
            .unwrap()
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not come about"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
