//! Files that are damaged while their node is down.
//!
//! The node is one that follows. It is cut off from the others first, so that it has synced all that it acknowledged, and stays
//! so for all trials: it can neither take part on a damaged disk nor get back from the others what it lost, and its disk can be
//! put back as it was after each trial. What it shows with nothing damaged is what it has to show, or refuse to show.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use xtask::local::{Kind, Name};

use super::{Stage, millis, rest, seconds};
use crate::blocking;
use crate::client::Call;
use crate::findings::Findings;
use crate::load::evidence::Held;
use crate::load::{Load, Options, shown_by};
use crate::machine::tools;
use crate::town::{POLL, Plan, READY_WITHIN, Town};

/// How long a node may take to start or to refuse.
const DECIDED_WITHIN: Duration = READY_WITHIN;

/// How long it may take until a node has a checkpoint.
const CHECKPOINT_WITHIN: Duration = READY_WITHIN;

/// P12: the log that RocksDB writes ahead of Raft's log, and the mark of what of it was synced. The state has no such log:
/// it is brought up to date from Raft's.
pub(super) async fn logs(stage: &Stage) -> Result<Findings> {
    let plan = Plan::nodes(stage.nodes());
    trials(stage, &plan, |data, stage| {
        let log = newest(&below(&data.join("log"), "log")).context("no log was written ahead")?;
        let mark = data.join("hwm");
        let mut trials = Vec::new();
        for position in spread(stage.choose(6, 100)) {
            trials.push(Trial::new(&log, Damage::Flip(position)));
        }
        trials.push(Trial::new(&log, Damage::Halve));
        trials.push(Trial::new(&log, Damage::Remove));
        trials.push(Trial::new(&mark, Damage::Flip(0.0)));
        trials.push(Trial::new(&mark, Damage::Halve));
        trials.push(Trial::new(&mark, Damage::Remove));
        Ok(trials)
    })
    .await
}

/// P13: table files of both databases, and checkpoints.
pub(super) async fn tables(stage: &Stage) -> Result<Findings> {
    let plan = Plan {
        checkpoints: Some((100, 5_000)),
        ..Plan::nodes(stage.nodes())
    };
    trials(stage, &plan, |data, stage| {
        let mut trials = Vec::new();
        for folder in ["state", "log", "checkpoints"] {
            let tables = below(&data.join(folder), "sst");
            let table = largest(&tables);
            let table = table.with_context(|| format!("no table was written in {folder}"))?;
            for position in spread(stage.choose(3, 34)) {
                trials.push(Trial::new(&table, Damage::Flip(position)));
            }
            trials.push(Trial::new(&table, Damage::Halve));
            trials.push(Trial::new(&table, Damage::Remove));
        }
        let manifest = below(&data.join("checkpoints"), "").into_iter().next();
        let manifest = manifest.context("no checkpoint has a manifest")?;
        trials.push(Trial::new(&manifest, Damage::Flip(0.5)));
        trials.push(Trial::new(&manifest, Damage::Remove));
        Ok(trials)
    })
    .await
}

/// What is done to which file.
#[derive(Clone, Debug)]
struct Trial {
    file: PathBuf,
    damage: Damage,
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A byte at this share of the file's length is turned into its complement.
    Flip(f64),
    /// The second half is cut off.
    Halve,
    /// The file is removed.
    Remove,
}

impl Trial {
    fn new(file: &Path, damage: Damage) -> Self {
        Self {
            file: file.to_owned(),
            damage,
        }
    }

    fn make(&self) -> Result<()> {
        let shown = self.file.display();
        let open = || {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true);
            options
                .open(&self.file)
                .with_context(|| format!("{shown} cannot be opened"))
        };
        match self.damage {
            Damage::Remove => {
                fs::remove_file(&self.file).with_context(|| format!("{shown} cannot be removed"))
            }
            Damage::Halve => {
                let file = open()?;
                let length = file.metadata().context("no length")?.len();
                file.set_len(length / 2).context("a file cannot be cut")
            }
            Damage::Flip(share) => {
                let file = open()?;
                let length = file.metadata().context("no length")?.len();
                let at = position(length, share);
                let mut byte = [0];
                file.read_exact_at(&mut byte, at)
                    .context("a byte cannot be read")?;
                file.write_all_at(&[!byte[0]], at)
                    .context("a byte cannot be written")
            }
        }
    }

    fn describe(&self, data: &Path) -> String {
        let file = self.file.strip_prefix(data).unwrap_or(&self.file);
        match self.damage {
            Damage::Flip(share) => {
                format!(
                    "{} with a byte flipped at {:.0} %",
                    file.display(),
                    share * 100.0
                )
            }
            Damage::Halve => format!("half of {}", file.display()),
            Damage::Remove => format!("{} removed", file.display()),
        }
    }
}

