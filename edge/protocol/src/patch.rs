//! A chunk told as what differs from another one that the edge has. A change of one rule changes one
//! chunk on each level of the trees, each in one place: what is the same before and behind that place
//! need not travel.
//!
//! A patch proves nothing: the chunk that comes of it counts if it has the hash that was asked for.

use bytes::Bytes;
use domain::tree::Hash;
use serde::{Deserialize, Serialize};

use crate::limits::CHUNK_BYTES_MAX;

/// A chunk that is wanted, and one that the edge has which may be much the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The chunk.
    pub hash: Hash,
    /// The other one.
    pub base: Hash,
}

/// A chunk as its beginning and end, which are those of another one, and what stands between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The chunk.
    pub wanted: Wanted,
    /// How many bytes at the beginning are those of the base.
    pub prefix: u32,
    /// How many bytes at the end are those of the base.
    pub suffix: u32,
    /// What stands between.
    pub middle: Bytes,
}

/// What a patch has beside its middle: two hashes, and some numbers.
const OVERHEAD_BYTES: usize = 80;

impl Patch {
    /// `chunk` as a patch over `base`, if that is worth it: if it saves half of the chunk.
    #[must_use]
    pub fn of(wanted: Wanted, base: &[u8], chunk: &Bytes) -> Option<Self> {
        let same = |(a, b): &(&u8, &u8)| a == b;
        let prefix = base.iter().zip(chunk.iter()).take_while(same).count();
        let rest = base.len().min(chunk.len()) - prefix;
        let ends = base.iter().rev().zip(chunk.iter().rev());
        let suffix = ends.take(rest).take_while(same).count();
        let middle = chunk.slice(prefix..chunk.len() - suffix);
        if (middle.len() + OVERHEAD_BYTES) * 2 > chunk.len() {
            return None;
        }
        Some(Self {
            wanted,
            prefix: u32::try_from(prefix).ok()?,
            suffix: u32::try_from(suffix).ok()?,
            middle,
        })
    }

    /// The chunk, if it is the one that is wanted.
    #[must_use]
    pub fn apply(&self, base: &[u8]) -> Option<Bytes> {
        let prefix = base.get(..usize::try_from(self.prefix).ok()?)?;
        let suffix = usize::try_from(self.suffix).ok()?;
        let suffix = base.get(base.len().checked_sub(suffix)?..)?;
        if prefix.len() + self.middle.len() + suffix.len() > CHUNK_BYTES_MAX {
            return None;
        }
        let chunk = [prefix, &self.middle, suffix].concat();
        (Hash::of(&chunk) == self.wanted.hash).then(|| Bytes::from(chunk))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(base: &[u8], chunk: &[u8]) -> Wanted {
        Wanted {
            hash: Hash::of(chunk),
            base: Hash::of(base),
        }
    }

    #[test]
    fn a_patch_that_is_none_gives_nothing() {
        let (base, chunk) = ([1; 500], [[1; 250].as_slice(), &[2; 250]].concat());
        let chunk = Bytes::from([chunk, vec![1; 500]].concat());
        let good = Patch::of(wanted(&base, &chunk), &base, &chunk);
        assert_eq!(good, None, "it saves less than half");
        let chunk = Bytes::from([[1; 250].as_slice(), &[2; 5], &[1; 250]].concat());
        let good = Patch::of(wanted(&base, &chunk), &base, &chunk).unwrap();
        assert_eq!((good.prefix, good.suffix, good.middle.len()), (250, 250, 5));
        assert_eq!(good.apply(&base), Some(chunk));
        for change in [
            |patch: &mut Patch| patch.prefix += 1,
            |patch: &mut Patch| patch.suffix = 501,
            |patch: &mut Patch| patch.prefix = u32::MAX,
            |patch: &mut Patch| patch.middle = Bytes::from(vec![0; CHUNK_BYTES_MAX]),
        ] {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(bad.apply(&base), None, "{bad:?}");
        }
        assert_eq!(good.apply(&[1; 249]), None);
        assert_eq!(good.apply(&[]), None);
    }

    proptest! {
        #[test]
        fn a_patch_gives_what_it_was_made_of(
            base in prop::collection::vec(0_u8..3, 0..600),
            at in 0_usize..600,
            cut in 0_usize..100,
            new in prop::collection::vec(0_u8..3, 0..100),
        ) {
            let at = at.min(base.len());
            let end = (at + cut).min(base.len());
            let chunk = Bytes::from([&base[..at], &new, &base[end..]].concat());
            if let Some(patch) = Patch::of(wanted(&base, &chunk), &base, &chunk) {
                prop_assert!(patch.middle.len() * 2 < chunk.len());
                prop_assert_eq!(patch.apply(&base), Some(chunk));
            }
        }
    }
}
