//! The command line: what it names, and what it refuses, without doing anything.

use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vectorgate-chaos"))
        .args(arguments)
        .output()
        .expect("it runs")
}

#[test]
fn the_list_has_a_sentence_for_each_scenario() {
    let output = chaos(&["--list"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), chaos::scenarios::ALL.len());
    for (line, scenario) in text.lines().zip(chaos::scenarios::ALL) {
        assert!(line.starts_with(scenario.id), "{line}");
        assert!(line.ends_with('.'), "{line}");
    }
}

#[test]
fn a_scenario_that_does_not_exist_is_named() {
    let output = chaos(&["--only", "P1,P999"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("P999"), "{said}");
}
