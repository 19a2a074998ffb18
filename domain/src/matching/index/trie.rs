//! Texts by which other texts begin: a radix tree, read-only once it is made. A walk along a text
//! finds every entry that the text begins with, and ends as soon as nothing in the tree goes on like
//! the text, so it costs the text's length at most, however many entries there are.

use std::ops::Range;

use super::lists::{ListId, narrow};

/// The entries that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Trie {
    /// The first is the root; the children of a node stand together, in the order of their first
    /// bytes.
    nodes: Vec<Node>,
    /// The first byte of each node's label, so that choosing a child touches one line of memory.
    firsts: Vec<u8>,
    labels: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Where in `labels` stands what leads from its parent to it.
    label: Range<u32>,
    children: Range<u32>,
    list: Option<ListId>,
}

/// Where a walk has come by an entry.
pub(super) struct Found {
    /// How long the entry is.
    pub(super) length: usize,
    pub(super) list: ListId,
}

impl Trie {
    /// A tree of these entries, in any order, no two of them the same.
    pub(super) fn new(mut entries: Vec<(&[u8], ListId)>) -> Self {
        let mut trie = Self::default();
        if entries.is_empty() {
            return trie;
        }
        entries.sort_unstable_by_key(|(text, _)| *text);
        trie.reserve(1);
        // Nodes that wait for what is below them, with their entries and how much of these is above.
        let mut waiting = vec![(0, &entries[..], 0)];
        while let Some((node, entries, above)) = waiting.pop() {
            let length = above + trie.label(node, entries, above);
            let rest = trie.take_entry(node, entries, length);
            let groups: Vec<_> = rest
                .chunk_by(|(one, _), (other, _)| one[length] == other[length])
                .collect();
            let first = trie.reserve(groups.len());
            trie.nodes[node].children = narrow(first)..narrow(first + groups.len());
            for (at, group) in groups.into_iter().enumerate() {
                trie.firsts[first + at] = group[0].0[length];
                waiting.push((first + at, group, length));
            }
        }
        trie
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Shows every entry that `text` begins with, the shortest first.
    pub(super) fn walk(&self, text: &[u8], mut visit: impl FnMut(Found)) {
        let mut next = self.nodes.first();
        let mut length = 0;
        while let Some(node) = next {
            let label = &self.labels[range(&node.label)];
            if !text[length..].starts_with(label) {
                return;
            }
            length += label.len();
            if let Some(list) = node.list {
                visit(Found { length, list });
            }
            next = text.get(length).and_then(|byte| self.child(node, *byte));
        }
    }

    fn child(&self, node: &Node, byte: u8) -> Option<&Node> {
        let children = range(&node.children);
        let at = self.firsts[children.clone()].binary_search(&byte).ok()?;
        Some(&self.nodes[children.start + at])
    }

    /// Makes room for so many nodes and gives the first one's number.
    fn reserve(&mut self, count: usize) -> usize {
        let first = self.nodes.len();
        self.nodes.resize(first + count, Node::default());
        self.firsts.resize(first + count, 0);
        first
    }

    /// Gives a node the longest label that all its entries have in common behind what is above it.
    fn label(&mut self, node: usize, entries: &[(&[u8], ListId)], above: usize) -> usize {
        // In sorted entries, what the first and the last have in common, all have.
        let (first, last) = (
            &entries[0].0[above..],
            &entries[entries.len() - 1].0[above..],
        );
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let begin = narrow(self.labels.len());
        self.labels.extend_from_slice(&first[..common]);
        self.nodes[node].label = begin..narrow(self.labels.len());
        common
    }

    /// Gives a node the list of the entry that ends at it, if one does, and leaves the others.
    fn take_entry<'e, 't>(
        &mut self,
        node: usize,
        entries: &'e [(&'t [u8], ListId)],
        length: usize,
    ) -> &'e [(&'t [u8], ListId)] {
        match entries.split_first() {
            Some(((text, list), rest)) if text.len() == length => {
                self.nodes[node].list = Some(*list);
                rest
            }
            _ => entries,
        }
    }
}

fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::lists::{Listed, Lists, Proven};
    use super::*;

    /// The entries that are found along a text, as the trie says and as trying each one says.
    fn check(entries: &[&[u8]], text: &[u8]) {
        let mut lists = Lists::default();
        let numbered: Vec<_> = (0..).zip(entries).collect();
        let filed = numbered
            .iter()
            .map(|(place, entry)| (**entry, lists.push([Listed::new(*place, Proven::Nothing)])));
        let trie = Trie::new(filed.collect());
        let mut found = Vec::new();
        trie.walk(text, |entry| {
            found.push((entry.length, lists.get(entry.list)[0].place()));
        });
        let mut expect: Vec<_> = numbered
            .iter()
            .filter(|(_, entry)| text.starts_with(entry))
            .map(|(place, entry)| (entry.len(), *place))
            .collect();
        expect.sort_unstable();
        assert_eq!(found, expect, "{entries:?} {text:?}");
    }

    #[test]
    fn entries_are_found_along_a_text() {
        let entries: [&[u8]; 6] = [b"/", b"/api", b"/api/v1", b"/apix", b"/b", b"/api/v2"];
        for text in ["/api/v1/x", "/apix", "/ap", "", "x", "/b", "/api/v3"] {
            check(&entries, text.as_bytes());
        }
        check(&[], b"/");
        check(&[b""], b"/");
        check(&[b"", b"/"], b"/");
        check(&[b"/only"], b"/only/x");
        assert!(Trie::new(Vec::new()).is_empty());
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_trying_each_entry_finds(
            entries in proptest::collection::btree_set("[ab/]{0,5}", 0..20),
            text in "[ab/]{0,8}",
        ) {
            let entries: BTreeSet<String> = entries;
            let entries: Vec<_> = entries.iter().rev().map(|entry| entry.as_bytes()).collect();
            check(&entries, text.as_bytes());
        }
    }
}
