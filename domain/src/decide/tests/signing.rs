//! With which keys the cluster signs.

use super::world::{World, refused, world};
use crate::command::{ChangeSigningKeys, Command, NewSigningKey, SigningChange};
use crate::id::{ClusterId, Seed};
use crate::model::{
    ClusterChange, SIGNING_KEYS_MAX, SealedKey, SignatureBytes, SigningKeyId, SigningPublicKey,
    Voucher,
};
use crate::outcome::{Outcome, Reply};
use crate::query;

impl World {
    pub(super) fn change_keys(&mut self, change: SigningChange) -> Reply {
        self.apply(Command::ChangeSigningKeys(ChangeSigningKeys { change }))
    }
}

fn public(number: u8) -> SigningPublicKey {
    SigningPublicKey([number; 32])
}

fn key(number: u8) -> NewSigningKey {
    NewSigningKey {
        public: public(number),
        private: SealedKey {
            nonce: [number; 12],
            sealed: vec![number; 48],
        },
    }
}

pub(super) fn found(number: u8) -> SigningChange {
    SigningChange::Found {
        cluster_id: ClusterId::new(Seed {
            unix_ms: 1,
            random: u64::from(number),
        }),
        key: key(number),
    }
}

fn rotate(before: u8, after: u8) -> SigningChange {
    let signature = SignatureBytes::read(&[before; 64]).unwrap();
    SigningChange::Rotate {
        key: key(after),
        voucher: Voucher {
            by: public(before).id(),
            signature,
        },
    }
}

fn retire(number: u8) -> SigningChange {
    SigningChange::Retire {
        key: public(number).id(),
    }
}

fn active(world: &World) -> (SigningKeyId, u64, Vec<u8>) {
    let signing = query::signing(&world.rows).unwrap();
    (signing.active, signing.serial, signing.private.sealed)
}

#[test]
fn the_first_key_is_made_once() {
    let mut world = world();
    assert_eq!(query::signing(&world.rows), None);
    for number in [1, 2] {
        assert_eq!(world.change_keys(found(number)), Ok(Outcome::Recorded));
        assert_eq!(active(&world), (public(1).id(), 1, vec![1; 48]));
    }
    assert_eq!(query::signing_keys(&world.rows).len(), 1);
}

#[test]
fn keys_overlap_until_the_old_one_is_retired() {
    let mut world = world();
    let (name, _) = refused(world.change_keys(rotate(1, 2)));
    assert_eq!(name, "PreconditionFailed");
    world.change_keys(found(1)).unwrap();
    world.change_keys(rotate(1, 2)).unwrap();
    assert_eq!(active(&world), (public(2).id(), 2, vec![2; 48]));
    let trusted = |world: &World| {
        let keys = query::signing_keys(&world.rows).into_iter();
        keys.filter(|key| key.retired_at.is_none())
            .map(|key| key.public)
            .collect::<Vec<_>>()
    };
    assert_eq!(trusted(&world), [public(1), public(2)]);
    for (change, expect) in [
        (retire(2), "PreconditionFailed"),
        (retire(3), "NotFound"),
        (rotate(1, 3), "PreconditionFailed"),
        (rotate(2, 1), "IdTaken"),
    ] {
        let (name, _) = refused(world.change_keys(change));
        assert_eq!(name, expect);
    }
    for _ in 0..2 {
        world.change_keys(retire(1)).unwrap();
        assert_eq!(active(&world), (public(2).id(), 3, vec![2; 48]));
    }
    assert_eq!(trusted(&world), [public(2)]);
    // What is repeated changes nothing.
    world.change_keys(rotate(1, 2)).unwrap();
    assert_eq!(active(&world).1, 3);
    let told: Vec<_> = query::cluster_changes(&world.rows, 10)
        .into_iter()
        .map(|(_, record)| record.change)
        .collect();
    let added = |number| ClusterChange::SigningKeyAdded {
        key: public(number).id(),
    };
    let retired = ClusterChange::SigningKeyRetired {
        key: public(1).id(),
    };
    assert_eq!(told, [retired, added(2), added(1)]);
}

#[test]
fn the_oldest_retired_keys_make_room_for_new_ones() {
    let mut world = world();
    world.change_keys(found(1)).unwrap();
    let most = u8::try_from(SIGNING_KEYS_MAX).unwrap();
    for number in 1..most {
        world.change_keys(rotate(number, number + 1)).unwrap();
    }
    let (name, _) = refused(world.change_keys(rotate(most, most + 1)));
    assert_eq!(name, "LimitExceeded");
    // One that a trusted key vouches for is remembered as retired.
    world.change_keys(retire(2)).unwrap();
    let (name, _) = refused(world.change_keys(rotate(most, most + 1)));
    assert_eq!(name, "LimitExceeded");
    world.change_keys(retire(1)).unwrap();
    world.change_keys(rotate(most, most + 1)).unwrap();
    let keys = query::signing_keys(&world.rows);
    assert_eq!(keys.len(), SIGNING_KEYS_MAX);
    assert!(keys.iter().all(|key| key.public != public(1)));
}

#[test]
fn a_key_comes_after_the_one_that_vouches_for_it_whatever_their_names() {
    let mut world = world();
    let now = world.now;
    world.change_keys(found(1)).unwrap();
    let made: Vec<u8> = (1..=20).collect();
    for pair in made.windows(2) {
        world.now = now;
        world.change_keys(rotate(pair[0], pair[1])).unwrap();
    }
    let keys = query::signing_keys(&world.rows);
    let at: std::collections::BTreeSet<_> = keys.iter().map(|key| key.created_at).collect();
    assert_eq!(at.len(), 1, "all within a millisecond of the log");
    let keys: Vec<_> = keys.iter().map(|key| key.public).collect();
    let made: Vec<_> = made.into_iter().map(public).collect();
    assert_eq!(keys, made);
}
