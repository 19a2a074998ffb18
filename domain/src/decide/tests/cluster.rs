//! What operators ask of the cluster.

use super::world::{World, refused, world};
use crate::command::{ChangeCluster, Command};
use crate::model::{ClusterChange, ClusterRecord, MemberId};
use crate::outcome::{Outcome, Reply};
use crate::query;

impl World {
    pub(super) fn change_cluster(&mut self, change: ClusterChange) -> Reply {
        self.apply(Command::ChangeCluster(ChangeCluster { change }))
    }
}

fn added(member: u64) -> ClusterChange {
    ClusterChange::MemberAdded {
        member: MemberId(member),
        region: "eu".to_owned(),
        internal: "node:1".to_owned(),
    }
}

fn retired(member: u64) -> ClusterChange {
    ClusterChange::MemberRetired {
        member: MemberId(member),
        replaced_by: None,
    }
}

fn preferred(region: Option<&str>) -> ClusterChange {
    ClusterChange::RegionPreferred {
        region: region.map(str::to_owned),
    }
}

#[test]
fn a_number_that_was_retired_is_never_taken_again() {
    let mut world = world();
    assert_eq!(world.change_cluster(added(4)), Ok(Outcome::Recorded));
    assert_eq!(world.change_cluster(retired(4)), Ok(Outcome::Recorded));
    let again = [
        added(4),
        ClusterChange::MemberPromoted {
            member: MemberId(4),
        },
    ];
    for change in again {
        let (name, _) = refused(world.change_cluster(change));
        assert_eq!(name, "MemberRetired");
    }
    assert_eq!(world.change_cluster(added(5)), Ok(Outcome::Recorded));
    let retired: Vec<_> = query::retired_members(&world.rows).into_keys().collect();
    assert_eq!(retired, [MemberId(4)]);
}

#[test]
fn what_is_asked_twice_is_written_down_once() {
    let mut world = world();
    for change in [retired(4), preferred(Some("eu")), preferred(None)] {
        for _ in 0..2 {
            assert_eq!(world.change_cluster(change.clone()), Ok(Outcome::Recorded));
        }
    }
    let kept: Vec<_> = query::cluster_changes(&world.rows, 10)
        .into_iter()
        .map(|(_, record)| record.change)
        .collect();
    assert_eq!(kept, [preferred(None), preferred(Some("eu")), retired(4)]);
    assert_eq!(query::preferred_region(&world.rows), None);
}

#[test]
fn the_preferred_region_is_the_last_one_that_was_asked_for() {
    let mut world = world();
    assert_eq!(query::preferred_region(&world.rows), None);
    for region in ["eu", "us"] {
        world.change_cluster(preferred(Some(region))).unwrap();
        let preferred = query::preferred_region(&world.rows);
        assert_eq!(preferred.as_deref(), Some(region));
    }
}

#[test]
fn the_oldest_changes_make_room_for_new_ones() {
    let mut world = world();
    for number in 0..ClusterRecord::KEPT + 5 {
        let region = if number % 2 == 0 { "eu" } else { "us" };
        let (change, revision) = (preferred(Some(region)), world.revision + 1);
        let stamped = world.stamped(Command::ChangeCluster(ChangeCluster { change }), None);
        // Unchecked: a check of all rows for each of a thousand entries would take long.
        crate::machine::step(&mut world.rows, crate::time::Revision(revision), &stamped);
        world.revision = revision;
    }
    crate::invariants::check(&world.rows).unwrap();
    let kept = query::cluster_changes(&world.rows, usize::MAX);
    assert_eq!(kept.len() as u64, ClusterRecord::KEPT);
}
