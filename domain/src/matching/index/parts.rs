//! Rules by a text that is somewhere in the path or in a value: one automaton finds all of them in
//! one pass (Aho and Corasick), however many there are.

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
    /// An automaton for these texts, none of them empty, and together no longer than
    /// [`super::filing::PARTS_BYTES_MAX`].
    pub(super) fn new(entries: &[(&[u8], ListId)]) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(entries.iter().map(|(text, _)| text))
            .expect("an automaton has room for 2^31 bytes of texts");
        Self {
            automaton: Some(automaton),
            lists: entries.iter().map(|(_, list)| *list).collect(),
        }
    }

    /// Shows the lists of every text that is in `text`, once for each place where it is.
    pub(super) fn visit(&self, text: &[u8], mut visit: impl FnMut(ListId)) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        let mut state = OverlappingState::start();
        loop {
            automaton.find_overlapping(text, &mut state);
            let Some(found) = state.get_match() else {
                return;
            };
            visit(self.lists[found.pattern().as_usize()]);
        }
    }
}
