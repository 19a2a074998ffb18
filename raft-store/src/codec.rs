//! How entries, log ids, votes and memberships are written: a version byte, then postcard of
//! records of our own.
//!
//! openraft's types are copied into these records rather than serialised, so that a new openraft
//! cannot change the bytes on a disk or on a wire unnoticed. Golden bytes for each version stand
//! in the tests below; a version that was ever written stays readable.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::proposal::Proposal;
use crate::types::{
    Entry, LeaderId, LogId, Member, Membership, NodeId, Payload, StoredMembership, Vote,
};

/// The version that is written.
const VERSION: u8 = 1;

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// There are none.
    #[error("the record is empty")]
    Empty,
    /// A later release wrote them.
    #[error("the record has version {0}, and this release knows {VERSION}")]
    Version(u8),
    /// They do not decode.
    #[error("the record does not decode: {0}")]
    Malformed(String),
}

/// What an entry carries: the byte before it.
const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// What stands before the command in an entry: version, three numbers of at most ten bytes, tag.
const LOG_ID_BYTES_MAX: usize = 32;

/// Writes a log entry: its log id, what it carries, and that.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    let room = match &entry.payload {
        Payload::Normal(proposal) => LOG_ID_BYTES_MAX + proposal.bytes().len(),
        Payload::Blank | Payload::Membership(_) => LOG_ID_BYTES_MAX,
    };
    let mut bytes = Vec::with_capacity(room);
    bytes.push(VERSION);
    let mut bytes = append(bytes, &LogIdRecord::from(entry.log_id));
    match &entry.payload {
        Payload::Blank => bytes.push(BLANK),
        Payload::Normal(proposal) => {
            bytes.push(NORMAL);
            bytes.extend_from_slice(proposal.bytes());
        }
        Payload::Membership(membership) => {
            bytes.push(MEMBERSHIP);
            bytes = append(bytes, &MembershipRecord::from(membership));
        }
    }
    bytes
}

/// Reads a log entry.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, CodecError> {
    let (log_id, carried) = take::<LogIdRecord>(body(bytes)?)?;
    let payload = match carried {
        [BLANK] => Payload::Blank,
        [NORMAL, command @ ..] => Payload::Normal(Proposal::read(command)?),
        [MEMBERSHIP, record @ ..] => {
            Payload::Membership(whole::<MembershipRecord>(record)?.try_into()?)
        }
        _ => {
            let reason = format!("it carries {:?}", carried.first());
            return Err(CodecError::Malformed(reason));
        }
    };
    Ok(Entry {
        log_id: log_id.into(),
        payload,
    })
}

/// Reads only the log id of an entry.
///
/// # Errors
/// When the bytes do not begin like one.
pub fn decode_entry_log_id(bytes: &[u8]) -> Result<LogId, CodecError> {
    let (record, _) = take::<LogIdRecord>(body(bytes)?)?;
    Ok(record.into())
}

/// Writes a log id that may be absent.
#[must_use]
pub fn encode_log_id(log_id: Option<LogId>) -> Vec<u8> {
    encode(&log_id.map(LogIdRecord::from))
}

/// Reads a log id that may be absent.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_log_id(bytes: &[u8]) -> Result<Option<LogId>, CodecError> {
    Ok(decode::<Option<LogIdRecord>>(bytes)?.map(LogId::from))
}

/// Writes a vote.
#[must_use]
pub fn encode_vote(vote: &Vote) -> Vec<u8> {
    encode(&VoteRecord::from(vote))
}

/// Reads a vote.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_vote(bytes: &[u8]) -> Result<Vote, CodecError> {
    decode::<VoteRecord>(bytes).map(Vote::from)
}

/// Writes a membership with the entry that set it.
#[must_use]
pub fn encode_membership(membership: &StoredMembership) -> Vec<u8> {
    encode(&StoredMembershipRecord::from(membership))
}

/// Reads a membership with the entry that set it.
///
/// # Errors
/// When the bytes are not one.
pub fn decode_membership(bytes: &[u8]) -> Result<StoredMembership, CodecError> {
    decode::<StoredMembershipRecord>(bytes)?.try_into()
}

/// Writes any record behind the version byte.
pub(crate) fn encode(record: &impl Serialize) -> Vec<u8> {
    append(vec![VERSION], record)
}

/// Reads any record behind the version byte, to the last byte.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    whole(body(bytes)?)
}

fn append(bytes: Vec<u8>, record: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(record, bytes)
        .expect("records are plain data, which postcard always writes")
}

/// Reads a record off the front.
fn take<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    postcard::take_from_bytes(bytes).map_err(|error| CodecError::Malformed(error.to_string()))
}

/// Reads a record that has no version byte, to the last byte.
pub(crate) fn whole<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match take(bytes)? {
        (record, []) => Ok(record),
        (_, rest) => {
            let reason = format!("{} bytes are left over", rest.len());
            Err(CodecError::Malformed(reason))
        }
    }
}

