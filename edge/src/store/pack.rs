//! Packs: files of chunks. One is written for what a manifest brings, and never changed.
//!
//! ```text
//! HEADER  8 bytes: "vgpack", version, 0
//! then, for each chunk:
//! hash    32 bytes
//! length  4 bytes, big-endian
//! bytes
//! ```
//!
//! A chunk proves itself by its hash, so a pack needs no footer: one that was cut short holds the
//! chunks before the cut.

use std::io;

use domain::tree::{CHUNK_BYTES_MAX, Hash};

use super::Directory;

const HEADER: [u8; 8] = *b"vgpack\x01\x00";
const ENTRY_HEAD_BYTES: usize = 32 + 4;

/// When a pack is full. A pack is put together in memory, so this bounds that.
pub(super) const PACK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How much of a pack is read at once when it is scanned.
const SCAN_BYTES: usize = 4 * 1024 * 1024;

/// A pack being put together.
#[derive(Debug)]
pub(super) struct PackBuilder {
    bytes: Vec<u8>,
    /// Bytes of the chunks alone.
    pub(super) chunk_bytes: u64,
}

impl PackBuilder {
    pub(super) fn new() -> Self {
        Self {
            bytes: HEADER.to_vec(),
            chunk_bytes: 0,
        }
    }

    pub(super) fn has_room(&self, chunk: &[u8]) -> bool {
        self.bytes.len() + ENTRY_HEAD_BYTES + chunk.len() <= PACK_BYTES_MAX
    }

    /// Gives the chunk's offset and length in the file.
    pub(super) fn add(&mut self, hash: Hash, chunk: &[u8]) -> (u64, u32) {
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&hash.0);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        let offset = as_u64(self.bytes.len());
        self.bytes.extend_from_slice(chunk);
        self.chunk_bytes += u64::from(length);
        (offset, length)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a scan of a pack found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes of all entries' chunks, whole or not.
    pub(super) chunk_bytes: u64,
    /// Whether anything in it does not have the hash that it says.
    pub(super) damaged: bool,
}

/// Reads a pack from end to end and gives each chunk that is what its hash says to `visit`, with
/// its offset.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn scan(
    directory: &dyn Directory,
    name: &str,
    mut visit: impl FnMut(Hash, u64, &[u8]),
) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut window: Vec<u8> = Vec::new();
    // Where the window starts in the file, what of it was looked at, and whether the header was.
    let (mut start, mut used, mut begun) = (0_u64, 0_usize, false);
    loop {
        let Ok(needed) = entry_bytes(begun, &window[used..]) else {
            scan.damaged = true;
            return Ok(scan);
        };
        if window.len() - used < needed {
            window.drain(..used);
            start += as_u64(used);
            used = 0;
            let more = directory.read(name, start + as_u64(window.len()), SCAN_BYTES)?;
            if more.is_empty() {
                scan.damaged |= !window.is_empty() || !begun;
                return Ok(scan);
            }
            window.extend_from_slice(&more);
            continue;
        }
        if begun {
            let (head, chunk) = window[used..used + needed].split_at(ENTRY_HEAD_BYTES);
            scan.chunk_bytes += as_u64(chunk.len());
            let hash = Hash::of(chunk);
            if head.starts_with(&hash.0) {
                visit(hash, start + as_u64(used + ENTRY_HEAD_BYTES), chunk);
            } else {
                scan.damaged = true;
            }
        }
        begun = true;
        used += needed;
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

struct Malformed;

/// How many bytes the header or entry at the beginning of `rest` has, as far as that can be seen.
fn entry_bytes(begun: bool, rest: &[u8]) -> Result<usize, Malformed> {
    if !begun {
        let begins = rest
            .iter()
            .zip(HEADER)
            .all(|(byte, expected)| *byte == expected);
        return if begins {
            Ok(HEADER.len())
        } else {
            Err(Malformed)
        };
    }
    let Some(length) = rest
        .get(32..ENTRY_HEAD_BYTES)
        .and_then(|length| length.first_chunk::<4>())
    else {
        return Ok(ENTRY_HEAD_BYTES);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > CHUNK_BYTES_MAX {
        return Err(Malformed);
    }
    Ok(ENTRY_HEAD_BYTES + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryDirectory;

    fn scanned(directory: &MemoryDirectory) -> (Vec<Vec<u8>>, bool) {
        let mut chunks = Vec::new();
        let scan = scan(directory, "pack", |_, _, chunk| chunks.push(chunk.to_vec())).unwrap();
        (chunks, scan.damaged)
    }

    fn pack(chunks: &[&[u8]]) -> MemoryDirectory {
        let mut builder = PackBuilder::new();
        for chunk in chunks {
            builder.add(Hash::of(chunk), chunk);
        }
        let directory = MemoryDirectory::default();
        directory.write("pack", builder.bytes()).unwrap();
        directory
    }

    #[test]
    fn packs_keep_their_bytes() {
        let mut builder = PackBuilder::new();
        builder.add(Hash([7; 32]), b"chunk");
        let expect = format!("76677061636b0100{}000000056368756e6b", "07".repeat(32));
        assert_eq!(hex::encode(builder.bytes()), expect);
    }

    #[test]
    fn a_scan_finds_what_was_put_in_and_where() {
        let large = vec![1; CHUNK_BYTES_MAX];
        let chunks: Vec<&[u8]> = [b"a".as_slice(), b"", b"c"]
            .into_iter()
            .chain([large.as_slice(); 40])
            .collect();
        let directory = pack(&chunks);
        let mut found = Vec::new();
        let scan = scan(&directory, "pack", |hash, offset, chunk| {
            assert_eq!(directory.read("pack", offset, chunk.len()).unwrap(), chunk);
            assert_eq!(Hash::of(chunk), hash);
            found.push(chunk.to_vec());
        });
        assert!(!scan.unwrap().damaged);
        assert_eq!(found, chunks);
    }

    #[test]
    fn a_flipped_bit_costs_one_chunk_and_a_cut_costs_what_is_behind_it() {
        let directory = pack(&[b"one", b"two", b"three"]);
        let second = 8 + (36 + 3) + 36;
        directory.corrupt("pack", |bytes| bytes[second] ^= 1);
        assert_eq!(
            scanned(&directory),
            (vec![b"one".to_vec(), b"three".to_vec()], true)
        );
        directory.corrupt("pack", |bytes| bytes.truncate(second + 3 + 10));
        assert_eq!(scanned(&directory), (vec![b"one".to_vec()], true));
    }

    #[test]
    fn what_is_no_pack_is_damaged_and_nothing_more() {
        for garbage in [b"".as_slice(), b"vgp", b"something else", b"vgpack\x02\x00"] {
            let directory = MemoryDirectory::default();
            directory.write("pack", garbage).unwrap();
            assert_eq!(scanned(&directory), (Vec::new(), true), "{garbage:?}");
        }
        let mut endless = HEADER.to_vec();
        endless.extend([0xff; 100]);
        let directory = MemoryDirectory::default();
        directory.write("pack", &endless).unwrap();
        assert_eq!(scanned(&directory), (Vec::new(), true));
    }
}
