//! A directory whose files are encrypted and authenticated: who takes the disk reads nothing of them, and
//! who writes to it, or moves files about, changes nothing that is believed.
//!
//! ```text
//! HEADER  8 bytes: "vgseal", version, 0
//! salt    16 bytes, drawn anew each time a file is written
//! length  8 bytes, big-endian: of what is sealed
//! then, for each 4096 bytes of it, the last ones fewer: AES-256-GCM of them, and a tag of 16 bytes
//! ```
//!
//! A file's key is HMAC-SHA-256 of the salt under the directory's key, so no two files have the same, and
//! the nonce of a block is its number. With each block are authenticated what the directory is for, the
//! file's name, and the length of it all. So a block opens in its place in its file under its name, and
//! nowhere else; a whole directory that is put back as it once was does open: (epoch, version) and
//! signatures say what is to be followed.
//!
//! A block that does not open reads as zeros, which nothing is that is kept here: who reads finds it
//! damaged by checks of his own, as if the disk had lost it, and loses no more than that.

use std::fmt;
use std::io;
use std::sync::Arc;

use platform::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use super::{Directory, StoreKey, UNFINISHED};

const HEADER: [u8; 8] = *b"vgseal\x01\x00";
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = HEADER.len() + SALT_BYTES + 8;
const TAG_BYTES: usize = 16;

/// How much is sealed at once: chunks are read one by one, and only the blocks that they lie in are opened.
const BLOCK_BYTES: usize = 4096;

/// A directory that is sealed.
pub struct SealedDirectory {
    inner: Box<dyn Directory>,
    key: hmac::Key,
    purpose: &'static str,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for SealedDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedDirectory")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl SealedDirectory {
    /// Seals what is written to a directory. What another one is for does not open in this one.
    #[must_use]
    pub fn new(
        inner: Box<dyn Directory>,
        key: &StoreKey,
        purpose: &'static str,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            inner,
            key: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()),
            purpose,
            entropy,
        }
    }

    fn file(&self, name: &str, salt: [u8; SALT_BYTES], length: u64) -> io::Result<File> {
        let derived = hmac::sign(&self.key, &salt);
        let key = UnboundKey::new(&AES_256_GCM, derived.as_ref());
        // It has as many bytes as a key; what fails here is a fault of ours.
        let key = key.map_err(|_| io::Error::other("a key cannot be made"))?;
        // A file is written beside its place, and renamed into it.
        let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
        let mut bound = Vec::with_capacity(self.purpose.len() + name.len() + 10);
        for text in [self.purpose, name] {
            bound.extend_from_slice(text.as_bytes());
            bound.push(0);
        }
        bound.extend_from_slice(&length.to_be_bytes());
        Ok(File {
            key: LessSafeKey::new(key),
            bound,
            length,
        })
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let head = self.inner.read(name, 0, HEAD_BYTES)?;
        let salt = head
            .strip_prefix(&HEADER)
            .and_then(|rest| rest.split_first_chunk());
        let Some((salt, length)) = salt else {
            return Err(no_file());
        };
        let length = length.try_into().map_err(|_| no_file())?;
        self.file(name, *salt, u64::from_be_bytes(length))
    }
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no sealed file")
}

/// A file's key and what is authenticated with each of its blocks.
struct File {
    key: LessSafeKey,
    bound: Vec<u8>,
    length: u64,
}

