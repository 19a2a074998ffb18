//! Whom to ask for a window: the members in the order that all nodes compute alike (rendezvous
//! hashing: each member and window give a score, the highest comes first), without those that were
//! silent lately, and after the others those that started lately and may have missed something.
//! Pure: what is known of the members is told to it.

use std::collections::BTreeMap;

use super::id::WindowId;
use crate::control_plane::MemberId;

/// How long a member that did not answer is not asked. A note that reaches it ends that earlier.
const SILENCE_MS: u64 = 5_000;

/// How long a member that said it is cut off is not asked: it may be whole again at any time, and
/// finding out costs a round trip.
const CUT_OFF_MS: u64 = 250;

/// What this node knows of the members' fitness to keep windows.
#[derive(Debug, Default)]
pub(super) struct Fitness {
    members: BTreeMap<MemberId, Doubt>,
}

/// Until when a member is not to be asked, or only if there is nobody else.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    silent_until_ms: u64,
    fresh_until_ms: u64,
}

/// Whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) member: MemberId,
    /// It may have missed something, and nobody else is better.
    pub(super) insist: bool,
}

impl Fitness {
    /// The best of `order`; `None` when nobody is known to answer.
    pub(super) fn choose(&self, now_ms: u64, order: &[MemberId]) -> Option<Choice> {
        let doubt = |member: &MemberId| self.members.get(member).copied().unwrap_or_default();
        let heard = |member: &&MemberId| now_ms >= doubt(member).silent_until_ms;
        let settled = |member: &&MemberId| now_ms >= doubt(member).fresh_until_ms;
        let best = order.iter().filter(heard).find(settled);
        match (best, order.iter().find(heard)) {
            (Some(&member), _) => Some(Choice {
                member,
                insist: false,
            }),
            (None, Some(&member)) => Some(Choice {
                member,
                insist: true,
            }),
            (None, None) => None,
        }
    }

    /// It is in no position to keep a window.
    pub(super) fn cut_off(&mut self, now_ms: u64, member: MemberId) {
        self.members.entry(member).or_default().silent_until_ms = now_ms + CUT_OFF_MS;
    }

    /// It did not answer.
    pub(super) fn silent(&mut self, now_ms: u64, member: MemberId) {
        self.members.entry(member).or_default().silent_until_ms = now_ms + SILENCE_MS;
    }

    /// It started lately.
    pub(super) fn fresh(&mut self, now_ms: u64, member: MemberId, for_ms: u64) {
        self.members.entry(member).or_default().fresh_until_ms = now_ms + for_ms;
    }

    /// It answers.
    pub(super) fn answered(&mut self, member: MemberId) {
        self.members.entry(member).or_default().silent_until_ms = 0;
    }

    /// Forgets who is no member.
    pub(super) fn keep(&mut self, members: &[MemberId]) {
        self.members.retain(|member, _| members.contains(member));
    }
}

/// The members in the order in which they are to keep a window.
pub(super) fn order(members: &[MemberId], id: WindowId) -> Vec<MemberId> {
    let mut order = members.to_vec();
    order.sort_unstable_by_key(|member| (std::cmp::Reverse(score(*member, id)), *member));
    order
}

fn score(member: MemberId, id: WindowId) -> u64 {
    let [low, high] = id.halves();
    mixed(mixed(member ^ low) ^ high)
}

/// The end of SplitMix64: each bit of the input moves about half of the output's.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use domain::id::{ApiKeyId, Seed};

    use super::*;

    fn ids() -> impl Iterator<Item = WindowId> {
        (0..1_000).map(|random| WindowId::of_key(&ApiKeyId::new(Seed { unix_ms: 1, random })))
    }

    #[test]
    fn windows_are_shared_out_evenly_and_only_those_of_a_lost_member_move() {
        let mut first = BTreeMap::new();
        for id in ids() {
            let all = order(&[1, 2, 3, 4, 5], id);
            *first.entry(all[0]).or_insert(0) += 1;
            assert_eq!(order(&[5, 4, 3, 2, 1], id), all);
            let without: Vec<_> = all.iter().copied().filter(|member| *member != 3).collect();
            assert_eq!(order(&[1, 2, 4, 5], id), without);
        }
        assert!(
            first.values().all(|count| (130..270).contains(count)),
            "{first:?}"
        );
    }

    #[test]
    fn the_silent_are_passed_over_for_a_while_and_the_fresh_come_last() {
        let mut fitness = Fitness::default();
        let choose = |fitness: &Fitness, now| {
            fitness
                .choose(now, &[1, 2, 3])
                .map(|choice| (choice.member, choice.insist))
        };
        assert_eq!(choose(&fitness, 0), Some((1, false)));
        fitness.silent(0, 1);
        assert_eq!(choose(&fitness, 0), Some((2, false)));
        fitness.fresh(0, 2, 60_000);
        assert_eq!(choose(&fitness, 0), Some((3, false)));
        fitness.fresh(0, 3, 60_000);
        assert_eq!(choose(&fitness, 0), Some((2, true)));
        assert_eq!(choose(&fitness, SILENCE_MS), Some((1, false)));
        for member in 1..=3 {
            fitness.silent(70_000, member);
        }
        assert_eq!(choose(&fitness, 70_000), None);
        fitness.cut_off(70_000, 1);
        assert_eq!(choose(&fitness, 70_000 + CUT_OFF_MS), Some((1, false)));
        fitness.answered(2);
        assert_eq!(choose(&fitness, 70_000), Some((2, false)));
        // Who left and comes back is a stranger.
        fitness.keep(&[2, 3]);
        assert_eq!(choose(&fitness, 70_000), Some((1, false)));
    }
}
