//! `cargo xtask up`: a local cluster, from nothing to a request through each edge. What is done
//! already is not done again, so an interrupted `up` is completed by the next.

use anyhow::{Result, bail};

use super::lock;
use crate::local::api::Api;
use crate::local::cluster::Bootstrap;
use crate::local::demonstration::{self, HOSTNAME, Made};
use crate::local::process::State;
use crate::local::topology::Ports;
use crate::local::{Cluster, Kind, Name, Topology, shell, traffic};
use crate::report;
use crate::repository::Repository;
use crate::toolchain::Toolchain;

/// Two, so that weighted targets can be seen at work.
const ORIGINS: u16 = 2;

/// What was asked for; `None` leaves the choice to the cluster that is there, or to the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many nodes.
    pub nodes: Option<u16>,
    /// How many edges.
    pub edges: Option<u16>,
}

/// Brings the cluster up.
///
/// # Errors
/// At the first step that fails, with the end of the log that tells why.
pub fn run(repository: &Repository, options: Options) -> Result<()> {
    let _lock = lock(repository)?;
    let before = Cluster::open(&repository.local())?;
    let topology = choose(before.as_ref(), options)?;
    let cluster = match before.filter(|cluster| *cluster.topology() == topology) {
        Some(cluster) if is_complete(&cluster)? => {
            report::line("The local cluster is running already; nothing was changed.");
            summary(repository, &cluster);
            return Ok(());
        }
        // Nodes and edges of two builds in one cluster would surprise whoever looks at them.
        Some(cluster) if is_partly_running(&cluster)? && cluster.has_binaries() => {
            Cluster::prepare(&repository.local(), topology)?
        }
        _ => build(repository, topology)?,
    };
    start(&cluster, Kind::Origin)?;
    start(&cluster, Kind::Node)?;
    let bootstrap = bootstrap(&cluster)?;
    start_without_waiting(&cluster, Kind::Edge)?;
    let is_first = demonstration::made(&cluster)?.is_none();
    let made = demonstrate(&cluster, &bootstrap)?;
    shell::write(&cluster, &bootstrap, Some(&made))?;
    send_requests(&cluster, is_first)?;
    report::line("");
    report::line("The local cluster is running.");
    summary(repository, &cluster);
    Ok(())
}

fn choose(before: Option<&Cluster>, options: Options) -> Result<Topology> {
    let Some(before) = before.map(|cluster| *cluster.topology()) else {
        let (nodes, edges) = (options.nodes.unwrap_or(3), options.edges.unwrap_or(2));
        return Ok(Topology {
            nodes,
            edges,
            origins: ORIGINS,
            ports: Ports::LOCAL,
        });
    };
    if options.nodes.is_some_and(|nodes| nodes != before.nodes) {
        bail!(
            "the local cluster has {} nodes; `cargo xtask down --wipe` first to begin with another number",
            before.nodes
        );
    }
    let edges = options.edges.unwrap_or(before.edges);
    if edges < before.edges {
        bail!(
            "the local cluster has {} edges; `cargo xtask stop edge-{}` stops one",
            before.edges,
            before.edges
        );
    }
    Ok(Topology { edges, ..before })
}

/// Whether everything runs and the demonstration was made.
fn is_complete(cluster: &Cluster) -> Result<bool> {
    let states = cluster.states()?;
    let down: Vec<Name> = states
        .iter()
        .filter(|(_, state)| !matches!(state, State::Running(_)))
        .map(|(name, _)| *name)
        .collect();
    let finished = demonstration::made(cluster)?.is_some() && cluster.folder().env().is_file();
    if !down.is_empty() && finished {
        let names: Vec<String> = down.iter().map(ToString::to_string).collect();
        report::line(format_args!(
            "The local cluster is there, but not all of it runs. To be started: {}",
            names.join(", ")
        ));
    }
    Ok(down.is_empty() && finished)
}

fn is_partly_running(cluster: &Cluster) -> Result<bool> {
    let states = cluster.states()?;
    Ok(states
        .iter()
        .any(|(_, state)| matches!(state, State::Running(_))))
}

fn build(repository: &Repository, topology: Topology) -> Result<Cluster> {
    let toolchain = Toolchain::prepare(repository)?;
    let binaries = Cluster::binaries(&topology);
    let names: Vec<&str> = binaries.iter().map(|(_, binary)| *binary).collect();
    report::step(format_args!("Building {} (release)", names.join(", ")));
    let built = toolchain.build_release(&binaries)?;
    report::step(format_args!(
        "Preparing settings and certificates in {}",
        repository.shorten(&repository.local())
    ));
    let cluster = Cluster::prepare(&repository.local(), topology)?;
    cluster.install_binaries(&built)?;
    Ok(cluster)
}

fn start(cluster: &Cluster, kind: Kind) -> Result<()> {
    start_without_waiting(cluster, kind)?;
    for name in cluster.topology().of(kind) {
        let took = cluster.wait_ready(name)?;
        report::fact(format_args!(
            "{name} is ready after {}",
            report::duration(took)
        ));
    }
    Ok(())
}

