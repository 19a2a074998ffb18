//! The replicated state of a test: one in memory, as each node sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::command::{
    Actor, Bootstrap, ChangeCluster, Command, CreateCertificate, CreateEdgeToken, CreateRoute,
    CreateRule, CreateUpstream, NewEnvironment, Publish, RevokeEdge, Stamped, UpdateCertificate,
    UpdateRoute,
};
use domain::id::{
    ApiKeyId, CertificateId, EdgeTokenId, EnvironmentId, OrgId, RequestId, RouteId, RuleId, Seed,
    SnapshotId, TargetId, UpstreamId, WorkspaceId,
};
use domain::machine;
use domain::model::{
    Algorithm, ApiVersion, CertificateMaterial, ClusterChange, EdgeBinding, EdgeRecord, Epoch,
    KeyHash, KeySalt, Mode, Plan, Priority, Signing, SigningKeyId, Target,
};
use domain::outcome::{Applied, Outcome};
use domain::query;
use domain::rows::{MemoryRows, Row, View};
use domain::time::{Revision, Timestamp};
use edge_protocol::ManifestRef;
use edge_protocol::signing::TrustSet;
use node::control_plane::{
    BoxFuture, Consistency, ControlPlane, Member, MemberId, ProposeError, ReadError, Readiness,
    ViewVisitor,
};
use node::sealing::Belongs;
use parking_lot::Mutex;
use platform::SystemEntropy;
use platform::testing::Pems;
use tokio::sync::watch;

fn seed(random: u64) -> Seed {
    Seed {
        unix_ms: 1_700_000_000_000,
        random,
    }
}

pub(crate) fn production() -> EnvironmentId {
    EnvironmentId::new(seed(1))
}

fn actor() -> Actor {
    Actor {
        workspace_id: WorkspaceId::new(seed(0)),
        environment_id: production(),
        api_key_id: ApiKeyId::new(seed(1)),
    }
}

pub(crate) fn route_id(number: u64) -> RouteId {
    RouteId::new(seed(number))
}

pub(crate) fn certificate_id(number: u64) -> CertificateId {
    CertificateId::new(seed(number))
}

/// A certificate as a node's API hands it in.
fn material(number: u64, pems: &Pems) -> CertificateMaterial {
    let fingerprint = "ab".repeat(32);
    let (environment, id) = (production(), certificate_id(number));
    let workspace = actor().workspace_id;
    let belongs = Belongs {
        workspace: &workspace,
        environment: &environment,
        certificate: &id,
        fingerprint: &fingerprint,
    };
    let key = crate::world::keys()
        .seal(None, belongs, &pems.key, &SystemEntropy)
        .unwrap();
    CertificateMaterial {
        chain: pems.cert.clone(),
        names: vec!["api.example.net".to_owned()],
        not_before: Timestamp(0),
        not_after: Timestamp(u64::MAX),
        fingerprint,
        key,
    }
}

/// The state that all nodes of a test have applied.
pub(crate) struct State {
    rows: Mutex<MemoryRows>,
    revision: watch::Sender<Revision>,
    members: Mutex<Vec<Member>>,
    /// Identifiers drawn so far.
    drawn: AtomicUsize,
}

