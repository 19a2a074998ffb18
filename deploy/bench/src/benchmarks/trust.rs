//! `trust`: what it costs to find out who asks, to keep secrets, and to have what is said be believed. It measures
//! functions of the node and of the protocol, in this process, one call at a time.
//!
//! | figures | of |
//! |---|---|
//! | API key | form and checksum, the keyed hash, and the look-up of key, environment and workspace among so many keys; a node that saw the key lately leaves the look-up out |
//! | secrets | sealing and opening a private key, and sealing it under another key |
//! | signatures | signing a manifest, once for each publish and node, and verifying it, once for each edge |
//! | TLS | a handshake of two of our own certificates, and 16 KiB through the connection |
//!
//! Mutual TLS cannot be switched off, nor can signatures: so a cluster with them is not measured against one
//! without, but what a publish pays for a signature stands beside what a connection pays for TLS.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use domain::id::{ApiKeyId, CertificateId, ClusterId, EnvironmentId, OrgId, Seed, WorkspaceId};
use domain::model::{
    ApiKey, ApiVersion, Certificate, CertificateMaterial, Environment, EnvironmentKind, KeyKind,
    Plan, Scopes, SealedKey, Workspace,
};
use domain::query;
use domain::rows::MemoryRows;
use domain::schema::{API_KEY_HASHES, API_KEYS, ENVIRONMENTS, WORKSPACES};
use domain::time::{Revision, Timestamp};
use edge_protocol::signing::{KeyPair, SignedManifest, Trust, TrustSet, TrustedKey};
use hdrhistogram::Histogram;
use node::keys::{KeyRing, PresentedKey};
use node::sealing::{Belongs, KekRing};
use platform::authority::{Authority, NewKey, Subject, Validity};
use platform::tls::{Identity, NODE_SERVER_NAME};
use platform::{Clock as _, SystemClock, SystemEntropy};
use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};
use serde::Serialize;
use xtask::report;

use super::signatures::manifest;
use crate::figures::{self, Table, number};
use crate::stage::House;

/// What an API key's check may take at the 99th percentile, in microseconds.
const KEY_CHECK_GOAL_US: f64 = 100.0;

/// What is carried through a connection at once: one record of TLS.
const RECORD_BYTES: usize = 16 * 1024;

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How often each is done
    #[arg(long, default_value_t = 20_000)]
    pub count: u64,
    /// How many API keys there are
    #[arg(long, default_value_t = 10_000)]
    pub keys: u64,
}

/// The figures, in microseconds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
}

/// Measures and reports.
///
/// # Errors
/// When something does not open, is not believed, or the figures cannot be written.
pub fn run(house: &House, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&house.folder)
        .with_context(|| format!("{} cannot be made", house.folder.display()))?;
    report::step("trust");
    let mut rows = key_checks(options)?;
    let goal_met = rows.iter().all(|row| row.p99_us <= KEY_CHECK_GOAL_US);
    rows.extend(secrets(options)?);
    rows.extend(signatures(options)?);
    rows.extend(tls(options)?);
    let mut table = Table::new(["", "p50 µs", "p99 µs"]);
    for row in &rows {
        table.row([row.what.to_owned(), number(row.p50_us), number(row.p99_us)]);
    }
    print!("\n{}", table.render());
    let verdict = if goal_met { "within" } else { "beyond" };
    println!("an API key's check is {verdict} {KEY_CHECK_GOAL_US} µs at the 99th percentile");
    figures::write(&house.figures("trust"), "trust", options, &rows)
}

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

