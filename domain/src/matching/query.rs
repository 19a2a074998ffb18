//! The parameters of a query, as rules see them. The query is forwarded as it was sent; what is
//! compared is what nearly every reader makes of it (the `application/x-www-form-urlencoded` parser
//! of the URL standard): pairs end at `&`, a name ends at the first `=`, `+` is a blank, and
//! `%` with two hexadecimal digits is a byte, in the name as in the value, decoded once. A `%`
//! that begins no escape is a letter. So `?%61dmin=1` is the parameter `admin`, and no spelling
//! passes by a rule about it. `;` ends nothing. A pair without `=` has an empty value; what is
//! between two `&&` is no pair. Where a name is there several times, each is looked at.

/// Longer texts with escapes are decoded on the heap: no text in a rule is so long, so only regular
/// expressions ask for them.
const STACK_BYTES: usize = 1024;

/// One parameter, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryPair<'a> {
    /// What is before the first `=`.
    pub name: Encoded<'a>,
    /// What is behind it.
    pub value: Encoded<'a>,
}

impl<'a> QueryPair<'a> {
    /// The parameters of a query, which is without its `?`, in their order.
    pub fn all(query: &'a str) -> impl Iterator<Item = Self> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Self {
                name: Encoded::new(name),
                value: Encoded::new(value),
            }
        })
    }
}

/// A text as it stands in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded<'a> {
    sent: &'a [u8],
    /// Whether it says what it means without being decoded.
    plain: bool,
}

impl<'a> Encoded<'a> {
    fn new(sent: &'a str) -> Self {
        let sent = sent.as_bytes();
        let plain = !sent.iter().any(|byte| matches!(byte, b'%' | b'+'));
        Self { sent, plain }
    }

    /// Whether it means this text.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        if self.plain {
            return self.sent == text;
        }
        self.sent.len() >= text.len() && Decoding(self.sent).eq(text.iter().copied())
    }

    /// Whether what it means begins with this text.
    #[must_use]
    pub fn starts_with(&self, text: &[u8]) -> bool {
        if self.plain {
            return self.sent.starts_with(text);
        }
        let mut decoded = Decoding(self.sent);
        text.iter().all(|byte| decoded.next() == Some(*byte))
    }

    /// Shows what it means.
    pub fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        if self.plain {
            return look(self.sent);
        }
        if self.sent.len() > STACK_BYTES {
            return look(&Decoding(self.sent).collect::<Vec<_>>());
        }
        let mut decoded = [0; STACK_BYTES];
        let mut length = 0;
        for (place, byte) in decoded.iter_mut().zip(Decoding(self.sent)) {
            *place = byte;
            length += 1;
        }
        look(&decoded[..length])
    }
}

/// The bytes that are meant.
struct Decoding<'a>(&'a [u8]);

impl Iterator for Decoding<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        match first {
            b'+' => Some(b' '),
            b'%' => {
                let escape = rest.first_chunk::<2>().and_then(|digits| byte(*digits));
                if escape.is_some() {
                    self.0 = &rest[2..];
                }
                escape.or(Some(b'%'))
            }
            other => Some(*other),
        }
    }
}

fn byte(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    u8::try_from(high? * 16 + low?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(query: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        QueryPair::all(query)
            .map(|pair| (pair.name.with(text), pair.value.with(text)))
            .collect()
    }

    #[test]
    fn a_query_has_the_parameters_that_most_readers_see() {
        for (query, expect) in [
            ("", &[][..]),
            ("a=1", &[("a", "1")]),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("=b", &[("", "b")]),
            ("a=b=c", &[("a", "b=c")]),
            ("&&a=1&", &[("a", "1")]),
            ("a=1;b=2", &[("a", "1;b=2")]),
            ("%61dmin=%31", &[("admin", "1")]),
            ("a+b=c+d", &[("a b", "c d")]),
            ("a%20b=%2B", &[("a b", "+")]),
            ("a=%26b%3D1", &[("a", "&b=1")]),
            ("a=%C3%BC", &[("a", "\u{fc}")]),
            ("a=100%", &[("a", "100%")]),
            ("a=%zz%4", &[("a", "%zz%4")]),
            ("a=%2541", &[("a", "%41")]),
            ("a?b=1", &[("a?b", "1")]),
        ] {
            let expect: Vec<_> = expect
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(decoded(query), expect, "{query}");
        }
    }

    proptest! {
        #[test]
        fn every_way_to_ask_gives_the_same(
            sent in "([a-c+%=]|%[46][1-3]|%2[bB]){0,8}",
            text in "[a-cA-C +%=]{0,6}",
            long in 0_usize..2,
        ) {
            let sent = sent.repeat(1 + long * 300);
            let encoded = Encoded::new(&sent);
            let means: Vec<u8> = Decoding(sent.as_bytes()).collect();
            prop_assert_eq!(encoded.with(<[u8]>::to_vec), means.clone());
            prop_assert!(encoded.is(&means));
            prop_assert!(encoded.starts_with(&means[..means.len() / 2]));
            prop_assert_eq!(encoded.is(text.as_bytes()), means == text.as_bytes());
            prop_assert_eq!(encoded.starts_with(text.as_bytes()), means.starts_with(text.as_bytes()));
        }
    }
}
