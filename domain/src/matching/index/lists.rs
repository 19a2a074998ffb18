//! Which rules are filed where: lists of places, each list in ascending order. One allocation for
//! all of them, because there may be a hundred thousand lists of one rule.

/// A rule's place in the order in which rules are tried.
pub(in crate::matching) type Place = u32;

/// Names a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ListId(u32);

/// All lists of an index.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    /// Where each list begins; one more at the end.
    begins: Vec<u32>,
    places: Vec<Place>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            begins: vec![0],
            places: Vec::new(),
        }
    }
}

impl Lists {
    /// Adds a list.
    pub(super) fn push(&mut self, places: impl IntoIterator<Item = Place>) -> ListId {
        let id = ListId(narrow(self.begins.len() - 1));
        self.places.extend(places);
        self.begins.push(narrow(self.places.len()));
        id
    }

    /// The places on a list.
    pub(super) fn get(&self, id: ListId) -> &[Place] {
        let at = id.0 as usize;
        let (begin, end) = (self.begins[at], self.begins[at + 1]);
        &self.places[begin as usize..end as usize]
    }
}

/// Numbers of what one index holds. A route has 200 000 rules, with some hundred alternatives each,
/// so four thousand million are never reached.
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("an index holds fewer than 2^32 entries")
}
