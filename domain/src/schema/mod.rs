//! All tables of the state, and the records that only the state machine sees. A row belongs to
//! exactly one table; nothing else may write rows.
//!
//! ```text
//! tag  table                  key                                    value
//! 01   CLOCK                  –                                      LogClock
//! 02   BOOTSTRAP              –                                      BootstrapRecord
//! 03   WORKSPACES             workspace                              Workspace
//! 04   ENVIRONMENTS           environment                            Environment
//! 05   ENVIRONMENT_NAMES      workspace, name                        EnvironmentId
//! 06   API_KEYS               key id                                 ApiKey
//! 07   API_KEY_HASHES         keyed hash                             ApiKeyId
//! 08   API_KEYS_BY_TIME       workspace, created, key id             –
//! 09   OBJECT_COUNTS          env                                    ObjectCounts
//! 10   UPSTREAMS              env, upstream                          Upstream
//! 11   UPSTREAMS_BY_TIME      env, created, upstream                 –
//! 12   UPSTREAM_ROUTES        env, upstream, route                   –        where USES has a row
//! 13   UPSTREAM_OUTAGES       env, upstream, region                  Outage
//! 14   UPSTREAM_SHIFTS        env, upstream                          Shift    the latest
//! 15   RUNNING_SHIFTS         env, upstream                          –
//! 18   ROUTES                 env, route                             Route
//! 19   DRAFTS                 env, route                             Draft
//! 1a   ROUTES_BY_TIME         env, archived, created, route          –
//! 1b   HOSTNAMES              env, hostname                          RouteId  of the draft, not archived
//! 1c   LIVE_HOSTNAMES         env, hostname                          RouteId  of the live, enabled one
//! 1d   ROUTE_COUNTS           env                                    u64      not archived
//! 1e   USES                   env, route, upstream                   Uses
//! 1f   DIRTY_UPSTREAMS        env, route, upstream                   –        would change the snapshot
//! 20   RULES                  env, rule                              Rule
//! 21   RULE_PRIORITIES        env, route, priority                   RuleId   not archived
//! 22   RULES_BY_STATUS        env, status, priority, rule            –
//! 23   ROUTE_RULES_BY_STATUS  env, route, status, priority, rule     –
//! 24   DIRTY_RULES            env, route, rule                       –        pending, and no draft
//! 25   RULE_VERSIONS          env, rule, version                     RuleVersion  not the only one
//! 26   RULE_VERSION_SNAPSHOTS env, rule, version                     SnapshotId  once it went live
//! 28   SNAPSHOTS              env, snapshot                          Snapshot
//! 29   SNAPSHOT_VERSIONS      env, route, version                    SnapshotId
//! 2a   SNAPSHOTS_BY_TIME      env, published, snapshot               –
//! 2b   ROUTE_SNAPSHOTS        env, route, published, snapshot        –
//! 30   MANIFESTS              env                                    Manifest
//! 31   MANIFEST_ROOTS         env, version                           Hash     the newest few
//! 38   CHUNKS                 hash                                   the chunk's bytes
//! 39   CHUNK_COUNTS           hash                                   u64      how often referenced
//! 40   ANSWERS                env, idempotency key                   IdempotencyRecord
//! 41   ANSWER_EXPIRIES        expires, env, key                      –
//! 48   JOURNAL                env, time, revision                    JournalEntry
//! 49   HISTORIES              env                                    History
//! 50   WEBHOOK_ENDPOINTS      env, endpoint                          WebhookEndpoint
//! 51   WEBHOOK_DELIVERIES     env, delivery                          WebhookDelivery
//! 52   DELIVERIES_DUE         env, endpoint, next attempt, delivery  –        pending ones
//! 53   DELIVERY_ENDS          env, pending, ends, delivery           –
//! 54   WEBHOOK_SECRETS        env, endpoint, generation              SealedKey  those that sign; none: derived
//! 58   CERTIFICATES           env, certificate                       Certificate
//! 59   CERTIFICATE_CHANGES    env                                    Revision  the last of any of them
//! 5a   EXPIRY_NOTICES         env, certificate or key                ExpiryNotice  the last
//! 60   CLUSTER                –                                      ClusterSettings
//! 61   RETIRED_MEMBERS        member                                 RetiredMember
//! 62   CLUSTER_CHANGES        revision                               ClusterRecord  the newest thousand
//! 63   SIGNING                –                                      Signing
//! 64   SIGNING_KEYS           key                                    SigningKey
//! 65   SEALING                –                                      Sealing    none: under the pepper
//! 66   PEPPERING              –                                      Peppering  none: the first pepper
//! 67   HASH_PEPPERS           keyed hash                             PepperId   of key or token; none: the first
//! 70   EDGE_TOKENS            env, token                             EdgeToken
//! 71   EDGE_TOKEN_HASHES      keyed hash                             EnvironmentId
//! 72   EDGE_RECORDS           env, edge                              EdgeRecord
//! 73   EDGE_CHANGES           env                                    Revision  the last of any of them
//! ```

