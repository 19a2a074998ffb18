//! Peppers: samples of their bytes, and changes of what keys are hashed under at random.

use domain::command::{
    ActivatePepper, ChangeCluster, Command, IssueKey, KeyIssue, MoveKeys, MovedKey,
};
use domain::model::{ClusterChange, KeyHash, PepperId, Peppering};
use domain::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::samples::{api_key_id, key_hash};
use crate::{access, edges};

pub(crate) fn id(number: u8) -> PepperId {
    PepperId([number; 8])
}

pub(crate) fn peppering() -> Peppering {
    Peppering {
        active: id(3),
        since: Timestamp(1_714_320_000_123),
    }
}

/// The command that makes or rolls what another one does, under a pepper that is named.
fn named(command: Command, pepper: PepperId) -> Option<Command> {
    let (actor, to) = match command {
        Command::CreateApiKey(actor, create) => (actor, KeyIssue::CreateApiKey(create)),
        Command::RollApiKey(actor, roll) => (actor, KeyIssue::RollApiKey(roll)),
        Command::CreateEdgeToken(actor, create) => (actor, KeyIssue::CreateEdgeToken(create)),
        _ => return None,
    };
    Some(Command::IssueKey(actor, IssueKey { to, pepper }))
}

/// One of each change.
pub(crate) fn commands() -> Vec<Command> {
    let mut commands = vec![
        Command::ActivatePepper(ActivatePepper {
            pepper: id(3),
            before: id(9),
        }),
        Command::MoveKeys(MoveKeys {
            pepper: id(3),
            keys: vec![MovedKey {
                id: api_key_id(),
                was: key_hash(),
                now: KeyHash([4; 32]),
            }],
        }),
        Command::ChangeCluster(ChangeCluster {
            change: ClusterChange::PepperActivated { pepper: id(3) },
        }),
    ];
    let issued = access::samples().into_iter().chain(edges::commands());
    commands.extend(issued.filter_map(|command| named(command, id(3))));
    commands
}

/// Changes among two peppers; bootstrap's is the ninth.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let pepper = || (8..10_u8).prop_map(id);
    let hash = || (10..250_u8).prop_map(|hash| KeyHash([hash; 32]));
    let moved = (access::api_key(), hash(), hash());
    let moved = moved.prop_map(|(id, was, now)| MovedKey { id, was, now });
    let issued = (prop_oneof![access::command(), edges::arbitrary()], pepper());
    prop_oneof![
        1 => (8..10_u8).prop_map(|number| {
            Command::ActivatePepper(ActivatePepper {
                pepper: id(number),
                before: id(17 - number),
            })
        }),
        3 => (pepper(), vec(moved, 0..200)).prop_map(|(pepper, keys)| {
            Command::MoveKeys(MoveKeys { pepper, keys })
        }),
        3 => issued.prop_map(|(command, pepper)| {
            named(command.clone(), pepper).unwrap_or(command)
        }),
    ]
}
