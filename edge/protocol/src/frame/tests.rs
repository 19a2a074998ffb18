//! Golden bytes of every message, and what hostile bytes get.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use domain::id::{
    ClusterId, EnvironmentId, RouteId, RuleId, Seed, SnapshotId, TargetId, UpstreamId,
};
use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;
use proptest::prelude::*;

use super::*;
use crate::limits::{CHUNK_BYTES_MAX, WANT_HASHES_MAX};
use crate::message::{Hello, Refusal, Report, ReportState, ToEdge, ToNode, Welcome};
use crate::signing::{KeyPair, SignedManifest, SignedTrust, TrustSet, TrustedKey};
use crate::telemetry::{Batch, Counts, Decision, Outcome, SeriesKey, Taker, TargetKey};
use crate::{
    HealthReport, ManifestRef, OutCause, PROTOCOL, Patch, TargetOut, Traced, TrustReport, Wanted,
};

fn manifest() -> ManifestRef {
    ManifestRef {
        epoch: Epoch(1),
        version: ManifestVersion(300),
        root: Hash([0xab; 32]),
    }
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        edge_id: "edge-1".to_owned(),
        environment: "production".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        software: "0.1.0".to_owned(),
        have: Some(manifest()),
    }
}

fn report(state: ReportState) -> ToNode {
    ToNode::Report(Report {
        manifest: manifest(),
        state,
        apply_ms: 7,
        chunks_fetched: 2,
        bytes_fetched: 1000,
    })
}

fn decode_one<M: DeserializeOwned + Bounded>(bytes: &[u8]) -> Result<Option<M>, FrameError> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    decoder.next_message()
}

