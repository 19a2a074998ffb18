//! The high-water mark: how far the log was once synced, noted outside the database.
//!
//! A write-ahead log that was cut or deleted behind RocksDB's back opens without complaint, in
//! every recovery mode. A follower that starts on such a log has forgotten entries that it
//! acknowledged, consensus does not notice in release builds, and a committed write can be lost.
//! So after each sync of the log the last synced log id and the vote are written here, and a log
//! that ends below the mark, or a vote older than the one noted, refuses to start.
//!
//! ```text
//! offset    0: slot of even sequence numbers       offset 4096: slot of odd ones
//! slot: "VGHM" | u16 LE length | record (see MarkRecord) | u32 LE CRC-32 of all before
//! ```
//!
//! # What it can and cannot notice
//! The mark is written after each sync but synced itself only with a vote, a truncation, a clean
//! stop, and once a second while it changes: a second sync for each group of appends would cost
//! as much as the first.
//! - *The process dies* (crash, kill): the mark is exact, since the kernel still has it.
//! - *The machine loses power*: the mark may be up to a second old. Synced entries that are missing
//!   *and* younger than that go unnoticed; that takes a power cut and a log that lost synced data
//!   at the same time. What is older is noticed.
//! - The mark is never ahead of the log: it is written only after the sync, and lowered, in both
//!   slots and synced, before a truncation.
//! - It does not see damage inside the entries that are there; RocksDB's checksums do.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::codec::{self, LogIdRecord, VoteRecord};
use crate::engine::{self, Disk, DiskFile};
use crate::fault::{FaultKind, StorageFault};
use crate::types::{LogId, Vote};

/// The file's name in the data directory.
pub(crate) const MARK_FILE: &str = "hwm";

const MAGIC: [u8; 4] = *b"VGHM";

/// A slot fits into one sector, which a disk writes as a whole; the two lie on different pages.
const SLOT_BYTES: usize = 512;
const SLOT_DISTANCE: u64 = 4096;

/// How old the synced mark may be while the log grows: the window in which a power cut can hide
/// a shortened log.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What the mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkRecord {
    /// The last log id that was synced and not truncated since.
    pub(crate) last: Option<LogId>,
    /// The last vote that was synced.
    pub(crate) vote: Option<Vote>,
    /// Up to where the log was known to be committed. Only a help: it may lag.
    pub(crate) committed: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
struct SlotRecord {
    sequence: u64,
    last: Option<LogIdRecord>,
    vote: Option<VoteRecord>,
    committed: Option<LogIdRecord>,
}

/// The open mark.
pub(crate) struct Mark {
    file: Box<dyn DiskFile>,
    sequence: u64,
    record: MarkRecord,
    unsynced: bool,
    synced_at: Instant,
}

impl Mark {
    /// Reads the mark; `None` if there is no file.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Option<Self>, StorageFault> {
        let file = match disk.open_file(Path::new(MARK_FILE), false) {
            Err(fault) if fault.kind == FaultKind::Missing => return Ok(None),
            other => other?,
        };
        let mut newest: Option<(u64, MarkRecord)> = None;
        for slot in [0, SLOT_DISTANCE] {
            let Some((sequence, record)) = decode_slot(&file.read_at(slot, SLOT_BYTES)?) else {
                continue;
            };
            if newest.is_none_or(|(newest, _)| newest < sequence) {
                newest = Some((sequence, record));
            }
        }
        let Some((sequence, record)) = newest else {
            let reason = "neither of its two slots can be read";
            return Err(StorageFault::corrupt(
                "read",
                disk.locate(Path::new(MARK_FILE)),
                reason,
            ));
        };
        Ok(Some(Self {
            file,
            sequence,
            record,
            unsynced: false,
            synced_at: Instant::now(),
        }))
    }

    /// Makes the mark of a new log, durably.
    pub(crate) fn create(disk: &dyn Disk) -> Result<Self, StorageFault> {
        let record = MarkRecord::default();
        // Both slots from the beginning, so that the file never grows.
        let mut bytes = encode_slot(0, &record);
        bytes.resize(SLOT_DISTANCE as usize, 0);
        bytes.extend(encode_slot(0, &record));
        engine::replace_file(disk, Path::new(MARK_FILE), &bytes)?;
        let file = disk.open_file(Path::new(MARK_FILE), false)?;
        Ok(Self {
            file,
            sequence: 0,
            record,
            unsynced: false,
            synced_at: Instant::now(),
        })
    }

    /// What it says.
    pub(crate) fn record(&self) -> &MarkRecord {
        &self.record
    }

    /// Notes `record`. It survives the process, but not yet a power cut.
    pub(crate) fn write(&mut self, record: MarkRecord) -> Result<(), StorageFault> {
        if record == self.record {
            return Ok(());
        }
        self.record = record;
        self.write_slot()
    }

    /// Notes `record` in both slots and syncs them, so that nothing higher can ever be read again.
    pub(crate) fn lower(&mut self, record: MarkRecord) -> Result<(), StorageFault> {
        self.record = record;
        self.write_slot()?;
        self.write_slot()?;
        self.sync()
    }

    /// Makes what was noted durable.
    pub(crate) fn sync(&mut self) -> Result<(), StorageFault> {
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
        }
        self.synced_at = Instant::now();
        Ok(())
    }

    /// Syncs if that is due.
    pub(crate) fn sync_if_due(&mut self) -> Result<(), StorageFault> {
        if self.unsynced && self.synced_at.elapsed() >= SYNC_INTERVAL {
            self.sync()
        } else {
            Ok(())
        }
    }

    fn write_slot(&mut self) -> Result<(), StorageFault> {
        self.sequence += 1;
        self.unsynced = true;
        self.file.write_at(
            self.sequence % 2 * SLOT_DISTANCE,
            &encode_slot(self.sequence, &self.record),
        )
    }
}

