//! `cargo xtask start NAME` and `stop NAME`: one process of the local cluster.

use anyhow::{Result, bail};

use super::{local_cluster, lock};
use crate::local::process::{End, State};
use crate::local::{Cluster, Kind, Name};
use crate::report;
use crate::repository::Repository;

/// Starts a process and waits until it is ready, or until it lives where that is all it can do
/// alone: a node without a quorum.
///
/// # Errors
/// When it does not get there, with the end of its log.
pub fn start(repository: &Repository, name: Name) -> Result<()> {
    let _lock = lock(repository)?;
    let cluster = local_cluster(repository)?;
    check(&cluster, name)?;
    if let State::Running(pid) = cluster.state(name)? {
        report::line(format_args!("{name} is running already (process {pid})"));
        return Ok(());
    }
    cluster.start(name)?;
    if name.kind == Kind::Node && !cluster.has_quorum()? {
        cluster.wait_live(name)?;
        report::line(format_args!(
            "{name} runs and waits for a quorum: start more nodes"
        ));
        return Ok(());
    }
    let took = cluster.wait_ready(name)?;
    report::line(format_args!(
        "{name} is ready after {}",
        report::duration(took)
    ));
    Ok(())
}

/// Ends a process.
///
/// # Errors
/// When it does not end.
pub fn stop(repository: &Repository, name: Name, end: End) -> Result<()> {
    let _lock = lock(repository)?;
    let cluster = local_cluster(repository)?;
    check(&cluster, name)?;
    match cluster.stop(name, end)? {
        State::Running(pid) => report::line(format_args!("{name} (process {pid}) has ended")),
        State::Dead => report::line(format_args!(
            "{name} had ended by itself; {}",
            log_of(&cluster, name)
        )),
        State::Stopped => report::line(format_args!("{name} was not running")),
    }
    Ok(())
}

fn check(cluster: &Cluster, name: Name) -> Result<()> {
    if cluster.topology().names().any(|known| known == name) {
        return Ok(());
    }
    let names: Vec<String> = cluster
        .topology()
        .names()
        .map(|name| name.to_string())
        .collect();
    bail!("the local cluster has no {name}, but {}", names.join(", "))
}

fn log_of(cluster: &Cluster, name: Name) -> String {
    format!("its log is {}", cluster.folder().log(name).display())
}
