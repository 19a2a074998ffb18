//! openraft's configuration. The guard rails that the choice of its alpha line came with are set
//! here, each with its reason.

use std::sync::Arc;

use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::settings::RaftSettings;

/// How many entries go into one append at most; the log reader ends a batch at a mebibyte before.
const PAYLOAD_ENTRIES_MAX: u64 = 2048;

/// How many entries are purged at a time: purging one by one would write a range deletion each.
const PURGE_BATCH: u64 = 1024;

pub(super) fn config(settings: &RaftSettings) -> Result<Arc<Config>, ConfigError> {
    let config = Config {
        cluster_name: "vectorgate".to_owned(),
        heartbeat_interval: settings.heartbeat_ms,
        election_timeout_min: settings.election_timeout_min_ms,
        election_timeout_max: settings.election_timeout_max_ms,
        // A node that was cut off must not force an election on those that were not.
        enable_pre_vote: Some(true),
        // A restarted leader asks for votes like everybody else.
        enable_leader_restore: Some(false),
        max_payload_entries: PAYLOAD_ENTRIES_MAX,
        // Followers write while the leader's own sync runs.
        broadcast_submitted_on_append: Some(true),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.checkpoint_every_entries),
        // The purge must never run near what is being applied.
        max_in_snapshot_log_to_keep: settings.entries_kept_after_checkpoint,
        purge_batch_size: PURGE_BATCH.min(settings.entries_kept_after_checkpoint.max(1)),
        // Only the promotion of learners looks at this.
        replication_lag_threshold: settings
            .checkpoint_every_entries
            .saturating_add(settings.entries_kept_after_checkpoint),
        // A log that went back on a node is a lost disk, never a thing to adapt to.
        allow_log_reversion: None,
        ..Config::default()
    };
    Ok(Arc::new(config.validate()?))
}
