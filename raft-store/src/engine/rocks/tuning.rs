//! The options of the two RocksDB databases: what keeps the port's promises, and what bounds a
//! node's memory.
//!
//! **Recovery.** RocksDB's default, point-in-time, drops everything behind a damaged record of
//! its write-ahead log and opens as if nothing had happened: measured, one flipped byte in the
//! middle lost 50 of 100 synced entries. The *log* database therefore uses
//! `TolerateCorruptedTailRecords`: a torn tail, normal after a crash, is cut, and any other damage
//! refuses to open. The *state* database has no write-ahead log: after a crash it stands where its
//! last write buffer was flushed, a consistent prefix, and the Raft log replays the rest.
//!
//! **Memory.** The block cache is shared and holds index and filter blocks too, so that memory
//! does not grow with the number of rows: at most [`BLOCK_CACHE_BYTES`], plus two write buffers
//! for each database, plus table readers of [`OPEN_FILES_MAX`] files. A second state database is
//! open only while a checkpoint is being installed.
//!
//! **Partitions.** A table file of small rows has an index and a filter of several megabytes. As
//! one block each they are larger than a shard of the cache and are read and decoded anew for each
//! look: measured, a rule read among 500 000 took 0.4 ms. In partitions of a few kilobytes the parts
//! that are used stay cached.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel,
    LruCacheOptions, Options,
};

use crate::engine::DatabaseKind;

/// Cached blocks of both databases, indexes and filters included: holds the inner levels of a
/// million rules' worth of rows.
const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// Four shards: enough for the few threads of a node, and none too small for what it holds.
const BLOCK_CACHE_SHARD_BITS: i32 = 2;

/// A block of rows. A point read decompresses one.
const BLOCK_BYTES: usize = 8 << 10;

/// A part of an index or a filter.
const PARTITION_BYTES: usize = 4 << 10;

/// One write buffer of the state database. Larger ones make fewer, larger files but a longer
/// recovery; this replays in well under a second.
const STATE_WRITE_BUFFER_BYTES: usize = 32 << 20;

/// One write buffer of the log database. Entries leave it for files that are only read again by a
/// member that lags behind the cache of recent entries.
const LOG_WRITE_BUFFER_BYTES: usize = 16 << 20;

/// One being written and one being flushed.
const WRITE_BUFFERS_MAX: i32 = 2;

/// Open table files of one database; far below the usual limit of 1024 descriptors per process.
const OPEN_FILES_MAX: i32 = 256;

/// Table files are this large, so that a database of a million rules has a few dozen of them.
const TABLE_FILE_BYTES: u64 = 32 << 20;

/// Flushes and compactions at a time: more would take the processor from consensus on a small
/// machine.
const BACKGROUND_JOBS_MAX: i32 = 2;

/// 10 bits a key make one wrong answer in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// How much of a write buffer of the state database goes to a bloom filter over its keys: most
/// look-ups are for what is not there (is this id taken, this priority?) or for what left the
/// buffer long ago, and need not search it. A fiftieth makes some 20 bits for a row of 128 bytes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.02;

/// RocksDB's own text logs: how large, and how many.
const TEXT_LOG_BYTES_MAX: usize = 1 << 20;
const TEXT_LOGS_MAX: usize = 3;

/// What the databases of one node share.
pub(super) struct Tuning {
    cache: Cache,
}

impl Tuning {
    pub(super) fn new() -> Self {
        Self {
            cache: {
                let mut options = LruCacheOptions::default();
                options.set_capacity(BLOCK_CACHE_BYTES);
                options.set_num_shard_bits(BLOCK_CACHE_SHARD_BITS);
                Cache::new_lru_cache_opts(&options)
            },
        }
    }

    /// The options for a database of `kind`.
    pub(super) fn options(&self, kind: DatabaseKind) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_paranoid_checks(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_target_file_size_base(TABLE_FILE_BYTES);
        options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_skip_stats_update_on_db_open(true);
        options.set_stats_dump_period_sec(0);
        options.set_max_log_file_size(TEXT_LOG_BYTES_MAX);
        options.set_keep_log_file_num(TEXT_LOGS_MAX);
        options.set_log_level(LogLevel::Warn);
        options.set_block_based_table_factory(&self.tables());
        match kind {
            DatabaseKind::Log => {
                options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
                options.set_write_buffer_size(LOG_WRITE_BUFFER_BYTES);
                options.set_compression_type(DBCompressionType::None);
            }
            DatabaseKind::State => {
                options.set_write_buffer_size(STATE_WRITE_BUFFER_BYTES);
                options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
                options.set_memtable_whole_key_filtering(true);
            }
        }
        options
    }

    fn tables(&self) -> BlockBasedOptions {
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&self.cache);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
        tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        tables.set_partition_filters(true);
        tables.set_metadata_block_size(PARTITION_BYTES);
        tables.set_block_size(BLOCK_BYTES);
        tables.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
        tables
    }
}
