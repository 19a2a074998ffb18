//! Names of header fields that were met before, by how they were spelt: most messages have the fields of
//! the one before, and reading a name anew (its letters to lower case, then which of the known names it is)
//! costs ten times what comparing does.

use std::cell::RefCell;

use http::HeaderName;

/// How many names a thread remembers, each in the one place that its spelling gives it.
const PLACES: usize = 256;

/// The longest name that is remembered; longer ones are rare.
const LENGTH_MAX: usize = 31;

/// A name and its spelling.
#[derive(Clone)]
struct Known {
    spelling: [u8; LENGTH_MAX],
    length: u8,
    name: HeaderName,
}

/// What a thread remembers. Whoever sends other names on purpose has them read anew, and costs others the
/// same.
struct Names(Box<[Option<Known>]>);

thread_local! {
    static NAMES: RefCell<Names> = RefCell::new(Names::new());
}

/// The name that is spelt like this; none where it is no name.
pub(super) fn name(spelling: &[u8]) -> Option<HeaderName> {
    NAMES.with_borrow_mut(|names| names.read(spelling))
}

impl Names {
    fn new() -> Self {
        Self(vec![None; PLACES].into())
    }

    fn read(&mut self, spelling: &[u8]) -> Option<HeaderName> {
        if spelling.is_empty() || spelling.len() > LENGTH_MAX {
            return HeaderName::from_bytes(spelling).ok();
        }
        let place = &mut self.0[place(spelling)];
        if let Some(known) = place
            && known.spelling[..usize::from(known.length)] == *spelling
        {
            return Some(known.name.clone());
        }
        let name = HeaderName::from_bytes(spelling).ok()?;
        let mut kept = [0; LENGTH_MAX];
        kept[..spelling.len()].copy_from_slice(spelling);
        *place = Some(Known {
            spelling: kept,
            length: spelling.len().to_le_bytes()[0],
            name: name.clone(),
        });
        Some(name)
    }
}

/// Tells common names apart by their length and three of their letters.
fn place(spelling: &[u8]) -> usize {
    let length = spelling.len();
    let letter = |at: usize| usize::from(spelling[at]);
    let mixed = length * 7 + letter(0) * 31 + letter(length / 2) * 5 + letter(length - 1) * 17;
    mixed % PLACES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_spelt_and_however_often_it_comes() {
        let mut names = Names::new();
        for spelling in ["Host", "host", "HOST", "Host", "X-Mine", "x-mine", "X-Mine"] {
            let read = names.read(spelling.as_bytes()).unwrap();
            assert_eq!(read.as_str(), spelling.to_ascii_lowercase());
        }
        for none in ["", "a b", "a:", "\u{e4}"] {
            assert_eq!(names.read(none.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn names_are_read_as_the_library_reads_them(
            spellings in proptest::collection::vec("[a-cA-C-]{0,3}|[ -~]{0,40}", 0..60),
        ) {
            let mut names = Names::new();
            for spelling in spellings.iter().chain(&spellings) {
                let expect = HeaderName::from_bytes(spelling.as_bytes()).ok();
                prop_assert_eq!(names.read(spelling.as_bytes()), expect);
            }
        }
    }
}