mod chunks;
mod earlier;
mod records;

pub use chunks::{delete_chunk, get_chunk, put_chunk};
pub use records::{BootstrapRecord, Draft, History, LogClock, ObjectCounts, Uses};

use crate::id::{
    ApiKeyId, CertificateId, EdgeTokenId, EnvironmentId, RouteId, RuleId, SnapshotId, UpstreamId,
    WebhookDeliveryId, WebhookEndpointId, WorkspaceId,
};
use crate::model::{
    ApiKey, Certificate, ClusterRecord, ClusterSettings, EdgeRecord, EdgeToken, Environment,
    ExpiryNotice, IdempotencyKey, IdempotencyRecord, JournalEntry, KeyHash, Manifest,
    ManifestVersion, MemberId, Outage, PepperId, Peppering, Priority, RetiredMember, Route, Rule,
    RuleStatus, RuleVersion, RuleVersionNumber, SealedKey, Sealing, SecretGeneration, Shift,
    Signing, SigningKey, SigningKeyId, Snapshot, SnapshotVersion, Upstream, WebhookDelivery,
    WebhookEndpoint, Workspace,
};
use crate::table::Table;
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// The log's time.
pub const CLOCK: Table<(), LogClock> = Table::new(0x01, "clock");
/// What bootstrapping made.
pub const BOOTSTRAP: Table<(), BootstrapRecord> = Table::new(0x02, "bootstrap");
/// Workspaces.
pub const WORKSPACES: Table<(WorkspaceId,), Workspace> = Table::new(0x03, "workspaces");
/// Environments.
pub const ENVIRONMENTS: Table<(EnvironmentId,), Environment> = Table::new(0x04, "environments");
/// Environments by name.
pub const ENVIRONMENT_NAMES: Table<(WorkspaceId, String), EnvironmentId> =
    Table::new(0x05, "environment_names");
/// API keys.
pub const API_KEYS: Table<(ApiKeyId,), ApiKey> = Table::new(0x06, "api_keys");
/// API keys by keyed hash.
pub const API_KEY_HASHES: Table<(KeyHash,), ApiKeyId> = Table::new(0x07, "api_key_hashes");
/// A workspace's API keys in order of creation.
pub const API_KEYS_BY_TIME: Table<(WorkspaceId, Timestamp, ApiKeyId), ()> =
    Table::new(0x08, "api_keys_by_time");
/// How many objects an environment has, of the kinds that no other row counts.
pub const OBJECT_COUNTS: Table<(EnvironmentId,), ObjectCounts> = Table::new(0x09, "object_counts");

/// Upstreams.
pub const UPSTREAMS: Table<(EnvironmentId, UpstreamId), Upstream> = Table::new(0x10, "upstreams");
/// Upstreams in order of creation.
pub const UPSTREAMS_BY_TIME: Table<(EnvironmentId, Timestamp, UpstreamId), ()> =
    Table::new(0x11, "upstreams_by_time");
/// The routes that use an upstream in whatever way: the other direction of [`USES`].
pub const UPSTREAM_ROUTES: Table<(EnvironmentId, UpstreamId, RouteId), ()> =
    Table::new(0x12, "upstream_routes");

/// Where upstreams are out of use.
pub const UPSTREAM_OUTAGES: Table<(EnvironmentId, UpstreamId, String), Outage> =
    Table::new(0x13, "upstream_outages");
/// The latest shift of each upstream that ever had one.
pub const UPSTREAM_SHIFTS: Table<(EnvironmentId, UpstreamId), Shift> =
    Table::new(0x14, "upstream_shifts");
/// Those of them that are running.
pub const RUNNING_SHIFTS: Table<(EnvironmentId, UpstreamId), ()> =
    Table::new(0x15, "running_shifts");

/// Routes.
pub const ROUTES: Table<(EnvironmentId, RouteId), Route> = Table::new(0x18, "routes");
/// Routes' drafts.
pub const DRAFTS: Table<(EnvironmentId, RouteId), Draft> = Table::new(0x19, "drafts");
/// Routes in order of creation, those that are not archived first.
pub const ROUTES_BY_TIME: Table<(EnvironmentId, bool, Timestamp, RouteId), ()> =
    Table::new(0x1a, "routes_by_time");