fn golden<M: Serialize + DeserializeOwned + Bounded + PartialEq + Debug>(
    message: &M,
    expect: &str,
) {
    let bytes = encode(message).unwrap();
    assert_eq!(hex(&bytes), expect.replace(' ', ""), "{message:?}");
    assert_eq!(decode_one::<M>(&bytes).unwrap().as_ref(), Some(message));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn messages_of_an_edge_keep_their_bytes() {
    let root = "ab".repeat(32);
    golden(
        &ToNode::Hello(hello()),
        &format!(
            "00000047 01 00 03 06656467652d31 0a70726f64756374696f6e 026575 01 016b 0176 05302e312e30 01 01 ac02 {root}"
        ),
    );
    golden(
        &ToNode::Want(vec![Hash([0xab; 32])]),
        &format!("00000023 01 01 01 {root}"),
    );
    golden(
        &report(ReportState::Received),
        &format!("0000002a 01 02 01 ac02 {root} 00 07 02 e807"),
    );
    golden(
        &report(ReportState::Verified),
        &format!("0000002a 01 02 01 ac02 {root} 01 07 02 e807"),
    );
    golden(
        &report(ReportState::Applied),
        &format!("0000002a 01 02 01 ac02 {root} 02 07 02 e807"),
    );
    let rejected = ReportState::Rejected {
        reason: "no".to_owned(),
    };
    golden(
        &report(rejected),
        &format!("0000002d 01 02 01 ac02 {root} 03 026e6f 07 02 e807"),
    );
    golden(&ToNode::Pong, "00000002 01 03");
    golden(
        &ToNode::Health(HealthReport {
            out: vec![TargetOut {
                upstream_id: UpstreamId::parse("up_00000001").unwrap(),
                target_id: TargetId::parse("tgt_00000001").unwrap(),
                cause: OutCause::Requests,
                error: "no".to_owned(),
                since: Timestamp(300),
            }],
            down: vec![UpstreamId::parse("up_00000001").unwrap()],
            more: 2,
        }),
        "00000030 01 06 01 0b75705f3030303030303031 0c7467745f3030303030303031 01 026e6f ac02 \
         01 0b75705f3030303030303031 02",
    );
    golden(
        &ToNode::Trust(TrustReport {
            problem: Some("no".to_owned()),
        }),
        "00000006 01 07 01 026e6f",
    );
    golden(&ToNode::Trust(TrustReport::default()), "00000003 01 07 00");
    golden(
        &ToNode::WantPatches(vec![wanted()]),
        &format!("00000043 01 05 01 {root} {}", "cd".repeat(32)),
    );
}

fn wanted() -> Wanted {
    Wanted {
        hash: Hash([0xab; 32]),
        base: Hash([0xcd; 32]),
    }
}

#[test]
fn what_an_edge_counts_keeps_its_bytes() {
    let seed = Seed {
        unix_ms: 0,
        random: 0,
    };
    let (route, rule, snapshot) = (RouteId::new(seed), RuleId::new(seed), SnapshotId::new(seed));
    let target = TargetKey {
        upstream: UpstreamId::new(seed),
        target: TargetId::new(seed),
    };
    let key = SeriesKey {
        route: Some(route.clone()),
        taker: Taker::Rule(rule.clone()),
        target: Some(target),
    };
    let mut counts = Counts::default();
    counts.answered(2, 5);
    counts.failures = 3;
    let decision = Decision {
        at: Timestamp(3),
        method: Decision::method("GET"),
        path: Decision::path("/a"),
        route,
        snapshot,
        rule: Some(rule),
        outcome: Outcome::Refused,
        target: None,
        status: 200,
        micros: 5,
    };
    let mut series = BTreeMap::from([(key, counts.clone())]);
    for taker in [Taker::Defaults, Taker::Others] {
        let key = SeriesKey {
            taker,
            ..SeriesKey::beyond()
        };
        series.insert(key, Counts::default());
    }
    let batch = Batch {
        span_ms: 10_000,
        series,
        decisions: vec![decision],
    };
    let id = format!("0e{}", "00".repeat(14));
    let empty = "00 00 00 00 00 00 00 00 00 00";
    golden(
        &ToNode::Telemetry(batch),
        &format!(
            "000000a5 01 04 904e 03 00 01 00 {empty} 00 02 00 {empty} \
             01 {id} 00 {id} 01 {id} {id} 00 01 00 00 00 03 05 01 01 05 05 \
             01 03 03474554 022f61 {id} {id} 01 {id} 02 00 c801 05"
        ),
    );
}

#[test]
fn messages_of_a_node_keep_their_bytes() {
    let root = "ab".repeat(32);
    let environment_id = EnvironmentId::new(Seed {
        unix_ms: 0,
        random: 0,
    });
    let cluster_id = ClusterId::new(Seed {
        unix_ms: 0,
        random: 0,
    });
    let whole = Manifest {
        environment_id: environment_id.clone(),
        epoch: Epoch(1),
        version: ManifestVersion(300),
        root: Hash([0xab; 32]),
        updated_at: Timestamp(300),
        revision: Revision(1),
        previous: Hash([0xcd; 32]),
    };
    golden(
        &ToEdge::Welcome(Welcome {
            protocol: PROTOCOL,
            node_id: 3,
            environment_id,
            publishers: vec!["a:1".to_owned()],
        }),
        &format!("00000018 01 00 03 03 0e {} 01 03613a31", "00".repeat(14)),
    );
    let key = KeyPair::new(&[7; 32]).unwrap();
    let signed = SignedManifest::sign(&cluster_id, &whole, &key);
    let (id, signature) = (key.id(), hex(&signed.proof.signature.bytes.bytes()));
    let cluster = format!("0e {}", "00".repeat(14));
    golden(
        &ToEdge::Manifest(signed),
        &format!(
            "000000b5 01 01 01 ac02 {root} 0e {} {cluster} {} ac02 {id} {signature}",
            "00".repeat(14),
            "cd".repeat(32)
        ),
    );
    let set = TrustSet {
        cluster_id,
        epoch: Epoch(1),
        serial: 300,
        keys: vec![TrustedKey {
            public: key.public(),
            voucher: None,
            retired: true,
        }],
    };
    let trust = SignedTrust::sign(set, &key);
    let (public, signature) = (hex(&key.public().0), hex(&trust.signature.bytes.bytes()));
    golden(
        &ToEdge::Trust(trust),
        &format!("00000087 01 07 {cluster} 01 ac02 01 {public} 00 01 {id} {signature}"),
    );
    golden(
        &ToEdge::Chunks(vec![Bytes::from_static(b"xy")]),
        "00000006 01 02 01 02 7879",
    );
    golden(
        &ToEdge::Gone(vec![Hash([0xab; 32])]),
        &format!("00000023 01 03 01 {root}"),
    );
    golden(&ToEdge::Ping, "00000002 01 05");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    golden(
        &ToEdge::Trace(Traced {
            manifest: manifest(),
            traceparent: traceparent.to_owned(),
        }),
        &format!(
            "0000005d 01 08 01 ac02 {root} 37 {}",
            hex(traceparent.as_bytes())
        ),
    );
    golden(
        &ToEdge::Patches(vec![Patch {
            wanted: wanted(),
            prefix: 300,
            suffix: 5,
            middle: Bytes::from_static(b"xy"),
        }]),
        &format!(
            "00000049 01 06 01 {root} {} ac02 05 027879",
            "cd".repeat(32)
        ),
    );
    for (refusal, expect) in [
        (
            Refusal::Protocol { node: 1, edge: 2 },
            "00000005 01 04 00 01 02",
        ),
        (
            Refusal::Identity {
                edge_id: "e".to_owned(),
            },
            "00000005 01 04 01 01 65",
        ),
        (
            Refusal::UnknownEnvironment {
                name: "e".to_owned(),
            },
            "00000005 01 04 02 01 65",
        ),
        (Refusal::Full, "00000003 01 04 03"),
        (Refusal::Draining, "00000003 01 04 04"),
        (
            Refusal::Violation("v".to_owned()),
            "00000005 01 04 05 01 76",
        ),
        (
            Refusal::Revoked {
                edge_id: "e".to_owned(),
            },
            "00000005 01 04 06 01 65",
        ),
    ] {
        golden(&ToEdge::Refused(refusal), expect);
    }
}

#[test]
fn impossible_lengths_are_refused_before_anything_is_held_for_them() {
    for length in [0, u32::try_from(FRAME_BYTES_MAX).unwrap() + 1, u32::MAX] {
        let error = decode_one::<ToNode>(&length.to_be_bytes()).unwrap_err();
        assert_eq!(error, FrameError::Length(length as usize));
    }
}

#[test]
fn other_formats_trailing_bytes_and_unknown_variants_are_refused() {
    assert_eq!(
        decode_one::<ToNode>(&[0, 0, 0, 2, 9, 3]),
        Err(FrameError::Format(9))
    );
    assert!(matches!(
        decode_one::<ToNode>(&[0, 0, 0, 3, 1, 3, 0]),
        Err(FrameError::Message(_))
    ));
    assert!(matches!(
        decode_one::<ToNode>(&[0, 0, 0, 2, 1, 77]),
        Err(FrameError::Message(_))
    ));
    assert!(matches!(
        decode_one::<ToNode>(&[0, 0, 0, 1, 1]),
        Err(FrameError::Message(_))
    ));
}

#[test]
fn bounds_are_checked_after_decoding() {
    let want = ToNode::Want(vec![Hash([1; 32]); WANT_HASHES_MAX + 1]);
    assert!(matches!(
        decode_one::<ToNode>(&encode(&want).unwrap()),
        Err(FrameError::Bound(_))
    ));
    let long = ToNode::Hello(Hello {
        edge_id: "e".repeat(129),
        ..hello()
    });
    assert!(matches!(
        decode_one::<ToNode>(&encode(&long).unwrap()),
        Err(FrameError::Bound(_))
    ));
    let chunk = ToEdge::Chunks(vec![Bytes::from(vec![0; CHUNK_BYTES_MAX + 1])]);
    assert!(matches!(
        decode_one::<ToEdge>(&encode(&chunk).unwrap()),
        Err(FrameError::Bound(_))
    ));
    let traced = ToEdge::Trace(Traced {
        manifest: manifest(),
        traceparent: "0".repeat(56),
    });
    assert!(matches!(
        decode_one::<ToEdge>(&encode(&traced).unwrap()),
        Err(FrameError::Bound(_))
    ));
    let far_too_much = ToEdge::Chunks(vec![Bytes::from(vec![0; FRAME_BYTES_MAX])]);
    assert!(matches!(encode(&far_too_much), Err(FrameError::Length(_))));
}

proptest! {
    #[test]
    fn messages_survive_any_cut_of_the_stream(cuts in prop::collection::vec(1_usize..50, 1..40)) {
        let sent = [ToNode::Hello(hello()), ToNode::Pong, ToNode::Want(vec![Hash([2; 32]); 5]), report(ReportState::Applied)];
        let stream: Vec<u8> = sent.iter().flat_map(|message| encode(message).unwrap()).collect();
        let mut decoder = Decoder::default();
        let mut received = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            decoder.push(piece);
            rest = after;
            while let Some(message) = decoder.next_message::<ToNode>().unwrap() { received.push(message); }
        }
        prop_assert_eq!(received.as_slice(), sent.as_slice());
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut framed = u32::try_from(bytes.len() + 1).unwrap().to_be_bytes().to_vec();
        framed.push(FORMAT);
        framed.extend_from_slice(&bytes);
        let _ = decode_one::<ToNode>(&framed);
        let _ = decode_one::<ToEdge>(&framed);
        let _ = decode_one::<ToEdge>(&bytes);
    }
}
