//! Which paths are served at all. What is matched is what is forwarded, byte for byte: nothing is
//! decoded, merged or resolved. A path that two readers could take for two different things is
//! therefore refused instead of repaired: dot segments, also written with `%2e`, behind an encoded
//! slash or before a `;` parameter; backslashes; `%00`; broken escapes.

/// Why a path is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// It does not begin with a slash.
    #[error("The request target must be a path.")]
    NotAbsolute,
    /// It holds `.` or `..` as a segment.
    #[error("The path must not contain dot segments.")]
    DotSegment,
    /// It holds `%00`.
    #[error("The path must not contain %00.")]
    Nul,
    /// It holds a backslash, which some read as a slash.
    #[error("The path must not contain backslashes.")]
    Backslash,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("The path contains a percent sign that begins no escape.")]
    BrokenEscape,
    /// The query, which rules look at, has too many parameters.
    #[error("The query has more than {QUERY_PAIRS_MAX} parameters.")]
    TooManyParameters,
}

/// The most parameters of a query that rules look at: one rule after the other goes through all of them,
/// so the work grows with their square at worst. No form has so many fields.
pub const QUERY_PAIRS_MAX: usize = 1000;

/// Says whether a query is one that rules look at; where no rule does, it may be anything.
///
/// # Errors
/// When it has more than [`QUERY_PAIRS_MAX`] parameters.
pub fn check_query(query: &str) -> Result<(), PathRefusal> {
    let separators = query.bytes().filter(|byte| *byte == b'&').count();
    if separators < QUERY_PAIRS_MAX {
        return Ok(());
    }
    Err(PathRefusal::TooManyParameters)
}

/// What of the current segment was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    /// Only dots, this many; `0` at its beginning.
    Dots(u8),
    /// Something else.
    Name,
}

impl Segment {
    fn is_dots(self) -> bool {
        matches!(self, Self::Dots(1 | 2))
    }

    fn after_dot(self) -> Self {
        match self {
            Self::Dots(seen @ 0..=1) => Self::Dots(seen + 1),
            Self::Dots(_) | Self::Name => Self::Name,
        }
    }
}

/// Says whether a path (without its query) is served.
///
/// # Errors
/// When it is ambiguous, with the reason.
pub fn check_path(path: &str) -> Result<(), PathRefusal> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathRefusal::NotAbsolute);
    }
    // Most paths have nothing of what has two readings. All bytes are looked at, which is a few steps of many.
    if !bytes
        .iter()
        .fold(false, |any, byte| any | is_special(*byte))
    {
        return Ok(());
    }
    let mut segment = Segment::Dots(0);
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let (meant, length) = if byte == b'%' {
            (unescape(bytes, at)?, 3)
        } else {
            (byte, 1)
        };
        if byte == b'\\' {
            return Err(PathRefusal::Backslash);
        }
        segment = match meant {
            0 => return Err(PathRefusal::Nul),
            b'/' | b'\\' if segment.is_dots() => return Err(PathRefusal::DotSegment),
            b'/' | b'\\' => Segment::Dots(0),
            b';' if segment.is_dots() => return Err(PathRefusal::DotSegment),
            b'.' => segment.after_dot(),
            _ => Segment::Name,
        };
        at += length;
    }
    if segment.is_dots() {
        Err(PathRefusal::DotSegment)
    } else {
        Ok(())
    }
}

/// Whether there may be anything to a path with such a byte.
fn is_special(byte: u8) -> bool {
    matches!(byte, 0 | b'%' | b'.' | b';' | b'\\')
}

fn unescape(bytes: &[u8], at: usize) -> Result<u8, PathRefusal> {
    let digit = |offset: usize| {
        let byte = bytes
            .get(at + offset)
            .copied()
            .ok_or(PathRefusal::BrokenEscape)?;
        char::from(byte)
            .to_digit(16)
            .ok_or(PathRefusal::BrokenEscape)
    };
    let value = digit(1)? * 16 + digit(2)?;
    u8::try_from(value).map_err(|_| PathRefusal::BrokenEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_served_as_they_are() {
        for path in [
            "/",
            "/a",
            "/a/",
            "//",
            "/a//b",
            "/.well-known/acme",
            "/a.b",
            "/...",
            "/..a",
            "/a..",
            "/a/...b/c",
            "/%41",
            "/a%2Fb",
            "/a%2fb",
            "/%2e%2ea",
            "/a;x=1",
            "/;.",
            "/a;..",
            "/%C3%A9",
            "/caf\u{e9}",
            "/a%5cb",
            "/~user",
            "/a%0d%0ab",
            "/%252e%252e/",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_query_has_a_bounded_number_of_parameters() {
        assert_eq!(check_query(""), Ok(()));
        assert_eq!(check_query(&"a&".repeat(QUERY_PAIRS_MAX - 1)), Ok(()));
        let many = "a&".repeat(QUERY_PAIRS_MAX);
        assert_eq!(check_query(&many), Err(PathRefusal::TooManyParameters));
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        use PathRefusal::*;
        for (path, refusal) in [
            ("", NotAbsolute),
            ("*", NotAbsolute),
            ("a", NotAbsolute),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/./", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/..", DotSegment),
            ("/a/%2e%2e/b", DotSegment),
            ("/a/.%2E/b", DotSegment),
            ("/a/%2e", DotSegment),
            ("/a/..%2fb", DotSegment),
            ("/a%2f..%2fb", DotSegment),
            ("/a/..%5cb", DotSegment),
            ("/a/..;/b", DotSegment),
            ("/a/..%3b/b", DotSegment),
            ("/a%00", Nul),
            ("/%00", Nul),
            ("/a\\b", Backslash),
            ("/..\\b", Backslash),
            ("/%", BrokenEscape),
            ("/%4", BrokenEscape),
            ("/%zz", BrokenEscape),
            ("/%+1", BrokenEscape),
        ] {
            assert_eq!(check_path(path), Err(refusal), "{path}");
        }
    }
}
