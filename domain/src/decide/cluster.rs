//! What operators ask of the cluster: a number is retired once and never taken again.

use super::{Context, Judgement, succession};
use crate::command::{ChangeCluster, Origin};
use crate::event::Event;
use crate::id::RequestId;
use crate::machine::Decision;
use crate::model::{ClusterChange, ClusterRecord, ClusterSettings, MemberId, RetiredMember};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{CLUSTER, CLUSTER_CHANGES, RETIRED_MEMBERS};

pub(super) fn change<V: View + ?Sized>(
    context: &Context<'_, V>,
    (request_id, origin): (&RequestId, &Origin),
    command: &ChangeCluster,
) -> Judgement {
    let before = CLUSTER.get(context.view, ()).unwrap_or_default();
    let is_retired = |member: &MemberId| RETIRED_MEMBERS.has(context.view, (member,));
    let mut after = before.clone();
    let mut events = Vec::new();
    match &command.change {
        ClusterChange::MemberRetired { member, .. } if is_retired(member) => return nothing(),
        ClusterChange::MemberRetired { member, .. } => events.push(Event::MemberRetired {
            member: *member,
            record: RetiredMember {
                at: context.at,
                revision: context.revision,
            },
        }),
        ClusterChange::MemberAdded { member, .. } | ClusterChange::MemberPromoted { member }
            if is_retired(member) =>
        {
            return Err(Rejection::MemberRetired { id: member.0 });
        }
        ClusterChange::RegionPreferred { region } if *region == before.preferred_region => {
            return nothing();
        }
        ClusterChange::Restored { epoch, .. } => {
            events = succession::begin(context, *epoch, &[])?;
        }
        ClusterChange::Recovered { epoch, lost, .. } => {
            events = succession::begin(context, *epoch, lost)?;
        }
        ClusterChange::RegionPreferred { region } => after.preferred_region.clone_from(region),
        // A command of their own does them.
        ClusterChange::SigningKeyAdded { .. }
        | ClusterChange::SigningKeyRetired { .. }
        | ClusterChange::KekActivated { .. }
        | ClusterChange::PepperActivated { .. } => {
            return nothing();
        }
        ClusterChange::MemberAdded { .. }
        | ClusterChange::MemberPromoted { .. }
        | ClusterChange::MemberDemoted { .. }
        | ClusterChange::LeaderMoved { .. } => {}
    }
    write_down(
        context,
        (request_id, origin),
        &command.change,
        after,
        &mut events,
    );
    Ok(Decision {
        events,
        outcome: Outcome::Recorded,
    })
}

/// Remembers what an operator asked for.
pub(super) fn write_down<V: View + ?Sized>(
    context: &Context<'_, V>,
    (request_id, origin): (&RequestId, &Origin),
    change: &ClusterChange,
    mut settings: ClusterSettings,
    events: &mut Vec<Event>,
) {
    events.push(Event::ClusterChanged {
        revision: context.revision,
        record: Box::new(ClusterRecord {
            at: context.at,
            request_id: request_id.clone(),
            origin: origin.clone(),
            change: change.clone(),
        }),
    });
    settings.changes += 1;
    forget_oldest(context, &mut settings, events);
    events.push(Event::ClusterSettled(settings));
}

fn nothing() -> Judgement {
    Ok(Decision {
        events: Vec::new(),
        outcome: Outcome::Recorded,
    })
}

/// Makes room for the one that is added.
fn forget_oldest<V: View + ?Sized>(
    context: &Context<'_, V>,
    settings: &mut ClusterSettings,
    events: &mut Vec<Event>,
) {
    if settings.changes <= ClusterRecord::KEPT {
        return;
    }
    let oldest = CLUSTER_CHANGES.scan(context.view, &CLUSTER_CHANGES.all(), 1);
    for ((revision,), _) in oldest {
        settings.changes -= 1;
        events.push(Event::ClusterChangeForgotten { revision });
    }
}