fn body(bytes: &[u8]) -> Result<&[u8], CodecError> {
    match bytes {
        [] => Err(CodecError::Empty),
        [VERSION, body @ ..] => Ok(body),
        [version, ..] => Err(CodecError::Version(*version)),
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LogIdRecord {
    term: u64,
    node_id: NodeId,
    index: u64,
}

impl From<LogId> for LogIdRecord {
    fn from(log_id: LogId) -> Self {
        Self {
            term: log_id.leader_id.term,
            node_id: log_id.leader_id.node_id,
            index: log_id.index,
        }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(record: LogIdRecord) -> Self {
        Self::new(
            LeaderId {
                term: record.term,
                node_id: record.node_id,
            },
            record.index,
        )
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct VoteRecord {
    term: u64,
    node_id: NodeId,
    committed: bool,
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            node_id: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        let leader_id = LeaderId {
            term: record.term,
            node_id: record.node_id,
        };
        Self {
            leader_id,
            committed: record.committed,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct MembershipRecord {
    configs: Vec<BTreeSet<NodeId>>,
    nodes: BTreeMap<NodeId, Member>,
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        Self {
            configs: membership.get_joint_config().clone(),
            nodes: membership
                .nodes()
                .map(|(id, member)| (*id, member.clone()))
                .collect(),
        }
    }
}

impl TryFrom<MembershipRecord> for Membership {
    type Error = CodecError;

    fn try_from(record: MembershipRecord) -> Result<Self, CodecError> {
        if record.configs.is_empty() && record.nodes.is_empty() {
            return Ok(Self::default());
        }
        Self::new(record.configs, record.nodes)
            .map_err(|error| CodecError::Malformed(error.to_string()))
    }
}

#[derive(Serialize, Deserialize)]
struct StoredMembershipRecord {
    log_id: Option<LogIdRecord>,
    membership: MembershipRecord,
}

impl From<&StoredMembership> for StoredMembershipRecord {
    fn from(stored: &StoredMembership) -> Self {
        Self {
            log_id: stored.log_id().map(LogIdRecord::from),
            membership: stored.membership().into(),
        }
    }
}

impl TryFrom<StoredMembershipRecord> for StoredMembership {
    type Error = CodecError;

    fn try_from(record: StoredMembershipRecord) -> Result<Self, CodecError> {
        Ok(Self::new(
            record.log_id.map(LogId::from),
            record.membership.try_into()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use domain::command::{Command, RevokeApiKey, Stamped};
    use domain::id::{ApiKeyId, RequestId};
    use domain::time::Timestamp;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn log_id(term: u64, node_id: u64, index: u64) -> LogId {
        LogId::new(LeaderId { term, node_id }, index)
    }

    fn member(id: u64) -> Member {
        Member {
            id,
            region: "eu".into(),
            internal: format!("i{id}"),
            rest: format!("r{id}"),
            publisher: format!("p{id}"),
        }
    }

    fn membership() -> Membership {
        let nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, member(id))).collect();
        Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2])], nodes).unwrap()
    }

    fn normal() -> Payload {
        let stamped = Stamped {
            at: Timestamp(300),
            request_id: RequestId::parse("req_abcdefgh").unwrap(),
            idempotency: None,
            command: Command::RevokeApiKey(RevokeApiKey {
                id: ApiKeyId::parse("key_abcdefgh").unwrap(),
            }),
            origin: Default::default(),
            precondition: None,
        };
        Payload::Normal(stamped.into())
    }

    #[test]
    fn entries_have_the_bytes_that_version_1_wrote() {
        let check = |payload: Payload, golden: &str| {
            let entry = Entry {
                log_id: log_id(5, 2, 1000),
                payload,
            };
            let bytes = encode_entry(&entry);
            assert_eq!(hex(&bytes), golden);
            assert_eq!(decode_entry(&bytes), Ok(entry));
            assert_eq!(decode_entry_log_id(&bytes), Ok(log_id(5, 2, 1000)));
        };
        check(Payload::Blank, "010502e80700");
        check(
            normal(),
            "010502e80701ac020c7265715f616263646566676800010c6b65795f616263646566676800000000",
        );
        check(
            Payload::Membership(membership()),
            "010502e8070202020102010203010102657502693102723102703102020265750269320272320270320303026575026933027233027033",
        );
    }

    #[test]
    fn votes_and_log_ids_have_the_bytes_that_version_1_wrote() {
        let vote = Vote {
            leader_id: LeaderId {
                term: 7,
                node_id: 3,
            },
            committed: true,
        };
        assert_eq!(hex(&encode_vote(&vote)), "01070301");
        assert_eq!(decode_vote(&encode_vote(&vote)), Ok(vote));
        assert_eq!(hex(&encode_log_id(Some(log_id(1, 2, 3)))), "0101010203");
        assert_eq!(hex(&encode_log_id(None)), "0100");
        assert_eq!(
            decode_log_id(&encode_log_id(Some(log_id(1, 2, 3)))),
            Ok(Some(log_id(1, 2, 3)))
        );
    }

    #[test]
    fn a_membership_survives_with_and_without_members() {
        for membership in [membership(), Membership::default()] {
            let stored = StoredMembership::new(Some(log_id(1, 1, 9)), membership);
            assert_eq!(decode_membership(&encode_membership(&stored)), Ok(stored));
        }
    }

    #[test]
    fn what_is_not_a_record_says_why() {
        assert_eq!(decode_vote(&[]), Err(CodecError::Empty));
        assert_eq!(decode_vote(&[9, 7, 3, 1]), Err(CodecError::Version(9)));
        assert!(matches!(
            decode_vote(&[1, 7, 3]),
            Err(CodecError::Malformed(_))
        ));
        assert!(matches!(
            decode_vote(&[1, 7, 3, 1, 0]),
            Err(CodecError::Malformed(_))
        ));
        // Carries nothing, carries what nobody knows, and blank with something behind it.
        for carried in [&[][..], &[9], &[0, 1]] {
            let bytes = [&[1, 5, 2, 7], carried].concat();
            assert!(
                matches!(decode_entry(&bytes), Err(CodecError::Malformed(_))),
                "{bytes:?}"
            );
        }
    }
}
