//! A cluster that goes on from a backup, or from what one member had: another epoch begins, in which all
//! that edges follow is published once more, so that they follow it although versions went back.
//!
//! Nobody asks a running cluster for it: whoever restores a disk has the entry applied to it before the
//! node starts.

use super::Context;
use super::manifest::move_to_epoch;
use crate::event::Event;
use crate::model::{Epoch, MemberId, RetiredMember, Signing};
use crate::query::{environments, signing};
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{MANIFESTS, RETIRED_MEMBERS};

/// Begins an epoch without the members that are lost, whose numbers are used up.
pub(super) fn begin<V: View + ?Sized>(
    context: &Context<'_, V>,
    epoch: Epoch,
    lost: &[MemberId],
) -> Result<Vec<Event>, Rejection> {
    let before = signing(context.view).ok_or_else(|| {
        refused("There is no epoch yet: the cluster has never had a workspace.".to_owned())
    })?;
    if epoch <= before.epoch {
        return Err(refused(format!(
            "The epoch is {} already, and {} does not come after it.",
            before.epoch.0, epoch.0
        )));
    }
    let mut events = vec![Event::SigningSettled(Box::new(Signing { epoch, ..before }))];
    for environment in environments(context.view) {
        // Where nothing was ever published, there is nothing to publish again.
        if MANIFESTS.has(context.view, (&environment.id,)) {
            events.extend(move_to_epoch(context, &environment.id, epoch)?);
        }
    }
    let new = lost
        .iter()
        .filter(|member| !RETIRED_MEMBERS.has(context.view, (member,)));
    events.extend(new.map(|member| Event::MemberRetired {
        member: *member,
        record: RetiredMember {
            at: context.at,
            revision: context.revision,
        },
    }));
    Ok(events)
}

fn refused(message: String) -> Rejection {
    Rejection::PreconditionFailed {
        param: "epoch".to_owned(),
        message,
    }
}
