//! Which processes a local cluster consists of: their names, regions and ports.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The regions that nodes and edges are spread over, in turn.
const REGIONS: [&str; 3] = ["eu-central-1", "us-east-1", "ap-southeast-2"];

/// At most this many nodes: voters beyond seven make writes slower and nothing safer.
pub const NODES_MAX: u16 = 7;

/// At most this many edges: their ports and those of their admin listeners are blocks of ten.
pub const EDGES_MAX: u16 = 9;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Of the control plane.
    Node,
    /// Of the data plane.
    Edge,
    /// A demonstration server behind the edges.
    Origin,
}

impl Kind {
    /// The word that names begin with.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Edge => "edge",
            Self::Origin => "origin",
        }
    }

    /// The binary.
    #[must_use]
    pub fn binary(self) -> &'static str {
        match self {
            Self::Node => "vectorgate-node",
            Self::Edge => "vectorgate-edge",
            Self::Origin => "vectorgate-origin",
        }
    }

    /// The package that the binary is built from.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Edge => "edge",
            Self::Origin => "bench",
        }
    }

    /// The package and the binary.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        (self.package(), self.binary())
    }
}

/// The name of a process: `node-1`, `edge-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// What it is.
    pub kind: Kind,
    /// Which of its kind, from 1.
    pub number: u16,
}

impl Name {
    /// A node.
    #[must_use]
    pub fn node(number: u16) -> Self {
        Self {
            kind: Kind::Node,
            number,
        }
    }

    /// An edge.
    #[must_use]
    pub fn edge(number: u16) -> Self {
        Self {
            kind: Kind::Edge,
            number,
        }
    }

    /// The address that it has where each process has its own: of 10.77.0.0/16, in a /24 for each kind,
    /// so that there is room for all numbers that nodes use up.
    #[must_use]
    pub fn host(self) -> Ipv4Addr {
        let kind = match self.kind {
            Kind::Node => 1,
            Kind::Edge => 2,
            Kind::Origin => 3,
        };
        let number = u8::try_from(self.number).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, 77, kind, number)
    }

    /// The region that it is in.
    #[must_use]
    pub fn region(self) -> &'static str {
        REGIONS[usize::from(self.number.saturating_sub(1)) % REGIONS.len()]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.word(), self.number)
    }
}

/// A word that is no name of a process.
#[derive(Debug)]
pub struct NotAName(String);

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no process; names are node-1, edge-1, origin-1 and so on",
            self.0
        )
    }
}

impl std::error::Error for NotAName {}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let parse = || {
            let (word, number) = text.split_once('-')?;
            let kind = [Kind::Node, Kind::Edge, Kind::Origin]
                .into_iter()
                .find(|kind| kind.word() == word)?;
            let number = number.parse().ok().filter(|number| *number > 0)?;
            Some(Self { kind, number })
        };
        parse().ok_or_else(|| NotAName(text.to_owned()))
    }
}

/// Whose addresses processes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosts {
    /// This machine's loopback: they are told apart by their ports.
    #[default]
    Loopback,
    /// Each its own, in a network that has to be made for them: see [`Name::host`].
    Separate,
}

/// The first port of each kind; the others follow on, where they share an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Whose addresses these are ports of.
    #[serde(default)]
    pub hosts: Hosts,
    /// REST of nodes.
    pub rest: u16,
    /// gRPC between nodes.
    pub internal: u16,
    /// QUIC for edges.
    pub publisher: u16,
    /// HTTP of edges.
    pub edge: u16,
    /// Health and metrics of edges.
    pub admin: u16,
    /// HTTP of origins.
    pub origin: u16,
}

impl Ports {
    /// Those of `cargo xtask up`.
    pub const LOCAL: Self = Self {
        hosts: Hosts::Loopback,
        rest: 7101,
        internal: 7201,
        publisher: 7301,
        edge: 8101,
        admin: 8191,
        origin: 8201,
    };

    /// Those of `cargo xtask conformance`, which may run beside both others.
    pub const CONFORMANCE: Self = Self {
        hosts: Hosts::Loopback,
        rest: 9101,
        internal: 9201,
        publisher: 9301,
        edge: 9401,
        admin: 9491,
        origin: 9501,
    };

    /// Those of `cargo xtask conformance-cache`.
    pub const CACHES: Self = Self {
        hosts: Hosts::Loopback,
        rest: 9611,
        internal: 9621,
        publisher: 9631,
        edge: 9641,
        admin: 9651,
        origin: 9661,
    };

    /// Those of benchmarks, which may run beside a local cluster.
    pub const BENCH: Self = Self {
        hosts: Hosts::Loopback,
        rest: 17101,
        internal: 17201,
        publisher: 17301,
        edge: 18101,
        admin: 18191,
        origin: 18201,
    };

    /// Those of `cargo xtask chaos`, where each process has a host of its own.
    pub const CHAOS: Self = Self {
        hosts: Hosts::Separate,
        rest: 7100,
        internal: 7200,
        publisher: 7300,
        edge: 8100,
        admin: 8190,
        origin: 8200,
    };

    /// Those of another build that a benchmark measures beside this one.
    pub const BESIDE: Self = Self {
        hosts: Hosts::Loopback,
        rest: 27101,
        internal: 27201,
        publisher: 27301,
        edge: 28101,
        admin: 28191,
        origin: 28201,
    };
}

