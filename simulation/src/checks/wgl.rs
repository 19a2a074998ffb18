//! Whether a history of one register is linearizable: the algorithm of Wing and Gong (1993), with
//! Lowe's memory of configurations (2017), as porcupine and todc-utils have it. It knows nothing of
//! logs or revisions, so that it can be wrong only in other ways than the check that does.
//!
//! The search walks the history's calls and returns in order. It takes a call when the register
//! allows what it returned, and removes it; when it meets a return whose call was not taken, it
//! takes back the last call that it took. A configuration (which calls were taken, what the register
//! holds) that was seen before is not tried again.

use std::collections::HashSet;

/// A value of the register; 0 stands for nothing.
pub(crate) type Value = u32;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The register was set.
    Write(Value),
    /// The register was read, and held this.
    Read(Value),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// What it did.
    pub(crate) action: Action,
    /// When it was called.
    pub(crate) called_us: u64,
    /// When it returned; never, where nobody knows what came of it: it may take effect at any time
    /// after its call, or never.
    pub(crate) returned_us: Option<u64>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none.
    Violated,
    /// The search was given up.
    Unknown,
}

/// Judges a history within so many steps. Steps and not time, so that a verdict is the same on
/// every machine.
pub(crate) fn judge(ops: &[Op], steps_max: u64) -> Verdict {
    Search::new(ops).run(steps_max)
}

/// A call or a return, in a list that calls are taken out of and put back into.
#[derive(Clone, Copy, Debug)]
struct Node {
    op: usize,
    is_call: bool,
    before: usize,
    after: usize,
}

/// The head of the list, before the first entry.
const HEAD: usize = 0;

struct Search<'a> {
    ops: &'a [Op],
    nodes: Vec<Node>,
    /// Each operation's return in the list, if it has one.
    returns: Vec<Option<usize>>,
    value: Value,
    taken: Bits,
    /// Calls that were taken, and what the register held before.
    stack: Vec<(usize, Value)>,
    seen: HashSet<(Bits, Value)>,
}

impl<'a> Search<'a> {
    fn new(ops: &'a [Op]) -> Self {
        // At one moment, calls come before returns: operations that touch are concurrent.
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        for (
            op,
            Op {
                called_us,
                returned_us,
                ..
            },
        ) in ops.iter().enumerate()
        {
            order.push((*called_us, false, op));
            order.extend(returned_us.map(|at| (at, true, op)));
        }
        order.sort_unstable();
        let head = Node {
            op: usize::MAX,
            is_call: false,
            before: HEAD,
            after: HEAD,
        };
        let mut nodes = vec![head];
        let mut returns = vec![None; ops.len()];
        for (_, is_return, op) in order {
            let place = nodes.len();
            nodes[place - 1].after = place;
            nodes.push(Node {
                op,
                is_call: !is_return,
                before: place - 1,
                after: HEAD,
            });
            if is_return {
                returns[op] = Some(place);
            }
        }
        let last = nodes.len() - 1;
        nodes[HEAD].before = last;
        Self {
            ops,
            nodes,
            returns,
            value: 0,
            taken: Bits::new(ops.len()),
            stack: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn run(mut self, steps_max: u64) -> Verdict {
        let mut left = self.returns.iter().flatten().count();
        let mut at = self.nodes[HEAD].after;
        for _ in 0..steps_max {
            if left == 0 {
                return Verdict::Linearizable;
            }
            let node = self.nodes[at];
            if at != HEAD && node.is_call {
                if self.take(at) {
                    left -= usize::from(self.returns[node.op].is_some());
                    at = self.nodes[HEAD].after;
                } else {
                    at = node.after;
                }
                continue;
            }
            // A return whose call was not taken, or the end: what was taken last was wrong.
            let Some((call, value)) = self.stack.pop() else {
                return Verdict::Violated;
            };
            let op = self.nodes[call].op;
            self.put_back(call);
            self.taken.clear(op);
            self.value = value;
            left += usize::from(self.returns[op].is_some());
            at = self.nodes[call].after;
        }
        Verdict::Unknown
    }

    /// Takes a call, if the register allows it and that leads to something new.
    fn take(&mut self, call: usize) -> bool {
        let op = self.nodes[call].op;
        let value = match self.ops[op].action {
            Action::Write(value) => value,
            Action::Read(value) if value == self.value => value,
            Action::Read(_) => return false,
        };
        self.taken.set(op);
        if !self.seen.insert((self.taken.clone(), value)) {
            self.taken.clear(op);
            return false;
        }
        self.stack.push((call, self.value));
        self.value = value;
        self.unlink(call);
        if let Some(place) = self.returns[op] {
            self.unlink(place);
        }
        true
    }

    fn put_back(&mut self, call: usize) {
        let op = self.nodes[call].op;
        // In the opposite order of their removal.
        if let Some(place) = self.returns[op] {
            self.link(place);
        }
        self.link(call);
    }

    fn unlink(&mut self, place: usize) {
        let Node { before, after, .. } = self.nodes[place];
        self.nodes[before].after = after;
        self.nodes[after].before = before;
    }

    fn link(&mut self, place: usize) {
        let Node { before, after, .. } = self.nodes[place];
        self.nodes[before].after = place;
        self.nodes[after].before = place;
    }
}

/// A set of operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bits(Box<[u64]>);

impl Bits {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into_boxed_slice())
    }

    fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn clear(&mut self, bit: usize) {
        self.0[bit / 64] &= !(1 << (bit % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `w1 0-10, r1 5-20, w2 30-`: writes and reads with the times of call and return.
    #[track_caller]
    fn judged(text: &str, expected: Verdict) {
        let ops: Vec<Op> = text
            .split(',')
            .map(|op| {
                let (what, when) = op.trim().split_once(' ').unwrap();
                let value = what[1..].parse().unwrap();
                let (called, returned) = when.split_once('-').unwrap();
                Op {
                    action: if what.starts_with('w') {
                        Action::Write(value)
                    } else {
                        Action::Read(value)
                    },
                    called_us: called.parse().unwrap(),
                    returned_us: returned.parse().ok(),
                }
            })
            .collect();
        assert_eq!(judge(&ops, 100_000), expected, "{text}");
    }

    #[test]
    fn reads_of_the_newest_write_are_fine() {
        judged(
            "w1 0-10, r1 20-30, w2 40-50, r2 60-70",
            Verdict::Linearizable,
        );
        judged("r0 0-10, w1 20-30", Verdict::Linearizable);
    }

    #[test]
    fn concurrent_operations_take_the_order_that_fits() {
        judged(
            "w1 0-100, w2 0-100, r2 10-20, r1 30-40",
            Verdict::Linearizable,
        );
        judged("w1 0-100, r1 10-20, r0 30-40", Verdict::Violated);
    }

    #[test]
    fn stale_and_invented_values_are_found() {
        judged("w1 0-10, w2 20-30, r1 40-50", Verdict::Violated);
        judged("w1 0-10, r3 20-30", Verdict::Violated);
        judged("w1 0-10, r0 20-30", Verdict::Violated);
    }

    #[test]
    fn a_write_of_unknown_outcome_takes_effect_late_or_never() {
        judged("w1 0-10, w2 20-, r1 30-40, r1 50-60", Verdict::Linearizable);
        judged("w1 0-10, w2 20-, r1 30-40, r2 50-60", Verdict::Linearizable);
        judged("w1 0-10, w2 20-, r2 30-40, r1 50-60", Verdict::Violated);
    }

    #[test]
    fn a_write_that_takes_effect_twice_is_found() {
        judged(
            "w1 0-10, r1 11-12, w2 20-30, r2 31-32, r1 40-50",
            Verdict::Violated,
        );
    }

    #[test]
    fn a_search_that_is_given_up_says_so() {
        let ops: Vec<Op> = (1..=12)
            .map(|value| Op {
                action: Action::Write(value),
                called_us: 0,
                returned_us: Some(100),
            })
            .chain([Op {
                action: Action::Read(99),
                called_us: 0,
                returned_us: Some(100),
            }])
            .collect();
        assert_eq!(judge(&ops, 1_000), Verdict::Unknown);
    }
}
