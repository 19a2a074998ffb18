//! An upstream in service: its targets, and how one of them is chosen.

use std::sync::Arc;

use domain::content::TargetContent;
use domain::matching::CompiledUpstream;
use domain::model::{Algorithm, Check, HashKey, Protocol};

use super::rotation::Rotation;
use super::{Surroundings, Target};
use crate::balance::{SHARE_WHOLE, rendezvous};
use crate::health::{GroupHealth, Plan, Probe, Watched};

/// An upstream in service.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) targets: Vec<Arc<Target>>,
    /// Those of the targets that take requests here, 0 for the others.
    weights: Vec<u32>,
    /// Shared by all rules that use the upstream and by all threads, so that ratios are exact over
    /// all of its traffic at this edge and not only over parts of it.
    pub(super) rotation: Rotation,
    choosing: Choosing,
    pub(super) group: Arc<GroupHealth>,
    watched: Watching,
}

/// What a choice goes by.
#[derive(Debug)]
enum Choosing {
    Rotation,
    UnderWay,
    /// With a seed for each target.
    Hash(HashKey, Vec<u64>),
}

/// What the health of its targets is judged by, and what they take.
#[derive(Debug)]
struct Watching {
    check: Option<Check>,
    ejection: domain::model::Ejection,
    limits: domain::model::Limits,
}

impl Upstream {
    /// Takes an upstream into service, going on with its rotation in the route's previous content,
    /// where `before` has it and its targets' places.
    pub(super) fn new(
        upstream: &CompiledUpstream,
        before: Option<(&Self, &CompiledUpstream)>,
        around: &Surroundings,
    ) -> Result<Self, String> {
        let settings = &upstream.settings;
        let weights: Vec<_> = upstream
            .targets
            .iter()
            .map(|target| weight(target, &around.region))
            .collect();
        let was = |place: usize| before?.1.position(&upstream.targets[place].id);
        let rotation = Rotation::new(
            &weights,
            before.map(|(upstream, _)| &upstream.rotation),
            was,
        );
        let target = |target: &TargetContent| {
            let identity = Target::identity(&upstream.id, target);
            let health = around.health.target(&identity);
            let tls = settings.tls.as_ref();
            let tls = tls.map(|tls| around.trust.target(tls, settings.protocol, &target.address));
            Ok(Arc::new(Target::new(
                health,
                around.names.of(&identity.authority),
                settings.protocol,
                tls.transpose()?,
            )))
        };
        let targets: Vec<_> = upstream
            .targets
            .iter()
            .map(target)
            .collect::<Result<_, String>>()?;
        Ok(Self {
            choosing: Choosing::new(upstream),
            group: around.health.group(&upstream.id),
            targets,
            weights,
            rotation,
            watched: Watching {
                check: settings.health_check.clone(),
                ejection: settings.ejection,
                limits: settings.limits,
            },
        })
    }

    /// Whether that is spoken to its targets.
    pub(super) fn speaks_http1(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.all(|target| target.protocol == Protocol::Http1)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.rotation.is_usable()
    }

    /// What of a request the choice follows from, where it follows from any.
    pub(super) fn hash_key(&self) -> Option<&HashKey> {
        match &self.choosing {
            Choosing::Hash(key, _) => Some(key),
            Choosing::Rotation | Choosing::UnderWay => None,
        }
    }

    /// The next target, while all have their whole share.
    pub(super) fn next(&self, key: u64) -> Option<&Arc<Target>> {
        let place = match &self.choosing {
            Choosing::Rotation => self.rotation.next(),
            _ => self.place_by(key, &|_| SHARE_WHOLE),
        };
        place.map(|place| &self.targets[place])
    }

    /// The next target, where targets have only a share of their weight for now, or none.
    pub(super) fn next_by(&self, key: u64, share: &dyn Fn(&Target) -> u32) -> Option<&Arc<Target>> {
        let place = self.place_by(key, &|place| share(&self.targets[place]))?;
        Some(&self.targets[place])
    }

