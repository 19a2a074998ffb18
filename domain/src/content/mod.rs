//! What a published configuration consists of, with types: the normalised form of a route's
//! settings and rules, as edges compile it. Records keep the JSON that clients sent; this module
//! turns it into these types and says, with a path, what is wrong with it.

mod action;
mod caching;
mod canonical;
mod config;
mod criteria;
pub mod diff;
mod encoding;
mod fields;
mod health_check;
mod hostname;
mod invalid;
mod load;
mod merge;
mod pattern;
mod strict;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{RouteId, RuleId, SnapshotId, UpstreamId};
use crate::model::{
    Algorithm, IpRange, Metadata, Mode, Priority, Purges, SnapshotVersion, Target, UpstreamSettings,
};
use crate::tree::Hash;

pub use action::{BODY_BYTES_MAX, UPSTREAMS_MAX, action_upstreams};
pub use caching::{CacheKey, Caching, QueryPart};
pub use canonical::{JSON_DEPTH_MAX, canonical_json, json_depth};
pub use config::{Backing, RouteConfig, route_config};
pub use criteria::{ALTERNATIVES_MAX, HEADERS_MAX, QUERY_CHARS_MAX, QUERY_NAME_CHARS_MAX};
pub use encoding::{DecodeError, route_key, rule_key, upstream_key};
pub use fields::whole_number;
pub use hostname::hostname;
pub use invalid::{Invalid, InvalidKind};
pub use load::{load_head, load_routes, load_rules, load_upstreams};
pub use merge::merge_patch;
pub use strict::strict_json;
pub use tls::{TlsConfig, TlsPolicy, TlsVersion, tls_config};
pub use upstream::{SETTINGS_BYTES_MAX, UPSTREAM_SETTINGS, target_regions};

/// A published route: the content of a snapshot's head chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteContent {
    /// The route.
    pub route_id: RouteId,
    /// Its label.
    pub name: String,
    /// The public hostname: lower-case A-labels, perhaps one leading `*.` label.
    pub hostname: String,
    /// The traffic mode.
    pub mode: Mode,
    /// A disabled route answers like a hostname that nobody has.
    pub enabled: bool,
    /// Where requests go that no rule matches; empty where nowhere.
    pub default_upstreams: Vec<WeightedUpstream>,
    /// The `config` object as canonical JSON (RFC 8785).
    pub config: String,
    /// The tree of [`UpstreamContent`] by identifier.
    pub upstreams: Hash,
    /// The tree of [`RuleContent`] by (priority, identifier).
    pub rules: Hash,
    /// How many rules the tree holds.
    pub rule_count: u64,
}

/// What a manifest says of a route: the value in its tree of routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    /// The route.
    pub route_id: RouteId,
    /// The hostname that is live.
    pub hostname: String,
    /// Whether the live version is enabled.
    pub enabled: bool,
    /// The active snapshot.
    pub snapshot_id: SnapshotId,
    /// Its version.
    pub version: SnapshotVersion,
    /// Its head chunk.
    pub head: Hash,
    /// What was purged of what edges keep of its answers.
    pub purges: Purges,
}

/// A published rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleContent {
    /// The rule.
    pub id: RuleId,
    /// Its place: lower runs first.
    pub priority: Priority,
    /// Its label.
    pub name: String,
    /// Which requests it takes.
    pub criteria: Criteria,
    /// What it does with them.
    pub action: Action,
    /// Labels.
    pub metadata: Metadata,
}

/// A published upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamContent {
    /// The upstream.
    pub id: UpstreamId,
    /// Its label.
    pub name: String,
    /// How a target is chosen.
    pub algorithm: Algorithm,
    /// How its targets are spoken to, watched and spared.
    pub settings: UpstreamSettings,
    /// The targets, in the order given.
    pub targets: Vec<TargetContent>,
}

/// A published target: it is what its record is.
pub type TargetContent = Target;

/// Which requests a rule takes: every criterion that is present must hold (AND), each by any of
/// its alternatives (OR). Without any criterion the rule takes every request. Alternatives are
/// sorted and free of repetition, so that the same meaning has the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Criteria {
    /// Alternatives for the path.
    pub path: Vec<PathPattern>,
    /// Alternatives for the method, upper-case.
    pub method: Vec<String>,
    /// Alternatives for the edge's region.
    pub region: Vec<String>,
    /// By lower-case header name, alternatives for its value; all named headers must hold.
    pub header: BTreeMap<String, Vec<ValuePattern>>,
    /// By name of a query parameter, alternatives for its value; names and values as they are when
    /// percent-decoded, see [`crate::matching::QueryPair`]. All named parameters must hold.
    pub query: BTreeMap<String, Vec<ValuePattern>>,
    /// Alternatives for the host: hostnames in normal form, perhaps with one leading `*.` label
    /// that stands for exactly one label.
    pub host: Vec<String>,
    /// Alternatives for the address of the client.
    pub ip_cidr: Vec<IpRange>,
}

/// A pattern for a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PathPattern {
    /// The whole path.
    Exact(String),
    /// This path and everything below it: a prefix that ends at a segment boundary.
    Prefix(String),
    /// A regular expression over the whole path (linear-time dialect of the `regex` crate).
    Regex(String),
}

/// A pattern for the value of a header or of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ValuePattern {
    /// The whole value.
    Exact(String),
    /// The value's beginning.
    Prefix(String),
    /// A regular expression over the whole value.
    Regex(String),
    /// Whether the header or parameter is there at all.
    Present(bool),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sends the request on.
    Forward {
        /// To one of these, by weight.
        upstreams: Vec<WeightedUpstream>,
    },
    /// Answers with a redirect.
    Redirect {
        /// The target: absolute, or a path.
        url: String,
        /// 301, 302, 307 or 308.
        status: u16,
        /// Appends the request's path and query to the target.
        preserve_path: bool,
    },
    /// Answers by itself.
    FixedResponse {
        /// 200 to 599.
        status: u16,
        /// Headers by lower-case name.
        headers: BTreeMap<String, String>,
        /// The body, up to 64 KiB.
        body: String,
    },
}

/// An upstream and its share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightedUpstream {
    /// Which upstream.
    pub upstream_id: UpstreamId,
    /// Its share, 0 to 1000.
    pub weight: u32,
}

/// A header's name in lower case, if it is one.
fn header_name(name: &str, path: &str) -> Result<String, Invalid> {
    /// The longest header name that is taken.
    const NAME_BYTES_MAX: usize = 100;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(token) {
        return Err(Invalid::new(path, "Expected the name of an HTTP header."));
    }
    Ok(name.to_ascii_lowercase())
}
