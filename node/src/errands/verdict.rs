//! Whether upstreams are out of use in regions: what most of a region's edges say. Pure; who is asked,
//! and what follows, is the errand's matter.
//!
//! ```text
//!                 most of the region's edges see it down, for as long as CONFIRM
//!      in use ─────────────────────────────────────────────────────────────────▶ out of use
//!         ▲                                                                          │
//!         └──────────── no longer most, for as long as CONFIRM ──────────────────────┘
//! ```
//!
//! A region without an edge that serves says nothing, so nothing changes there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::command::OutageChange;
use domain::id::UpstreamId;
use tokio::time::Instant;

/// How long most edges must say the same: one that restarts, or is heard of through another node,
/// says nothing for a moment.
const CONFIRM: Duration = Duration::from_secs(3);

/// The same while a node does not answer, whose edges are missing: they have found another by then.
const CONFIRM_PARTLY: Duration = Duration::from_secs(30);

/// An upstream in a region.
pub(super) type Place = (UpstreamId, String);

/// An edge that serves, as far as this is about it.
#[derive(Clone, Debug)]
pub(super) struct Witness<'a> {
    pub(super) region: &'a str,
    /// Upstreams of which it sees all targets down.
    pub(super) down: &'a [UpstreamId],
}

/// What most edges say that is not written down, and since when.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    since: BTreeMap<Place, Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    down: u32,
    edges: u32,
}

impl Verdicts {
    /// What is to be written down now, where `known` is; `is_whole` says whether all nodes answered.
    pub(super) fn changes(
        &mut self,
        now: Instant,
        witnesses: &[Witness<'_>],
        known: &BTreeSet<Place>,
        is_whole: bool,
    ) -> Vec<OutageChange> {
        let counts = counts(witnesses, known);
        let differs = |(place, count): &(&Place, &Count)| {
            let is_down = count.down * 2 > count.edges;
            count.edges > 0 && is_down != known.contains(*place)
        };
        let differing: BTreeMap<_, _> = counts.iter().filter(differs).collect();
        self.since.retain(|place, _| differing.contains_key(place));
        let confirm = if is_whole { CONFIRM } else { CONFIRM_PARTLY };
        let mut changes = Vec::new();
        for (place, count) in differing {
            let since = *self.since.entry(place.clone()).or_insert(now);
            if now.saturating_duration_since(since) < confirm {
                continue;
            }
            changes.push(OutageChange {
                upstream_id: place.0.clone(),
                region: place.1.clone(),
                is_down: !known.contains(place),
                edges_down: count.down,
                edges: count.edges,
            });
        }
        changes
    }
}

fn counts(witnesses: &[Witness<'_>], known: &BTreeSet<Place>) -> BTreeMap<Place, Count> {
    let mut edges = BTreeMap::<&str, u32>::new();
    let mut counts = BTreeMap::<Place, Count>::new();
    for witness in witnesses {
        *edges.entry(witness.region).or_default() += 1;
        for upstream in witness.down {
            let place = (upstream.clone(), witness.region.to_owned());
            counts.entry(place).or_default().down += 1;
        }
    }
    for place in known {
        counts.entry(place.clone()).or_default();
    }
    for ((_, region), count) in &mut counts {
        count.edges = edges.get(region.as_str()).copied().unwrap_or(0);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(number: u32) -> UpstreamId {
        UpstreamId::parse(&format!("up_{number:08}")).unwrap()
    }

    /// Steps through looks at edges, each a second after the one before: `eu:1,2 eu: us:1` are three
    /// edges and the upstreams that they see down. Says what is to be written down at each, and
    /// writes it down.
    struct Steps {
        verdicts: Verdicts,
        known: BTreeSet<Place>,
        now: Instant,
    }

    impl Steps {
        fn new() -> Self {
            Self {
                verdicts: Verdicts::default(),
                known: BTreeSet::new(),
                now: Instant::now(),
            }
        }

        fn look(&mut self, edges: &str, is_whole: bool) -> String {
            let parsed: Vec<_> = edges
                .split_whitespace()
                .map(|edge| {
                    let (region, down) = edge.split_once(':').unwrap();
                    let down = down.split(',').filter(|number| !number.is_empty());
                    let down: Vec<_> = down
                        .map(|number| upstream(number.parse().unwrap()))
                        .collect();
                    (region, down)
                })
                .collect();
            let witnesses: Vec<_> = parsed
                .iter()
                .map(|(region, down)| Witness { region, down })
                .collect();
            let changes = self
                .verdicts
                .changes(self.now, &witnesses, &self.known, is_whole);
            self.now += Duration::from_secs(1);
            let mut told = Vec::new();
            for change in changes {
                let place = (change.upstream_id, change.region);
                let number: u32 = place.0.as_str()[3..].parse().unwrap();
                let sign = if change.is_down { "-" } else { "+" };
                told.push(format!(
                    "{sign}{number}@{} {}/{}",
                    place.1, change.edges_down, change.edges
                ));
                if change.is_down {
                    self.known.insert(place);
                } else {
                    self.known.remove(&place);
                }
            }
            told.join(" ")
        }

        /// Looks as long as it takes to be sure.
        fn sure(&mut self, edges: &str) -> String {
            let looks = (0..4).map(|_| self.look(edges, true));
            looks
                .filter(|told| !told.is_empty())
                .collect::<Vec<_>>()
                .join("; ")
        }
    }

    #[test]
    fn most_edges_of_a_region_decide() {
        for (edges, told) in [
            ("eu:1", "-1@eu 1/1"),
            ("eu:1 eu:", ""),
            ("eu:1 eu:1 eu:", "-1@eu 2/3"),
            ("eu:1 eu: eu:", ""),
            ("eu:1,2 us:1 us:", "-1@eu 1/1 -2@eu 1/1"),
            ("eu:1 us:1", "-1@eu 1/1 -1@us 1/1"),
            ("", ""),
        ] {
            assert_eq!(Steps::new().sure(edges), told, "{edges}");
        }
    }

    #[test]
    fn each_turn_is_told_once() {
        let mut steps = Steps::new();
        assert_eq!(steps.sure("eu:1"), "-1@eu 1/1");
        assert_eq!(steps.sure("eu:1"), "");
        assert_eq!(steps.sure("eu:1 eu:1"), "");
        assert_eq!(steps.sure("eu:1 eu:"), "+1@eu 1/2");
        assert_eq!(steps.sure("eu: eu:"), "");
        assert_eq!(steps.sure("eu:1 eu:1"), "-1@eu 2/2");
    }

    #[test]
    fn a_moment_is_not_enough() {
        let mut steps = Steps::new();
        for edges in ["eu:1", "eu:1", "eu:", "eu:1", "eu:1", "eu:1"] {
            assert_eq!(steps.look(edges, true), "");
        }
        assert_eq!(steps.look("eu:1", true), "-1@eu 1/1");
    }

    #[test]
    fn edges_that_are_gone_say_nothing() {
        let mut steps = Steps::new();
        steps.sure("eu:1");
        assert_eq!(steps.sure("us:"), "");
        assert_eq!(steps.sure(""), "");
        assert_eq!(steps.sure("eu: us:"), "+1@eu 0/1");
    }

    #[test]
    fn while_a_node_is_silent_it_takes_longer() {
        let mut steps = Steps::new();
        for _ in 0..30 {
            assert_eq!(steps.look("eu:1", false), "");
        }
        assert_eq!(steps.look("eu:1", false), "-1@eu 1/1");
    }
}