impl State {
    /// Nothing at all.
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            revision: watch::Sender::new(Revision(0)),
            members: Mutex::default(),
            drawn: AtomicUsize::new(1000),
        })
    }

    /// A workspace with an upstream and one published route of that many rules.
    pub(crate) fn with_rules(rules: u32) -> Arc<Self> {
        let state = Self::empty();
        state.bootstrap();
        state.route(1, "api.example.net");
        for priority in 1..=rules {
            state.rule(1, priority);
        }
        state.publish(1);
        state
    }

    pub(crate) fn bootstrap(&self) {
        let environment = |number: u64| NewEnvironment {
            id: EnvironmentId::new(seed(number)),
            key_id: ApiKeyId::new(seed(number)),
            key_hash: KeyHash([u8::try_from(number).unwrap(); 32]),
        };
        let founding =
            node::signing::founding((&crate::world::keys(), None), Timestamp(1), &SystemEntropy)
                .unwrap();
        self.apply(founding);
        self.apply(Command::Bootstrap(Box::new(Bootstrap {
            org_id: OrgId::new(seed(0)),
            workspace_id: WorkspaceId::new(seed(0)),
            workspace_name: "Test".to_owned(),
            plan: Plan::Enterprise,
            api_version: ApiVersion("2026-01-14".to_owned()),
            production: environment(1),
            sandbox: environment(2),
            pepper_check: KeyHash([0; 32]),
        })));
        let target = Target {
            id: TargetId::new(seed(1)),
            address: "192.0.2.1".to_owned(),
            port: 80,
            weight: 1,
            regions: Vec::new(),
            drain: false,
        };
        self.apply(Command::CreateUpstream(
            actor(),
            CreateUpstream {
                id: UpstreamId::new(seed(1)),
                name: "origin".to_owned(),
                algorithm: Algorithm::WeightedRoundRobin,
                targets: vec![target],
                settings: None,
            },
        ));
    }

    pub(crate) fn route(&self, number: u64, hostname: &str) {
        let upstream = UpstreamId::new(seed(1));
        self.apply(Command::CreateRoute(
            actor(),
            CreateRoute {
                id: route_id(number),
                draft_id: self.draft(),
                name: format!("route {number}"),
                hostname: hostname.to_owned(),
                mode: Mode::Balanced,
                enabled: true,
                config: format!(r#"{{"upstreams":[{{"upstream_id":"{upstream}","weight":100}}]}}"#),
            },
        ));
    }

    pub(crate) fn rule(&self, route: u64, priority: u32) {
        self.apply(Command::CreateRule(
            actor(),
            CreateRule {
                id: RuleId::new(seed(route * 1_000_000 + u64::from(priority))),
                draft_id: self.draft(),
                route_id: route_id(route),
                name: format!("rule {priority}"),
                priority: Priority(priority),
                criteria: format!(r#"{{"path":"/{priority}"}}"#),
                action: r#"{"type":"fixed_response","status":204}"#.to_owned(),
                metadata: Default::default(),
            },
        ));
    }

    /// Has a certificate that is for `api.example.net`.
    pub(crate) fn certificate(&self, number: u64, pems: &Pems) {
        let command = CreateCertificate {
            id: certificate_id(number),
            name: "some".to_owned(),
            material: material(number, pems),
        };
        self.apply(Command::CreateCertificate(actor(), command));
    }

    /// Has another certificate under the identifier.
    pub(crate) fn renew(&self, number: u64, pems: &Pems) {
        let command = UpdateCertificate {
            id: certificate_id(number),
            name: None,
            material: Some(material(number, pems)),
        };
        self.apply(Command::UpdateCertificate(actor(), command));
    }

    /// Has a route show a certificate, or none, and publishes it.
    pub(crate) fn show(&self, route: u64, certificate: Option<u64>) -> ManifestRef {
        let patch = match certificate {
            Some(number) => format!(
                r#"{{"tls":{{"policy":"strict","certificate_id":"{}"}}}}"#,
                certificate_id(number)
            ),
            None => r#"{"tls":null}"#.to_owned(),
        };
        let command = UpdateRoute {
            id: route_id(route),
            draft_id: self.draft(),
            name: None,
            hostname: None,
            mode: None,
            enabled: None,
            config_patch: Some(patch),
        };
        self.apply(Command::UpdateRoute(actor(), command));
        self.publish(route)
    }

    /// Publishes a route; the manifest that carries it.
    pub(crate) fn publish(&self, route: u64) -> ManifestRef {
        let publish = Publish {
            route_id: route_id(route),
            next_draft_id: self.draft(),
            draft_id: None,
            expected_active: None,
            comment: None,
        };
        let applied = self.apply(Command::Publish(actor(), publish));
        assert!(
            matches!(
                applied.reply,
                Ok(Outcome::Published {
                    unchanged: false,
                    ..
                })
            ),
            "{applied:?}"
        );
        self.manifest()
    }

    /// Adds a rule to a route and publishes it.
    pub(crate) fn change(&self, route: u64, priority: u32) -> ManifestRef {
        self.rule(route, priority);
        self.publish(route)
    }

    pub(crate) fn manifest(&self) -> ManifestRef {
        ManifestRef::from(&query::manifest(&*self.rows.lock(), &production()))
    }

    /// How the cluster signs.
    pub(crate) fn signing(&self) -> Signing {
        query::signing(&*self.rows.lock()).unwrap()
    }

    /// Whom its edges are to trust.
    pub(crate) fn trust(&self) -> TrustSet {
        let rows = &*self.rows.lock();
        TrustSet::of(&query::signing(rows).unwrap(), &query::signing_keys(rows))
    }

    /// Has another key sign; the one before.
    pub(crate) fn rotate(&self) -> SigningKeyId {
        let signing = self.signing();
        let drawn =
            node::signing::next_key((&crate::world::keys(), None), &signing, &SystemEntropy);
        self.apply(drawn.unwrap().1);
        signing.active
    }

    /// Has nobody believe any more what a key signed.
    pub(crate) fn retire(&self, key: SigningKeyId) {
        self.apply(node::signing::retirement(key));
    }

    /// A state that has the same rows and goes on by itself: a backup.
    pub(crate) fn copy(&self) -> Arc<Self> {
        let copy = Self::empty();
        *copy.rows.lock() = self.rows.lock().clone();
        copy.revision.send_replace(*self.revision.borrow());
        let drawn = self.drawn.load(Ordering::Relaxed);
        copy.drawn.store(drawn, Ordering::Relaxed);
        copy
    }

    /// Begins an epoch, as a restore does.
    pub(crate) fn restore(&self, epoch: u64) {
        let change = ClusterChange::Restored {
            epoch: Epoch(epoch),
            backup: "ab".to_owned(),
            revision: *self.revision.borrow(),
        };
        self.apply(Command::ChangeCluster(ChangeCluster { change }));
    }

    fn draft(&self) -> SnapshotId {
        SnapshotId::new(seed(self.drawn.fetch_add(1, Ordering::Relaxed) as u64))
    }

    /// Has a join token that was made then.
    pub(crate) fn token(&self, number: u64, edge_id: Option<&str>, at: Timestamp) -> [u8; 32] {
        let (id, salt) = (EdgeTokenId::new(seed(number)), KeySalt([1; 16]));
        let secret = *crate::world::keys().active().join_secret(&id, &salt);
        let command = CreateEdgeToken {
            hash: crate::world::keys().active().join_hash(&secret),
            id,
            salt,
            binding: EdgeBinding {
                edge_id: edge_id.map(str::to_owned),
                region: "eu-central-1".to_owned(),
                labels: [("rack".to_owned(), "7".to_owned())].into(),
            },
        };
        let applied = self.apply_at(at, Command::CreateEdgeToken(actor(), command));
        assert!(applied.reply.is_ok(), "{applied:?}");
        secret
    }

    /// What is decided of an edge.
    pub(crate) fn edge(&self, edge_id: &str) -> Option<EdgeRecord> {
        query::edge_record(&*self.rows.lock(), &production(), edge_id)
    }

    /// Turns an edge away.
    pub(crate) fn revoke(&self, edge_id: &str) {
        let command = RevokeEdge {
            edge_id: edge_id.to_owned(),
        };
        self.apply(Command::RevokeEdge(actor(), command));
    }

    fn apply(&self, command: Command) -> Applied {
        let at = Timestamp(1_700_000_000_000);
        let applied = self.apply_at(at, command);
        assert!(applied.reply.is_ok(), "{applied:?}");
        applied
    }

    fn apply_at(&self, at: Timestamp, command: Command) -> Applied {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed) as u64;
        self.step(&Stamped {
            at,
            request_id: RequestId::new(seed(number)),
            idempotency: None,
            command,
            origin: Default::default(),
            precondition: None,
        })
    }

    fn step(&self, stamped: &Stamped) -> Applied {
        let mut rows = self.rows.lock();
        let revision = Revision(self.revision.borrow().0 + 1);
        let applied = machine::step(&mut *rows, revision, stamped);
        drop(rows);
        self.revision.send_replace(revision);
        applied
    }
}

