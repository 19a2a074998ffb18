//! The settings files of a local cluster's processes.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::files::{self, Folder};
use super::pki::{Authority, Identity};
use super::topology::{Hosts, Kind, Name, Topology};

#[derive(Serialize)]
struct NodeSettings {
    node: NodeSection,
    rest: Rest,
    internal: Listen,
    publisher: Listen,
    tls: Tls,
    security: Security,
    cluster: ClusterSection,
    log: Log,
}

#[derive(Serialize)]
struct NodeSection {
    id: u16,
    region: &'static str,
    data_dir: String,
    worker_threads: usize,
}

#[derive(Serialize)]
struct Listen {
    listen: String,
}

#[derive(Serialize)]
struct Rest {
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<String>,
}

#[derive(Serialize)]
struct Tls {
    ca_file: String,
    cert_file: String,
    key_file: String,
}

#[derive(Serialize)]
struct Security {
    pepper_file: String,
}

#[derive(Serialize)]
struct ClusterSection {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    join: bool,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    id: u16,
    region: &'static str,
    internal: String,
    rest: String,
    publisher: String,
}

#[derive(Serialize)]
struct Log {
    level: &'static str,
    format: &'static str,
}

#[derive(Serialize)]
struct EdgeSettings {
    edge: EdgeSection,
    http: Listen,
    control: Control,
    tls: Tls,
    admin: Listen,
    log: Log,
}

#[derive(Serialize)]
struct EdgeSection {
    id: String,
    region: &'static str,
    environment: &'static str,
    data_dir: String,
}

#[derive(Serialize)]
struct Control {
    nodes: Vec<String>,
}

#[derive(Serialize)]
struct OriginSettings {
    origin: OriginSection,
}

#[derive(Serialize)]
struct OriginSection {
    name: String,
    listen: String,
}

/// Writes the settings of every process, and the certificates and the pepper that they name.
///
/// # Errors
/// When files cannot be written.
pub fn write_all(folder: &Folder, topology: &Topology) -> Result<()> {
    let authority = Authority::open(&folder.pki())?;
    if !folder.pepper().is_file() {
        files::write_secret(&folder.pepper(), hex::encode(files::random::<32>()?))?;
    }
    for name in topology.names() {
        files::make_folder(&folder.data(name))?;
        files::write(
            &folder.settings(name),
            render(folder, topology, &authority, name)?,
        )?;
    }
    Ok(())
}

/// Writes the settings of a node that is to join the cluster, and its certificate. It finds the cluster by these
/// members.
///
/// # Errors
/// When files cannot be written.
pub fn write_newcomer(
    folder: &Folder,
    topology: &Topology,
    name: Name,
    members: &[Name],
) -> Result<()> {
    let identity = Authority::open(&folder.pki())?.identity(name)?;
    let all = [&[name], members].concat();
    let cluster = ClusterSection {
        join: true,
        members: all.iter().map(|node| member(topology, *node)).collect(),
    };
    let settings = NodeSettings {
        cluster,
        ..node(folder, topology, &identity, name)
    };
    files::make_folder(&folder.data(name))?;
    files::write(
        &folder.settings(name),
        written(name, toml::to_string(&settings))?,
    )
}

fn render(
    folder: &Folder,
    topology: &Topology,
    authority: &Authority,
    name: Name,
) -> Result<String> {
    let text = match name.kind {
        Kind::Node => toml::to_string(&node(folder, topology, &authority.identity(name)?, name)),
        Kind::Edge => toml::to_string(&edge(folder, topology, &authority.identity(name)?, name)),
        Kind::Origin => toml::to_string(&origin(topology, name)),
    };
    written(name, text)
}

fn written(name: Name, text: Result<String, toml::ser::Error>) -> Result<String> {
    let text = text.with_context(|| format!("the settings of {name} cannot be written as TOML"))?;
    Ok(format!(
        "# {name} of a local cluster. Written by `cargo xtask`; edits are overwritten by the next `up`.\n\n{text}"
    ))
}

/// The nodes share this machine's cores.
fn worker_threads(topology: &Topology) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (cores / usize::from(topology.nodes).max(1)).max(1)
}

fn node(folder: &Folder, topology: &Topology, identity: &Identity, name: Name) -> NodeSettings {
    let listen = |listen| Listen { listen };
    NodeSettings {
        node: NodeSection {
            id: name.number,
            region: name.region(),
            data_dir: text(&folder.data(name)),
            worker_threads: worker_threads(topology),
        },
        rest: rest(topology, identity, name),
        internal: listen(topology.internal(name)),
        publisher: listen(topology.publisher(name)),
        tls: tls(identity),
        security: Security {
            pepper_file: text(&folder.pepper()),
        },
        cluster: ClusterSection {
            join: false,
            members: topology
                .of(Kind::Node)
                .map(|node| member(topology, node))
                .collect(),
        },
        // openraft tells of every step at `info`, and of every heartbeat to a dead node at `warn`.
        log: log("info,openraft=error"),
    }
}

