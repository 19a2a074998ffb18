//! Rules that no request ever reaches, because one earlier rule takes whatever they would take. What
//! is said is certain; not everything is said: that several rules together cover another one is
//! not noticed, and of what regular expressions take only what their literal parts tell.
//!
//! To find the rule that covers another, a request is made up that the other one would take
//! ([`witness`]). A rule that covers it takes that request, too, so the index names the few that may;
//! whether one of them really covers it is then read from the criteria ([`cover`]).

mod cover;
mod witness;

use cover::Judge;
use witness::Witness;

use super::index::{Index, Place, Tried};
use super::literals::KnownLiterals;
use crate::content::Criteria;

/// How many pairs of alternatives are compared for one set of rules: a fifth of a second at most.
const COMPARISONS_MAX: u64 = 10_000_000;

/// How many rules are compared with one: most of what the index names is no cover, when many rules
/// have one criterion in common.
const CANDIDATES_MAX: usize = 200;

/// What was found out about rules that are in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shadows {
    /// By place: the place of the first rule that covers this one, if one was found.
    pub covered_by: Vec<Option<usize>>,
    /// Whether it took too long to look at all of them; the last ones were not looked at.
    pub is_partial: bool,
}

impl Shadows {
    /// Looks at rules with these criteria.
    #[must_use]
    pub fn of(rules: &[&Criteria]) -> Self {
        Self::within(rules, COMPARISONS_MAX)
    }

    fn within(rules: &[&Criteria], comparisons: u64) -> Self {
        let known = KnownLiterals::of_criteria(rules);
        let index = Index::new(rules, &known);
        let mut judge = Judge::new(&known, comparisons);
        let mut shadows = Self::default();
        for (place, criteria) in (0..).zip(rules) {
            let witness = Witness::of(criteria, &known);
            let cover = first_cover(&index, rules, place, &witness, &mut judge);
            if judge.is_exhausted() {
                shadows.is_partial = true;
                break;
            }
            shadows.covered_by.push(cover.map(|place| place as usize));
        }
        shadows.covered_by.resize(rules.len(), None);
        shadows
    }
}

/// The first rule before `place` that covers the one there.
fn first_cover(
    index: &Index,
    rules: &[&Criteria],
    place: Place,
    witness: &Witness,
    judge: &mut Judge<'_>,
) -> Option<Place> {
    let covered = rules[place as usize];
    let mut candidates = 0;
    index.first(&witness.request(), place, |candidate, _| {
        candidates += 1;
        if candidates > CANDIDATES_MAX || judge.is_exhausted() {
            Tried::Enough
        } else if judge.covers(rules[candidate as usize], covered) {
            Tried::Yes
        } else {
            Tried::No
        }
    })
}

#[cfg(test)]
mod tests;
