//! The transition tables of both machines: every state against every kind of frame, and the time.

mod pair;

use std::time::Duration;

use bytes::Bytes;
use domain::tree::Hash;
use edge_protocol::feeder::{self, Feeder};
use edge_protocol::follower::{self, ApplyFailure, Follower};
use edge_protocol::limits::{
    GREETING_MAX, PING_INTERVAL, SILENCE_MAX, STALL_MAX, WANTS_IN_FLIGHT_MAX,
};
use edge_protocol::signing::{KeyPair, TrustedKey};
use edge_protocol::telemetry::Batch;
use edge_protocol::{
    HealthReport, Hello, ManifestRef, Moment, Refusal, Report, ReportState, SignedManifest,
    SignedTrust, ToEdge, ToNode, Traced, TrustReport,
};
use pair::{
    Disk, Shelf, environment, hello, key, manifest, offer, signed, signed_by, tree, trust,
    trust_of, welcome,
};

fn start() -> Moment {
    Moment::default()
}

fn applied(manifest: ManifestRef) -> ToNode {
    ToNode::Report(Report {
        manifest,
        state: ReportState::Applied,
        apply_ms: 0,
        chunks_fetched: 0,
        bytes_fetched: 0,
    })
}

// ---- the node's side ----

#[derive(Clone, Copy, Debug)]
enum NodeState {
    Greeting,
    Admitting,
    Serving,
    Closed,
}

fn feeder_in(state: NodeState) -> Feeder {
    let mut feeder = Feeder::new(start());
    if let NodeState::Greeting = state {
        return feeder;
    }
    feeder.handle_frame(start(), ToNode::Hello(hello()));
    if !matches!(state, NodeState::Admitting) {
        feeder.handle_admitted(start(), welcome(), offer(manifest(1, 1, Hash([1; 32]))));
    }
    if let NodeState::Closed = state {
        feeder.handle_refused(Refusal::Draining);
    }
    drain_feeder(&mut feeder);
    feeder
}

/// What the machine does now, in words.
fn drain_feeder(feeder: &mut Feeder) -> String {
    let mut said = Vec::new();
    while let Some(action) = feeder.poll_action() {
        said.push(match action {
            feeder::Action::Admit(_) => "admit?".to_owned(),
            feeder::Action::Note(_) => "note".to_owned(),
            feeder::Action::Count(_) => "count".to_owned(),
            feeder::Action::Health(_) => "health".to_owned(),
            feeder::Action::Trust(_) => "trust".to_owned(),
            feeder::Action::Close(Refusal::Violation(_)) => "close: violation".to_owned(),
            feeder::Action::Close(refusal) => format!("close: {refusal}"),
        });
    }
    while let Some(frame) = feeder.poll_transmit(&Shelf::default()) {
        said.push(match frame {
            ToEdge::Welcome(_) => "> welcome".to_owned(),
            ToEdge::Manifest(signed) => format!("> manifest {}", signed.manifest),
            ToEdge::Trust(_) => "> trust".to_owned(),
            ToEdge::Chunks(_) => "> chunks".to_owned(),
            ToEdge::Gone(hashes) => format!("> gone {}", hashes.len()),
            ToEdge::Refused(_) => "> refused".to_owned(),
            ToEdge::Ping => "> ping".to_owned(),
            ToEdge::Patches(patches) => format!("> patches {}", patches.len()),
            ToEdge::Trace(_) => "> trace".to_owned(),
        });
    }
    said.join(", ")
}