/// Beyond loopback the API is served by HTTPS alone. The certificate for peers does for clients, too.
fn rest(topology: &Topology, identity: &Identity, name: Name) -> Rest {
    let by_https = topology.ports.hosts == Hosts::Separate;
    let file = |path| by_https.then(|| text(path));
    Rest {
        listen: topology.http(name),
        cert_file: file(&identity.cert_file),
        key_file: file(&identity.key_file),
    }
}

fn member(topology: &Topology, node: Name) -> Member {
    Member {
        id: node.number,
        region: node.region(),
        internal: topology.internal(node),
        rest: topology.url(node),
        publisher: topology.publisher(node),
    }
}

fn edge(folder: &Folder, topology: &Topology, identity: &Identity, name: Name) -> EdgeSettings {
    EdgeSettings {
        edge: EdgeSection {
            id: name.to_string(),
            region: name.region(),
            environment: "production",
            data_dir: text(&folder.data(name)),
        },
        http: Listen {
            listen: topology.http(name),
        },
        control: Control {
            nodes: topology
                .of(Kind::Node)
                .map(|node| topology.publisher(node))
                .collect(),
        },
        tls: tls(identity),
        admin: Listen {
            listen: topology.admin(name),
        },
        log: log("info"),
    }
}

fn origin(topology: &Topology, name: Name) -> OriginSettings {
    OriginSettings {
        origin: OriginSection {
            name: name.to_string(),
            listen: topology.http(name),
        },
    }
}

fn tls(identity: &Identity) -> Tls {
    Tls {
        ca_file: text(&identity.ca_file),
        cert_file: text(&identity.cert_file),
        key_file: text(&identity.key_file),
    }
}

fn log(level: &'static str) -> Log {
    Log {
        level,
        format: "text",
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::topology::Ports;

    fn written(name: Name) -> toml::Table {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(root.path().to_owned());
        let topology = Topology {
            nodes: 3,
            edges: 2,
            origins: 2,
            ports: Ports::LOCAL,
        };
        write_all(&folder, &topology).expect("written");
        std::fs::read_to_string(folder.settings(name))
            .expect("settings")
            .parse()
            .expect("TOML")
    }

    #[test]
    fn a_node_knows_all_members_and_its_own_listeners() {
        let settings = written(Name::node(2));
        assert_eq!(settings["node"]["id"].as_integer(), Some(2));
        assert_eq!(settings["rest"]["listen"].as_str(), Some("127.0.0.1:7102"));
        let members = settings["cluster"]["members"].as_array().expect("members");
        let publishers: Vec<_> = members
            .iter()
            .filter_map(|member| member["publisher"].as_str())
            .collect();
        assert_eq!(
            publishers,
            ["127.0.0.1:7301", "127.0.0.1:7302", "127.0.0.1:7303"]
        );
    }

    #[test]
    fn a_newcomer_waits_to_be_added_and_knows_the_members_that_there_are() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(root.path().to_owned());
        let topology = Topology {
            nodes: 3,
            edges: 0,
            origins: 0,
            ports: Ports::CHAOS,
        };
        write_all(&folder, &topology).expect("written");
        let members = [2, 3, 4].map(Name::node);
        write_newcomer(&folder, &topology, Name::node(5), &members).expect("written");
        let read = |name| -> toml::Table {
            let text = std::fs::read_to_string(folder.settings(name)).expect("settings");
            text.parse().expect("TOML")
        };
        let settings = read(Name::node(5));
        let cluster = &settings["cluster"];
        assert_eq!(cluster["join"].as_bool(), Some(true));
        let known = cluster["members"].as_array().expect("members").iter();
        let known: Vec<_> = known.filter_map(|one| one["id"].as_integer()).collect();
        assert_eq!(known, [5, 2, 3, 4]);
        assert_eq!(read(Name::node(1))["cluster"].get("join"), None);
    }

    #[test]
    fn an_edge_knows_every_node() {
        let settings = written(Name::edge(2));
        assert_eq!(settings["edge"]["region"].as_str(), Some("us-east-1"));
        assert_eq!(
            settings["control"]["nodes"].as_array().map(Vec::len),
            Some(3)
        );
        assert_eq!(settings["http"]["listen"].as_str(), Some("127.0.0.1:8102"));
    }
}