fn start_without_waiting(cluster: &Cluster, kind: Kind) -> Result<()> {
    report::step(format_args!("Starting {}s", kind.word()));
    for name in cluster.topology().of(kind) {
        cluster.start(name)?;
        let region = if kind == Kind::Origin {
            String::new()
        } else {
            format!(" in {}", name.region())
        };
        report::fact(format_args!(
            "{name} on http://{}{region}",
            cluster.topology().http(name)
        ));
    }
    Ok(())
}

fn bootstrap(cluster: &Cluster) -> Result<Bootstrap> {
    let known = cluster.folder().bootstrap().is_file();
    report::step(if known {
        "The workspace is bootstrapped already"
    } else {
        "Bootstrapping the first workspace"
    });
    let bootstrap = cluster.bootstrap()?;
    report::fact(format_args!("workspace {}", bootstrap.workspace_id));
    // Early, so that the keys are at hand should a later step fail.
    shell::write(cluster, &bootstrap, demonstration::made(cluster)?.as_ref())?;
    Ok(bootstrap)
}

fn demonstrate(cluster: &Cluster, bootstrap: &Bootstrap) -> Result<Made> {
    let key = bootstrap.environments.production.api_key.clone();
    let api = Api::new(cluster.topology().urls(Kind::Node), key);
    let made = if let Some(made) = demonstration::made(cluster)? {
        report::step(format_args!("The route for {HOSTNAME} was created before"));
        made
    } else {
        report::step(format_args!(
            "Creating and publishing a route for {HOSTNAME} through the API"
        ));
        demonstration::ensure(cluster, &api)?
    };
    let (snapshot_id, version) = demonstration::active_snapshot(&api, &made.route_id)?;
    report::fact(format_args!("upstream {}", made.upstream_id));
    report::fact(format_args!("route    {}", made.route_id));
    report::fact(format_args!("snapshot {snapshot_id} (version {version})"));
    for edge in cluster.topology().of(Kind::Edge) {
        cluster.wait_ready(edge)?;
    }
    demonstration::wait_for_edges(&api, &snapshot_id, cluster.topology())?;
    report::fact("every edge reports that it serves the snapshot");
    Ok(made)
}

/// Whether requests arrive at an origin is an error only while the route is as we made it.
fn send_requests(cluster: &Cluster, is_ours: bool) -> Result<()> {
    report::step("Sending a request through each edge");
    for edge in cluster.topology().of(Kind::Edge) {
        let arrived = traffic::through(cluster.topology(), edge);
        let arrived = arrived.map_err(|error| cluster.with_log(edge, error))?;
        report::fact(format_args!("{edge} ({}): {arrived}", edge.region()));
        if is_ours && arrived.origin.is_none() {
            bail!("{edge} did not forward the request to an origin");
        }
    }
    Ok(())
}

fn summary(repository: &Repository, cluster: &Cluster) {
    let local = cluster.folder().root();
    let local = repository.shorten(local);
    let topology = cluster.topology();
    let node = topology
        .urls(Kind::Node)
        .into_iter()
        .next()
        .unwrap_or_default();
    report::line(format_args!("\nGo on with\n\n  source {local}/env"));
    report::line(format_args!(
        "  curl -s {node}/v2/rules -H \"Authorization: Bearer $VECTORGATE_API_KEY\""
    ));
    for edge in topology.urls(Kind::Edge) {
        report::line(format_args!(
            "  curl -si {edge}/v1/orders -H 'Host: {HOSTNAME}'"
        ));
    }
    if let Some(edge) = topology.urls(Kind::Edge).first() {
        report::line(format_args!(
            "  curl -si {edge}/hello -H 'Host: {HOSTNAME}'"
        ));
        report::line(format_args!(
            "  curl -si {edge}/docs/start -H 'Host: {HOSTNAME}'"
        ));
    }
    report::line(
        "\nand, a change from draft to edges:\n\n  \
         curl -s \"${VECTORGATE_NODES%% *}/v2/rules\" -H \"Authorization: Bearer $VECTORGATE_API_KEY\" \\\n    \
         -H 'Content-Type: application/json' -d '{\"route_id\": \"'\"$VECTORGATE_ROUTE_ID\"'\", \"name\": \"Teapot\",\n         \
         \"priority\": 30, \"match\": {\"path\": \"/tea\"}, \"action\": {\"type\": \"fixed_response\", \"status\": 418}}'\n  \
         curl -s -X POST \"${VECTORGATE_NODES%% *}/v2/routes/$VECTORGATE_ROUTE_ID/publish\" \\\n    \
         -H \"Authorization: Bearer $VECTORGATE_API_KEY\"",
    );
    if let Some(edge) = topology.urls(Kind::Edge).first() {
        report::line(format_args!("  curl -si {edge}/tea -H 'Host: {HOSTNAME}'"));
    }
    report::line(format_args!(
        "\n`cargo xtask status` shows what runs, logs are in {local}/NAME.log; `cargo xtask stop --kill node-1` crashes\n\
         a node, `cargo xtask start node-1` brings it back; `cargo xtask down` ends all, `down --wipe` forgets all."
    ));
}