/// What a node did on its disk.
#[derive(Debug)]
enum Outcome {
    /// It ended.
    Ended { code: Option<i32>, said: String },
    /// It serves, with a log that ends there, and shows this.
    Serves { last_log: u64, held: Held },
}

/// Plays the trials that `choose` finds for a node's data, under a load.
async fn trials(
    stage: &Stage,
    plan: &Plan,
    choose: impl Fn(&Path, &Stage) -> Result<Vec<Trial>>,
) -> Result<Findings> {
    let town = stage.town_of(plan).await?;
    let options = Options {
        padding: 500,
        ..Options::default()
    };
    let load = Load::start_with(&town, options).await?;
    rest(seconds(1)).await;
    let victim = town.follower().await?;
    let data = town.folder().data(victim);
    if plan.checkpoints.is_some() {
        // A start turns the log that was written ahead into a table.
        town.kill(victim)?;
        town.start(victim)?;
        town.wait_ready(victim, READY_WITHIN).await?;
        wait_for_checkpoint(&data).await?;
    }
    rest(seconds(2)).await;
    town.isolate(victim, town.nodes())?;
    rest(seconds(1)).await;
    let began = load.now_us();
    town.kill(victim)?;
    let backup = town.folder().root().join("backup");
    blocking(|| copy(&data, &backup))?;
    let reference = observe(&town, victim).await?;
    let Outcome::Serves { last_log, held } = reference else {
        anyhow::bail!("{victim} does not start on an undamaged disk: {reference:?}");
    };
    let mut refused = 0;
    let mut untouched = 0;
    let mut violations = Vec::new();
    blocking(|| restore(&town, victim, &backup))?;
    let all = choose(&data, stage)?;
    for trial in &all {
        blocking(|| restore(&town, victim, &backup))?;
        blocking(|| trial.make())?;
        let outcome = observe(&town, victim).await?;
        let what = trial.describe(&data);
        match judge(&outcome, &data, last_log, &held) {
            Ok(word) => stage.say(format_args!("{what}: {word}")),
            Err(wrong) => violations.push(format!("{what}: {wrong}")),
        }
        match outcome {
            Outcome::Ended { .. } => refused += 1,
            Outcome::Serves { .. } => untouched += 1,
        }
        for other in town.nodes().filter(|other| *other != victim) {
            if let Some(status) = town.ended(other)? {
                violations.push(format!("{other} ended ({status}): {}", town.log(other)));
            }
        }
    }
    blocking(|| restore(&town, victim, &backup))?;
    town.heal()?;
    town.start(victim)?;
    town.wait_ready(victim, READY_WITHIN).await?;
    rest(millis(500)).await;
    let record = load.finish(&town).await?;
    let mut findings = Findings::of(&record, &[began]);
    findings.faults = all.len();
    findings.figure("refused", refused);
    findings.figure("nothing was missing", untouched);
    findings.violations.extend(violations);
    findings.demand(refused > 0, || "no damage was noticed".to_owned());
    Ok(findings)
}

async fn wait_for_checkpoint(data: &Path) -> Result<()> {
    let began = Instant::now();
    let folder = data.join("checkpoints");
    while below(&folder, "sst").is_empty() || below(&folder, "").is_empty() {
        anyhow::ensure!(
            began.elapsed() < CHECKPOINT_WITHIN,
            "no checkpoint was made"
        );
        rest(millis(100)).await;
    }
    Ok(())
}

