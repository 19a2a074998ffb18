//! How consensus and its storage stand, read when somebody asks. Nothing is counted here: openraft and the
//! store know it.

use std::fmt;
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use raft_store::types::Raft;
use raft_store::{Closer, LogId, SYNC_BOUNDS_US, Standing, StorageStatistics};

/// Shows how consensus and its storage stand.
pub(crate) struct RaftCollector {
    raft: Raft,
    closer: Closer,
}

impl RaftCollector {
    pub(crate) fn register(metrics: &super::Metrics, raft: Raft, closer: Closer) {
        metrics.register(|registry| registry.register_collector(Box::new(Self { raft, closer })));
    }
}

impl fmt::Debug for RaftCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftCollector").finish_non_exhaustive()
    }
}

impl Collector for RaftCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(&mut encoder);
        self.encode_raft(&mut writer)?;
        let storage = self.closer.statistics();
        encode_storage(&storage, &mut writer)?;
        encode_sync_times(&storage.log_standing, &mut writer)
    }
}

impl RaftCollector {
    fn encode_raft(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let raft = self.raft.metrics().borrow_watched().clone();
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        let (committed, applied) = (index(raft.cluster_committed), index(raft.last_applied));
        let last = raft.last_log_index.unwrap_or(0);
        let members = raft.membership_config.membership();
        let count = |count: usize| count as u64;
        for (name, help, value) in [
            (
                "raft_term",
                "The highest term seen; it grows with each election",
                raft.current_term,
            ),
            (
                "raft_leader",
                "The leader's number, 0 if none is known",
                raft.current_leader.unwrap_or(0),
            ),
            (
                "raft_is_leader",
                "Whether this node leads",
                u64::from(raft.current_leader == Some(raft.id)),
            ),
            (
                "raft_voters",
                "Members that vote",
                count(members.voter_ids().count()),
            ),
            (
                "raft_learners",
                "Members that only follow",
                count(members.learner_ids().count()),
            ),
            ("raft_last_log_index", "The last entry in the log", last),
            (
                "raft_committed_index",
                "The last entry known to be committed",
                committed,
            ),
            ("raft_applied_index", "The last entry applied", applied),
            (
                "raft_apply_lag_entries",
                "Entries committed and not yet applied",
                committed.saturating_sub(applied),
            ),
            (
                "raft_checkpoint_index",
                "The last entry in a checkpoint",
                index(raft.snapshot),
            ),
            (
                "raft_purged_index",
                "The last entry purged from the log",
                index(raft.purged),
            ),
        ] {
            writer.gauge(name, help, &value)?;
        }
        let acked = raft.last_quorum_acked;
        writer.some_gauge(
            "raft_quorum_ack_age_seconds",
            "Time since a quorum last answered this leader; shown by a leader alone",
            acked.map(|acked| acked.elapsed().as_secs_f64()),
        )?;
        let followers = raft.replication.unwrap_or_default();
        let lags = followers
            .into_iter()
            .filter(|(member, _)| *member != raft.id)
            .map(|(member, matched)| (member.to_string(), last.saturating_sub(index(matched))));
        writer.gauges(
            "raft_replication_lag_entries",
            "Entries that a member lacks, by the member's number; shown by the leader alone",
            "member",
            lags,
        )
    }
}

/// Reads one thing of how a database stands.
type Read = fn(&Standing) -> u64;

fn encode_storage(storage: &StorageStatistics, writer: &mut Writer<'_, '_>) -> fmt::Result {
    writer.counter("log_writes", "Writes to the log", storage.log.writes)?;
    writer.counter(
        "log_syncs",
        "Syncs of the log: each commits all writes before it",
        storage.log.syncs,
    )?;
    writer.counter(
        "state_writes",
        "Writes of apply batches to the state",
        storage.state.writes,
    )?;
    let both = |value: Read| {
        [
            ("log".to_owned(), value(&storage.log_standing)),
            ("state".to_owned(), value(&storage.state_standing)),
        ]
        .into_iter()
    };
    let gauges: [(&str, &str, Read); 7] = [
        (
            "storage_table_bytes",
            "Bytes of table files in use",
            |standing| standing.table_bytes,
        ),
        (
            "storage_write_buffer_bytes",
            "Bytes in write buffers",
            |standing| standing.write_buffer_bytes,
        ),
        (
            "storage_rows_estimated",
            "Rows, as far as the engine can guess",
            |standing| standing.rows,
        ),
        (
            "storage_compaction_pending_bytes",
            "Bytes that compaction has yet to rewrite",
            |standing| standing.compaction_pending_bytes,
        ),
        (
            "storage_background_jobs",
            "Compactions and flushes under way",
            |standing| standing.background_jobs,
        ),
        (
            "storage_level0_files",
            "Files of the uppermost level",
            |standing| standing.level0_files,
        ),
        (
            "storage_writes_stopped",
            "Whether writes wait for flushes or compactions",
            |standing| u64::from(standing.writes_stopped),
        ),
    ];
    for (name, help, value) in gauges {
        writer.gauges(name, help, "database", both(value))?;
    }
    writer.gauge(
        "storage_block_cache_bytes",
        "Bytes in the block cache that the node's databases share",
        &storage.state_standing.block_cache_bytes,
    )?;
    writer.counters(
        "storage_background_errors",
        "Errors of flushes and compactions",
        "database",
        both(|standing| standing.background_errors),
    )
}

fn encode_sync_times(log: &Standing, writer: &mut Writer<'_, '_>) -> fmt::Result {
    let bounds = SYNC_BOUNDS_US
        .iter()
        .map(|micros| Duration::from_micros(*micros).as_secs_f64())
        .chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(log.sync_times).collect();
    let sum = Duration::from_micros(log.sync_micros).as_secs_f64();
    writer
        .0
        .encode_descriptor(
            "log_sync_duration_seconds",
            "Time that a sync of the log took",
            None,
            MetricType::Histogram,
        )?
        .encode_histogram::<NoLabelSet>(sum, log.sync_times.iter().sum(), &buckets, None)
}

/// Writes metrics one by one.
struct Writer<'e, 'd>(&'e mut DescriptorEncoder<'d>);

impl Writer<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(value)
    }

    /// Named even where it has no value, so that what there is does not depend on the moment.
    fn some_gauge(
        &mut self,
        name: &str,
        help: &str,
        value: Option<impl EncodeGaugeValue>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| metric.encode_gauge(&value))
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        self.family(MetricType::Gauge, name, help, label, values)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        self.family(MetricType::Counter, name, help, label, values)
    }

    fn family(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (of, value) in values {
            let labels = [(label, of.as_str())];
            let mut one = metric.encode_family(&labels)?;
            match kind {
                MetricType::Counter => one.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                _ => one.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}
