//! When leadership is handed over to the preferred region. Pure: the time is passed in.
//!
//! Leadership moves only after a voter there has been fit to lead for [`STEADY`] without a break, as this
//! leader saw it, and after each move this node waits longer before it makes another: a region whose
//! voters lose leadership again and again is left alone more and more, and never makes it flap.

use std::time::Duration;

use raft_store::types::NodeId;

use super::plan::LAG_MAX;
use super::view::View;

/// How long a voter has to be fit to lead before leadership goes to it.
const STEADY: Duration = Duration::from_secs(10);

/// How long a node waits after a move before it makes the next; it doubles with each.
const PAUSE: Duration = Duration::from_secs(60);

/// Where doubling ends.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// After how long without a move all is forgotten.
const CALM: Duration = Duration::from_secs(1_800);

/// What a node remembers of moves.
#[derive(Debug, Default)]
pub(super) struct Preference {
    /// Who is fit to lead, and since when.
    fit: Option<(NodeId, Duration)>,
    moved: Option<Move>,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    at: Duration,
    pause: Duration,
}

impl Preference {
    /// Whom to hand leadership to now. `view` is absent while this node does not lead.
    pub(super) fn look(&mut self, now: Duration, view: Option<&View>) -> Option<NodeId> {
        let Some(candidate) = view.and_then(candidate) else {
            self.fit = None;
            return None;
        };
        let since = match self.fit {
            Some((id, since)) if id == candidate => since,
            _ => now,
        };
        self.fit = Some((candidate, since));
        let rested = self
            .moved
            .is_none_or(|last| now.saturating_sub(last.at) >= last.pause);
        if now.saturating_sub(since) < STEADY || !rested {
            return None;
        }
        let pause = match self.moved {
            Some(last) if now.saturating_sub(last.at) < CALM => (last.pause * 2).min(PAUSE_MAX),
            _ => PAUSE,
        };
        self.moved = Some(Move { at: now, pause });
        self.fit = None;
        Some(candidate)
    }
}

/// The voter in the preferred region that could lead now, if the leader stands elsewhere.
fn candidate(view: &View) -> Option<NodeId> {
    if view.preferred_region.is_none() || view.is_preferred(view.leader) || view.unfinished {
        return None;
    }
    let heir = view.heir(None)?;
    let fit = view.is_preferred(heir) && view.lag(heir)? <= LAG_MAX;
    fit.then_some(heir)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use raft_store::types::Member;

    use super::super::view::Known;
    use super::*;

    /// Node 1 in `eu` leads, node 2 stands in `us`, which is preferred.
    fn view(lag: u64, alive: bool) -> View {
        let known = |id: NodeId, region: &str, lag| {
            let member = Member {
                id,
                region: region.to_owned(),
                ..Member::default()
            };
            let heard = if alive { Duration::ZERO } else { STEADY };
            let known = Known {
                member,
                heard: Some(heard),
                lag: Some(lag),
            };
            (id, known)
        };
        View {
            leader: 1,
            members: [known(1, "eu", 0), known(2, "us", lag)].into(),
            voters: BTreeSet::from([1, 2]),
            preferred_region: Some("us".to_owned()),
            ..View::default()
        }
    }

    /// The seconds at which leadership moves, looking every second; it comes back at once.
    fn moves(seconds: u64, mut view_at: impl FnMut(u64) -> Option<View>) -> Vec<u64> {
        let mut preference = Preference::default();
        (0..seconds)
            .filter(|second| {
                let now = Duration::from_secs(*second);
                preference.look(now, view_at(*second).as_ref()).is_some()
            })
            .collect()
    }

    #[test]
    fn leadership_moves_once_a_voter_there_was_fit_for_a_while() {
        assert_eq!(moves(60, |_| Some(view(0, true))), [10]);
    }

    #[test]
    fn a_voter_that_is_silent_or_lags_now_and_then_does_not_lead() {
        assert!(moves(600, |second| Some(view(0, second % 9 != 0))).is_empty());
        assert!(moves(600, |second| Some(view((second % 9) * 500, true))).is_empty());
        assert!(moves(60, |_| Some(view(0, false))).is_empty());
    }

    #[test]
    fn leadership_that_comes_back_again_and_again_is_moved_ever_more_rarely() {
        let moved = moves(3_600, |_| Some(view(0, true)));
        assert_eq!(moved[..4], [10, 70, 190, 430]);
        let pauses: Vec<u64> = moved.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            pauses.is_sorted() && pauses.last() == Some(&600),
            "{pauses:?}"
        );
    }

    #[test]
    fn it_stays_where_it_is_preferred_and_where_nothing_is_preferred() {
        let at_home = |_| {
            let mut view = view(0, true);
            view.preferred_region = Some("eu".to_owned());
            Some(view)
        };
        let nowhere = |_| {
            let mut view = view(0, true);
            view.preferred_region = None;
            Some(view)
        };
        let following = |_| None;
        assert!(moves(60, at_home).is_empty());
        assert!(moves(60, nowhere).is_empty());
        assert!(moves(60, following).is_empty());
    }
}
