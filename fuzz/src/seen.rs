//! What an input led to, in one number.

use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Stands for what an input led to: how far it was read, or why it was refused. Two inputs that led to the
/// same are of one kind, and only the first of them is mutated further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen(u64);

impl Seen {
    /// That a value was read which is like this: its variants, and roughly how much there is of it.
    #[must_use]
    pub fn of(what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// That it was refused for this reason. Of the sentence the words count which are not quoted: numbers,
    /// hashes and what is repeated of the input would make each refusal a new one.
    #[must_use]
    pub fn refused(reason: &(impl Display + ?Sized)) -> Self {
        let reason = reason.to_string();
        let unquoted = reason.split(['"', '`']).step_by(2);
        let words = unquoted.flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric()));
        let plain: Vec<_> = words
            .filter(|word| word.chars().all(char::is_alphabetic))
            .collect();
        Self::of(("refused", plain))
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of((self.0, other.0))
    }
}

/// How much there is of something, in powers of two: for [`Seen::of`].
#[must_use]
pub(crate) fn size(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_words_alone() {
        let one = Seen::refused("the key \"a\" comes twice, at line 1");
        assert_eq!(one, Seen::refused("the key \"b\" comes twice, at line 22"));
        assert_ne!(one, Seen::refused("the key \"a\" is reserved, at line 1"));
    }

    #[test]
    fn sizes_grow_by_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1000].map(size), [0, 1, 2, 2, 3, 10]);
    }
}
