//! Frames of the conversation between nodes and edges, and the state machines that are given what is in
//! them. A peer that has a certificate may still send anything.

use bytes::Bytes;
use domain::id::{ClusterId, EnvironmentId, Seed};
use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;
use edge_protocol::certificates::{Given, Wanted};
use edge_protocol::enrolment::{Answered, Asked, JoinToken};
use edge_protocol::feeder::{self, ChunkReader};
use edge_protocol::frame::{Decoder, FrameError, encode};
use edge_protocol::message::Bounded;
use edge_protocol::signing::{KeyPair, TrustSet, TrustedKey};
use edge_protocol::{
    Feeder, Moment, Offer, PROTOCOL, SignedManifest, SignedTrust, ToEdge, ToNode, Welcome,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Seen;
use crate::seen::size;

/// The first byte says whose frames the rest are, the second into what pieces they are cut.
pub(super) fn run(input: &[u8]) -> Seen {
    let [kind, cut, bytes @ ..] = input else {
        return Seen::of("nothing");
    };
    let cut = usize::from(*cut) + 1;
    match kind % 7 {
        0 => {
            let (messages, seen) = read::<ToNode>(bytes, cut);
            seen.and(fed(messages))
        }
        1 => read::<ToEdge>(bytes, cut).1,
        2 => read::<Wanted>(bytes, cut).1,
        3 => read::<Given>(bytes, cut).1,
        4 => read::<Asked>(bytes, cut).1,
        5 => read::<Answered>(bytes, cut).1,
        _ => token(bytes),
    }
    .and(Seen::of(kind % 7))
}

/// Messages to the first error, which is the same whatever pieces the bytes arrive in.
fn read<M>(bytes: &[u8], cut: usize) -> (Vec<M>, Seen)
where
    M: DeserializeOwned + Serialize + Bounded + PartialEq + std::fmt::Debug,
{
    let (at_once, error) = decoded::<M>(bytes, bytes.len().max(1));
    let (in_pieces, same_error) = decoded::<M>(bytes, cut);
    assert_eq!((&at_once, &error), (&in_pieces, &same_error));
    for message in &at_once {
        // What has come in a frame goes into one.
        let frame = encode(message).expect("a message that was read can be sent");
        let (again, error) = decoded::<M>(&frame, frame.len());
        assert_eq!(error, None);
        assert_eq!(again.iter().collect::<Vec<_>>(), [message]);
    }
    let kinds: Vec<_> = at_once.iter().take(4).map(std::mem::discriminant).collect();
    let refused = error.map_or_else(|| Seen::of("all"), |error| Seen::refused(&error));
    (at_once, refused.and(Seen::of(kinds)))
}

fn decoded<M: DeserializeOwned + Bounded>(
    bytes: &[u8],
    piece: usize,
) -> (Vec<M>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// A node that keeps no chunk at all.
struct NoChunks;

impl ChunkReader for NoChunks {
    fn read(&self, hashes: &[Hash], _: usize) -> Vec<Option<Bytes>> {
        hashes.iter().take(1).map(|_| None).collect()
    }
}

/// A node's side of a connection, given whatever an edge says: it answers, or it closes.
fn fed(messages: Vec<ToNode>) -> Seen {
    let now = Moment::default();
    let mut feeder = Feeder::new(now);
    let mut did = Vec::new();
    let mut sent = 0;
    for message in messages {
        feeder.handle_frame(now, message);
        while let Some(action) = feeder.poll_action() {
            did.push(std::mem::discriminant(&action));
            if let feeder::Action::Admit(hello) = action {
                let welcome = Welcome {
                    protocol: hello.protocol.min(PROTOCOL),
                    node_id: 1,
                    environment_id: EnvironmentId::new(Seed {
                        unix_ms: 1,
                        random: 1,
                    }),
                    publishers: Vec::new(),
                };
                feeder.handle_admitted(now, welcome, newest());
            }
        }
        while let Some(frame) = feeder.poll_transmit(&NoChunks) {
            encode(&frame).expect("what a node says fits into a frame");
            sent += 1;
        }
    }
    did.dedup();
    did.truncate(6);
    Seen::of((did, size(sent), feeder.is_serving()))
}

/// What the node offers, by a key that is always the same.
fn newest() -> Offer {
    let seed = Seed {
        unix_ms: 1,
        random: 1,
    };
    let cluster_id = ClusterId::new(seed);
    let key = KeyPair::new(&[7; 32]).expect("a key has 32 bytes");
    let manifest = Manifest {
        environment_id: EnvironmentId::new(seed),
        epoch: Epoch(1),
        version: ManifestVersion(1),
        root: Hash([0xab; 32]),
        updated_at: Timestamp(1),
        revision: Revision(1),
        previous: Hash([0; 32]),
    };
    let set = TrustSet {
        cluster_id: cluster_id.clone(),
        epoch: Epoch(1),
        serial: 1,
        keys: vec![TrustedKey {
            public: key.public(),
            voucher: None,
            retired: false,
        }],
    };
    Offer {
        trust: SignedTrust::sign(set, &key),
        manifest: SignedManifest::sign(&cluster_id, &manifest, &key),
    }
}

/// A join token, which an operator pastes.
fn token(bytes: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(bytes);
    match JoinToken::parse(&text) {
        Ok(token) => {
            let again = JoinToken::parse(&token.to_text());
            assert!(
                again.as_ref() == Ok(&token),
                "its text is not that of another one"
            );
            Seen::of((size(token.nodes.len()), size(token.authorities.len())))
        }
        Err(error) => Seen::refused(&error),
    }
}
