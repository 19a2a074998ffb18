//! What operators ask of the cluster: samples of its bytes, and changes at random.

use domain::command::{ChangeCluster, Command};
use domain::id::RequestId;
use domain::model::{
    ClusterChange, ClusterRecord, ClusterSettings, Epoch, MemberId, RetiredMember,
};
use domain::rejection::Rejection;
use domain::time::{Revision, Timestamp};
use proptest::prelude::*;

use crate::{history, samples};

fn change(change: ClusterChange) -> Command {
    Command::ChangeCluster(ChangeCluster { change })
}

fn added(member: u64) -> ClusterChange {
    ClusterChange::MemberAdded {
        member: MemberId(member),
        region: "eu-central-1".to_owned(),
        internal: "node-4:7200".to_owned(),
    }
}

/// One of each change.
pub(crate) fn commands() -> Vec<Command> {
    let member = MemberId(4);
    vec![
        change(added(4)),
        change(ClusterChange::MemberPromoted { member }),
        change(ClusterChange::MemberDemoted { member }),
        change(ClusterChange::MemberRetired {
            member,
            replaced_by: Some(MemberId(5)),
        }),
        change(ClusterChange::LeaderMoved { to: member }),
        change(ClusterChange::RegionPreferred {
            region: Some("eu-central-1".to_owned()),
        }),
        change(ClusterChange::Restored {
            epoch: Epoch(2),
            backup: "0123456789abcdef0123456789abcdef".to_owned(),
            revision: Revision(300),
        }),
        change(ClusterChange::Recovered {
            epoch: Epoch(3),
            member,
            lost: vec![MemberId(5), MemberId(6)],
        }),
    ]
}

pub(crate) fn settings() -> ClusterSettings {
    ClusterSettings {
        preferred_region: Some("eu-central-1".to_owned()),
        changes: 3,
    }
}

pub(crate) fn retired() -> RetiredMember {
    RetiredMember {
        at: Timestamp(1_714_320_000_123),
        revision: Revision(300),
    }
}

pub(crate) fn record() -> ClusterRecord {
    ClusterRecord {
        at: Timestamp(1_714_320_000_123),
        request_id: RequestId::new(samples::seed(13)),
        origin: history::origin(),
        change: added(4),
    }
}

pub(crate) fn rejections() -> [Rejection; 1] {
    [Rejection::MemberRetired { id: 4 }]
}

/// Changes of a few members.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let member = || (1..4_u64).prop_map(MemberId);
    let region = prop::option::of(prop_oneof![Just("eu"), Just("us")]);
    prop_oneof![
        (1..4_u64).prop_map(added),
        member().prop_map(|member| ClusterChange::MemberPromoted { member }),
        member().prop_map(|member| ClusterChange::MemberDemoted { member }),
        member().prop_map(|member| ClusterChange::MemberRetired {
            member,
            replaced_by: None
        }),
        member().prop_map(|to| ClusterChange::LeaderMoved { to }),
        region.prop_map(|region| ClusterChange::RegionPreferred {
            region: region.map(str::to_owned)
        }),
        (1..4_u64).prop_map(|epoch| ClusterChange::Restored {
            epoch: Epoch(epoch),
            backup: "0123456789abcdef0123456789abcdef".to_owned(),
            revision: Revision(300),
        }),
        (1..4_u64, member()).prop_map(|(epoch, lost)| ClusterChange::Recovered {
            epoch: Epoch(epoch),
            member: MemberId(9),
            lost: vec![lost],
        }),
    ]
    .prop_map(change)
}
