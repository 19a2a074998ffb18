//! Which rules are filed where: lists of places, each list in ascending order. One allocation for
//! all of them, because there may be a hundred thousand lists of one rule.

/// A rule's place in the order in which rules are tried.
pub(in crate::matching) type Place = u32;

/// A rule on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed(u32);

/// What a rule that is found on a list is known to have of what it asks for, without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::matching) enum Proven {
    /// Nothing.
    Nothing,
    /// The path.
    Path,
    /// All of it: the rule need not be looked at, which spares the way to it through memory.
    All,
}

/// Set where all is proven, or the path alone. A route has fewer rules than 2^30.
const ALL: u32 = 1 << 31;
const PATH: u32 = 1 << 30;

impl Listed {
    pub(super) fn new(place: Place, proven: Proven) -> Self {
        Self(match proven {
            Proven::Nothing => place,
            Proven::Path => place | PATH,
            Proven::All => place | ALL,
        })
    }

    pub(super) fn place(self) -> Place {
        self.0 & !(ALL | PATH)
    }

    pub(super) fn proven(self) -> Proven {
        if self.0 & ALL != 0 {
            Proven::All
        } else if self.0 & PATH != 0 {
            Proven::Path
        } else {
            Proven::Nothing
        }
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
