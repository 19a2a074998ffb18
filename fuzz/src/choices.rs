//! An input taken as a list of decisions: for targets that need something well-formed, whose shape the bytes
//! choose. At its end all further decisions are the first of what there is to choose from.

/// Bytes that are taken one after the other.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    left: &'a [u8],
}

impl<'a> Choices<'a> {
    /// All of an input.
    #[must_use]
    pub fn of(input: &'a [u8]) -> Self {
        Self { left: input }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else {
            return 0;
        };
        self.left = rest;
        *first
    }

    /// A number below `bound`, which is at most 256; 0 at the end.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// One of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// The next bytes, as many as the byte before them says, as far as there are so many.
    pub fn block(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.left.len());
        let (block, rest) = self.left.split_at(length);
        self.left = rest;
        block
    }

    /// The next block as text; what is not UTF-8 in it is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.block()).into_owned()
    }

    /// All that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_once_and_their_end_is_no_error() {
        let mut choices = Choices::of(&[7, 2, b'a', b'b', 9, b'c']);
        assert_eq!(choices.below(4), 3);
        assert_eq!(choices.text(), "ab");
        assert_eq!(choices.text(), "c");
        assert_eq!((choices.byte(), choices.below(3)), (0, 0));
        assert_eq!(choices.one(&["first", "second"]), "first");
        assert!(choices.is_empty());
    }
}
