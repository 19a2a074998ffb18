//! Small files, each one record and written as a whole.
//!
//! ```text
//! version  1 byte
//! record   postcard
//! check    32 bytes: SHA-256 of all before it
//! ```

use domain::tree::Hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Directory, Store, StoreError, UNFINISHED};

/// How long the check is.
pub(super) const CHECK_BYTES: usize = 32;

pub(super) fn encode(format: u8, record: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(record, vec![format])?;
    let check = Hash::of(&bytes);
    bytes.extend_from_slice(&check.0);
    Ok(bytes)
}

/// `None` for anything that was not written whole by [`encode`] with the same format.
pub(super) fn decode<T: DeserializeOwned>(format: u8, bytes: &[u8]) -> Option<T> {
    let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
    let (&found, record) = body.split_first()?;
    if Hash::of(body).0 != check || found != format {
        return None;
    }
    let (record, rest) = postcard::take_from_bytes(record).ok()?;
    rest.is_empty().then_some(record)
}

/// The record in a file, if it was written whole.
pub(super) fn read<T: DeserializeOwned>(
    directory: &dyn Directory,
    name: &str,
    format: u8,
    bytes_max: usize,
) -> Option<T> {
    decode(format, &directory.read(name, 0, bytes_max).ok()?)
}

impl Store {
    /// Replaces a file, durably. After an error it is what it was.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let unfinished = format!("{name}{UNFINISHED}");
        self.write(&unfinished, bytes)?;
        let renamed = self
            .directory
            .rename(&unfinished, name)
            .and_then(|()| self.directory.sync());
        renamed.map_err(|source| StoreError::Write {
            name: name.to_owned(),
            source,
        })
    }
}
