//! What an edge serves by, and how a manifest becomes it: read every route from the manifest's
//! tree, compile those that changed, swap all at once. Where chunks come from and what is told to
//! the nodes is the subscriber's matter; how a request is routed by it is the proxy's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::content::{RouteContent, RouteEntry, TlsConfig, UpstreamContent};
use domain::id::{CertificateId, RouteId};
use domain::matching::{CompiledRoute, Hosts, ReadyRules};
use domain::tree::{self, ChunkSource, Hash, TreeKind};
use edge_protocol::ManifestRef;
use injection::{Broken, Mutant, Point, mutant, point};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::breather::Breather;
use crate::active::Active;
use crate::cache::{self, Cache};
use crate::certificates::Named;
use crate::metrics::ApplyCounts;
use crate::route::{Route, Surroundings};

/// How many certificates that a route named before are remembered: what comes so fast after one
/// another that none of them has arrived.
const STAND_INS_MAX: usize = 4;

/// What applying a manifest did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyReport {
    /// How long reading, compiling and swapping took.
    pub elapsed: Duration,
    /// How many routes the manifest holds.
    pub routes: usize,
    /// How many of them had to be compiled; the others are unchanged.
    pub compiled: usize,
}

/// Why a manifest was not applied. What ran before runs on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ApplyError {
    /// The whole story in one line, with the route and the rule it is about.
    pub reason: String,
}

/// Takes manifests into use. The subscriber and the start from disk call it; it is synchronous
/// and may take a second for very large configurations, so it is called off the serving threads.
pub trait Apply: Send + Sync {
    /// Compiles the manifest under `manifest.root` and puts it into use, all of it or nothing.
    /// Everything below the root must be in `source` already, verified against its hashes.
    ///
    /// # Errors
    /// When a chunk is missing or corrupt, or a route does not compile.
    fn apply(
        &self,
        manifest: ManifestRef,
        source: &dyn ChunkSource,
    ) -> Result<ApplyReport, ApplyError>;

    /// What is in use; nothing before the first success.
    fn active(&self) -> Option<ManifestRef>;
}

/// Everything an edge serves, from one manifest. It never changes once it is made.
#[derive(Debug, Default)]
pub struct Configuration {
    manifest: Option<ManifestRef>,
    /// In the order of route identifiers.
    served: Vec<Served>,
    /// To places in `served`.
    hosts: Hosts<usize>,
}

/// A route of a manifest.
#[derive(Clone, Debug)]
pub struct Served {
    /// What the manifest says of it.
    pub entry: RouteEntry,
    /// The route, shared with other configurations in which its content is the same.
    pub route: Arc<Route>,
    /// How clients may speak to it.
    pub tls: TlsConfig,
    /// The certificates that it named before, the last first: what clients are shown until the one
    /// that it names now is here.
    pub stand_ins: Vec<CertificateId>,
}

impl Served {
    /// What may be shown to clients, the best first.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateId> {
        self.tls.certificate_id.iter().chain(&self.stand_ins)
    }

    /// What stands in where a route that was this names `certificate` now.
    fn stand_ins_for(&self, certificate: &CertificateId) -> Vec<CertificateId> {
        let others = self.certificates().filter(|id| *id != certificate);
        others.take(STAND_INS_MAX).cloned().collect()
    }
}

impl Configuration {
    /// A configuration of these routes, which are in the order of their identifiers.
    ///
    /// # Errors
    /// When two of them would serve the same hostname.
    pub fn new(manifest: ManifestRef, served: Vec<Served>) -> Result<Self, ApplyError> {
        let mut hosts = Hosts::default();
        for (place, Served { entry, .. }) in served
            .iter()
            .enumerate()
            .filter(|(_, served)| served.entry.enabled)
        {
            if let Some(other) = hosts.insert(&entry.hostname, place) {
                let other = &served[other].entry.route_id;
                let reason = format!(
                    "routes {other} and {} both serve {}",
                    entry.route_id, entry.hostname
                );
                return Err(ApplyError { reason });
            }
        }
        Ok(Self {
            manifest: Some(manifest),
            served,
            hosts,
        })
    }

    /// The manifest that it was made from; none where nothing was ever loaded.
    #[must_use]
    pub fn manifest(&self) -> Option<&ManifestRef> {
        self.manifest.as_ref()
    }

    /// What serves a host in normal form.
    #[must_use]
    pub fn find(&self, host: &str) -> Option<&Served> {
        self.hosts.find(host).map(|place| &self.served[*place])
    }