#[test]
fn the_node_does_this_on_each_frame() {
    use NodeState::{Admitting, Closed, Greeting, Serving};
    let hello_frame = || ToNode::Hello(hello());
    let want = || ToNode::Want(vec![Hash([7; 32])]);
    let telemetry = || ToNode::Telemetry(Batch::default());
    let refused = "close: violation, > refused";
    for (state, frame, expect) in [
        (Greeting, hello_frame(), "admit?"),
        (
            Greeting,
            ToNode::Hello(Hello {
                protocol: 0,
                ..hello()
            }),
            "close: the node speaks protocol 3, the edge 0, > refused",
        ),
        (
            Greeting,
            ToNode::Hello(Hello {
                protocol: 9,
                ..hello()
            }),
            "admit?",
        ),
        (Greeting, telemetry(), refused),
        (Admitting, telemetry(), refused),
        (Serving, telemetry(), "count"),
        (Closed, telemetry(), ""),
        (Greeting, want(), refused),
        (Greeting, applied(manifest(1, 1, Hash([1; 32]))), refused),
        (Greeting, ToNode::Pong, refused),
        (Admitting, hello_frame(), refused),
        (Admitting, want(), refused),
        (Admitting, applied(manifest(1, 1, Hash([1; 32]))), refused),
        (Admitting, ToNode::Pong, refused),
        (Admitting, ToNode::Health(HealthReport::default()), refused),
        (Serving, hello_frame(), refused),
        (Serving, want(), "> gone 1, > manifest 1.1"),
        (
            Serving,
            ToNode::Want(vec![Hash([7; 32]); WANTS_IN_FLIGHT_MAX + 1]),
            refused,
        ),
        (Serving, applied(manifest(1, 1, Hash([1; 32]))), "note"),
        (Serving, ToNode::Pong, ""),
        (Serving, ToNode::Health(HealthReport::default()), "health"),
        (Admitting, ToNode::Trust(TrustReport::default()), refused),
        (Serving, ToNode::Trust(TrustReport::default()), "trust"),
        (Closed, hello_frame(), ""),
        (Closed, want(), ""),
        (Closed, applied(manifest(1, 1, Hash([1; 32]))), ""),
        (Closed, ToNode::Pong, ""),
    ] {
        let mut feeder = feeder_in(state);
        feeder.handle_frame(start(), frame.clone());
        assert_eq!(drain_feeder(&mut feeder), expect, "{state:?} {frame:?}");
    }
}

#[test]
fn the_node_does_this_as_time_passes_and_manifests_change() {
    use NodeState::{Admitting, Closed, Greeting, Serving};
    let refused = "close: violation, > refused";
    for (state, wait, expect) in [
        (Greeting, GREETING_MAX, refused),
        (Admitting, GREETING_MAX, refused),
        (Serving, PING_INTERVAL, "> ping"),
        (Serving, SILENCE_MAX, refused),
        (Closed, SILENCE_MAX, ""),
    ] {
        let mut feeder = feeder_in(state);
        feeder.handle_timeout(start().plus(wait - Duration::from_millis(1)));
        if wait != SILENCE_MAX {
            assert_eq!(drain_feeder(&mut feeder), "", "{state:?} too early");
        }
        drain_feeder(&mut feeder);
        feeder.handle_timeout(start().plus(wait));
        assert_eq!(
            drain_feeder(&mut feeder),
            expect,
            "{state:?} after {wait:?}"
        );
    }
    for (state, expect) in [
        (Greeting, ""),
        (Admitting, ""),
        (Serving, "> manifest 1.2"),
        (Closed, ""),
    ] {
        let mut feeder = feeder_in(state);
        feeder.handle_offer(offer(manifest(1, 2, Hash([2; 32]))));
        assert_eq!(drain_feeder(&mut feeder), expect, "{state:?}");
    }
}

#[test]
fn what_is_spoken_is_the_newest_that_both_know_and_telemetry_is_part_of_it_or_not() {
    for (edge, spoken, sends, traces) in [
        (1, 1, false, false),
        (2, 2, true, false),
        (3, 3, true, true),
        (9, 3, true, true),
    ] {
        let mut feeder = Feeder::new(start());
        feeder.handle_frame(
            start(),
            ToNode::Hello(Hello {
                protocol: edge,
                ..hello()
            }),
        );
        feeder.handle_admitted(start(), welcome(), offer(manifest(1, 1, Hash([1; 32]))));
        let Some(ToEdge::Welcome(welcome)) = feeder.poll_transmit(&Shelf::default()) else {
            panic!("no welcome came first");
        };
        assert_eq!(welcome.protocol, spoken);
        assert_eq!(feeder.takes_traces(), traces, "protocol {edge}");
        let mut follower = Follower::new(hello(), None, None);
        follower.handle_connected(start());
        assert!(!follower.may_send_telemetry(), "before the welcome");
        follower.handle_frame(start(), ToEdge::Welcome(welcome));
        assert_eq!(follower.may_send_telemetry(), sends, "protocol {edge}");
        drain_feeder(&mut feeder);
        feeder.handle_frame(start(), ToNode::Telemetry(Batch::default()));
        let expect = if sends {
            "count"
        } else {
            "close: violation, > refused"
        };
        assert_eq!(drain_feeder(&mut feeder), expect, "protocol {edge}");
        follower.handle_disconnected();
        assert!(!follower.may_send_telemetry(), "nobody is there");
    }
}

