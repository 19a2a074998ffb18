//! The order of pseudo-fields in a field section of HTTP/3, before it is decoded: each that a request
//! has, once, and before all other fields (RFC 9114, section 4.3). h3 would take the last of several
//! wherever it stands. Sections that refer to a dynamic table are refused as well: the edge has said
//! that it has none (RFC 9204, section 3.2.3).
//!
//! Values are skipped; what they mean is h3's and `request`'s matter.

/// Why a section is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Its pseudo-fields are not those of what it is.
    Pseudo,
    /// It cannot be read at all.
    Undecodable,
}

/// A pseudo-field of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pseudo {
    Authority,
    Method,
    Path,
    Scheme,
}

/// What a line names.
enum Name {
    Request(Pseudo),
    /// A pseudo-field that requests do not have.
    Strange,
    Field,
}

/// The names as they stand in literals, plain and in the Huffman code (RFC 7541, appendix B).
const LITERAL: [(&[u8], &[u8], Pseudo); 4] = [
    (
        b":authority",
        b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f",
        Pseudo::Authority,
    ),
    (b":method", b"\xb9\x49\x53\x39\xe4", Pseudo::Method),
    (b":path", b"\xb9\x58\xd3\x3f", Pseudo::Path),
    (b":scheme", b"\xb8\x82\x4e\x5a\x4b", Pseudo::Scheme),
];

/// The colon in the Huffman code: seven bits.
const COLON: u8 = 0b101_1100;

/// Checks the section with which a request begins.
pub(super) fn check_head(section: &[u8]) -> Result<(), Flaw> {
    let mut seen = Vec::with_capacity(LITERAL.len());
    let mut fields_begun = false;
    for name in names(section)? {
        match name? {
            Name::Field => fields_begun = true,
            Name::Request(pseudo) if !fields_begun && !seen.contains(&pseudo) => seen.push(pseudo),
            Name::Request(_) | Name::Strange => return Err(Flaw::Pseudo),
        }
    }
    Ok(())
}

/// Checks the section with which a request ends: it has no pseudo-fields.
pub(super) fn check_trailers(section: &[u8]) -> Result<(), Flaw> {
    for name in names(section)? {
        if !matches!(name?, Name::Field) {
            return Err(Flaw::Pseudo);
        }
    }
    Ok(())
}

/// The names of a section, line by line.
fn names(section: &[u8]) -> Result<Lines<'_>, Flaw> {
    let mut lines = Lines(section);
    let (_, required) = lines.integer(8)?;
    let (sign, _) = lines.integer(7)?;
    // Without a table, nothing of one is required, and no base lies before its beginning.
    if required != 0 || sign != 0 {
        return Err(Flaw::Undecodable);
    }
    Ok(lines)
}

/// What is left of a section.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn line(&mut self) -> Result<Name, Flaw> {
        let first = *self.0.first().ok_or(Flaw::Undecodable)?;
        match first {
            // Indexed, in the static table.
            _ if first & 0b1100_0000 == 0b1100_0000 => {
                let (_, index) = self.integer(6)?;
                Ok(listed(index))
            }
            // A literal whose name is in the static table.
            _ if first & 0b1101_0000 == 0b0101_0000 => {
                let (_, index) = self.integer(4)?;
                self.text(7)?;
                Ok(listed(index))
            }
            // A literal with its name.
            _ if first & 0b1110_0000 == 0b0010_0000 => {
                let (coded, name) = self.text(3)?;
                self.text(7)?;
                Ok(named(coded, name))
            }
            // Anything else refers to the dynamic table.
            _ => Err(Flaw::Undecodable),
        }
    }

    /// A text behind its length, which has a prefix of so many bits; and whether it is coded.
    fn text(&mut self, bits: u32) -> Result<(bool, &'a [u8]), Flaw> {
        let (flags, length) = self.integer(bits)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Flaw::Undecodable)?;
        self.0 = rest;
        Ok((flags & 1 == 1, text))
    }

    /// An integer with a prefix of so many bits, and the bits before it (RFC 7541, section 5.1).
    fn integer(&mut self, bits: u32) -> Result<(u8, usize), Flaw> {
        let first = self.byte()?;
        let mask = u8::MAX >> (8 - bits);
        let flags = first.checked_shr(bits).unwrap_or(0);
        let mut value = usize::from(first & mask);
        if first & mask < mask {
            return Ok((flags, value));
        }
        // Three more bytes reach far beyond the longest section.
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((flags, value));
            }
        }
        Err(Flaw::Undecodable)
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        let (first, rest) = self.0.split_first().ok_or(Flaw::Undecodable)?;
        self.0 = rest;
        Ok(*first)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Name, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.line())
    }
}

/// What the static table has at a place (RFC 9204, appendix A). h3 knows its end.
fn listed(index: usize) -> Name {
    match index {
        0 => Name::Request(Pseudo::Authority),
        1 => Name::Request(Pseudo::Path),
        15..=21 => Name::Request(Pseudo::Method),
        22 | 23 => Name::Request(Pseudo::Scheme),
        24..=28 | 63..=71 => Name::Strange,
        _ => Name::Field,
    }
}

