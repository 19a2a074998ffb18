//! The simulation finds bugs: some that are found at once are looked for with each test run, so that
//! a change that blinds the checks is noticed. All of them are looked for by `cargo xtask sim --mutants`.

use std::process::Command;

/// Runs seeds with a mutant until one fails, and gives what that one printed.
fn look_for(mutant: &str, more: &[&str]) -> String {
    let mut printed = String::new();
    for seed in 1..=5 {
        let output = Command::new(env!("CARGO_BIN_EXE_simulation"))
            .args(["--mutant", mutant])
            .args(more)
            .args(["--seed", &seed.to_string()])
            .output()
            .expect("the simulation can be started");
        printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return printed;
        }
    }
    panic!("{mutant} was not found; the last seed said:\n{printed}");
}

#[test]
fn replicas_that_ask_their_own_clocks_are_found() {
    let printed = look_for("M14", &["--seconds", "5"]);
    assert!(
        printed.contains("VIOLATION equal revisions have equal states"),
        "{printed}"
    );
}

#[test]
fn an_edge_that_serves_parts_of_a_manifest_is_found() {
    let printed = look_for("M19", &["--seconds", "5"]);
    assert!(printed.contains("VIOLATION edges "), "{printed}");
}

#[test]
fn a_node_that_keeps_a_membership_that_a_checkpoint_has_replaced_is_found() {
    let printed = look_for("M26", &["--scenario", "stale-membership"]);
    // The script sees it, unless what that leader does to the others comes first.
    let by_the_script = printed.contains("leads without a majority");
    let by_a_check = printed.contains("VIOLATION leaders have what was committed");
    assert!(by_the_script || by_a_check, "{printed}");
}

#[test]
fn a_mutant_that_is_not_known_is_refused_and_the_known_ones_are_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_simulation"))
        .args(["--mutant", "M99", "--seed", "1"])
        .output()
        .expect("the simulation can be started");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("M01, M02"), "{said}");
}