#[test]
fn an_edge_that_is_let_in_hears_the_welcome_and_then_the_manifest() {
    let mut feeder = feeder_in(NodeState::Admitting);
    feeder.handle_admitted(start(), welcome(), offer(manifest(1, 3, Hash([1; 32]))));
    assert_eq!(
        drain_feeder(&mut feeder),
        "> welcome, > trust, > manifest 1.3"
    );
    let mut feeder = feeder_in(NodeState::Admitting);
    feeder.handle_refused(Refusal::UnknownEnvironment {
        name: "x".to_owned(),
    });
    assert_eq!(
        drain_feeder(&mut feeder),
        "close: there is no environment x, > refused"
    );
}

// ---- the edge's side ----

#[derive(Clone, Copy, Debug)]
enum EdgeState {
    Down,
    Greeting,
    Idle,
    Fetching,
    Applying,
    Waiting,
    Closing,
}

const EDGE_STATES: [EdgeState; 7] = [
    EdgeState::Down,
    EdgeState::Greeting,
    EdgeState::Idle,
    EdgeState::Fetching,
    EdgeState::Applying,
    EdgeState::Waiting,
    EdgeState::Closing,
];

fn target() -> (ManifestRef, Bytes) {
    let (root, chunks) = tree(1, &[]);
    (manifest(1, 5, root), chunks[&root].clone())
}

fn follower_in(state: EdgeState) -> Follower {
    let mut follower = Follower::new(hello(), None, None);
    if let EdgeState::Down = state {
        return follower;
    }
    follower.handle_connected(start());
    drain_follower(&mut follower);
    if let EdgeState::Greeting = state {
        return follower;
    }
    follower.handle_frame(start(), ToEdge::Welcome(welcome()));
    follower.handle_frame(start(), ToEdge::Trust(trust()));
    match state {
        EdgeState::Closing => follower.handle_frame(start(), ToEdge::Refused(Refusal::Full)),
        EdgeState::Fetching | EdgeState::Applying | EdgeState::Waiting => {
            let (manifest, chunk) = target();
            follower.handle_frame(start(), ToEdge::Manifest(signed(manifest)));
            drain_follower(&mut follower);
            if !matches!(state, EdgeState::Fetching) {
                follower.handle_frame(start(), ToEdge::Chunks(vec![chunk]));
            }
        }
        _ => {}
    }
    drain_follower(&mut follower);
    if let EdgeState::Waiting = state {
        let chunks = tree(1, &[]).1;
        let failure = ApplyFailure::Local {
            reason: "full".to_owned(),
            chunks,
        };
        follower.handle_applied(start(), Duration::ZERO, Err(failure));
        drain_follower(&mut follower);
    }
    follower
}

/// What the machine does now, in words.
fn drain_follower(follower: &mut Follower) -> String {
    follower.advance(start(), &Disk::default());
    let mut said = Vec::new();
    while let Some(frame) = follower.poll_transmit() {
        said.push(match frame {
            ToNode::Hello(_) => "> hello".to_owned(),
            ToNode::Want(hashes) => format!("> want {}", hashes.len()),
            ToNode::Report(Report {
                state: ReportState::Rejected { .. },
                ..
            }) => "> rejected".to_owned(),
            ToNode::Report(report) => format!("> {:?}", report.state).to_lowercase(),
            ToNode::Pong => "> pong".to_owned(),
            ToNode::Telemetry(_) => "> telemetry".to_owned(),
            ToNode::WantPatches(wanted) => format!("> want patches {}", wanted.len()),
            ToNode::Health(_) => "> health".to_owned(),
            ToNode::Trust(_) => "> trust".to_owned(),
        });
    }
    while let Some(action) = follower.poll_action() {
        said.push(match action {
            follower::Action::Apply { manifest, .. } => format!("apply {}", manifest.manifest),
            follower::Action::Trust(set) => format!("trust {}", set.serial),
            follower::Action::Close(reason) => {
                format!("close: {reason}").chars().take(22).collect()
            }
        });
    }
    while follower.poll_event().is_some() {}
    said.join(", ")
}