/// Starts a node on its disk and sees what it does: whether it ends, and if not, what it shows.
async fn observe(town: &Arc<Town>, node: Name) -> Result<Outcome> {
    town.start(node)?;
    let began = Instant::now();
    loop {
        if let Some(status) = town.ended(node)? {
            return Ok(Outcome::Ended {
                code: status.code(),
                said: town.log(node),
            });
        }
        let alive = town
            .target()
            .call(town.http(node), &Call::get("/metrics"), seconds(1))
            .await;
        if let Ok(metrics) = alive
            && metrics.status == 200
            && let Some(last_log) = last_log_index(&String::from_utf8_lossy(&metrics.body))
        {
            match shown_by(town, node).await {
                Ok(held) => return Ok(Outcome::Serves { last_log, held }),
                Err(error) => anyhow::ensure!(
                    town.ended(node)?.is_some(),
                    "{node} neither ends nor shows what it holds: {error:#}"
                ),
            }
        }
        anyhow::ensure!(
            began.elapsed() < DECIDED_WITHIN,
            "{node} neither serves nor ends: {}",
            town.log(node)
        );
        tokio::time::sleep(POLL).await;
    }
}

/// What the outcome means, or what is wrong with it.
fn judge(outcome: &Outcome, data: &Path, last_log: u64, held: &Held) -> Result<String, String> {
    match outcome {
        Outcome::Ended { code, said } => {
            let names_a_file = data.to_str().is_some_and(|data| said.contains(data));
            match code {
                Some(65 | 74) if names_a_file => Ok(format!("refused with {}", code.unwrap_or(0))),
                Some(65 | 74) => Err(format!("it names no file: {said}")),
                _ => Err(format!("it ended with {code:?}: {said}")),
            }
        }
        Outcome::Serves {
            last_log: found, ..
        } if *found < last_log => Err(format!(
            "it serves with a log that ends at {found} instead of {last_log}"
        )),
        Outcome::Serves { held: shown, .. } if shown.applied >= held.applied => {
            if shown.hash == held.hash {
                Ok("nothing is missing".to_owned())
            } else {
                Err("it shows something else than it holds".to_owned())
            }
        }
        Outcome::Serves { held: shown, .. } => {
            let known = |id: &str| held.rules.iter().any(|rule| rule.id == id);
            match shown.rules.iter().find(|rule| !known(&rule.id)) {
                Some(phantom) => Err(format!("it shows {phantom:?}, which never was")),
                None => Ok(format!(
                    "an older state, of {} instead of {}, which the log brings up to date",
                    shown.applied, held.applied
                )),
            }
        }
    }
}

fn last_log_index(metrics: &str) -> Option<u64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("vectorgate_raft_last_log_index "))?;
    line.trim().parse().ok()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (format!("{}/.", from.display()), to.display().to_string());
    tools::run("cp", &["-a", "--sparse=always", &from, &to]).map(drop)
}

/// Ends a node and puts its disk back as it was.
fn restore(town: &Town, node: Name, backup: &Path) -> Result<()> {
    town.kill(node)?;
    debug_assert!(node.kind == Kind::Node);
    let data = town.folder().data(node);
    for entry in fs::read_dir(&data).context("the data cannot be listed")? {
        let path = entry.context("the data cannot be listed")?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    copy(backup, &data)
}

/// So many positions, evenly spread, as shares of a length.
fn spread(count: u32) -> impl Iterator<Item = f64> {
    (1..=count).map(move |number| f64::from(number) / f64::from(count + 1))
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a file of some megabytes"
)]
fn position(length: u64, share: f64) -> u64 {
    ((length as f64 * share) as u64).min(length.saturating_sub(1))
}

/// The files below a folder that are of a kind and not empty.
fn below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is = path.extension().unwrap_or_default() == extension;
            if path.is_dir() {
                folders.push(path);
            } else if is && length(&path) > 0 && !is_of_rocksdb(&path, extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Files of RocksDB that have no extension either: `CURRENT`, `LOCK`, `MANIFEST-000005`.
fn is_of_rocksdb(path: &Path, extension: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = [
        "CURRENT",
        "LOCK",
        "IDENTITY",
        "LOG",
        "OPTIONS-",
        "MANIFEST-",
    ];
    extension.is_empty() && plain.iter().any(|start| name.starts_with(start))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn newest(files: &[PathBuf]) -> Option<PathBuf> {
    files.last().cloned()
}

fn largest(files: &[PathBuf]) -> Option<PathBuf> {
    files.iter().max_by_key(|path| length(path)).cloned()
}