fn key_checks(options: &Options) -> Result<Vec<Row>> {
    let ring = KeyRing::new(&[7; 32])?;
    let mut rows = MemoryRows::default();
    let (workspace_id, environment_id) = (WorkspaceId::new(seed(1)), EnvironmentId::new(seed(1)));
    WORKSPACES.put(&mut rows, (&workspace_id,), &workspace(&workspace_id));
    let environment = Environment {
        id: environment_id.clone(),
        workspace_id: workspace_id.clone(),
        name: "production".to_owned(),
        kind: EnvironmentKind::Live,
        created_at: Timestamp(1),
    };
    ENVIRONMENTS.put(&mut rows, (&environment_id,), &environment);
    let mut texts = Vec::new();
    for number in 0..options.keys.max(1) {
        let (secret, hash) = ring.mint(KeyKind::Live, &SystemEntropy);
        let key = ApiKey {
            id: ApiKeyId::new(seed(number)),
            workspace_id: workspace_id.clone(),
            environment_id: environment_id.clone(),
            kind: KeyKind::Live,
            name: "bench".to_owned(),
            hash,
            created_at: Timestamp(1),
            revoked_at: None,
            scopes: Scopes::default(),
            ip_allowlist: BTreeSet::new(),
            expires_at: None,
            created_by: None,
            updated_at: None,
            salt: None,
            previous: None,
            last_used_at: None,
        };
        API_KEYS.put(&mut rows, (&key.id,), &key);
        API_KEY_HASHES.put(&mut rows, (&hash,), &key.id);
        texts.push(secret);
    }
    let text = |number: u64| {
        let index = usize::try_from(number).unwrap_or_default() % texts.len();
        texts[index].reveal()
    };
    let hash = |number| PresentedKey::parse(text(number)).map(|key| ring.hash(key));
    let found = |number| {
        let key = query::api_key_by_hash(&rows, &hash(number)?)?;
        let environment = query::environment(&rows, &key.environment_id)?;
        let workspace = query::workspace(&rows, &key.workspace_id)?;
        Some((key, environment, workspace))
    };
    ensure!(found(0).is_some(), "a key is not found");
    Ok(vec![
        row("API key, seen lately", options.count, |number| {
            black_box(hash(number));
        })?,
        row("API key, looked up", options.count, |number| {
            black_box(found(number));
        })?,
    ])
}

fn workspace(id: &WorkspaceId) -> Workspace {
    Workspace {
        id: id.clone(),
        org_id: OrgId::new(seed(1)),
        name: "Default".to_owned(),
        plan: Plan::Enterprise,
        api_version: ApiVersion("2026-01-14".to_owned()),
        created_at: Timestamp(1),
        updated_at: None,
    }
}

fn secrets(options: &Options) -> Result<Vec<Row>> {
    let keks = format!("{}\n{}", "01".repeat(32), "02".repeat(32));
    let keys = KeyRing::new(&[7; 32])?.with_keks(KekRing::parse(&keks)?);
    let under = keys.keks().wanted();
    let key = NewKey::draw(&SystemEntropy)?.pem;
    let belongs = |certificate: &Certificate, under| {
        let belongs = Belongs {
            workspace: &certificate.workspace_id,
            environment: &certificate.environment_id,
            certificate: &certificate.id,
            fingerprint: &certificate.material.fingerprint,
        };
        keys.seal(under, belongs, &key, &SystemEntropy)
    };
    let mut sealed = [certificate(), certificate()];
    for (certificate, under) in sealed.iter_mut().zip([None, under]) {
        certificate.material.key = belongs(certificate, under)?;
        ensure!(*keys.open(certificate)? == *key, "another key was opened");
    }
    let [pepper, kek] = sealed;
    Ok(vec![
        row("seal a private key under the pepper", options.count, |_| {
            black_box(belongs(&pepper, None).is_ok());
        })?,
        row("open it", options.count, |_| {
            black_box(keys.open(&pepper).is_ok());
        })?,
        row("seal a private key in an envelope", options.count, |_| {
            black_box(belongs(&kek, under).is_ok());
        })?,
        row("open it", options.count, |_| {
            black_box(keys.open(&kek).is_ok());
        })?,
    ])
}