impl File {
    fn seal(&self, number: u64, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.extend_from_slice(block);
        let body = out.get_mut(start..).unwrap_or_default();
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number), Aad::from(&self.bound), body)
            .map_err(|_| io::Error::other("a block cannot be sealed"))?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Appends what a sealed block holds; zeros, if it does not open.
    fn open(&self, number: u64, sealed: &mut [u8], out: &mut Vec<u8>) {
        let length = sealed.len().saturating_sub(TAG_BYTES);
        match self
            .key
            .open_in_place(nonce(number), Aad::from(&self.bound), sealed)
        {
            Ok(opened) => out.extend_from_slice(opened),
            Err(_) => out.resize(out.len() + length, 0),
        }
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Directory for SealedDirectory {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let end = offset.saturating_add(as_u64(length)).min(file.length);
        if offset >= end {
            return Ok(Vec::new());
        }
        let (block, sealed_block) = (as_u64(BLOCK_BYTES), BLOCK_BYTES + TAG_BYTES);
        let (first, last) = (offset / block, (end - 1) / block);
        let at = as_u64(HEAD_BYTES) + first * as_u64(sealed_block);
        let blocks = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        let mut sealed = self
            .inner
            .read(name, at, blocks.saturating_mul(sealed_block))?;
        let mut opened = Vec::with_capacity(sealed.len());
        for (number, sealed) in (first..).zip(sealed.chunks_mut(sealed_block)) {
            file.open(number, sealed, &mut opened);
        }
        let skipped = usize::try_from(offset - first * block).unwrap_or(usize::MAX);
        opened.drain(..skipped.min(opened.len()));
        opened.truncate(usize::try_from(end - offset).unwrap_or(usize::MAX));
        Ok(opened)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut salt = [0; SALT_BYTES];
        self.entropy.fill(&mut salt);
        let length = as_u64(bytes.len());
        let file = self.file(name, salt, length)?;
        let blocks = bytes.len().div_ceil(BLOCK_BYTES);
        let mut sealed = Vec::with_capacity(HEAD_BYTES + bytes.len() + blocks * TAG_BYTES);
        sealed.extend_from_slice(&HEADER);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&length.to_be_bytes());
        for (number, block) in (0..).zip(bytes.chunks(BLOCK_BYTES)) {
            file.seal(number, block, &mut sealed)?;
        }
        self.inner.write(name, &sealed)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

#[cfg(test)]
mod tests {
    use platform::SystemEntropy;
    use proptest::prelude::*;

    use super::*;
    use crate::store::tests::{assert_whole, files, publish, versions};
    use crate::store::{MANIFEST, MemoryDirectory, Opened, PACK, Store};

    fn sealed(directory: &MemoryDirectory, key: u8, purpose: &'static str) -> SealedDirectory {
        let key = StoreKey::new([key; 32]);
        let entropy = Arc::new(SystemEntropy);
        SealedDirectory::new(Box::new(directory.clone()), &key, purpose, entropy)
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count)
            .map(|at| u8::try_from(at % 251 + 1).unwrap())
            .collect()
    }

    fn whole(directory: &SealedDirectory, name: &str) -> Vec<u8> {
        directory.read(name, 0, 1 << 20).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_in_any_part_and_is_not_to_be_seen() {
        let directory = MemoryDirectory::default();
        let sealed = sealed(&directory, 1, "test");
        for count in [0, 1, 15, 4095, 4096, 4097, 8192, 20_000] {
            let bytes = bytes(count);
            sealed.write("file", &bytes).unwrap();
            assert_eq!(whole(&sealed, "file"), bytes, "{count} bytes");
            for (offset, length) in [(0, 1), (1, 4096), (4095, 2), (4096, 4096), (5000, 9000)] {
                let end = (offset + length).min(count);
                let expected = bytes.get(offset..end).unwrap_or_default();
                let read = sealed.read("file", offset as u64, length).unwrap();
                assert_eq!(read, expected, "{length} of {count} at {offset}");
            }
        }
        let raw = directory.read("file", 0, 1 << 20).unwrap();
        assert!(!raw.windows(16).any(|window| window == &bytes(16)[..]));
        let before = directory.read("file", 0, 1 << 20).unwrap();
        sealed.write("file", &bytes(20_000)).unwrap();
        assert_ne!(
            directory.read("file", 0, 1 << 20).unwrap(),
            before,
            "another salt"
        );
    }

    #[test]
    fn files_keep_their_layout() {
        struct Ones;
        impl Entropy for Ones {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(1);
            }
        }
        let directory = MemoryDirectory::default();
        let key = StoreKey::new([7; 32]);
        let sealed =
            SealedDirectory::new(Box::new(directory.clone()), &key, "test", Arc::new(Ones));
        sealed.write("file.new", b"chunk").unwrap();
        sealed.rename("file.new", "file").unwrap();
        let raw = directory.read("file", 0, 100).unwrap();
        let head = format!("76677365616c0100{}0000000000000005", "01".repeat(16));
        assert_eq!(hex::encode(&raw[..32]), head);
        assert_eq!(raw.len(), 32 + 5 + 16);
        assert_eq!(whole(&sealed, "file"), b"chunk");
        // What version 1 wrote is read for ever.
        let golden = GOLDEN.replace(char::is_whitespace, "");
        assert_eq!(hex::encode(&raw), golden);
    }

    /// Computed by another implementation.
    const GOLDEN: &str = "76677365616c0100010101010101010101010101010101010000000000000005545ebf6ae0b10fe755f072b63697d85b \
        abebfbb857";

    #[test]
    fn nothing_opens_in_another_place_under_another_name_or_key() {
        let directory = MemoryDirectory::default();
        let ours = sealed(&directory, 1, "test");
        let zeros = vec![0; 9000];
        ours.write("a", &bytes(9000)).unwrap();
        assert_eq!(
            whole(&sealed(&directory, 2, "test"), "a"),
            zeros,
            "another key"
        );
        assert_eq!(
            whole(&sealed(&directory, 1, "other"), "a"),
            zeros,
            "another purpose"
        );
        ours.rename("a", "b").unwrap();
        assert_eq!(whole(&ours, "b"), zeros, "another name");
        ours.rename("b", "a").unwrap();
        directory.corrupt("a", |raw| {
            let (first, second) = (32..32 + 4112, 32 + 4112..32 + 2 * 4112);
            let moved = raw[first.clone()].to_vec();
            raw.copy_within(second.clone(), first.start);
            raw[second].copy_from_slice(&moved);
        });
        let swapped = whole(&ours, "a");
        assert_eq!(swapped[..8192], zeros[..8192], "another place");
        assert_eq!(swapped[8192..], bytes(9000)[8192..]);
    }

    #[test]
    fn a_cut_file_ends_early_and_what_is_no_sealed_file_is_an_error() {
        let directory = MemoryDirectory::default();
        let ours = sealed(&directory, 1, "test");
        ours.write("a", &bytes(9000)).unwrap();
        directory.corrupt("a", |raw| raw.truncate(32 + 4112 + 100));
        let read = whole(&ours, "a");
        assert_eq!(read[..4096], bytes(9000)[..4096]);
        assert!(read[4096..].iter().all(|byte| *byte == 0) && read.len() < 4300);
        for garbage in [&b""[..], b"vgpack\x01\x00", &[0xff; 100]] {
            directory.write("b", garbage).unwrap();
            assert!(ours.read("b", 0, 10).is_err());
        }
        assert!(ours.read("none", 0, 10).is_err());
    }

    fn store(directory: &MemoryDirectory) -> Opened {
        Store::open(Box::new(sealed(directory, 1, "test")), "production").unwrap()
    }

    #[test]
    fn a_store_keeps_what_it_has_and_nothing_that_others_made_or_moved() {
        let directory = MemoryDirectory::default();
        let mut first = store(&directory).store;
        publish(&mut first, 1, &[]).unwrap();
        publish(&mut first, 2, &[7]).unwrap();
        drop(first);
        directory.crash(u64::MAX);
        let opened = store(&directory);
        assert!(opened.findings.is_empty(), "{:?}", opened.findings);
        assert_eq!(versions(&opened.store), [2, 1]);
        assert_whole(&opened.store);
        for name in directory.list().unwrap() {
            let raw = directory.read(&name, 0, 1 << 24).unwrap();
            let shown = |text: &[u8]| raw.windows(text.len()).any(|window| window == text);
            assert!(!shown(b"key-0000") && !shown(b"production"), "{name}");
        }
        // The older pointer in the newer one's place: as if nothing had been published since.
        let pointers = files(&directory, MANIFEST);
        let older = directory.read(&pointers[0], 0, 1 << 20).unwrap();
        directory.corrupt(&pointers[1], |raw| *raw = older);
        let opened = store(&directory);
        assert_eq!(versions(&opened.store), [1]);
        assert!(
            opened.findings[0].contains("not used"),
            "{:?}",
            opened.findings
        );
        assert_whole(&opened.store);
    }

    #[test]
    fn a_store_takes_no_file_that_is_not_sealed() {
        let (plain, directory) = (MemoryDirectory::default(), MemoryDirectory::default());
        let mut forged = Store::open(Box::new(plain.clone()), "production")
            .unwrap()
            .store;
        publish(&mut forged, 3, &[]).unwrap();
        publish(&mut store(&directory).store, 1, &[]).unwrap();
        for name in files(&plain, PACK)
            .into_iter()
            .chain(files(&plain, MANIFEST))
        {
            let raw = plain.read(&name, 0, 1 << 24).unwrap();
            directory
                .write(&name.replace("-0000", "-1000"), &raw)
                .unwrap();
        }
        let opened = store(&directory);
        assert_eq!(versions(&opened.store), [1]);
        assert_eq!(opened.findings.len(), 2, "{:?}", opened.findings);
    }

    proptest! {
        /// Whatever bits flip, what reads differently reads as zeros, or not at all.
        #[test]
        fn flipped_bits_are_noticed(at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let directory = MemoryDirectory::default();
            let ours = sealed(&directory, 1, "test");
            ours.write("a", &bytes(9000)).unwrap();
            directory.corrupt("a", |raw| {
                let place = at.index(raw.len());
                raw[place] ^= 1 << bit;
            });
            if let Ok(read) = ours.read("a", 0, 1 << 20) {
                let good = bytes(9000);
                prop_assert!(read.iter().zip(&good).all(|(read, good)| read == good || *read == 0));
                prop_assert!(read != good);
            }
        }
    }
}
