//! Every directed scenario holds with a seed. `cargo xtask sim --scenarios` plays each with a hundred.

use std::path::Path;

use simulation::scenarios::{self, Scenario};

/// A test for each, so that they run beside each other.
macro_rules! hold {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

hold! {
    dies_installing
    edge_follows_learner
    key_revoked_in_partition
    pause_during_read
    publish_races_archive
    purged_leader
    reply_lost
    rollback_during_rollout
    rolling_restart
    stale_membership
    stranded_writers
}

fn holds(name: &str) {
    let scenario = Scenario::find(&name.replace('_', "-")).expect("a scenario of that name");
    let run = scenario
        .run(Path::new(env!("CARGO_BIN_EXE_simulation")), 1)
        .expect("the simulation can be started");
    let (said, complained) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{said}\n{complained}");
}

#[test]
fn none_is_left_out() {
    let all: Vec<String> = scenarios::ALL
        .iter()
        .map(|scenario| scenario.name.replace('-', "_"))
        .collect();
    assert_eq!(all, TESTED);
}
