//! What nodes ask each other about windows, and answer: a version byte, then postcard.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::id::WindowId;
use super::window::Taken;

const FORMAT: u8 = 1;

/// How many notes one message holds: some 100 KB, far below what a message may have.
pub(super) const NOTES_MAX: usize = 4_096;

/// What another node is told or asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Query {
    /// Asks for so much of a window.
    Take {
        id: WindowId,
        limit: u32,
        amount: u32,
        /// Even if the node may have missed something.
        insist: bool,
    },
    /// Tells what was granted elsewhere.
    Notes(Batch),
}

/// Notes that are confirmed, or sent again, together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The process that sends them, by a random number.
    pub(super) sender: u64,
    /// Grows with each batch. One that is sent again has its number again.
    pub(super) number: u64,
    pub(super) notes: Vec<Note>,
}

/// So much of a window was granted elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: WindowId,
    pub(super) count: u32,
    /// How long ago, at least.
    pub(super) age_ms: u32,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It took what there was.
    Taken(#[serde(with = "TakenFields")] Taken),
    /// It started lately and may have missed something.
    Fresh {
        /// For so long.
        for_ms: u64,
    },
    /// It is cut off from most of the others, who may have another one keep the window.
    CutOff,
    /// It has noted.
    Noted,
}

/// [`Taken`] as it is sent.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Taken")]
struct TakenFields {
    granted: u32,
    remaining: u32,
    reset_in_ms: u64,
    retry_in_ms: u64,
}

pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    // Only a type without a fixed shape could fail, and these have one.
    postcard::to_extend(message, vec![FORMAT]).unwrap_or_default()
}

/// `None` for what is no message of ours.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes {
        [FORMAT, message @ ..] => postcard::from_bytes(message).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    fn id() -> WindowId {
        WindowId::of_key(&ApiKeyId::new(Seed {
            unix_ms: 1,
            random: 1,
        }))
    }

    #[test]
    fn messages_keep_their_bytes() {
        let take = Query::Take {
            id: id(),
            limit: 60,
            amount: 1,
            insist: true,
        };
        let note = Note {
            id: id(),
            count: 2,
            age_ms: 5,
        };
        let notes = Query::Notes(Batch {
            sender: 3,
            number: 4,
            notes: vec![note],
        });
        let hash = &hex::encode(postcard::to_stdvec(&id()).unwrap());
        for (query, expect) in [
            (take, format!("0100{hash}3c0101")),
            (notes, format!("0101030401{hash}0205")),
        ] {
            assert_eq!(hex::encode(encode(&query)), expect);
            assert_eq!(decode(&encode(&query)), Some(query));
        }
        let taken = Taken {
            granted: 1,
            remaining: 2,
            reset_in_ms: 3,
            retry_in_ms: 4,
        };
        for (reply, expect) in [
            (Reply::Taken(taken), "010001020304"),
            (Reply::Fresh { for_ms: 5 }, "010105"),
            (Reply::CutOff, "0102"),
            (Reply::Noted, "0103"),
        ] {
            assert_eq!(hex::encode(encode(&reply)), expect);
            assert_eq!(decode(&encode(&reply)), Some(reply));
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bytes in [&[][..], &[1], &[2, 2], &[1, 9], &[1, 0, 1]] {
            assert_eq!(decode::<Query>(bytes), None, "{bytes:?}");
        }
    }
}
