//! Clients that send what nobody has thought of: whatever it is, others are served.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::open_to;
use super::raw::{DATA, HEADERS, Raw, frame, head, section};
use crate::origin::Origin;
use crate::world::{eventually, run};

/// A field as it might be, and as it must not be.
fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let name = prop_oneof![
        Just(b":method".to_vec()),
        Just(b":path".to_vec()),
        Just(b":authority".to_vec()),
        Just(b":scheme".to_vec()),
        Just(b"content-length".to_vec()),
        Just(b"host".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    let value = prop_oneof![
        Just(b"GET".to_vec()),
        Just(b"/".to_vec()),
        Just(b"api.example.net".to_vec()),
        Just(b"https".to_vec()),
        Just(b"3".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    (name, value)
}

/// A piece of what is sent on a stream.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        Just(head("POST", &[])),
        Just(frame(DATA, b"abc")),
        prop::collection::vec(field(), 0..8).prop_map(|fields| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (&name[..], &value[..]))
                .collect();
            frame(HEADERS, &section(&fields))
        }),
        bytes.clone().prop_map(|bytes| frame(HEADERS, &bytes)),
        bytes
            .clone()
            .prop_map(|bytes| frame(HEADERS, &[&[0, 0], &bytes[..]].concat())),
        (0..16_u8, bytes.clone()).prop_map(|(kind, bytes)| frame(kind, &bytes)),
        bytes,
    ]
}

#[test]
fn whatever_a_client_sends_others_are_served() {
    run(async {
        let origin = Origin::saying("x").await;
        let (world, address) = open_to(&[], origin.address).await;
        let well_behaved = Raw::connect(address).await;
        let mut runner = TestRunner::deterministic();
        let streams = prop::collection::vec(prop::collection::vec(part(), 1..5), 1..6);
        for _ in 0..300 {
            let raw = Raw::connect(address).await;
            let streams = streams.new_tree(&mut runner).unwrap().current();
            for (number, parts) in streams.iter().enumerate() {
                let Ok((mut send, mut recv)) = raw.quic.open_bi().await else {
                    break;
                };
                let _ = send.write_all(&parts.concat()).await;
                if number % 3 > 0 {
                    let _ = send.finish();
                    let answer = recv.read_to_end(1024 * 1024);
                    let _ =
                        tokio::time::timeout(std::time::Duration::from_millis(50), answer).await;
                }
            }
            if let Ok(mut one_way) = raw.quic.open_uni().await {
                let _ = one_way.write_all(&streams[0].concat()).await;
            }
            let outcome = well_behaved.ask(&head("GET", &[])).await;
            assert_eq!(outcome.status(), Some(200), "{streams:x?}");
        }
        eventually("the others are gone", || {
            world.metric("connections_open") == 1
        })
        .await;
    });
}
