//! Which rules are filed where: lists of places, each list in ascending order. One allocation for
//! all of them, because there may be a hundred thousand lists of one rule.

/// A rule's place in the order in which rules are tried.
pub(in crate::matching) type Place = u32;

/// A rule on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed(u32);

/// Set where a rule asks for nothing else than what its list stands for. A route has fewer rules than 2^31.
const NOTHING_ELSE: u32 = 1 << 31;

impl Listed {
    pub(super) fn new(place: Place, asks_nothing_else: bool) -> Self {
        Self(place | if asks_nothing_else { NOTHING_ELSE } else { 0 })
    }

    pub(super) fn place(self) -> Place {
        self.0 & !NOTHING_ELSE
    }

    /// Whether it takes every request that its list was found for: it need not be asked, which spares the
    /// way to it through memory.
    pub(super) fn asks_nothing_else(self) -> bool {
        self.0 & NOTHING_ELSE != 0
    }
}

/// Names a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ListId(u32);

/// All lists of an index.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    /// Where each list begins; one more at the end.
    begins: Vec<u32>,
    rules: Vec<Listed>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            begins: vec![0],
            rules: Vec::new(),
        }
    }
}

impl Lists {
    /// Adds a list.
    pub(super) fn push(&mut self, rules: impl IntoIterator<Item = Listed>) -> ListId {
        let id = ListId(narrow(self.begins.len() - 1));
        self.rules.extend(rules);
        self.begins.push(narrow(self.rules.len()));
        id
    }

    /// The rules on a list.
    pub(super) fn get(&self, id: ListId) -> &[Listed] {
        let at = id.0 as usize;
        let (begin, end) = (self.begins[at], self.begins[at + 1]);
        &self.rules[begin as usize..end as usize]
    }
}

/// Numbers of what one index holds. A route has 200 000 rules, with some hundred alternatives each,
/// so four thousand million are never reached.
pub(super) fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("an index holds fewer than 2^32 entries")
}
