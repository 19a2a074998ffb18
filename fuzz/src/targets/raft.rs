//! What Raft hands from node to node and keeps in its log. Reading and writing are each other's inverse, and
//! what a command does depends on nothing but the log.

use domain::machine::{state_hash, step};
use domain::rows::MemoryRows;
use domain::time::Revision;
use raft_store::{Payload, Proposal, codec};

use crate::Seen;
use crate::choices::Choices;
use crate::seen::size;

/// The first byte says what the rest is read as.
pub(super) fn run(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else {
        return Seen::of("nothing");
    };
    match kind % 6 {
        0 => entry(bytes),
        1 => again(bytes, codec::decode_vote, codec::encode_vote),
        2 => again(bytes, codec::decode_log_id, |log_id| {
            codec::encode_log_id(*log_id)
        }),
        3 => again(bytes, codec::decode_membership, codec::encode_membership),
        4 => command(bytes),
        _ => commands(bytes),
    }
    .and(Seen::of(kind % 6))
}

fn again<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: fn(&[u8]) -> Result<T, codec::CodecError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Seen {
    match decode(bytes) {
        Ok(value) => {
            assert_eq!(decode(&encode(&value)).as_ref(), Ok(&value));
            Seen::of("read")
        }
        Err(error) => Seen::refused(&error),
    }
}

fn entry(bytes: &[u8]) -> Seen {
    let log_id = codec::decode_entry_log_id(bytes);
    match codec::decode_entry(bytes) {
        Ok(entry) => {
            assert_eq!(log_id, Ok(entry.log_id), "the log id alone is another one");
            let written = codec::encode_entry(&entry);
            assert_eq!(codec::decode_entry(&written).as_ref(), Ok(&entry));
            match &entry.payload {
                Payload::Blank => Seen::of("blank"),
                Payload::Normal(proposal) => told(proposal),
                Payload::Membership(membership) => Seen::of(size(membership.nodes().count())),
            }
        }
        Err(error) => Seen::refused(&error),
    }
}

fn command(bytes: &[u8]) -> Seen {
    match Proposal::read(bytes) {
        Ok(proposal) => told(&proposal),
        Err(error) => Seen::refused(&error),
    }
}

/// A command that was written by this software has the same meaning as the one that was read.
fn told(proposal: &Proposal) -> Seen {
    let written = Proposal::new(proposal.stamped().clone());
    assert_eq!(written.stamped(), proposal.stamped());
    let read = Proposal::read(written.bytes());
    assert_eq!(
        read.map(|read| read.stamped().clone()).as_ref(),
        Ok(proposal.stamped())
    );
    Seen::of(proposal.stamped().command.name())
}

/// A log of commands, each a block of the input, applied by two replicas.
fn commands(bytes: &[u8]) -> Seen {
    let mut choices = Choices::of(bytes);
    let (mut one, mut other) = (MemoryRows::default(), MemoryRows::default());
    let mut outcomes = Vec::new();
    for revision in 1..=8 {
        // Two bytes of length: commands are longer than a block may be.
        let length = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
        let rest = choices.clone().rest();
        let (command, rest) = rest.split_at(rest.len().min(length));
        choices = Choices::of(rest);
        let Ok(proposal) = Proposal::read(command) else {
            outcomes.push(("unread", false));
            continue;
        };
        let revision = Revision(revision);
        let applied = step(&mut one, revision, proposal.stamped());
        assert_eq!(step(&mut other, revision, proposal.stamped()), applied);
        outcomes.push((proposal.stamped().command.name(), applied.reply.is_ok()));
        if choices.is_empty() {
            break;
        }
    }
    assert_eq!(state_hash(&one), state_hash(&other));
    Seen::of(outcomes)
}
