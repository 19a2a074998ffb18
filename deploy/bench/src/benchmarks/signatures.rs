//! `signatures`: what it costs a node to sign a manifest, and an edge to verify it, by itself and with the trust set
//! that goes before it after a number of rotations. It measures functions of the protocol, in this process.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use domain::id::{ClusterId, EnvironmentId, Seed};
use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;
use edge_protocol::signing::{KeyPair, SignedManifest, SignedTrust, Trust, TrustSet, TrustedKey};
use serde::Serialize;
use xtask::report;

use crate::figures::{self, Table, median, number};
use crate::stage::House;

const ROUNDS: usize = 5;

/// How much is done.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How often each is done in a round
    #[arg(long, default_value_t = 2_000)]
    pub count: u64,
    /// After how many rotations an edge is told whom to trust
    #[arg(long, default_value_t = 10)]
    pub rotations: u8,
}

/// The figures, in microseconds.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: &'static str,
    us: f64,
}

/// Measures and reports.
///
/// # Errors
/// When something is not believed that was signed, or the figures cannot be written.
pub fn run(house: &House, options: &Options) -> Result<()> {
    std::fs::create_dir_all(&house.folder)
        .with_context(|| format!("{} cannot be made", house.folder.display()))?;
    report::step("signatures");
    let rows = measure(options)?;
    let mut table = Table::new(["", "µs"]);
    for row in &rows {
        table.row([row.what.to_owned(), number(row.us)]);
    }
    print!("\n{}", table.render());
    figures::write(&house.figures("signatures"), "signatures", options, &rows)
}

fn measure(options: &Options) -> Result<Vec<Row>> {
    let seed = Seed {
        unix_ms: 1,
        random: 1,
    };
    let (cluster_id, environment) = (ClusterId::new(seed), EnvironmentId::new(seed));
    let keys = keys(options.rotations)?;
    let set = TrustSet {
        cluster_id: cluster_id.clone(),
        epoch: Epoch(1),
        serial: keys.len() as u64,
        keys: chain(&cluster_id, &keys),
    };
    let (first, last) = (
        keys.first().context("no key")?,
        keys.last().context("no key")?,
    );
    let before = TrustSet {
        serial: 1,
        keys: chain(&cluster_id, std::slice::from_ref(first)),
        ..set.clone()
    };
    let told = SignedTrust::sign(set.clone(), last);
    let trust = Trust::kept(set);
    let sign = |version| SignedManifest::sign(&cluster_id, &manifest(&environment, version), last);
    let signed = sign(1);
    let verified = trust.verify(&environment, None, &signed);
    verified.context("the signature is not believed")?;
    let mut follows = Trust::kept(before.clone());
    follows
        .follow(&told)
        .context("the trust set is not believed")?;
    Ok(vec![
        row("sign a manifest", options.count, |version| {
            black_box(sign(version));
        }),
        row("verify a manifest", options.count, |_| {
            black_box(trust.verify(&environment, None, black_box(&signed)).is_ok());
        }),
        row("follow the rotations", options.count / 10, |_| {
            let mut trust = Trust::kept(before.clone());
            black_box(trust.follow(black_box(&told)).is_ok());
        }),
    ])
}

fn keys(rotations: u8) -> Result<Vec<KeyPair>> {
    let keys = (0..=rotations).map(|number| KeyPair::new(&[number; 32]));
    keys.collect::<Result<_, _>>().context("no key")
}

/// Each is vouched for by the one before.
fn chain(cluster_id: &ClusterId, keys: &[KeyPair]) -> Vec<TrustedKey> {
    let befores = std::iter::once(None).chain(keys.iter().map(Some));
    let keys = keys.iter().zip(befores);
    keys.map(|(key, before)| TrustedKey {
        public: key.public(),
        voucher: before.map(|before| before.vouch(cluster_id, &key.public())),
        retired: false,
    })
    .collect()
}

pub(super) fn manifest(environment: &EnvironmentId, version: u64) -> Manifest {
    Manifest {
        environment_id: environment.clone(),
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root: Hash([0xab; 32]),
        updated_at: Timestamp(version),
        revision: Revision(version),
        previous: Hash([0xcd; 32]),
    }
}

/// The median of the rounds.
fn row(what: &'static str, count: u64, mut work: impl FnMut(u64)) -> Row {
    let count = count.max(1);
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        (0..count).for_each(&mut work);
        let took: Duration = began.elapsed();
        took.as_secs_f64() * 1e6 / count as f64
    });
    Row {
        what,
        us: median(rounds.collect()),
    }
}