/// A node's view of the state.
pub(crate) struct Control {
    pub(crate) id: MemberId,
    pub(crate) state: Arc<State>,
    /// Whether this node's chunks are not what their hashes say.
    pub(crate) tampers: AtomicBool,
    /// How often the state was looked at.
    pub(crate) views: AtomicUsize,
}

impl Control {
    pub(crate) fn new(id: MemberId, state: Arc<State>) -> Arc<Self> {
        Arc::new(Self {
            id,
            state,
            tampers: AtomicBool::new(false),
            views: AtomicUsize::new(0),
        })
    }

    pub(crate) fn join(&self, publisher: SocketAddr) {
        let publisher = publisher.to_string();
        let member = Member {
            id: self.id,
            region: "eu".to_owned(),
            internal: String::new(),
            rest: String::new(),
            publisher,
        };
        self.state.members.lock().push(member);
    }
}

impl ControlPlane for Control {
    fn propose(&self, stamped: Stamped) -> BoxFuture<'_, Result<Applied, ProposeError>> {
        Box::pin(async move { Ok(self.state.step(&stamped)) })
    }

    fn barrier(&self, _: Consistency) -> BoxFuture<'_, Result<Revision, ReadError>> {
        Box::pin(async move { Ok(*self.state.revision.borrow()) })
    }

    fn with_view(&self, visit: ViewVisitor<'_>) -> Result<Revision, ReadError> {
        self.views.fetch_add(1, Ordering::Relaxed);
        let rows = self.state.rows.lock();
        if self.tampers.load(Ordering::Relaxed) {
            visit(&Tampered(&rows))
        } else {
            visit(&*rows)
        }
        Ok(*self.state.revision.borrow())
    }

    fn access_changed(&self) -> Revision {
        unreachable!("edges have no keys")
    }

    fn members(&self) -> Vec<Member> {
        self.state.members.lock().clone()
    }

    fn this(&self) -> Member {
        Member {
            id: self.id,
            region: "eu".to_owned(),
            internal: String::new(),
            rest: String::new(),
            publisher: String::new(),
        }
    }

    fn leader(&self) -> Option<MemberId> {
        Some(1)
    }

    fn changes(&self) -> watch::Receiver<Revision> {
        self.state.revision.subscribe()
    }

    fn readiness(&self) -> Readiness {
        unreachable!("publishing does not ask")
    }
}

/// Rows whose chunks are not what was stored.
struct Tampered<'a>(&'a MemoryRows);

/// Where keys of chunks begin.
const CHUNK_TABLE: u8 = 0x38;

impl View for Tampered<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = self.0.get(key)?;
        if key[0] == CHUNK_TABLE {
            let last = value.len() - 1;
            value[last] ^= 1;
        }
        Some(value)
    }

    fn scan(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.0.scan(from, until, limit)
    }

    fn scan_back(&self, from: &[u8], until: &[u8], limit: usize) -> Vec<Row> {
        self.0.scan_back(from, until, limit)
    }
}
