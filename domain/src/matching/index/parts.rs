//! Rules by a text that is somewhere in the path: one automaton finds all of them in one pass over
//! the path (Aho and Corasick), however many there are.

use aho_corasick::automaton::OverlappingState;
use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::lists::ListId;

/// The texts that are there.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    automaton: Option<AhoCorasick>,
    /// By the automaton's numbers for its texts.
    lists: Vec<ListId>,
}

impl Parts {
    /// An automaton for these texts, none of them empty; nothing if it would be too large.
    pub(super) fn new(entries: &[(&[u8], ListId)]) -> Option<Self> {
        if entries.is_empty() {
            return Some(Self::default());
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(entries.iter().map(|(text, _)| text))
            .ok()?;
        Some(Self {
            automaton: Some(automaton),
            lists: entries.iter().map(|(_, list)| *list).collect(),
        })
    }

    /// Shows the lists of every text that is in `path`, once for each place where it is.
    pub(super) fn visit(&self, path: &str, mut visit: impl FnMut(ListId)) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        let mut state = OverlappingState::start();
        loop {
            automaton.find_overlapping(path, &mut state);
            let Some(found) = state.get_match() else {
                return;
            };
            visit(self.lists[found.pattern().as_usize()]);
        }
    }
}
