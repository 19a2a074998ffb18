//! Changes of who belongs to the cluster and of what it signs with: whom they are of now.

use super::Faults;
use super::struck::Struck;
use crate::options::{Change, Whom};
use crate::world::{Fleet, Wanted};

/// With so many voters left nobody is removed: one more that is down would stop everything.
const VOTERS_MIN: usize = 3;

impl Faults {
    /// A change with its place made definite; nothing where it makes no sense now.
    pub(super) fn wanted(&self, change: Change, fleet: &Fleet) -> Option<Wanted> {
        let new = || self.supervisor.absent(&self.coming());
        Some(match change {
            Change::Join(learns) => Wanted::Join(new()?, learns),
            Change::Replace(whom) => Wanted::Replace(voter(whom, fleet)?, new()?),
            Change::Remove(whom) => {
                let staying = staying(fleet)?.len();
                Wanted::Remove((staying > VOTERS_MIN).then(|| voter(whom, fleet))??)
            }
            Change::Rotate(retires) => Wanted::Rotate(retires),
        })
    }

    /// Nodes that are to join, and have not been started yet.
    fn coming(&self) -> Vec<usize> {
        let active = self.active.iter();
        active
            .filter_map(|active| match active.struck {
                Struck::Changed(Wanted::Join(new, _) | Wanted::Replace(_, new)) => Some(new),
                _ => None,
            })
            .collect()
    }
}

/// The voters that nobody wants to leave.
fn staying(fleet: &Fleet) -> Option<Vec<usize>> {
    let voters = fleet.members()?.voters.into_iter();
    Some(voters.filter(|index| !fleet.is_leaving(*index)).collect())
}

fn voter(whom: Whom, fleet: &Fleet) -> Option<usize> {
    let staying = staying(fleet)?;
    match whom {
        Whom::Leader => fleet.leader().filter(|leader| staying.contains(leader)),
        Whom::Node(index) => staying.get(index % staying.len().max(1)).copied(),
    }
}