/// How many of what, and where they listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// How many nodes.
    pub nodes: u16,
    /// How many edges.
    pub edges: u16,
    /// How many origins.
    pub origins: u16,
    /// Where they listen.
    pub ports: Ports,
}

impl Topology {
    /// All processes in the order in which they start.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = Name> + use<> {
        let all = |kind, count| (1..=count).map(move |number| Name { kind, number });
        all(Kind::Origin, self.origins)
            .chain(all(Kind::Node, self.nodes))
            .chain(all(Kind::Edge, self.edges))
    }

    /// The processes of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = Name> + use<> {
        self.names().filter(move |name| name.kind == kind)
    }

    /// Where a process answers HTTP, as `host:port`.
    #[must_use]
    pub fn http(&self, name: Name) -> String {
        match name.kind {
            Kind::Node => self.address(self.ports.rest, name),
            Kind::Edge => self.address(self.ports.edge, name),
            Kind::Origin => self.address(self.ports.origin, name),
        }
    }

    /// Where a node takes gRPC.
    #[must_use]
    pub fn internal(&self, node: Name) -> String {
        self.address(self.ports.internal, node)
    }

    /// Where a node takes edges.
    #[must_use]
    pub fn publisher(&self, node: Name) -> String {
        self.address(self.ports.publisher, node)
    }

    /// Where an edge says how it is.
    #[must_use]
    pub fn admin(&self, edge: Name) -> String {
        self.address(self.ports.admin, edge)
    }

    /// The URL that answers 200 when a process is ready.
    #[must_use]
    pub fn readiness(&self, name: Name) -> String {
        match name.kind {
            Kind::Node => format!("{}/readyz", self.url(name)),
            Kind::Edge => format!("http://{}/readyz", self.admin(name)),
            Kind::Origin => format!("http://{}/", self.http(name)),
        }
    }

    /// Where a process says whether it lives.
    #[must_use]
    pub fn liveness(&self, name: Name) -> String {
        match name.kind {
            Kind::Node => format!("{}/livez", self.url(name)),
            Kind::Edge => format!("http://{}/livez", self.admin(name)),
            Kind::Origin => self.readiness(name),
        }
    }

    /// Base URLs of a kind.
    #[must_use]
    pub fn urls(&self, kind: Kind) -> Vec<String> {
        self.of(kind).map(|name| self.url(name)).collect()
    }

    /// The base URL of a process. API keys travel to nodes: beyond this machine's loopback, by HTTPS.
    #[must_use]
    pub fn url(&self, name: Name) -> String {
        let scheme = match (self.ports.hosts, name.kind) {
            (Hosts::Separate, Kind::Node) => "https",
            _ => "http",
        };
        format!("{scheme}://{}", self.http(name))
    }

    fn address(&self, first: u16, name: Name) -> String {
        match self.ports.hosts {
            Hosts::Loopback => format!("127.0.0.1:{}", first + name.number.saturating_sub(1)),
            Hosts::Separate => format!("{}:{first}", name.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology {
            nodes: 3,
            edges: 2,
            origins: 2,
            ports: Ports::LOCAL,
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["node-1", "edge-12", "origin-2"] {
            assert_eq!(text.parse::<Name>().expect(text).to_string(), text);
        }
        for bad in ["node", "node-0", "node-x", "gate-1", "", "node-99999"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_start_before_nodes_and_nodes_before_edges() {
        let names: Vec<String> = topology().names().map(|name| name.to_string()).collect();
        assert_eq!(
            names,
            [
                "origin-1", "origin-2", "node-1", "node-2", "node-3", "edge-1", "edge-2"
            ]
        );
    }

    #[test]
    fn ports_count_up_from_the_documented_ones() {
        let topology = topology();
        assert_eq!(topology.http(Name::node(3)), "127.0.0.1:7103");
        assert_eq!(topology.http(Name::edge(2)), "127.0.0.1:8102");
        assert_eq!(
            topology.readiness(Name::edge(1)),
            "http://127.0.0.1:8191/readyz"
        );
        assert_eq!(topology.urls(Kind::Node).len(), 3);
    }

    #[test]
    fn hosts_of_their_own_have_addresses_of_their_own_and_nodes_speak_https_there() {
        let topology = Topology {
            ports: Ports::CHAOS,
            ..topology()
        };
        assert_eq!(topology.http(Name::node(3)), "10.77.1.3:7100");
        assert_eq!(topology.internal(Name::node(1)), "10.77.1.1:7200");
        assert_eq!(topology.url(Name::node(2)), "https://10.77.1.2:7100");
        assert_eq!(topology.url(Name::edge(2)), "http://10.77.2.2:8100");
    }

    #[test]
    fn the_largest_topology_has_no_port_twice() {
        let topology = Topology {
            nodes: NODES_MAX,
            edges: EDGES_MAX,
            origins: 2,
            ports: Ports::LOCAL,
        };
        let mut all: Vec<String> = topology.names().map(|name| topology.http(name)).collect();
        all.extend(
            topology
                .of(Kind::Node)
                .flat_map(|node| [topology.internal(node), topology.publisher(node)]),
        );
        all.extend(topology.of(Kind::Edge).map(|edge| topology.admin(edge)));
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn regions_are_taken_in_turn() {
        let regions: Vec<&str> = (1..=4).map(|number| Name::edge(number).region()).collect();
        assert_eq!(
            regions,
            [
                "eu-central-1",
                "us-east-1",
                "ap-southeast-2",
                "eu-central-1"
            ]
        );
    }
}
