//! Rules by texts: by a whole text, by what a text begins with, by what is in it, all of these by a
//! name.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::FixedState;

use super::lists::ListId;
use super::parts::Parts;
use super::trie::Trie;

/// Lists by something that is asked for as a whole. The hash has no secret: what is in the table is
/// the route's own configuration, and requests only ask.
pub(super) type Table<K> = HashMap<K, ListId, FixedState>;

/// Rules by the whole of a text, its beginning, or something in it.
#[derive(Clone, Debug, Default)]
struct Texts {
    whole: Table<Box<[u8]>>,
    starts: Trie,
    parts: Parts,
}

impl Texts {
    fn visit(&self, text: &[u8], visit: &mut impl FnMut(ListId)) {
        if let Some(list) = self.whole.get(text) {
            visit(*list);
        }
        if !self.starts.is_empty() {
            self.starts.walk(text, |found| visit(found.list));
        }
        self.parts.visit(text, visit);
    }
}

/// Rules by the values that go with a name: header fields, or parameters of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    names: HashMap<Box<[u8]>, Entry, FixedState>,
    /// The lengths that names have, one bit each, the last one for all longer ones: most of what
    /// a request brings is told apart by its length alone.
    lengths: u128,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    values: Texts,
    /// Rules that ask only whether there is a value, or what no table tells.
    present: Option<ListId>,
}

/// What is filed under a name while the table is being made.
#[derive(Debug, Default)]
pub(super) struct NewEntry<'a> {
    pub(super) whole: Vec<(&'a [u8], ListId)>,
    pub(super) starts: Vec<(&'a [u8], ListId)>,
    pub(super) parts: Vec<(&'a [u8], ListId)>,
    pub(super) present: Option<ListId>,
}

impl Named {
    /// A table of these entries by name.
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = (&'a str, NewEntry<'a>)>) -> Self {
        let mut named = Self::default();
        for (name, entry) in entries {
            named.lengths |= length_bit(name.as_bytes());
            let values = Texts {
                whole: table(entry.whole),
                starts: Trie::new(entry.starts),
                parts: Parts::new(&entry.parts),
            };
            let present = entry.present;
            named
                .names
                .insert(name.as_bytes().into(), Entry { values, present });
        }
        named
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether nothing can be filed under a name of this length.
    pub(super) fn is_unknown(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name) == 0
    }

    /// Shows the lists on which rules for this name and value are.
    pub(super) fn visit(&self, name: &[u8], value: &[u8], visit: &mut impl FnMut(ListId)) {
        let Some(entry) = self.names.get(name) else {
            return;
        };
        entry.values.visit(value, visit);
        if let Some(list) = entry.present {
            visit(list);
        }
    }
}

fn length_bit(name: &[u8]) -> u128 {
    1 << name.len().min(127)
}

/// A table of these entries.
pub(super) fn table<'a, K, T>(entries: impl IntoIterator<Item = (&'a T, ListId)>) -> Table<K>
where
    T: ?Sized + 'a,
    K: Eq + Hash + From<&'a T>,
{
    entries
        .into_iter()
        .map(|(key, list)| (K::from(key), list))
        .collect()
}