/// Which route that is not archived has a hostname.
pub const HOSTNAMES: Table<(EnvironmentId, String), RouteId> = Table::new(0x1b, "hostnames");
/// Which route is live and enabled under a hostname.
pub const LIVE_HOSTNAMES: Table<(EnvironmentId, String), RouteId> =
    Table::new(0x1c, "live_hostnames");
/// How many routes that are not archived an environment has.
pub const ROUTE_COUNTS: Table<(EnvironmentId,), u64> = Table::new(0x1d, "route_counts");
/// How a route uses an upstream.
pub const USES: Table<(EnvironmentId, RouteId, UpstreamId), Uses> = Table::new(0x1e, "uses");
/// The upstreams whose part of a route's snapshot the next publish changes.
pub const DIRTY_UPSTREAMS: Table<(EnvironmentId, RouteId, UpstreamId), ()> =
    Table::new(0x1f, "dirty_upstreams");

/// Rules.
pub const RULES: Table<(EnvironmentId, RuleId), Rule> = Table::new(0x20, "rules");
/// Which of a route's rules that are not archived has a priority.
pub const RULE_PRIORITIES: Table<(EnvironmentId, RouteId, Priority), RuleId> =
    Table::new(0x21, "rule_priorities");
/// An environment's rules, by status and then in evaluation order.
pub const RULES_BY_STATUS: Table<(EnvironmentId, RuleStatus, Priority, RuleId), ()> =
    Table::new(0x22, "rules_by_status");
/// A route's rules, by status and then in evaluation order.
pub const ROUTE_RULES_BY_STATUS: Table<(EnvironmentId, RouteId, RuleStatus, Priority, RuleId), ()> =
    Table::new(0x23, "route_rules_by_status");
/// The rules whose part of the route's snapshot the next publish changes, but for those in draft, all
/// of which it changes: [`ROUTE_RULES_BY_STATUS`] has them.
pub const DIRTY_RULES: Table<(EnvironmentId, RouteId, RuleId), ()> =
    Table::new(0x24, "dirty_rules");
/// Versions of rules that have several.
pub const RULE_VERSIONS: Table<(EnvironmentId, RuleId, RuleVersionNumber), RuleVersion> =
    Table::new(0x25, "rule_versions");
/// The snapshots in which versions of rules first went live.
pub const RULE_VERSION_SNAPSHOTS: Table<(EnvironmentId, RuleId, RuleVersionNumber), SnapshotId> =
    Table::new(0x26, "rule_version_snapshots");

/// Snapshots.
pub const SNAPSHOTS: Table<(EnvironmentId, SnapshotId), Snapshot> = Table::new(0x28, "snapshots");
/// A route's snapshots by version.
pub const SNAPSHOT_VERSIONS: Table<(EnvironmentId, RouteId, SnapshotVersion), SnapshotId> =
    Table::new(0x29, "snapshot_versions");
/// An environment's snapshots in order of publication.
pub const SNAPSHOTS_BY_TIME: Table<(EnvironmentId, Timestamp, SnapshotId), ()> =
    Table::new(0x2a, "snapshots_by_time");
/// A route's snapshots in order of publication. Nobody reads it any more: moments tie where versions
/// do not. It is still written, because all nodes have to write the same rows, whichever release
/// each of them runs.
pub const ROUTE_SNAPSHOTS: Table<(EnvironmentId, RouteId, Timestamp, SnapshotId), ()> =
    Table::new(0x2b, "route_snapshots");

/// Current manifests.
pub const MANIFESTS: Table<(EnvironmentId,), Manifest> =
    Table::versioned(0x30, "manifests", 2, earlier::manifest);
/// The roots of the newest manifests, the current one included.
pub const MANIFEST_ROOTS: Table<(EnvironmentId, ManifestVersion), Hash> =
    Table::new(0x31, "manifest_roots");
/// Chunks by address. The values are the chunks' own bytes: see [`put_chunk`].
pub const CHUNKS: Table<(Hash,), ()> = Table::new(0x38, "chunks");
/// How many snapshots, kept manifest roots and other chunks name a chunk.
pub const CHUNK_COUNTS: Table<(Hash,), u64> = Table::new(0x39, "chunk_counts");

/// Finished requests by idempotency key.
pub const ANSWERS: Table<(EnvironmentId, IdempotencyKey), IdempotencyRecord> =
    Table::new(0x40, "answers");
/// Finished requests in order of expiry.
pub const ANSWER_EXPIRIES: Table<(Timestamp, EnvironmentId, IdempotencyKey), ()> =
    Table::new(0x41, "answer_expiries");

/// What each log entry did to an environment, in log order: log time never goes back.
pub const JOURNAL: Table<(EnvironmentId, Timestamp, Revision), JournalEntry> =
    Table::versioned(0x48, "journal", 2, earlier::journal_entry);
