//! JSON out: objects straight into bytes, and text that is JSON already passed through as it is.

use domain::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The bytes of `value`. Everything that is rendered here has string keys and finite numbers,
/// for which serialising cannot fail; should it, the client gets an empty body and the log says so.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(768);
    append(&mut bytes, value);
    bytes
}

/// Appends the bytes of `value`.
pub(crate) fn append<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    if let Err(error) = serde_json::to_writer(&mut *bytes, value) {
        tracing::error!(%error, "an answer could not be rendered");
    }
}

/// A stored JSON text, shown as it was sent.
pub(crate) struct Stored<'a>(pub(crate) &'a str);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

/// A time in whole seconds since the Unix epoch.
#[derive(Debug)]
pub(crate) struct Seconds(pub(crate) Timestamp);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.unix_seconds())
    }
}

/// A time that may not be there.
pub(crate) fn seconds(at: Option<Timestamp>) -> Option<u64> {
    at.map(Timestamp::unix_seconds)
}
