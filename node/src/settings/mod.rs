//! What a node process is started with: a TOML file, and for each field the environment variable
//! `VECTORGATE_SECTION__FIELD`, which wins. A workspace's *config* is another matter.
//!
//! Reading is strict: an unknown field or a value that cannot be is an error that names the
//! field, found before any port opens. Files that are named here are read by `main`.

mod checks;
mod error;
mod layers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use platform::trace::TracingSettings;
use raft_store::types::Member;
use serde::Deserialize;

pub use error::SettingsError;

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Who it is.
    pub node: NodeSettings,
    /// The REST API.
    pub rest: RestSettings,
    /// gRPC between nodes.
    pub internal: ListenSettings,
    /// QUIC for edges.
    pub publisher: PublisherSettings,
    /// The operators' socket; without it, operators use the process's subcommands.
    #[serde(default)]
    pub admin: Option<ListenSettings>,
    /// Metrics on a socket of their own, in plain HTTP; without it, they are on the API's.
    #[serde(default)]
    pub metrics: Option<ListenSettings>,
    /// Certificates for everything between our own processes.
    pub tls: TlsSettings,
    /// What lets edges in by join tokens; without it, none is.
    #[serde(default)]
    pub enrolment: Option<EnrolmentSettings>,
    /// Secrets that all nodes share.
    pub security: SecuritySettings,
    /// The first members of the cluster.
    pub cluster: ClusterSettings,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogSettings,
    /// Timing of consensus.
    #[serde(default)]
    pub raft: RaftSettings,
    /// Rate limits of the REST API.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Where webhooks may go.
    #[serde(default)]
    pub webhooks: WebhookSettings,
    /// Backups that the cluster makes by itself; without it, none.
    #[serde(default)]
    pub backup: Option<BackupSettings>,
    /// Whether and how members compare their states.
    #[serde(default)]
    pub check: CheckSettings,
    /// Where it sends what it records of requests.
    #[serde(default)]
    pub tracing: TracingSettings,
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    /// Its member number, which never moves to another disk.
    pub id: u64,
    /// The region it runs in.
    pub region: String,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// How many threads serve requests and consensus; without it, one for each core. Give fewer to
    /// a node that shares its machine.
    #[serde(default)]
    pub worker_threads: Option<NonZeroUsize>,
}

/// The REST API's socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The certificate chain that clients see; with it, and a key, the API speaks HTTPS.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The certificate's key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Whether the API speaks plain HTTP beyond this machine, where API keys can be read on the way. For
    /// nodes that can be reached through something alone that speaks TLS.
    #[serde(default)]
    pub plain_http_beyond_loopback: bool,
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// The socket for edges.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How many connections one address, or one /64 of IPv6, may have: more are closed at once. Give more where more edges stand behind
    /// one address.
    #[serde(default = "connections_of_address_max")]
    pub connections_of_address_max: usize,
}

/// A tenth of what a node takes, so that one address that opens all that it can leaves room for others.
fn connections_of_address_max() -> usize {
    1024
}

/// Mutual TLS between our own processes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The authority that nodes and edges trust.
    pub ca_file: PathBuf,
    /// This node's certificate, SAN URI `vg://node/<id>`.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// What lets edges in by join tokens: an authority of its own, the same on every node, that signs for edges
/// and for nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentSettings {
    /// The authorities whose edges are let in, of which the first signs.
    pub ca_file: PathBuf,
    /// The first one's key.
    pub key_file: PathBuf,
    /// For how many hours a certificate holds; its edge renews it after two thirds of them.
    #[serde(default = "certificate_hours")]
    pub certificate_hours: u32,
}

/// A week.
fn certificate_hours() -> u32 {
    7 * 24
}

/// Secrets that all nodes share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecuritySettings {
    /// The pepper under which API keys are hashed, in hexadecimal; the same on every node.
    pub pepper_file: PathBuf,
    /// The keys that secrets are sealed under, in hexadecimal, one a line: the first is sealed under, the others still open. The
    /// same on every node. Without it and [`Self::kek_command`], secrets are sealed under the pepper.
    #[serde(default)]
    pub kek_file: Option<PathBuf>,
    /// A program and its arguments, instead of the file: it writes such lines to its standard output.
    #[serde(default)]
    pub kek_command: Vec<String>,
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// This node and others. With empty disks they form the cluster, unless one joins. From then on
    /// the replicated membership counts; the list says where this node is reached when it is added,
    /// and whom the subcommands may ask.
    pub members: Vec<MemberSettings>,
    /// Whether this node waits to be added to a cluster that exists, and never forms one.
    #[serde(default)]
    pub join: bool,
}

/// A node and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// Its number.
    pub id: u64,
    /// The region it runs in.
    pub region: String,
    /// `host:port` where the other nodes reach it.
    pub internal: String,
    /// Base URL of its REST API.
    pub rest: String,
    /// `host:port` where edges reach it.
    pub publisher: String,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// A level, or directives as `tracing` knows them: `info,node=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Timing of consensus. When a leader falls silent, the others wait `election_timeout_max_ms`