/// Where the kept history of environments begins.
pub const HISTORIES: Table<(EnvironmentId,), History> =
    Table::versioned(0x49, "histories", 2, earlier::history);

/// Webhook endpoints.
pub const WEBHOOK_ENDPOINTS: Table<(EnvironmentId, WebhookEndpointId), WebhookEndpoint> =
    Table::new(0x50, "webhook_endpoints");
/// Deliveries to webhook endpoints; their identifiers are in order of creation.
pub const WEBHOOK_DELIVERIES: Table<(EnvironmentId, WebhookDeliveryId), WebhookDelivery> =
    Table::new(0x51, "webhook_deliveries");
/// Pending deliveries of an endpoint in the order of their next attempts.
pub const DELIVERIES_DUE: Table<
    (
        EnvironmentId,
        WebhookEndpointId,
        Timestamp,
        WebhookDeliveryId,
    ),
    (),
> = Table::new(0x52, "deliveries_due");
/// Deliveries in the order in which they end, those that are not pending first.
pub const DELIVERY_ENDS: Table<(EnvironmentId, bool, Timestamp, WebhookDeliveryId), ()> =
    Table::new(0x53, "delivery_ends");

/// Secrets of webhook endpoints that are sealed. Those of endpoints that have none here are derived.
pub const WEBHOOK_SECRETS: Table<(EnvironmentId, WebhookEndpointId, SecretGeneration), SealedKey> =
    Table::new(0x54, "webhook_secrets");

/// Certificates.
pub const CERTIFICATES: Table<(EnvironmentId, CertificateId), Certificate> =
    Table::new(0x58, "certificates");
/// The entry that last changed a certificate of an environment, or removed one.
pub const CERTIFICATE_CHANGES: Table<(EnvironmentId,), Revision> =
    Table::new(0x59, "certificate_changes");
/// What was told last of the ends of certificates and API keys, by identifier.
pub const EXPIRY_NOTICES: Table<(EnvironmentId, String), ExpiryNotice> =
    Table::new(0x5a, "expiry_notices");

/// What operators want of the cluster.
pub const CLUSTER: Table<(), ClusterSettings> = Table::new(0x60, "cluster");
/// Members that were removed or are being removed: their numbers are used up.
pub const RETIRED_MEMBERS: Table<(MemberId,), RetiredMember> = Table::new(0x61, "retired_members");
/// What operators asked of the cluster, by the entry that told of it.
pub const CLUSTER_CHANGES: Table<(Revision,), ClusterRecord> = Table::new(0x62, "cluster_changes");
/// How the cluster signs.
pub const SIGNING: Table<(), Signing> = Table::new(0x63, "signing");
/// The public parts of all keys that ever signed, up to a number.
pub const SIGNING_KEYS: Table<(SigningKeyId,), SigningKey> = Table::new(0x64, "signing_keys");

/// Under which key secrets are sealed.
pub const SEALING: Table<(), Sealing> = Table::new(0x65, "sealing");

/// Under which pepper keys are hashed.
pub const PEPPERING: Table<(), Peppering> = Table::new(0x66, "peppering");
/// The peppers that hashes of keys and tokens were made under, but for those of the first one.
pub const HASH_PEPPERS: Table<(KeyHash,), PepperId> = Table::new(0x67, "hash_peppers");

/// Tokens by which edges join.
pub const EDGE_TOKENS: Table<(EnvironmentId, EdgeTokenId), EdgeToken> =
    Table::new(0x70, "edge_tokens");
/// The environment of the token with a keyed hash.
pub const EDGE_TOKEN_HASHES: Table<(KeyHash,), EnvironmentId> =
    Table::new(0x71, "edge_token_hashes");
/// What was decided of edges, by name.
pub const EDGE_RECORDS: Table<(EnvironmentId, String), EdgeRecord> =
    Table::new(0x72, "edge_records");
/// The entry that last let in an edge of an environment, or turned one away.
pub const EDGE_CHANGES: Table<(EnvironmentId,), Revision> = Table::new(0x73, "edge_changes");

/// How many manifest roots keep their chunks: an edge that is still fetching an earlier manifest
/// may finish, unless more than this many publications overtake it.
pub const MANIFEST_ROOTS_KEPT: u64 = 8;

/// Whether the row at `key` says who may ask for what: workspaces, environments and API keys.
/// Whoever remembers what such rows said has to look again when one of them changes.
#[must_use]
pub fn decides_access(key: &[u8]) -> bool {
    let tags = WORKSPACES.tag()..=API_KEY_HASHES.tag();
    key.first().is_some_and(|tag| tags.contains(tag))
}
