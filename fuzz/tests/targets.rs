//! Each target with what is kept for it and a few hundred mutations, the same ones in every run. Longer
//! campaigns are `cargo xtask fuzz`'s.

use std::collections::BTreeSet;

use fuzz::campaign::{Until, campaign};
use fuzz::{TARGETS, corpus, targets};

/// Some seconds for all targets together.
const INPUTS: u64 = 400;

const SEED: u64 = 1;

fn check(name: &str) {
    let target = targets::find(name).expect("a target");
    let kept = corpus::of(name).expect("a corpus");
    if let Err(failure) = campaign(target, &kept, SEED, Until::Inputs(INPUTS), |_| ()) {
        let file = corpus::write(
            &std::env::temp_dir().join("vectorgate-fuzz").join(name),
            &failure.input,
        );
        panic!(
            "{}; the input {} is in {file:?}; `cargo xtask fuzz --only {name} --replay FILE` repeats it",
            failure.what,
            failure.kept.unwrap_or_default(),
        );
    }
}

#[test]
fn snapshots_have_one_encoding() {
    check("snapshot");
}

#[test]
fn log_entries_read_back_and_do_the_same_on_each_replica() {
    check("raft");
}

#[test]
fn rules_have_one_normal_form_and_compile() {
    check("rule");
}

#[test]
fn the_index_decides_as_trying_all_rules_does() {
    check("matcher");
}

#[test]
fn cursors_are_taken_in_one_spelling_and_where_they_were_given_out() {
    check("cursor");
}

#[test]
fn keys_have_one_spelling() {
    check("key");
}

#[test]
fn hostnames_are_normal_and_what_clients_see() {
    check("hostname");
}

#[test]
fn receivers_of_webhooks_are_public_and_what_their_url_names() {
    check("webhook");
}

#[test]
fn frames_decode_the_same_however_they_arrive() {
    check("frame");
}

#[test]
fn canonical_json_is_canonical_and_tampered_logs_do_not_verify() {
    check("audit");
}

#[test]
fn every_target_has_a_small_corpus_and_a_name_of_its_own() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for name in names {
        let kept = corpus::of(name).expect("a corpus");
        let bytes: usize = kept.iter().map(|kept| kept.input.len()).sum();
        assert!(bytes <= 256 * 1024, "{name} keeps {bytes} bytes");
    }
}
