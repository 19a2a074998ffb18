//! Hashes side by side: pure.

use std::collections::{BTreeMap, BTreeSet};

use raft_store::types::NodeId;

/// A state's hash.
pub(super) type Sha256 = [u8; 32];

/// What hashes say of the members that gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Who has the majority's state; where there is no majority and no difference, who has the one state that was seen.
    pub(super) equal: BTreeSet<NodeId>,
    /// Who has another state than the majority; without a majority, all of those who have not one state.
    pub(super) different: BTreeSet<NodeId>,
    /// Who did not say.
    pub(super) unknown: BTreeSet<NodeId>,
    /// Whether a majority of the voters, and at least two members, have the same state.
    pub(super) is_decided: bool,
}

impl Comparison {
    /// Whether a member has another state than a majority.
    pub(super) fn is_odd(&self, id: NodeId) -> bool {
        self.is_decided && self.different.contains(&id)
    }
}

/// Compares what members said; `None` is a member that did not. `voters` is one set, or two while a change of
/// them is under way: then a majority is one of each.
pub(super) fn compare(
    voters: &[BTreeSet<NodeId>],
    said: &BTreeMap<NodeId, Option<Sha256>>,
) -> Comparison {
    let mut groups = BTreeMap::<Sha256, BTreeSet<NodeId>>::new();
    let mut unknown = BTreeSet::new();
    for (id, hash) in said {
        match hash {
            Some(hash) => groups.entry(*hash).or_default().insert(*id),
            None => unknown.insert(*id),
        };
    }
    let majority = groups
        .iter()
        .find(|(_, group)| is_majority(group, voters))
        .map(|(hash, _)| *hash);
    let differ = groups.len() > 1;
    let mut found = Comparison {
        unknown,
        is_decided: majority.is_some(),
        ..Comparison::default()
    };
    for (hash, group) in groups {
        if majority == Some(hash) || !differ {
            found.equal.extend(group);
        } else {
            found.different.extend(group);
        }
    }
    found
}

/// A voter that is alone with its state has nobody to agree with.
fn is_majority(group: &BTreeSet<NodeId>, voters: &[BTreeSet<NodeId>]) -> bool {
    let in_each = voters
        .iter()
        .all(|voters| 2 * group.intersection(voters).count() > voters.len());
    group.len() > 1 && !voters.is_empty() && in_each
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `voters` and `said` as digits: the hash of each member from 1 on, `-` where it did not say. Expects the equal, the
    /// different and the unknown members, and whether it is decided.
    fn check(voters: &[&[NodeId]], said: &str, expected: (&[NodeId], &[NodeId], &[NodeId], bool)) {
        let voters: Vec<BTreeSet<_>> = voters
            .iter()
            .map(|voters| voters.iter().copied().collect())
            .collect();
        let hash = |letter: char| (letter != '-').then_some([letter as u8; 32]);
        let said_by = (1..).zip(said.chars().map(hash)).collect();
        let set = |ids: &[NodeId]| ids.iter().copied().collect::<BTreeSet<_>>();
        let (equal, different, unknown, is_decided) = expected;
        let expected = Comparison {
            equal: set(equal),
            different: set(different),
            unknown: set(unknown),
            is_decided,
        };
        assert_eq!(compare(&voters, &said_by), expected, "{voters:?} {said}");
    }

    #[test]
    fn a_majority_calls_the_odd_ones_out_and_without_one_all_are_named() {
        let three: &[&[NodeId]] = &[&[1, 2, 3]];
        check(three, "aaa", (&[1, 2, 3], &[], &[], true));
        check(three, "aab", (&[1, 2], &[3], &[], true));
        check(three, "baa", (&[2, 3], &[1], &[], true));
        check(three, "abc", (&[], &[1, 2, 3], &[], false));
        // One is silent: two that agree are a majority of three, two that differ are none.
        check(three, "aa-", (&[1, 2], &[], &[3], true));
        check(three, "ab-", (&[], &[1, 2], &[3], false));
        check(three, "a--", (&[1], &[], &[2, 3], false));
        check(three, "---", (&[], &[], &[1, 2, 3], false));
        let five: &[&[NodeId]] = &[&[1, 2, 3, 4, 5]];
        check(five, "aaabc", (&[1, 2, 3], &[4, 5], &[], true));
        check(five, "aaab-", (&[1, 2, 3], &[4], &[5], true));
        // Two of five that agree would be no quorum without the others.
        check(five, "aabc-", (&[], &[1, 2, 3, 4], &[5], false));
        check(five, "aabb-", (&[], &[1, 2, 3, 4], &[5], false));
        check(&[&[1, 2]], "ab", (&[], &[1, 2], &[], false));
        check(&[&[1, 2]], "aa", (&[1, 2], &[], &[], true));
    }

    #[test]
    fn nobody_is_in_the_right_alone() {
        check(&[&[1]], "a", (&[1], &[], &[], false));
        check(&[&[1]], "ab", (&[], &[1, 2], &[], false));
        check(&[&[1]], "aab", (&[1, 2], &[3], &[], true));
    }

    #[test]
    fn learners_are_judged_and_do_not_judge() {
        let three: &[&[NodeId]] = &[&[1, 2, 3]];
        check(three, "aaab", (&[1, 2, 3], &[4], &[], true));
        check(three, "a--aa", (&[1, 4, 5], &[], &[2, 3], false));
        check(three, "ab-bb", (&[], &[1, 2, 4, 5], &[3], false));
    }

    #[test]
    fn while_voters_change_a_majority_is_one_of_both() {
        let joint: &[&[NodeId]] = &[&[1, 2, 3], &[3, 4, 5]];
        check(joint, "aaabb", (&[], &[1, 2, 3, 4, 5], &[], false));
        check(joint, "aaaab", (&[1, 2, 3, 4], &[5], &[], true));
        check(&[], "aa", (&[1, 2], &[], &[], false));
    }
}