    /// Whether any target that takes requests has a share.
    pub(super) fn has_any(&self, share: &dyn Fn(&Target) -> u32) -> bool {
        let mut usable = self.usable();
        usable.any(|target| share(target) > 0)
    }

    /// Requests under way to all of its targets.
    pub(super) fn under_way(&self) -> u32 {
        self.targets
            .iter()
            .map(|target| target.health.under_way())
            .sum()
    }

    /// Tells its targets by what they are limited and judged, in the configuration of this number.
    pub(super) fn configure(&self, number: u64) {
        let Watching {
            ejection, limits, ..
        } = &self.watched;
        for target in &self.targets {
            target.health.configure(number, ejection, limits);
        }
    }

    /// Adds what is to be watched of it. A route's own check is for upstreams that have none.
    pub(super) fn watch(&self, plan: &mut Plan, check: Option<&Check>, host: Option<&str>) {
        let check = self.watched.check.as_ref().or(check);
        for target in self.usable() {
            let host = host.unwrap_or(&target.authority);
            let probe = check.map(|check| {
                Arc::new(Probe {
                    target: Arc::clone(target),
                    check: check.clone(),
                    host: host.to_owned(),
                })
            });
            let watched = Watched {
                health: Arc::clone(&target.health),
                probe,
                ejection: self.watched.ejection,
            };
            // Where several routes use it, the first that checks it says how.
            let known = plan
                .entry(target.health.identity.clone())
                .or_insert_with(|| watched.clone());
            if known.probe.is_none() {
                *known = watched;
            }
        }
    }

    fn usable(&self) -> impl Iterator<Item = &Arc<Target>> {
        let targets = self.targets.iter().zip(&self.weights);
        targets
            .filter(|(_, weight)| **weight > 0)
            .map(|(target, _)| target)
    }

    fn place_by(&self, key: u64, share: &dyn Fn(usize) -> u32) -> Option<usize> {
        match &self.choosing {
            Choosing::Rotation => self.rotation.next_by(share),
            Choosing::UnderWay => self.least(share),
            Choosing::Hash(_, seeds) => {
                let weight =
                    |place: usize| u64::from(self.weights[place]) * u64::from(share(place));
                let entries = seeds.iter().enumerate();
                rendezvous::choose(key, entries.map(|(place, seed)| (*seed, weight(place))))
            }
        }
    }

    /// The target with the fewest requests under way for its weight; the rotation chooses among
    /// several, as nginx has it, so that ratios hold while there is little to do.
    fn least(&self, share: &dyn Fn(usize) -> u32) -> Option<usize> {
        let load = |place: usize| u64::from(self.targets[place].health.under_way());
        let weight = |place: usize| u64::from(self.weights[place]) * u64::from(share(place));
        let mut best: Option<(usize, u64, u64)> = None;
        for place in (0..self.targets.len()).filter(|place| weight(*place) > 0) {
            let (load, weight) = (load(place), weight(place));
            if best.is_none_or(|(_, least, of)| load * of < least * weight) {
                best = Some((place, load, weight));
            }
        }
        let (best, least, of) = best?;
        let is_alike = |place: usize| load(place) * of <= least * weight(place);
        let among = |place| if is_alike(place) { share(place) } else { 0 };
        // Where loads have changed meanwhile, none may be alike.
        self.rotation.next_by(among).or(Some(best))
    }
}

impl Choosing {
    fn new(upstream: &CompiledUpstream) -> Self {
        match upstream.algorithm {
            Algorithm::WeightedRoundRobin => Self::Rotation,
            Algorithm::LeastConn => Self::UnderWay,
            Algorithm::Hash => {
                let targets = upstream.targets.iter();
                let seeds = targets.map(|target| rendezvous::hash(target.id.as_str().as_bytes()));
                Self::Hash(upstream.settings.hash_key.clone(), seeds.collect())
            }
        }
    }
}

/// A target that drains or is for other regions counts as one of weight 0.
fn weight(target: &TargetContent, region: &str) -> u32 {
    let is_here = target.regions.is_empty() || target.regions.iter().any(|known| known == region);
    if target.drain || !is_here {
        0
    } else {
        target.weight
    }
}