#[test]
fn the_edge_does_this_on_each_frame() {
    let (manifest_5, chunk) = target();
    let newer = manifest(1, 6, Hash([6; 32]));
    let conflicting = manifest(1, 5, Hash([5; 32]));
    let violation = "close: the node broke ";
    let (rejected, foreign) = (
        "> rejected, close: the node broke ",
        "> trust, close: the node is of ",
    );
    let stranger = KeyPair::new(&[9; 32]).unwrap();
    let unsigned = SignedManifest {
        manifest: newer,
        ..signed_by(conflicting, &key())
    };
    let refused = "close: the node refuse";
    // In the order of EDGE_STATES: Down, Greeting, Idle, Fetching, Applying, Waiting, Closing.
    let table: [(ToEdge, [&str; 7]); 14] = [
        (
            ToEdge::Welcome(welcome()),
            ["", "", violation, violation, violation, violation, ""],
        ),
        (
            ToEdge::Manifest(signed(manifest_5)),
            ["", violation, "> received, > want 1", "", "", "", ""],
        ),
        (
            ToEdge::Manifest(signed(newer)),
            [
                "",
                violation,
                "> received, > want 1",
                "> received, > want 1",
                "",
                "> received, > want 1",
                "",
            ],
        ),
        (
            ToEdge::Manifest(signed(conflicting)),
            [
                "",
                violation,
                "> received, > want 1",
                "> rejected",
                "",
                "> rejected",
                "",
            ],
        ),
        (
            ToEdge::Chunks(vec![chunk]),
            [
                "",
                violation,
                violation,
                "> verified, apply 1.5",
                violation,
                "> rejected, close: the node broke ",
                "",
            ],
        ),
        (
            ToEdge::Chunks(vec![Bytes::from_static(b"garbage")]),
            [
                "",
                violation,
                violation,
                "> rejected, close: the node broke ",
                violation,
                "> rejected, close: the node broke ",
                "",
            ],
        ),
        (
            ToEdge::Gone(vec![manifest_5.root]),
            ["", violation, "", "", "", "", ""],
        ),
        (
            ToEdge::Refused(Refusal::Draining),
            ["", refused, refused, refused, refused, refused, ""],
        ),
        (
            ToEdge::Manifest(unsigned),
            ["", violation, rejected, rejected, rejected, rejected, ""],
        ),
        (
            ToEdge::Manifest(signed_by(newer, &stranger)),
            [
                "",
                violation,
                "> rejected",
                "> rejected",
                "> rejected",
                "> rejected",
                "",
            ],
        ),
        (ToEdge::Trust(trust()), ["", violation, "", "", "", "", ""]),
        (
            ToEdge::Trust(trust_of(pair::cluster(2))),
            ["", violation, foreign, foreign, foreign, foreign, ""],
        ),
        (
            ToEdge::Trace(Traced {
                manifest: newer,
                traceparent: String::new(),
            }),
            ["", violation, "", "", "", "", ""],
        ),
        (
            ToEdge::Ping,
            ["", violation, "> pong", "> pong", "> pong", "> pong", ""],
        ),
    ];
    for (frame, row) in table {
        for (state, expect) in EDGE_STATES.into_iter().zip(row) {
            let mut follower = follower_in(state);
            follower.handle_frame(start(), frame.clone());
            assert_eq!(drain_follower(&mut follower), expect, "{state:?} {frame:?}");
        }
    }
}