/// (its lease) and then between minimum and maximum before they elect another one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftSettings {
    /// How often a leader says that it is there.
    pub heartbeat_ms: u64,
    /// The shortest election time-out.
    pub election_timeout_min_ms: u64,
    /// The longest election time-out, and the leader's lease.
    pub election_timeout_max_ms: u64,
    /// After how many entries the state is checkpointed.
    pub checkpoint_every_entries: u64,
    /// How many entries that a checkpoint covers stay in the log, so that a follower that was
    /// away catches up without the checkpoint.
    pub entries_kept_after_checkpoint: u64,
}

/// Rate limits. Those of workspaces whose plan has no numbers of its own (`enterprise`, which is what
/// `bootstrap` gives) hold for the whole cluster; give every node the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Requests with one API key in a minute.
    pub enterprise_requests_per_minute: u32,
    /// Rules made on one route in a minute.
    pub enterprise_route_mutations_per_minute: u32,
    /// Bad API keys from one address in a minute, at this node.
    pub bad_keys_per_minute: u32,
}

impl Default for LimitSettings {
    /// More than a cluster of three small machines can serve, so that nobody is slowed down by
    /// default, and the headers still tell how much is used.
    fn default() -> Self {
        Self {
            enterprise_requests_per_minute: 1_000_000,
            enterprise_route_mutations_per_minute: 1_000_000,
            bad_keys_per_minute: 20,
        }
    }
}

/// Where webhooks may go, and whom to trust there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// Networks in which receivers may stand although they are private or otherwise special, and
    /// to which plain HTTP is spoken if a URL says so. Whoever may create an endpoint can make
    /// this node send requests there.
    pub allowed_ranges: Vec<IpNet>,
    /// Authorities that vouch for receivers, in PEM, beside those of the operating system.
    pub ca_file: Option<PathBuf>,
}

/// Backups that the cluster makes by itself, through whoever leads; give every node the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSettings {
    /// Where they are written, each in a folder of its own.
    pub directory: PathBuf,
    /// How many minutes after one the next is begun.
    #[serde(default = "backup_every_minutes")]
    pub every_minutes: u32,
    /// How many are kept.
    #[serde(default = "backups_kept")]
    pub keep: usize,
    /// The file with the key that encrypts them: 32 bytes in hexadecimal.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Whether they are not encrypted. One of the two has to be said.
    #[serde(default)]
    pub plain: bool,
}

/// An hour.
fn backup_every_minutes() -> u32 {
    60
}

/// Two days of them.
fn backups_kept() -> usize {
    48
}

/// Comparisons of the members' states; give every node the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckSettings {
    /// Whether this node's state is compared with the others'. Without it, what has changed on its disk goes on being served.
    pub enabled: bool,
    /// How often, in milliseconds, as the leader has it.
    pub every_ms: u64,
    /// How many bytes of rows are read for it in a second at most.
    pub bytes_per_s_max: u64,
}

impl Default for CheckSettings {
    /// With a state of up to 800 MiB a difference is found within a minute, at the price of a tenth of a core
    /// while it is looked for.
    fn default() -> Self {
        Self {
            enabled: true,
            every_ms: 30_000,
            bytes_per_s_max: 32 << 20,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
        }
    }
}

impl Default for RaftSettings {
    /// 100 ms heartbeats survive a busy two-core machine; 250 to 500 ms time-outs put a new
    /// leader in place 0.75 to 1 s after the old one died. Log entries are kept generously: the
    /// purge must never come near what is being applied.
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            election_timeout_min_ms: 250,
            election_timeout_max_ms: 500,
            checkpoint_every_entries: 200_000,
            entries_kept_after_checkpoint: 100_000,
        }
    }
}

impl Settings {
    /// Reads a file, and over it the variables given (of the process's environment, those that
    /// start with `VECTORGATE_`).
    ///
    /// # Errors
    /// When the file cannot be read or a field is unknown, missing or cannot be.
    pub fn load(
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file).map_err(|source| SettingsError::Read {
            path: file.to_owned(),
            source,
        })?;
        Self::parse(&text, environment)
    }

    /// Like [`Settings::load`], from the file's text.
    ///
    /// # Errors
    /// When a field is unknown, missing or cannot be.
    pub fn parse(
        toml: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let variables: BTreeMap<String, String> = environment.into_iter().collect();
        let settings: Self = layers::read(toml, &variables)?;
        checks::check(&settings)?;
        Ok(settings)
    }

    /// Whom an operator's subcommand asks: the nodes of the settings, this one first.
    #[must_use]
    pub fn members_to_ask(&self) -> Vec<Member> {
        let mut members: Vec<Member> = self.initial_members().into_values().collect();
        members.sort_by_key(|member| (member.id != self.node.id, member.id));
        members
    }

    /// The first members, as consensus knows members.
    #[must_use]
    pub fn initial_members(&self) -> BTreeMap<u64, Member> {
        self.cluster
            .members
            .iter()
            .map(|member| (member.id, member.to_member()))
            .collect()
    }
}

/// Checks what a member says of itself as if it stood in a settings file.
pub(crate) fn check_member(member: &Member) -> Result<(), SettingsError> {
    checks::member(
        "member",
        &MemberSettings {
            id: member.id,
            region: member.region.clone(),
            internal: member.internal.clone(),
            rest: member.rest.clone(),
            publisher: member.publisher.clone(),
        },
    )
}

impl MemberSettings {
    fn to_member(&self) -> Member {
        Member {
            id: self.id,
            region: self.region.clone(),
            internal: self.internal.clone(),
            rest: self.rest.clone(),
            publisher: self.publisher.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