    /// Its routes, by identifier.
    #[must_use]
    pub fn routes(&self) -> &[Served] {
        &self.served
    }

    /// Tells targets by what they are limited and judged, once it is in use as the one of this
    /// number. Where routes disagree, that with the lowest identifier counts.
    fn configure(&self, number: u64) {
        for served in &self.served {
            served.route.configure(number);
        }
    }

    /// The certificates that its routes name.
    #[must_use]
    pub fn certificates(&self) -> Named {
        let mut named = Named::new();
        for served in self.served.iter().filter(|served| served.entry.enabled) {
            if let Some(id) = &served.tls.certificate_id {
                let stand_ins = named.entry(id.clone()).or_default();
                stand_ins.extend(served.stand_ins.iter().cloned());
            }
        }
        named
    }

    /// A route by its identifier.
    #[must_use]
    pub fn served(&self, id: &RouteId) -> Option<&Served> {
        let place = self
            .served
            .binary_search_by(|served| served.entry.route_id.cmp(id))
            .ok()?;
        Some(&self.served[place])
    }
}

/// Takes manifests into use for the serving threads that read [`Active`].
#[derive(Debug)]
pub struct Applier {
    active: Arc<Active>,
    counts: Arc<ApplyCounts>,
    around: Surroundings,
    /// What is kept by the configuration in use; there once the edge serves.
    cache: OnceLock<Arc<Cache>>,
    /// Whether serving threads may want the core that a manifest is compiled on.
    beside_requests: AtomicBool,
    /// One manifest at a time: the later of two would otherwise be built on the wrong predecessor.
    turn: Mutex<()>,
}

impl Applier {
    /// Replaces what is in `active`, and counts it.
    #[must_use]
    pub fn new(active: Arc<Active>, counts: Arc<ApplyCounts>, around: Surroundings) -> Self {
        Self {
            active,
            counts,
            around,
            cache: OnceLock::new(),
            beside_requests: AtomicBool::new(false),
            turn: Mutex::new(()),
        }
    }

    /// Has what is kept follow what is applied from now on. Until then nothing is kept.
    pub fn keep_in_step(&self, cache: Arc<Cache>) {
        // An edge begins to serve once.
        let _ = self.cache.set(cache);
    }

    /// Has what is applied from now on leave the core to serving threads every now and then. Until then, and where
    /// serving threads have nothing to serve by, it goes as fast as it can.
    pub fn share_cores(&self) {
        self.beside_requests.store(true, Ordering::Relaxed);
    }

    fn compile(
        &self,
        manifest: ManifestRef,
        source: &dyn ChunkSource,
    ) -> Result<(Configuration, usize), ApplyError> {
        let previous = self.active.current();
        let serves = previous.manifest().is_some();
        let mut builder = Builder {
            previous,
            source,
            around: &self.around,
            breather: Breather::new(serves && self.beside_requests.load(Ordering::Relaxed)),
            compiled: 0,
        };
        let configuration = Configuration::new(manifest, builder.routes(manifest.root)?)?;
        Ok((configuration, builder.compiled))
    }
}

impl Apply for Applier {
    fn apply(
        &self,
        manifest: ManifestRef,
        source: &dyn ChunkSource,
    ) -> Result<ApplyReport, ApplyError> {
        let _turn = self.turn.lock();
        let started = Instant::now();
        if mutant::active(Mutant::SwapBeforeValidating) {
            let unread = Configuration::new(manifest, Vec::new())?;
            self.active.replace(Arc::new(unread));
        }
        point::hit(Point::BeforeEdgeValidate)?;
        let (configuration, compiled) = self
            .compile(manifest, source)
            .inspect_err(|_| self.counts.refused())?;
        point::hit(Point::AfterEdgeValidate)?;
        let routes = configuration.routes().len();
        let configuration = Arc::new(configuration);
        let previous = self.active.current();
        point::hit(Point::BeforeEdgeSwap)?;
        self.active.replace(Arc::clone(&configuration));
        point::hit(Point::AfterEdgeSwap)?;
        configuration.configure(self.active.generation());
        if let Some(cache) = self.cache.get() {
            cache::purge(cache, &previous, &configuration);
        }
        self.around.health.changed();
        let elapsed = started.elapsed();
        self.counts.applied(elapsed);
        Ok(ApplyReport {
            elapsed,
            routes,
            compiled,
        })
    }

    fn active(&self) -> Option<ManifestRef> {
        self.active.current().manifest().copied()
    }
}