fn signatures(options: &Options) -> Result<Vec<Row>> {
    let (cluster_id, environment) = (ClusterId::new(seed(1)), EnvironmentId::new(seed(1)));
    let key = KeyPair::new(&[1; 32])?;
    let trust = Trust::kept(TrustSet {
        cluster_id: cluster_id.clone(),
        epoch: domain::model::Epoch(1),
        serial: 1,
        keys: vec![TrustedKey {
            public: key.public(),
            voucher: None,
            retired: false,
        }],
    });
    let sign = |version| SignedManifest::sign(&cluster_id, &manifest(&environment, version), &key);
    let signed = sign(1);
    let verified = trust.verify(&environment, None, &signed);
    verified.context("the signature is not believed")?;
    Ok(vec![
        row("sign a manifest", options.count, |version| {
            black_box(sign(version));
        })?,
        row("verify a manifest", options.count, |_| {
            black_box(trust.verify(&environment, None, black_box(&signed)).is_ok());
        })?,
    ])
}

fn tls(options: &Options) -> Result<Vec<Row>> {
    let identity = identity()?;
    let server = Arc::new(identity.server(b"bench")?);
    let client = Arc::new(identity.client(b"bench")?);
    let name = rustls::pki_types::ServerName::try_from(NODE_SERVER_NAME)?;
    let connect = || -> Result<(ClientConnection, ServerConnection)> {
        let mut asks = ClientConnection::new(Arc::clone(&client), name.clone())?;
        let mut answers = ServerConnection::new(Arc::clone(&server))?;
        while asks.is_handshaking() || answers.is_handshaking() {
            carry(&mut asks, &mut answers)?;
            carry(&mut answers, &mut asks)?;
        }
        Ok((asks, answers))
    };
    let (mut asks, mut answers) = connect()?;
    let (sent, mut arrived) = (vec![7; RECORD_BYTES], vec![0; RECORD_BYTES]);
    let mut send = || -> Result<()> {
        asks.writer().write_all(&sent)?;
        carry(&mut asks, &mut answers)?;
        answers.reader().read_exact(&mut arrived)?;
        Ok(())
    };
    send()?;
    Ok(vec![
        row("TLS: a handshake, both sides", options.count / 20, |_| {
            black_box(connect().is_ok());
        })?,
        row("TLS: 16 KiB, both sides", options.count, |_| {
            black_box(send().is_ok());
        })?,
    ])
}

/// Brings what one side has written to the other.
fn carry<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<()> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire)?;
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire)?;
        to.process_new_packets()?;
    }
    Ok(())
}

/// A node's certificate by an authority of its own.
fn identity() -> Result<Identity> {
    let validity = Validity {
        now: SystemClock.now(),
        lasts: Duration::from_secs(3600),
    };
    let made = Authority::create("bench", validity, &SystemEntropy)?;
    let authority = Authority::read(&made.cert, &made.key)?;
    let key = NewKey::draw(&SystemEntropy)?;
    let subject = Subject::Node {
        id: 1,
        names: Vec::new(),
    };
    let cert = authority.issue(&subject, &key.public, validity, &SystemEntropy)?;
    Ok(Identity::from_pem(
        made.cert.as_bytes(),
        cert.as_bytes(),
        key.pem.as_bytes(),
    )?)
}

fn certificate() -> Certificate {
    Certificate {
        id: CertificateId::new(seed(1)),
        workspace_id: WorkspaceId::new(seed(1)),
        environment_id: EnvironmentId::new(seed(1)),
        name: String::new(),
        material: CertificateMaterial {
            chain: String::new(),
            names: Vec::new(),
            not_before: Timestamp(0),
            not_after: Timestamp(0),
            fingerprint: "ab".repeat(32),
            key: SealedKey {
                nonce: [0; 12],
                sealed: Vec::new(),
            },
        },
        version: 1,
        created_by: ApiKeyId::new(seed(1)),
        created_at: Timestamp(0),
        updated_at: None,
        revision: Revision(0),
    }
}

/// How long each of so many took.
fn row(what: &'static str, count: u64, mut work: impl FnMut(u64)) -> Result<Row> {
    // It grows with what is recorded, and keeps three digits.
    let mut took = Histogram::<u64>::new(3)?;
    for number in 0..count.max(1) {
        let began = Instant::now();
        work(number);
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        took.record(nanoseconds)?;
    }
    let us = |quantile| took.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Row {
        what,
        p50_us: us(0.5),
        p99_us: us(0.99),
    })
}
