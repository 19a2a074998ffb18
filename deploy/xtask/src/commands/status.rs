//! `cargo xtask status`: what of the local cluster runs.

use std::time::Duration;

use anyhow::Result;

use super::local_cluster;
use crate::local::api::Probe;
use crate::local::process::State;
use crate::local::{Cluster, Kind, Name};
use crate::report;
use crate::repository::Repository;

/// Prints a line per process.
///
/// # Errors
/// When there is no cluster.
pub fn run(repository: &Repository) -> Result<()> {
    let cluster = local_cluster(repository)?;
    let probe = Probe::new(Duration::from_secs(3));
    report::line(format_args!(
        "{:<10} {:<8} {:<24} {:<16} STATE",
        "NAME", "PID", "ADDRESS", "REGION"
    ));
    for (name, state) in cluster.states()? {
        let pid = if let State::Running(pid) = state {
            pid.to_string()
        } else {
            "-".to_owned()
        };
        let address = format!("http://{}", cluster.topology().http(name));
        let region = if name.kind == Kind::Origin {
            "-"
        } else {
            name.region()
        };
        let said = describe(&cluster, &probe, name, state);
        report::line(format_args!(
            "{:<10} {pid:<8} {address:<24} {:<16} {said}",
            name.to_string(),
            region
        ));
    }
    Ok(())
}

fn describe(cluster: &Cluster, probe: &Probe, name: Name, state: State) -> String {
    match state {
        State::Stopped => "stopped".to_owned(),
        State::Dead => format!(
            "ended by itself; see {}",
            cluster.folder().log(name).display()
        ),
        State::Running(_) => match probe.status(&cluster.topology().readiness(name)) {
            Ok(200) => "ready".to_owned(),
            Ok(status) => format!("running, not ready ({status})"),
            Err(error) => format!("running, does not answer ({error})"),
        },
    }
}
