//! A shift of weight whose leader dies between two steps.

use domain::command::{Command, CreateUpstream, DraftSeed, Stamped, StartShift};
use domain::id::TargetId;
use domain::model::{AbortOn, Algorithm, JournalPlace, Shift, ShiftWeights, Target};
use domain::query;
use domain::time::Timestamp;
use node::control_plane::ControlPlane;

use crate::commands::{actor, bootstrap, seed, stamped, upstream_id};
use crate::world::{World, eventually};

const UPSTREAM: u64 = 10;

/// Long ago, so that the second step is due at once.
fn long_ago(stamped: Stamped) -> Stamped {
    Stamped {
        at: Timestamp(seed(0).unix_ms),
        ..stamped
    }
}

fn create() -> Command {
    let target = |(number, weight)| Target {
        id: TargetId::new(seed(number)),
        address: "192.0.2.1".to_owned(),
        port: 80,
        weight,
        regions: Vec::new(),
        drain: false,
    };
    let create = CreateUpstream {
        id: upstream_id(UPSTREAM),
        name: "pool".to_owned(),
        algorithm: Algorithm::WeightedRoundRobin,
        targets: [(1, 300), (2, 0)].map(target).into(),
        settings: None,
    };
    Command::CreateUpstream(actor(), create)
}

fn start() -> Command {
    let start = StartShift {
        upstream_id: upstream_id(UPSTREAM),
        from: TargetId::new(seed(1)),
        to: TargetId::new(seed(2)),
        steps: 3,
        interval_s: 10,
        abort_on: AbortOn {
            upstream_failed: true,
            error_rate: Some(10_000),
            min_requests: 1,
        },
        seed: DraftSeed {
            unix_ms: seed(0).unix_ms,
            random: 7,
        },
    };
    Command::StartShift(actor(), start)
}

fn shift(control: &dyn ControlPlane) -> Option<Shift> {
    let environment = actor().environment_id;
    let read = control.read_local(|view| query::shift(view, &environment, &upstream_id(UPSTREAM)));
    read.unwrap().0
}

/// How many entries took it on.
fn steps_written(control: &dyn ControlPlane) -> usize {
    let environment = actor().environment_id;
    let rows = control
        .read_local(|view| query::journal_after(view, &environment, JournalPlace::default(), 1000));
    let (rows, _) = rows.unwrap();
    let is_step = |row: &&query::JournalRow| row.entry.operation == "step_shift";
    rows.iter().filter(is_step).count()
}

/// Contract: D-62.
#[tokio::test(flavor = "multi_thread")]
async fn a_shift_goes_on_with_the_next_leader_and_takes_each_step_once() {
    let mut world = World::formed().await;
    let leader = world.leader().await;
    for stamped in [bootstrap(), stamped(1, create()), stamped(2, start())] {
        let applied = world.propose(leader, long_ago(stamped)).await.unwrap();
        applied.reply.unwrap();
    }
    let control = world.consensus(leader);
    let taken = |control: &dyn ControlPlane| shift(control).map(|shift| shift.taken);
    eventually("the leader takes the second step", || {
        (taken(&control) == Some(2)).then_some(())
    })
    .await;
    drop(control);
    world.kill(leader);
    let next = world.leader().await;
    let control = world.consensus(next);
    eventually("the next leader takes the third", || {
        (taken(&control) == Some(3)).then_some(())
    })
    .await;
    assert_eq!(steps_written(&control), 2);
    let weights = ShiftWeights { from: 0, to: 300 };
    assert_eq!(shift(&control).map(|shift| shift.weights()), Some(weights));
}
