//! Keys as operators give them: bytes in hexadecimal, one key a line, the wanted one first. Empty lines, and those
//! that begin with `#`, are left out. What a key is for is the reader's matter.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

/// What a text with keys has to be.
pub(crate) struct KeyText {
    /// How many bytes a key has.
    pub(crate) bytes: RangeInclusive<usize>,
    /// How many keys there may be; one at least has to be there.
    pub(crate) keys_max: usize,
    /// The longest text, in bytes.
    pub(crate) text_max: usize,
}

/// Why a text has no keys. No part of it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyTextError {
    /// A line holds something else.
    Malformed {
        /// Which, from 1.
        line: usize,
    },
    /// There are none, too many, or one of them twice; or the text is too long.
    Count,
}

impl KeyText {
    /// The keys of a text, in its order.
    pub(crate) fn read(&self, text: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, KeyTextError> {
        if text.len() > self.text_max {
            return Err(KeyTextError::Count);
        }
        let mut keys = Vec::new();
        let lines = text.lines().map(str::trim).zip(1..);
        for (line, number) in lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
            let malformed = KeyTextError::Malformed { line: number };
            let Ok(key) = hex::decode(line).map(Zeroizing::new) else {
                return Err(malformed);
            };
            if !self.bytes.contains(&key.len()) {
                return Err(malformed);
            }
            if keys.len() == self.keys_max || keys.contains(&key) {
                return Err(KeyTextError::Count);
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyTextError::Count);
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: KeyText = KeyText {
        bytes: 2..=3,
        keys_max: 2,
        text_max: 40,
    };

    #[test]
    fn keys_are_read_in_order_and_comments_left_out() {
        let keys = FORM.read("# a comment\n  0102 \n\n030405\n").unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!((&keys[0][..], &keys[1][..]), (&[1, 2][..], &[3, 4, 5][..]));
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        for (text, line) in [
            ("01", 1),
            ("01020304", 1),
            ("010", 1),
            ("zzzz", 1),
            ("0102\n0102 # two", 2),
            ("#\n\nü102", 3),
        ] {
            let malformed = KeyTextError::Malformed { line };
            assert_eq!(FORM.read(text), Err(malformed), "{text}");
        }
        let long = format!("0102\n#{}", " ".repeat(40));
        for text in ["", "# none", "0102\n0102", "0102\n0103\n0104", &long] {
            assert_eq!(FORM.read(text), Err(KeyTextError::Count), "{text}");
        }
    }
}
