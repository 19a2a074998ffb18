//! Texts of a known form as few bytes: identifiers of our own making are 14 bytes, a UUID is 16.
//! Wherever such a text may stand another may, too, so both forms are told apart:
//!
//! ```text
//! value  packed  a byte string of exactly as many bytes, the first below 0x40 or, of a UUID, marked
//!        text    the text as any other
//! key    the same bytes without their length; the text ends with 0x00
//! ```
//!
//! Texts begin with a letter of a prefix, or not with the mark, so neither is taken for the other. A
//! text that could have been packed is refused: one value has one form. Packed identifiers sort as
//! their texts do.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use super::ALPHABET;

/// How many bytes a packed identifier has: 22 characters of 5 bits.
pub(crate) const ID_BYTES: usize = 14;

/// How many characters follow the prefix of a packed identifier.
const ID_CHARACTERS: usize = 22;

/// The first byte of a packed identifier is below this, as 110 bits leave two of 14 bytes free.
const ID_HEAD_END: u8 = 0x40;

/// A text that may have a packed form.
pub(crate) trait Packed: Sized {
    /// How long the packed form is.
    const BYTES: usize;

    /// The packed form, if the text has one.
    fn pack(&self) -> Option<Vec<u8>>;

    /// The text of a packed form, if the bytes are one.
    fn unpack(bytes: &[u8]) -> Option<Self>;

    /// The text.
    fn text(&self) -> &str;

    /// From a text as it was stored.
    fn of_text(text: &str) -> Self;
}

/// Packs what follows an identifier's prefix.
pub(crate) fn pack_id(body: &str) -> Option<Vec<u8>> {
    if body.len() != ID_CHARACTERS {
        return None;
    }
    let bits = body.bytes().try_fold(0u128, |bits, byte| {
        Some(bits << 5 | u128::from(digit(byte)?))
    })?;
    Some(bits.to_be_bytes()[16 - ID_BYTES..].to_vec())
}

/// The value of a character of Crockford's alphabet.
pub(super) const fn digit(byte: u8) -> Option<u8> {
    let value = DIGITS[byte as usize];
    if value < 32 { Some(value) } else { None }
}

/// The value of each byte that is a character of the alphabet; 255 for the others.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < 32 {
        digits[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// The identifier that was packed.
pub(crate) fn unpack_id(prefix: &str, bytes: &[u8]) -> Option<String> {
    if bytes.len() != ID_BYTES || *bytes.first()? >= ID_HEAD_END {
        return None;
    }
    let mut wide = [0; 16];
    wide[16 - ID_BYTES..].copy_from_slice(bytes);
    let bits = u128::from_be_bytes(wide);
    let mut text = String::with_capacity(prefix.len() + 1 + ID_CHARACTERS);
    text.push_str(prefix);
    text.push('_');
    for position in (0..ID_CHARACTERS).rev() {
        text.push(char::from(ALPHABET[(bits >> (position * 5) & 31) as usize]));
    }
    Some(text)
}

pub(crate) fn serialize<T: Packed, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(value.text());
    }
    match value.pack() {
        Some(bytes) => serializer.serialize_bytes(&bytes),
        None => serializer.serialize_str(value.text()),
    }
}

/// Reads either form.
pub(crate) struct Read<T>(PhantomData<fn() -> T>);

impl<T: Packed> Read<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<T, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_str(self);
        }
        deserializer.deserialize_bytes(self)
    }
}

impl<T: Packed> Visitor<'_> for Read<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or its packed form")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::of_text(text))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        if let Some(unpacked) = T::unpack(bytes) {
            return Ok(unpacked);
        }
        let text = std::str::from_utf8(bytes).map_err(E::custom)?;
        let read = T::of_text(text);
        if read.pack().is_some() {
            return Err(E::custom("a text that has a packed form"));
        }
        Ok(read)
    }
}

/// Appends a value as part of a key.
pub(crate) fn write_part<T: Packed>(value: &T, out: &mut Vec<u8>) {
    match value.pack() {
        Some(bytes) => out.extend_from_slice(&bytes),
        None => {
            out.extend_from_slice(value.text().as_bytes());
            out.push(0);
        }
    }
}

/// Reads a part of a key off the front.
pub(crate) fn read_part<T: Packed>(bytes: &mut &[u8]) -> Option<T> {
    if let Some((head, rest)) = bytes.split_at_checked(T::BYTES)
        && let Some(unpacked) = T::unpack(head)
    {
        *bytes = rest;
        return Some(unpacked);
    }
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    *bytes = rest.get(1..)?;
    let read = T::of_text(std::str::from_utf8(text).ok()?);
    read.pack().is_none().then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RuleId, Seed};

    fn ours(unix_ms: u64, random: u64) -> RuleId {
        RuleId::new(Seed { unix_ms, random })
    }

    #[test]
    fn identifiers_read_back_as_values_and_in_keys_and_sort_as_their_texts() {
        let foreign = [
            "rule_01J2A8K6",
            "rule_123456789",
            "rule_01hx9k3m7pq6rstv2w4n8a",
        ];
        let mut ids: Vec<_> = foreign
            .iter()
            .map(|text| RuleId::parse(text).unwrap())
            .collect();
        ids.extend([
            ours(0, 0),
            ours(1_714_320_000_000, 5),
            ours(u64::MAX, u64::MAX),
        ]);
        for id in &ids {
            let value = postcard::to_stdvec(id).unwrap();
            assert_eq!(postcard::from_bytes(&value).as_ref(), Ok(id));
            let mut key = Vec::new();
            write_part(id, &mut key);
            key.extend_from_slice(b"next");
            let mut rest = key.as_slice();
            assert_eq!(read_part::<RuleId>(&mut rest).as_ref(), Some(id));
            assert_eq!(rest, b"next");
            assert_eq!(serde_json::to_string(id).unwrap(), format!("\"{id}\""));
        }
        let mut packed: Vec<_> = [ours(7, 3), ours(7, 2), ours(6, 9)]
            .map(|id| (id.pack(), id))
            .into();
        packed.sort();
        assert!(packed.iter().map(|(_, id)| id).is_sorted());
        assert_eq!(
            postcard::to_stdvec(&ours(7, 3)).unwrap().len(),
            1 + ID_BYTES
        );
    }

    #[test]
    fn an_identifier_has_one_form() {
        let id = ours(7, 3);
        let text = postcard::to_stdvec(id.as_str()).unwrap();
        assert!(postcard::from_bytes::<RuleId>(&text).is_err());
        let mut key = id.as_str().as_bytes().to_vec();
        key.push(0);
        assert_eq!(read_part::<RuleId>(&mut key.as_slice()), None);
    }
}
