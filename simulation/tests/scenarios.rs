//! Every directed scenario holds with a seed. `cargo xtask sim --scenarios` plays each with a hundred.

use std::path::Path;

use simulation::scenarios;

#[test]
fn every_scenario_holds() {
    let program = Path::new(env!("CARGO_BIN_EXE_simulation"));
    let mut failures = Vec::new();
    for scenario in scenarios::ALL {
        let run = scenario
            .run(program, 1)
            .expect("the simulation can be started");
        if !run.status.success() {
            failures.push(String::from_utf8_lossy(&run.stdout).into_owned());
            failures.push(String::from_utf8_lossy(&run.stderr).into_owned());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