fn encode_slot(sequence: u64, record: &MarkRecord) -> Vec<u8> {
    let body = codec::encode(&SlotRecord {
        sequence,
        last: record.last.map(LogIdRecord::from),
        vote: record.vote.as_ref().map(VoteRecord::from),
        committed: record.committed.map(LogIdRecord::from),
    });
    let mut slot = MAGIC.to_vec();
    let length = u16::try_from(body.len()).expect("a record is a few dozen bytes");
    slot.extend(length.to_le_bytes());
    slot.extend(body);
    let checksum = crc32fast::hash(&slot);
    slot.extend(checksum.to_le_bytes());
    slot.resize(SLOT_BYTES, 0);
    slot
}

fn decode_slot(bytes: &[u8]) -> Option<(u64, MarkRecord)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let body = rest.get(..length)?;
    let (checksum, _) = rest.get(length..)?.split_first_chunk::<4>()?;
    if crc32fast::hash(&bytes[..MAGIC.len() + 2 + length]) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let record: SlotRecord = codec::decode(body).ok()?;
    let fields = MarkRecord {
        last: record.last.map(LogId::from),
        vote: record.vote.map(Vote::from),
        committed: record.committed.map(LogId::from),
    };
    Some((record.sequence, fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sim::SimDisk;
    use crate::types::LeaderId;

    fn record(index: u64) -> MarkRecord {
        let leader_id = LeaderId {
            term: 3,
            node_id: 1,
        };
        MarkRecord {
            last: Some(LogId::new(leader_id, index)),
            vote: Some(Vote {
                leader_id,
                committed: true,
            }),
            committed: None,
        }
    }

    fn slot_of(disk: &SimDisk) -> MarkRecord {
        *Mark::load(&disk.mount()).unwrap().unwrap().record()
    }

    #[test]
    fn a_slot_has_the_bytes_that_version_1_wrote() {
        let slot = encode_slot(9, &record(300));
        let written: String = slot[..28]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            written,
            "5647484d0c000109010301ac020103010100505732c1000000000000"
        );
        assert_eq!(decode_slot(&slot), Some((9, record(300))));
    }

    #[test]
    fn the_newest_readable_slot_counts() {
        let disk = SimDisk::new();
        let mut mark = Mark::create(&disk.mount()).unwrap();
        mark.write(record(1)).unwrap();
        mark.write(record(2)).unwrap();
        assert_eq!(slot_of(&disk), record(2));
        // The record of the second write lies in the slot of even sequence numbers.
        assert!(disk.flip(MARK_FILE, 8, 1));
        assert_eq!(slot_of(&disk), record(1));
        assert!(disk.flip(MARK_FILE, 4096 + 8, 1));
        let fault = Mark::load(&disk.mount()).err().unwrap();
        assert_eq!(fault.kind, FaultKind::Corrupt);
    }

    #[test]
    fn nothing_higher_is_readable_after_lowering() {
        let disk = SimDisk::new();
        let mut mark = Mark::create(&disk.mount()).unwrap();
        mark.write(record(9)).unwrap();
        mark.lower(record(4)).unwrap();
        for slot in [0, 4096] {
            assert!(disk.flip(MARK_FILE, slot + 8, 1));
            assert_eq!(slot_of(&disk), record(4));
            assert!(disk.flip(MARK_FILE, slot + 8, 1));
        }
    }
}
