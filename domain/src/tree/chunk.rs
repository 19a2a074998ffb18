//! The bytes of a chunk:
//!
//! ```text
//! version u8 = 1 | kind u8 | level u8 | items: postcard of [(key bytes, value bytes)]
//! ```
//!
//! The value of an inner item is the postcard of (child hash, number of items below). Decoding
//! refuses everything that encoding would not have made: there is one chunk for one content.
//! Head chunks have the same three bytes in front; the rest of them is [`crate::content`]'s.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::boundary::ITEMS_MAX;
use super::{ChunkFault, Hash, ITEM_BYTES_MAX, KEY_BYTES_MAX};

/// The longest chunk: what the boundary rule can make, the largest last item included, and a
/// quarter of what one frame to an edge carries.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// The version that this software writes.
const VERSION: u8 = 1;

/// The highest level: with at least eight children in every inner chunk but the last of its
/// level, no tree of this world is higher.
const LEVEL_MAX: u8 = 24;

/// The three bytes before a snapshot's head; its kind is none of [`TreeKind`].
pub(crate) const HEAD_HEADER: [u8; 3] = [VERSION, 4, 0];

/// What a tree holds. The kind is part of each chunk, so no chunk can stand in a tree of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum TreeKind {
    /// Rules of a snapshot by (priority, identifier).
    Rules = 1,
    /// Upstreams of a snapshot by identifier.
    Upstreams = 2,
    /// Routes of a manifest by identifier.
    Routes = 3,
}

impl TreeKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Rules, Self::Upstreams, Self::Routes]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Key and value of one place in an ordered list.
pub type Item = (Vec<u8>, Vec<u8>);

/// A decoded chunk. Its items strictly ascend and there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) kind: TreeKind,
    pub(super) level: u8,
    pub(super) items: Vec<Item>,
}

/// What an inner item says of the chunk below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) hash: Hash,
    pub(super) count: u64,
}

impl Link {
    /// Stands for a tree without items.
    pub(super) const EMPTY: Self = Self {
        hash: Hash::EMPTY_TREE,
        count: 0,
    };

    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_stdvec(&self).expect("a hash and a number always have an encoding")
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        postcard::from_bytes(value).ok()
    }

    fn is_canonical(value: &[u8]) -> bool {
        Self::decode(value).is_some_and(|link| link.encode() == value)
    }
}

impl Chunk {
    /// The canonical bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let items: Vec<(Blob<'_>, Blob<'_>)> = self
            .items
            .iter()
            .map(|(key, value)| (Blob(key), Blob(value)))
            .collect();
        let header = vec![VERSION, self.kind as u8, self.level];
        postcard::to_extend(&items, header).expect("byte strings always have an encoding")
    }

    /// Reads and checks a chunk.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ChunkFault> {
        let Parsed { kind, level, items } = Parsed::of(bytes)?;
        let owned = |(key, value): (Blob<'_>, Blob<'_>)| (key.0.to_vec(), value.0.to_vec());
        Ok(Self {
            kind,
            level,
            items: items.into_iter().map(owned).collect(),
        })
    }

    /// The link of an inner item.
    pub(super) fn link(&self, at: usize) -> Option<Link> {
        if self.level == 0 {
            return None;
        }
        self.items
            .get(at)
            .and_then(|(_, value)| Link::decode(value))
    }

    /// The links of all items; none in a leaf.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> + '_ {
        (0..self.items.len()).filter_map(|at| self.link(at))
    }

    /// How many items of level 0 are below, or in, this chunk.
    pub(super) fn count(&self) -> u64 {
        match self.level {
            0 => self.items.len() as u64,
            _ => self
                .links()
                .fold(0, |sum, link| sum.saturating_add(link.count)),
        }
    }

    pub(super) fn first_key(&self) -> &[u8] {
        self.items.first().map_or(&[], |(key, _)| key)
    }

    pub(super) fn last_key(&self) -> &[u8] {
        self.items.last().map_or(&[], |(key, _)| key)
    }
}

/// A chunk that was checked, in the bytes that it was read from.
pub(super) struct Parsed<'a> {
    pub(super) kind: TreeKind,
    pub(super) level: u8,
    items: Vec<(Blob<'a>, Blob<'a>)>,
}

impl<'a> Parsed<'a> {
    /// Reads and checks a chunk.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ChunkFault> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(ChunkFault::TooLong(bytes.len()));
        }
        let [version, kind, level, body @ ..] = bytes else {
            return Err(ChunkFault::Malformed);
        };
        if *version != VERSION {
            return Err(ChunkFault::Version);
        }
        let kind = TreeKind::from_byte(*kind).ok_or(ChunkFault::Kind)?;
        if *level > LEVEL_MAX {
            return Err(ChunkFault::Level);
        }
        let items = postcard::from_bytes(body).map_err(|_| ChunkFault::Malformed)?;
        let parsed = Self {
            kind,
            level: *level,
            items,
        };
        parsed.check()?;
        // Postcard forgives trailing bytes and longer forms of numbers; content addressing cannot. Whatever is not
        // what would be written is longer than that, since nothing in it has two forms of one length.
        if parsed.encoded_bytes() != bytes.len() {
            return Err(ChunkFault::NotCanonical);
        }
        Ok(parsed)
    }

    fn check(&self) -> Result<(), ChunkFault> {
        let sized = self
            .items
            .iter()
            .all(|(key, value)| within_limits(key.0, value.0));
        if self.items.is_empty() || self.items.len() > ITEMS_MAX || !sized {
            return Err(ChunkFault::Limits);
        }
        if !self.items.windows(2).all(|pair| pair[0].0.0 < pair[1].0.0) {
            return Err(ChunkFault::Order);
        }
        if self.level > 0
            && !self
                .items
                .iter()
                .all(|(_, value)| Link::is_canonical(value.0))
        {
            return Err(ChunkFault::Malformed);
        }
        Ok(())
    }

    /// How many bytes the same chunk has as this software writes it.
    fn encoded_bytes(&self) -> usize {
        let sized = |blob: &Blob<'_>| varint_bytes(blob.0.len()) + blob.0.len();
        let items = self
            .items
            .iter()
            .map(|(key, value)| sized(key) + sized(value));
        3 + varint_bytes(self.items.len()) + items.sum::<usize>()
    }

    /// The values of all items.
    pub(super) fn values(&self) -> impl Iterator<Item = &'a [u8]> {
        self.items.iter().map(|(_, value)| value.0)
    }

    /// The links of all items; none in a leaf.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> {
        let inner = self.level > 0;
        self.values()
            .filter(move |_| inner)
            .filter_map(Link::decode)
    }
}

/// How many bytes postcard writes for a length: seven bits in each.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

/// Whether an item may stand in a tree.
pub(super) fn within_limits(key: &[u8], value: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.len() + value.len() <= ITEM_BYTES_MAX
}

/// A byte string: serde would write a plain slice byte by byte.
struct Blob<'a>(&'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Blob(bytes))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(E::custom("chunks are read in place"))
    }
}
