//! Choosing what each rule is filed under: of its criteria the one whose keys the fewest rules
//! share. What many rules have in common tells none of them apart, so a request is compared with
//! few rules, whichever way the rules resemble each other.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::super::literals::KnownLiterals;
use super::key::{Criterion, Key, Ways};
use super::lists::{Place, narrow};
use crate::content::Criteria;

/// By how many rules more a key of the path may be shared than one of another criterion and still be
/// taken: comparing with a few rules is cheaper than looking at every header of a request.
const PATH_ADVANTAGE: u64 = 4;

/// The most bytes of inner parts in automata, of which each takes some twenty of memory. Rules for
/// whose parts there is no room are found by what they begin with.
pub(super) const PARTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where the rules of a route are filed.
#[derive(Debug, Default)]
pub(super) struct Filing<'a> {
    /// The keys that are in use, and for each entry the key's number and the rule's place. Sorted.
    pub(super) keys: Vec<Key<'a>>,
    pub(super) entries: Vec<(u32, Place)>,
    /// The rules that no key tells, in order.
    pub(super) rest: Vec<Place>,
}

/// Files rules, which are in the order in which they are tried. Rules that can never win are left
/// out: those with the criteria of an earlier one, and those behind one that takes everything.
pub(super) fn file<'a>(rules: &[&'a Criteria], known: &'a KnownLiterals<'a>) -> Filing<'a> {
    let live = live(rules);
    let mut clerk = Clerk::new(known);
    for place in &live {
        clerk.count(rules[*place as usize]);
    }
    let mut counted = std::mem::take(&mut clerk.counted).into_iter();
    for place in live {
        clerk.file(place, rules[place as usize], &mut counted);
    }
    clerk.filing()
}

fn live(rules: &[&Criteria]) -> Vec<Place> {
    let mut seen = HashSet::with_capacity_and_hasher(rules.len(), FixedState::default());
    let mut live = Vec::with_capacity(rules.len());
    for (at, criteria) in rules.iter().enumerate() {
        if seen.insert(*criteria) {
            live.push(narrow(at));
        }
        if **criteria == Criteria::default() {
            break;
        }
    }
    live
}

/// A key that occurs.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// In how many alternatives of all rules.
    count: u32,
    /// Whether a rule is filed under it.
    used: bool,
}

struct Clerk<'a> {
    known: &'a KnownLiterals<'a>,
    numbers: HashMap<Key<'a>, u32, FixedState>,
    keys: Vec<(Key<'a>, Known)>,
    /// The number of each key of all rules, in the order in which they were counted, which is that of filing: looking
    /// them up again would take as long as counting them.
    counted: Vec<u32>,
    ways: Ways<'a>,
    /// The numbers of the keys of the best criterion so far, and of the one that is looked at.
    best: Vec<u32>,
    candidate: Vec<u32>,
    parts_bytes: usize,
    entries: Vec<(u32, Place)>,
    rest: Vec<Place>,
}

impl<'a> Clerk<'a> {
    fn new(known: &'a KnownLiterals<'a>) -> Self {
        Self {
            known,
            numbers: HashMap::default(),
            keys: Vec::new(),
            counted: Vec::new(),
            ways: Ways::default(),
            best: Vec::new(),
            candidate: Vec::new(),
            parts_bytes: 0,
            entries: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Counts the keys of a rule.
    fn count(&mut self, criteria: &'a Criteria) {
        let mut ways = std::mem::take(&mut self.ways);
        for criterion in Criterion::all(criteria) {
            for at in 0..criterion.len() {
                ways.clear();
                criterion.ways(at, self.known, &mut ways);
                for key in ways.any.iter().chain(&ways.parts) {
                    self.count_key(*key);
                }
            }
        }
        self.ways = ways;
    }

    fn count_key(&mut self, key: Key<'a>) {
        let next = narrow(self.keys.len());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            let (count, used) = (0, false);
            self.keys.push((key, Known { count, used }));
        }
        self.keys[number as usize].1.count += 1;
        self.counted.push(number);
    }

    /// Files a rule under the keys of its rarest criterion, once all rules are counted. The keys' numbers are taken of
    /// `counted`.
    fn file(
        &mut self,
        place: Place,
        criteria: &'a Criteria,
        counted: &mut impl Iterator<Item = u32>,
    ) {
        let mut least: Option<u64> = None;
        for criterion in Criterion::all(criteria) {
            let Some(cost) = self.cost(&criterion, counted) else {
                continue;
            };
            if least.is_none_or(|least| cost < least) {
                least = Some(cost);
                std::mem::swap(&mut self.best, &mut self.candidate);
            }
        }
        if least.is_none() {
            self.rest.push(place);
            return;
        }
        for number in std::mem::take(&mut self.best) {
            self.enter(number, place);
        }
    }

    fn enter(&mut self, number: u32, place: Place) {
        let (key, known) = &mut self.keys[number as usize];
        if !known.used {
            self.parts_bytes += key.part_bytes();
        }
        known.used = true;
        self.entries.push((number, place));
    }

    /// With how many rules a request is compared if this one is filed by this criterion; the keys are
    /// left in `candidate`. Nothing where some alternative cannot be told.
    fn cost(
        &mut self,
        criterion: &Criterion<'a>,
        counted: &mut impl Iterator<Item = u32>,
    ) -> Option<u64> {
        let mut ways = std::mem::take(&mut self.ways);
        self.candidate.clear();
        let mut cost = Some(0);
        for at in 0..criterion.len() {
            ways.clear();
            criterion.ways(at, self.known, &mut ways);
            // Also where it is clear already that this is no way: the numbers have to be gone through.
            cost = cost
                .zip(self.cheaper_way(&ways, counted))
                .map(|(all, one): (u64, u64)| all + one);
        }
        self.ways = ways;
        let is_path = matches!(criterion, Criterion::Path(_));
        cost.map(|cost| if is_path { cost } else { cost + PATH_ADVANTAGE })
    }

    /// Adds the keys of the cheaper way to `candidate`.
    fn cheaper_way(
        &mut self,
        ways: &Ways<'a>,
        counted: &mut impl Iterator<Item = u32>,
    ) -> Option<u64> {
        let begin = self.candidate.len();
        let mut least: Option<u64> = None;
        if !ways.any.is_empty() {
            self.candidate.extend(counted.by_ref().take(ways.any.len()));
            let numbers = self.candidate[begin..].iter();
            least = Some(numbers.map(|number| self.shared(*number)).sum());
        }
        for number in counted.by_ref().take(ways.parts.len()) {
            let shared = self.shared(number);
            if least.is_none_or(|least| shared < least) && self.has_room(number) {
                least = Some(shared);
                self.candidate.truncate(begin);
                self.candidate.push(number);
            }
        }
        least
    }

    fn shared(&self, number: u32) -> u64 {
        self.keys[number as usize].1.count.into()
    }

    fn has_room(&self, number: u32) -> bool {
        let (key, known) = &self.keys[number as usize];
        known.used || self.parts_bytes + key.part_bytes() <= PARTS_BYTES_MAX
    }

    fn filing(self) -> Filing<'a> {
        let mut entries = self.entries;
        // A rule may have come to one key by two of its alternatives.
        entries.sort_unstable();
        entries.dedup();
        Filing {
            keys: self.keys.into_iter().map(|(key, _)| key).collect(),
            entries,
            rest: self.rest,
        }
    }
}
