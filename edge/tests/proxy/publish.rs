//! Configurations, cut into chunks and taken into use as an edge gets them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use domain::content::{
    Action, Criteria, RouteContent, RouteEntry, RuleContent, TargetContent, UpstreamContent,
    WeightedUpstream, route_key, rule_key, upstream_key,
};
use domain::id::{RouteId, RuleId, SnapshotId, TargetId, UpstreamId};
use domain::model::{
    Algorithm, Epoch, ManifestVersion, Mode, Priority, Purges, SnapshotVersion, UpstreamSettings,
};
use domain::tree::{self, Edits, Hash, TreeKind};
use edge::configuration::{Apply, ApplyReport};
use edge_protocol::ManifestRef;

/// A route to publish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) hostname: String,
    pub(crate) rules: Vec<(Criteria, Action)>,
    pub(crate) upstreams: Vec<(&'static str, Vec<(SocketAddr, u32)>)>,
    pub(crate) defaults: Vec<(&'static str, u32)>,
    /// Of all upstreams.
    pub(crate) settings: UpstreamSettings,
    /// Of all upstreams.
    pub(crate) algorithm: Option<Algorithm>,
    /// The host name of all targets; their address where none is given.
    pub(crate) host: Option<&'static str>,
    /// The route's `config`, as far as the edge reads it; `{}` where empty.
    pub(crate) config: String,
    /// Another mode than `balanced`.
    pub(crate) mode: Option<Mode>,
    pub(crate) purges: Purges,
}

pub(crate) const HOST: &str = "api.example.net";

impl Draft {
    /// A route for [`HOST`] that sends everything to one origin.
    pub(crate) fn to(origin: SocketAddr) -> Self {
        Self {
            hostname: HOST.to_owned(),
            rules: Vec::new(),
            upstreams: vec![("main", vec![(origin, 1)])],
            defaults: vec![("main", 1)],
            ..Self::default()
        }
    }

    /// A route for [`HOST`] with these rules and no upstreams.
    pub(crate) fn of(rules: Vec<(Criteria, Action)>) -> Self {
        Self {
            hostname: HOST.to_owned(),
            rules,
            ..Self::default()
        }
    }
}

pub(crate) fn upstream_id(name: &str) -> UpstreamId {
    UpstreamId::parse(&format!("up_{name:0>8}")).unwrap()
}

pub(crate) fn forward(shares: &[(&str, u32)]) -> Action {
    Action::Forward {
        upstreams: weighted(shares),
    }
}

fn weighted(shares: &[(&str, u32)]) -> Vec<WeightedUpstream> {
    let share = |(name, weight): &(&str, u32)| WeightedUpstream {
        upstream_id: upstream_id(name),
        weight: *weight,
    };
    let mut shares: Vec<_> = shares.iter().map(share).collect();
    shares.sort();
    shares
}

/// What was published so far.
#[derive(Default)]
pub(crate) struct Publisher {
    chunks: BTreeMap<Hash, Vec<u8>>,
    version: u64,
}

impl Publisher {
    /// Publishes these routes, and no others, and has them taken into use.
    pub(crate) fn publish(&mut self, applier: &dyn Apply, drafts: &[Draft]) -> ApplyReport {
        self.version += 1;
        let mut entries = Vec::new();
        for (number, draft) in drafts.iter().enumerate() {
            let entry = self.route(number, draft);
            entries.push((route_key(&entry.route_id), entry.encode()));
        }
        let manifest = ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(self.version),
            root: self.tree(TreeKind::Routes, entries),
        };
        applier.apply(manifest, &self.chunks).unwrap()
    }

    fn tree(&mut self, kind: TreeKind, items: Vec<(Vec<u8>, Vec<u8>)>) -> Hash {
        let edits: Edits = items
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        let edited = tree::edit(&self.chunks, kind, Hash::EMPTY_TREE, &edits).unwrap();
        self.chunks.extend(edited.chunks);
        edited.root
    }

    fn route(&mut self, number: usize, draft: &Draft) -> RouteEntry {
        let mut rules = Vec::new();
        for (place, (criteria, action)) in draft.rules.iter().enumerate() {
            let rule = RuleContent {
                id: RuleId::parse(&format!("rule_{number:04}{place:04}")).unwrap(),
                priority: Priority(u32::try_from(place).unwrap()),
                name: "rule".to_owned(),
                criteria: criteria.clone(),
                action: action.clone(),
                metadata: BTreeMap::new(),
            };
            rules.push((rule_key(rule.priority, &rule.id), rule.encode()));
        }
        let upstreams = draft.upstreams.iter().map(|(name, targets)| {
            let mut upstream = UpstreamContent {
                settings: draft.settings.clone(),
                algorithm: draft.algorithm.unwrap_or(Algorithm::WeightedRoundRobin),
                ..upstream(name, targets)
            };
            if let Some(host) = draft.host {
                for target in &mut upstream.targets {
                    target.address = host.to_owned();
                }
            }
            (upstream_key(&upstream.id), upstream.encode())
        });
        let content = RouteContent {
            route_id: RouteId::parse(&format!("rt_{number:08}")).unwrap(),
            name: "route".to_owned(),
            hostname: draft.hostname.clone(),
            mode: draft.mode.unwrap_or(Mode::Balanced),
            enabled: true,
            default_upstreams: weighted(&draft.defaults),
            config: if draft.config.is_empty() {
                "{}".to_owned()
            } else {
                draft.config.clone()
            },
            upstreams: self.tree(TreeKind::Upstreams, upstreams.collect()),
            rule_count: rules.len() as u64,
            rules: self.tree(TreeKind::Rules, rules),
        };
        let head = content.encode();
        let entry = RouteEntry {
            route_id: content.route_id,
            hostname: draft.hostname.clone(),
            enabled: true,
            snapshot_id: SnapshotId::parse(&format!("snap_{number:08}")).unwrap(),
            version: SnapshotVersion(self.version),
            head: Hash::of(&head),
            purges: draft.purges.clone(),
        };
        self.chunks.insert(entry.head, head);
        entry
    }
}

fn upstream(name: &str, targets: &[(SocketAddr, u32)]) -> UpstreamContent {
    let target = |(place, (address, weight)): (usize, &(SocketAddr, u32))| TargetContent {
        id: TargetId::parse(&format!("tgt_{name:0>7}{place}")).unwrap(),
        address: address.ip().to_string(),
        port: address.port(),
        weight: *weight,
        regions: Vec::new(),
        drain: false,
    };
    UpstreamContent {
        id: upstream_id(name),
        name: name.to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: targets.iter().enumerate().map(target).collect(),
        settings: UpstreamSettings::default(),
    }
}
