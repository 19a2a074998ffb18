//! Edges that come by join tokens: samples of their bytes, and commands about them at random.

use std::collections::BTreeMap;

use domain::command::{
    Command, CreateEdgeToken, DeleteEdgeToken, EnrolEdge, ForgetEdges, RevokeEdge, Stamped,
};
use domain::id::EdgeTokenId;
use domain::model::{
    EdgeBinding, EdgeEnrolment, EdgePublicKey, EdgeRecord, EdgeToken, EdgeTokenUse, KeyHash,
    KeySalt,
};
use domain::outcome::Outcome;
use domain::rejection::Rejection;
use domain::time::{Revision, Timestamp};
use proptest::option;
use proptest::prelude::*;

use crate::commands::{actor, who};
use crate::samples::{api_key_id, environment_id, key_hash, seed, workspace_id};

pub(crate) fn id() -> EdgeTokenId {
    EdgeTokenId::new(seed(51))
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("rack".to_owned(), "7".to_owned())])
}

fn binding(edge_id: Option<&str>) -> EdgeBinding {
    EdgeBinding {
        edge_id: edge_id.map(str::to_owned),
        region: "eu-central-1".to_owned(),
        labels: labels(),
    }
}

pub(crate) fn token() -> EdgeToken {
    EdgeToken {
        id: id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        hash: key_hash(),
        salt: KeySalt([3; 16]),
        binding: binding(Some("edge-1")),
        created_by: api_key_id(),
        created_at: Timestamp(1_714_320_000_123),
        expires_at: Timestamp(1_714_320_900_123),
        used: Some(EdgeTokenUse {
            edge_id: "edge-1".to_owned(),
            at: Timestamp(1_714_320_000_124),
        }),
    }
}

pub(crate) fn record() -> EdgeRecord {
    EdgeRecord {
        edge_id: "edge-1".to_owned(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        enrolment: Some(EdgeEnrolment {
            token_id: id(),
            key: EdgePublicKey([5; 32]),
            region: "eu-central-1".to_owned(),
            labels: labels(),
            at: Timestamp(1_714_320_000_124),
        }),
        revoked_at: Some(Timestamp(1_714_320_000_125)),
        revision: Revision(7),
    }
}

/// One of each command.
pub(crate) fn commands() -> Vec<Command> {
    vec![
        Command::CreateEdgeToken(
            actor(0),
            CreateEdgeToken {
                id: id(),
                hash: key_hash(),
                salt: KeySalt([3; 16]),
                binding: binding(Some("edge-1")),
            },
        ),
        Command::DeleteEdgeToken(actor(0), DeleteEdgeToken { id: id() }),
        Command::EnrolEdge(
            actor(0),
            EnrolEdge {
                token_id: id(),
                hash: key_hash(),
                edge_id: "edge-1".to_owned(),
                key: EdgePublicKey([5; 32]),
            },
        ),
        Command::RevokeEdge(
            actor(0),
            RevokeEdge {
                edge_id: "edge-1".to_owned(),
            },
        ),
    ]
}

/// What is done to them by nobody's wish.
pub(crate) fn later_commands() -> Vec<Command> {
    vec![Command::ForgetEdges(ForgetEdges {
        environment_id: environment_id(),
        edges: vec!["edge-1".to_owned()],
    })]
}

pub(crate) fn outcomes() -> Vec<(&'static str, Outcome)> {
    vec![
        ("edge_token", Outcome::EdgeToken(token())),
        (
            "edge_token_deleted",
            Outcome::EdgeTokenDeleted {
                id: id(),
                at: Timestamp(1),
            },
        ),
        ("edge", Outcome::Edge(record())),
    ]
}

pub(crate) fn rejections() -> [Rejection; 1] {
    [Rejection::EnrolmentRefused {
        message: "why".to_owned(),
    }]
}

/// Commands about a few tokens and edges.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let which = || 0..12_u8;
    let token_id = |number: u8| EdgeTokenId::new(seed(60 + u64::from(number)));
    let hash = |number: u8| KeyHash([60 + number; 32]);
    let name = || (0..6_u8).prop_map(|number| format!("edge-{number}"));
    prop_oneof![
        12 => (who(), which(), option::of(name())).prop_map(move |(actor, number, edge_id)| {
            Command::CreateEdgeToken(actor, CreateEdgeToken {
                id: token_id(number),
                hash: hash(number),
                salt: KeySalt([1; 16]),
                binding: binding(edge_id.as_deref()),
            })
        }),
        3 => (who(), which()).prop_map(move |(actor, number)| {
            Command::DeleteEdgeToken(actor, DeleteEdgeToken { id: token_id(number) })
        }),
        10 => (who(), which(), name(), 0..2_u8).prop_map(move |(actor, number, edge_id, key)| {
            Command::EnrolEdge(actor, EnrolEdge {
                token_id: token_id(number),
                hash: hash(number),
                edge_id,
                key: EdgePublicKey([key; 32]),
            })
        }),
        2 => (who(), name()).prop_map(|(actor, edge_id)| {
            Command::RevokeEdge(actor, RevokeEdge { edge_id })
        }),
    ]
}

/// Has what ends a log, if it shows or removes a token, be about the latest that the log may have.
pub(crate) fn aim(log: &mut [Stamped]) {
    let Some((last, earlier)) = log.split_last_mut() else {
        return;
    };
    let latest = earlier
        .iter()
        .rev()
        .find_map(|stamped| match &stamped.command {
            Command::CreateEdgeToken(actor, create) => Some((actor, create)),
            _ => None,
        });
    let Some((maker, create)) = latest else {
        return;
    };
    match &mut last.command {
        Command::EnrolEdge(actor, enrol) => {
            actor.clone_from(maker);
            enrol.token_id.clone_from(&create.id);
            enrol.hash = create.hash;
            if let Some(edge_id) = &create.binding.edge_id {
                enrol.edge_id.clone_from(edge_id);
            }
        }
        Command::DeleteEdgeToken(actor, delete) => {
            actor.clone_from(maker);
            delete.id.clone_from(&create.id);
        }
        _ => {}
    }
}
