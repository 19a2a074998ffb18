//! Outages of upstreams.

use super::world::{World, furnished, upstream};
use crate::command::{Command, OutageChange, RecordOutages};
use crate::model::NoticeKind::{UpstreamFailed, UpstreamRecovered};
use crate::model::{JournalPlace, NoticeKind};
use crate::outcome::Outcome;
use crate::query;

impl World {
    /// Says how upstreams stand in regions.
    fn stand(&mut self, changes: &[(u64, &str, bool)]) {
        let change = |(number, region, is_down): &(u64, &str, bool)| OutageChange {
            upstream_id: upstream(*number),
            region: (*region).to_owned(),
            is_down: *is_down,
            edges_down: 2,
            edges: 3,
        };
        let command = RecordOutages {
            environment_id: self.actor.environment_id.clone(),
            changes: changes.iter().map(change).collect(),
        };
        let reply = self.apply(Command::RecordOutages(command));
        assert_eq!(reply, Ok(Outcome::Recorded));
    }

    /// What was told of outages, in order.
    fn told_of_outages(&self) -> Vec<(NoticeKind, u64, String)> {
        let mut told = Vec::new();
        let environment = &self.actor.environment_id;
        let rows = query::journal_after(&self.rows, environment, JournalPlace::default(), 1000);
        for row in rows {
            for notice in &row.entry.notices {
                if let Some(region) = &notice.about.region {
                    let number = if notice.about.upstream_id == Some(upstream(1)) {
                        1
                    } else {
                        2
                    };
                    told.push((notice.kind, number, region.clone()));
                }
            }
        }
        told
    }
}

/// Contract: R-52.
#[test]
fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    let mut world = furnished();
    let failed = |number, region: &str| (UpstreamFailed, number, region.to_owned());
    let recovered = |number, region: &str| (UpstreamRecovered, number, region.to_owned());
    world.stand(&[(1, "eu", true), (1, "eu", false), (1, "us", false)]);
    assert_eq!(world.told_of_outages(), [failed(1, "eu")]);
    world.stand(&[(1, "eu", true), (1, "us", true)]);
    world.stand(&[(1, "eu", false), (2, "eu", true)]);
    world.stand(&[(1, "eu", false)]);
    let told = [
        failed(1, "eu"),
        failed(1, "us"),
        recovered(1, "eu"),
        failed(2, "eu"),
    ];
    assert_eq!(world.told_of_outages(), told);
    let environment = world.actor.environment_id.clone();
    let lasting: Vec<_> = query::all_outages(&world.rows, &environment)
        .into_keys()
        .collect();
    assert_eq!(
        lasting,
        [
            (upstream(1), "us".to_owned()),
            (upstream(2), "eu".to_owned())
        ]
    );
}

#[test]
fn an_upstream_takes_its_outages_with_it_and_one_that_is_not_there_has_none() {
    let mut world = furnished();
    world.stand(&[(2, "eu", true), (9, "eu", true)]);
    world.delete_upstream(2).unwrap();
    let environment = world.actor.environment_id.clone();
    assert!(query::all_outages(&world.rows, &environment).is_empty());
    assert_eq!(
        world.told_of_outages(),
        [(UpstreamFailed, 2, "eu".to_owned())]
    );
}