fn named(coded: bool, name: &[u8]) -> Name {
    let known = LITERAL
        .iter()
        .find(|(plain, code, _)| name == if coded { *code } else { *plain });
    if let Some((.., pseudo)) = known {
        return Name::Request(*pseudo);
    }
    match name.first() {
        Some(first) if coded && first >> 1 == COLON => Name::Strange,
        Some(b':') if !coded => Name::Strange,
        _ => Name::Field,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIX: &[u8] = &[0, 0];

    fn section(lines: &[&[u8]]) -> Vec<u8> {
        [PREFIX, &lines.concat()].concat()
    }

    /// A literal with a plain name.
    fn literal(name: &str, value: &str) -> Vec<u8> {
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        let mut line = match length(name) {
            short @ ..7 => vec![0x20 | short],
            long => vec![0x27, long - 7],
        };
        line.extend_from_slice(name.as_bytes());
        line.push(length(value));
        line.extend_from_slice(value.as_bytes());
        line
    }

    const GET: &[u8] = &[0b1100_0000 | 17];
    const HTTPS: &[u8] = &[0b1100_0000 | 23];
    const ROOT: &[u8] = &[0b1100_0000 | 1];
    const AUTHORITY_A: &[u8] = &[0b0101_0000, 1, b'a'];
    const ACCEPT: &[u8] = &[0b1100_0000 | 29];
    const STATUS: &[u8] = &[0b1100_0000 | 25];

    #[test]
    fn a_head_has_each_pseudo_field_once_and_first() {
        let pseudo = Err(Flaw::Pseudo);
        let coded_path = [&[0x28 | 4][..], b"\xb9\x58\xd3\x3f", &[1, b'/']].concat();
        // `:x` in the code.
        let coded_strange = [0x28 | 2, 0b1011_1001, 0b1110_0111, 0];
        for (lines, expect) in [
            (&[GET, HTTPS, AUTHORITY_A, ROOT, ACCEPT][..], Ok(())),
            (&[ROOT, AUTHORITY_A, GET, HTTPS], Ok(())),
            (&[GET, HTTPS, AUTHORITY_A, &coded_path], Ok(())),
            (&[GET, HTTPS, &literal(":authority", "a"), ROOT], Ok(())),
            (
                &[GET, HTTPS, AUTHORITY_A, ROOT, &literal("x-a", "b")],
                Ok(()),
            ),
            (&[GET, GET, HTTPS, AUTHORITY_A, ROOT], pseudo),
            (&[GET, HTTPS, AUTHORITY_A, ROOT, &coded_path], pseudo),
            (
                &[GET, HTTPS, AUTHORITY_A, ROOT, &literal(":path", "/b")],
                pseudo,
            ),
            (&[GET, HTTPS, ROOT, ACCEPT, AUTHORITY_A], pseudo),
            (&[GET, HTTPS, AUTHORITY_A, ROOT, STATUS], pseudo),
            (
                &[GET, HTTPS, AUTHORITY_A, ROOT, &literal(":x", "y")],
                pseudo,
            ),
            (&[GET, HTTPS, AUTHORITY_A, ROOT, &coded_strange], pseudo),
            (
                &[
                    GET,
                    HTTPS,
                    AUTHORITY_A,
                    ROOT,
                    &literal(":protocol", "websocket"),
                ],
                pseudo,
            ),
        ] {
            assert_eq!(check_head(&section(lines)), expect, "{lines:x?}");
        }
    }

    #[test]
    fn trailers_have_no_pseudo_fields() {
        assert_eq!(check_trailers(&section(&[&literal("x-sum", "7")])), Ok(()));
        assert_eq!(check_trailers(&section(&[])), Ok(()));
        assert_eq!(check_trailers(&section(&[GET])), Err(Flaw::Pseudo));
        assert_eq!(check_trailers(&section(&[STATUS])), Err(Flaw::Pseudo));
    }

    #[test]
    fn what_needs_a_table_or_breaks_off_is_not_read() {
        for bytes in [
            &[][..],
            &[0],
            // An insert is required.
            &[1, 0],
            // A base before the beginning.
            &[0, 0x80],
            // In the dynamic table: indexed, its name, and both beyond the base.
            &[0, 0, 0x80],
            &[0, 0, 0x40, 0],
            &[0, 0, 0x10],
            &[0, 0, 0x00, 0],
            // A name and a value that are not all there, and a length without an end.
            &[0, 0, 0x23, b'a'],
            &[0, 0, 0x21, b'a', 2, b'b'],
            &[0, 0, 0x50, 0x7f, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert_eq!(check_head(bytes), Err(Flaw::Undecodable), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (check_head(&bytes), check_trailers(&bytes));
        }
    }
}