#[test]
fn the_edge_does_this_as_time_passes() {
    let silent = "close: the node has be";
    for (state, wait, expect) in [
        (EdgeState::Down, STALL_MAX, ""),
        (EdgeState::Greeting, GREETING_MAX, silent),
        (EdgeState::Idle, SILENCE_MAX, silent),
        (EdgeState::Fetching, SILENCE_MAX, silent),
        (EdgeState::Applying, SILENCE_MAX, silent),
        (
            EdgeState::Waiting,
            edge_protocol::limits::RETRY_INTERVAL,
            "> verified, apply 1.5",
        ),
        (EdgeState::Closing, STALL_MAX, ""),
    ] {
        let mut follower = follower_in(state);
        if let Some(deadline) = follower.poll_timeout() {
            assert_eq!(deadline, start().plus(wait), "{state:?}");
        }
        follower.handle_timeout(start().plus(wait - Duration::from_millis(1)));
        assert_eq!(drain_follower(&mut follower), "", "{state:?} too early");
        follower.handle_timeout(start().plus(wait));
        assert_eq!(
            drain_follower(&mut follower),
            expect,
            "{state:?} after {wait:?}"
        );
    }
}

#[test]
fn a_node_that_pings_and_never_answers_a_want_is_given_up() {
    let mut follower = follower_in(EdgeState::Fetching);
    let mut now = start();
    while now < start().plus(STALL_MAX) {
        now = now.plus(PING_INTERVAL);
        follower.handle_timeout(now);
        follower.handle_frame(now, ToEdge::Ping);
        if now < start().plus(STALL_MAX) {
            assert_eq!(drain_follower(&mut follower), "> pong");
        }
    }
    follower.handle_timeout(now);
    assert!(drain_follower(&mut follower).contains("close: the node has be"));
}

#[test]
fn a_node_that_reads_nothing_is_given_up() {
    let mut follower = follower_in(EdgeState::Idle);
    for _ in 0..65 {
        follower.handle_frame(start(), ToEdge::Ping);
    }
    assert!(drain_follower(&mut follower).ends_with("close: the node does n"));
}

#[test]
fn a_node_that_sends_no_frames_is_left_where_there_is_a_connection() {
    for state in EDGE_STATES {
        let mut follower = follower_in(state);
        follower.handle_violation("garbage".to_owned());
        let expect = match state {
            EdgeState::Down | EdgeState::Closing => "",
            _ => "close: the node broke ",
        };
        assert_eq!(drain_follower(&mut follower), expect, "{state:?}");
    }
}

/// The cluster trusts another key, for which the first vouches, and the first no more.
fn first_key_retired(other: &KeyPair) -> SignedTrust {
    let mut set = trust().set;
    set.serial += 1;
    set.keys[0].retired = true;
    set.keys.push(TrustedKey {
        public: other.public(),
        voucher: Some(key().vouch(&set.cluster_id, &other.public())),
        retired: false,
    });
    SignedTrust::sign(set, other)
}

#[test]
fn what_comes_again_by_another_key_is_followed_although_the_first_was_retired_meanwhile() {
    let other = KeyPair::new(&[8; 32]).unwrap();
    let (manifest_5, chunk) = target();
    let retire = |follower: &mut Follower, manifest| {
        follower.handle_frame(start(), ToEdge::Trust(first_key_retired(&other)));
        let again = ToEdge::Manifest(signed_by(manifest, &other));
        follower.handle_frame(start(), again);
        assert_eq!(drain_follower(follower), "trust 2");
    };

    let mut follower = follower_in(EdgeState::Fetching);
    retire(&mut follower, manifest_5);
    follower.handle_frame(start(), ToEdge::Chunks(vec![chunk]));
    let said = drain_follower(&mut follower);
    assert_eq!(said, format!("> verified, apply {manifest_5}"));

    let mut follower = follower_in(EdgeState::Applying);
    let manifest_6 = manifest(1, 6, Hash([6; 32]));
    let next = ToEdge::Manifest(signed(manifest_6));
    follower.handle_frame(start(), next);
    assert_eq!(drain_follower(&mut follower), "");
    retire(&mut follower, manifest_6);
    follower.handle_applied(start(), Duration::ZERO, Ok(()));
    let said = drain_follower(&mut follower);
    assert_eq!(said, "> applied, > received, > want patches 1");
}

#[test]
fn the_environment_that_the_operator_means_is_the_only_one() {
    let followed = Some(environment(2));
    let mut follower = Follower::new(hello(), followed, None);
    follower.handle_connected(start());
    drain_follower(&mut follower);
    follower.handle_frame(start(), ToEdge::Welcome(welcome()));
    assert!(drain_follower(&mut follower).starts_with("close: the node serves"));
}
