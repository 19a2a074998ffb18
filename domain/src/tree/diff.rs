//! Comparing two trees. Two walks go side by side; where both stand before a chunk with the same
//! hash, both step over it. Chunks are cut alike on both sides wherever the items are alike (see
//! [`super::boundary`]), so the cost is what differs times the height, also between trees of
//! different height.

use super::walk::{Head, Walk};
use super::{ChunkSource, Hash, TreeError, TreeKind};

/// A key of which the two trees say different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Its value in the first tree.
    pub before: Option<Vec<u8>>,
    /// Its value in the second tree.
    pub after: Option<Vec<u8>>,
}

/// What differs between the trees under `a` and `b`, in key order.
///
/// # Errors
/// When a chunk that differs is missing or corrupt.
pub fn diff<S: ChunkSource + ?Sized>(
    source: &S,
    kind: TreeKind,
    a: Hash,
    b: Hash,
) -> Result<Vec<Change>, TreeError> {
    let mut changes = Vec::new();
    if a == b {
        return Ok(changes);
    }
    let mut before = Walk::new(source, kind, a)?;
    let mut after = Walk::new(source, kind, b)?;
    while let Some(step) = compare(before.head(), after.head()) {
        match step {
            Step::Open {
                before: open_before,
                after: open_after,
            } => {
                if open_before {
                    before.descend()?;
                }
                if open_after {
                    after.descend()?;
                }
            }
            Step::Pass {
                before: pass_before,
                after: pass_after,
                change,
            } => {
                changes.extend(change);
                if pass_before {
                    before.step();
                }
                if pass_after {
                    after.step();
                }
            }
        }
    }
    Ok(changes)
}

/// What to do next, on which side.
enum Step {
    Open {
        before: bool,
        after: bool,
    },
    Pass {
        before: bool,
        after: bool,
        change: Option<Change>,
    },
}

/// Equal chunks are passed, of different ones the higher is opened (both where they are level),
/// items are merged by key. Nothing once both walks are at their end.
fn compare(before: Option<Head<'_>>, after: Option<Head<'_>>) -> Option<Step> {
    use Head::{Below, Item};
    let step = match (before, after) {
        (None, None) => return None,
        (Some(Below { link: a, .. }), Some(Below { link: b, .. })) if a.hash == b.hash => {
            Step::Pass {
                before: true,
                after: true,
                change: None,
            }
        }
        (Some(Below { level: a, .. }), Some(Below { level: b, .. })) => Step::Open {
            before: a >= b,
            after: b >= a,
        },
        (Some(Below { .. }), _) => Step::Open {
            before: true,
            after: false,
        },
        (_, Some(Below { .. })) => Step::Open {
            before: false,
            after: true,
        },
        (Some(Item { key, value }), None) => pass_before(key, value),
        (None, Some(Item { key, value })) => pass_after(key, value),
        (Some(Item { key: a, value }), Some(Item { key: b, .. })) if a < b => pass_before(a, value),
        (Some(Item { key: a, .. }), Some(Item { key: b, value })) if a > b => pass_after(b, value),
        (Some(Item { key, value: a }), Some(Item { value: b, .. })) => Step::Pass {
            before: true,
            after: true,
            change: (a != b).then(|| Change {
                key: key.to_vec(),
                before: Some(a.to_vec()),
                after: Some(b.to_vec()),
            }),
        },
    };
    Some(step)
}

fn pass_before(key: &[u8], value: &[u8]) -> Step {
    let change = Change {
        key: key.to_vec(),
        before: Some(value.to_vec()),
        after: None,
    };
    Step::Pass {
        before: true,
        after: false,
        change: Some(change),
    }
}

fn pass_after(key: &[u8], value: &[u8]) -> Step {
    let change = Change {
        key: key.to_vec(),
        before: None,
        after: Some(value.to_vec()),
    };
    Step::Pass {
        before: false,
        after: true,
        change: Some(change),
    }
}