/// Builds the next configuration from the previous one and what the chunks say.
struct Builder<'a> {
    previous: Arc<Configuration>,
    source: &'a dyn ChunkSource,
    around: &'a Surroundings,
    breather: Breather,
    compiled: usize,
}

impl Builder<'_> {
    fn routes(&mut self, root: Hash) -> Result<Vec<Served>, ApplyError> {
        let mut served = Vec::new();
        for item in tree::iter(self.source, TreeKind::Routes, root) {
            self.breather.breathe();
            let (_, value) = item.map_err(|error| failed("the manifest", error))?;
            let entry =
                RouteEntry::decode(&value).map_err(|error| failed("the manifest", error))?;
            match self.served(entry) {
                Err(_) if mutant::active(Mutant::PartialAccepted) => {}
                route => served.push(route?),
            }
        }
        Ok(served)
    }

    fn served(&mut self, entry: RouteEntry) -> Result<Served, ApplyError> {
        let previous = self.previous.served(&entry.route_id);
        if let Some(unchanged) = previous.filter(|served| served.entry.head == entry.head) {
            return Ok(Served {
                route: Arc::clone(&unchanged.route),
                tls: unchanged.tls.clone(),
                stand_ins: unchanged.stand_ins.clone(),
                entry,
            });
        }
        let about = format!("route {}", entry.route_id);
        let before = previous.map(|served| served.route.compiled());
        let (compiled, tls) = compile(self.source, &entry, before, &mut self.breather)
            .map_err(|error| failed(&about, error))?;
        self.breather.breathe();
        let route = Route::new(compiled, previous.map(|served| &*served.route), self.around)
            .map_err(|error| failed(&about, error))?;
        self.compiled += 1;
        let stand_ins = previous.zip(tls.certificate_id.as_ref());
        Ok(Served {
            stand_ins: stand_ins
                .map(|(previous, named)| previous.stand_ins_for(named))
                .unwrap_or_default(),
            entry,
            route: Arc::new(route),
            tls,
        })
    }
}

/// Reads a route and makes it ready.
fn compile(
    source: &dyn ChunkSource,
    entry: &RouteEntry,
    previous: Option<&CompiledRoute>,
    breather: &mut Breather,
) -> Result<(CompiledRoute, TlsConfig), Box<dyn std::error::Error>> {
    let head = source
        .chunk(&entry.head)
        .ok_or_else(|| format!("its head chunk {} is missing", entry.head))?;
    if Hash::of(&head) != entry.head {
        return Err(format!("its head chunk {} is corrupt", entry.head).into());
    }
    let content = RouteContent::decode(&head)?;
    if content.route_id != entry.route_id {
        return Err(format!("its head chunk is that of route {}", content.route_id).into());
    }
    let tls = TlsConfig::of_config(&content.config)?;
    let rules = rules(source, content.rules, previous, breather)?;
    let mut upstreams = Vec::new();
    for item in tree::iter(source, TreeKind::Upstreams, content.upstreams) {
        upstreams.push(UpstreamContent::decode(&item?.1)?);
    }
    let compiled = CompiledRoute::assemble(content, rules, upstreams)?;
    Ok((compiled, tls))
}

/// The rules under this root: the previous ones with what changed where that can be told, since most publishes change
/// few of many. Otherwise all are read.
fn rules<'a>(
    source: &dyn ChunkSource,
    root: Hash,
    previous: Option<&'a CompiledRoute>,
    breather: &mut Breather,
) -> Result<ReadyRules<'a>, Box<dyn std::error::Error>> {
    if let Some(previous) = previous
        // The trees may be damaged, or not fit what was made of them: reading all of the new one tells.
        && let Ok(changes) = tree::diff(source, TreeKind::Rules, previous.tree(), root)
        && let Ok(Some(rules)) = decode::changed(previous, changes)
    {
        return Ok(rules);
    }
    let mut encoded = Vec::new();
    for item in tree::iter(source, TreeKind::Rules, root) {
        encoded.push(item?.1);
        breather.breathe();
    }
    Ok(decode::rules(&encoded, previous, breather)?)
}

impl From<Broken> for ApplyError {
    fn from(broken: Broken) -> Self {
        Self {
            reason: broken.to_string(),
        }
    }
}

fn failed(about: &str, error: impl std::fmt::Display) -> ApplyError {
    ApplyError {
        reason: format!("{about}: {error}"),
    }
}

mod breather;
mod decode;
#[cfg(test)]
mod tests;
