//! Under which pepper keys are hashed, and the same keys under another one.

use super::world::{World, refused, world};
use crate::command::{
    ActivateKek, ActivatePepper, Command, CreateApiKey, CreateEdgeToken, DeleteEdgeToken, IssueKey,
    KeyIssue, MoveKeys, MovedKey, RevokeApiKey, RollApiKey,
};
use crate::decide::KEY_MOVES_MAX;
use crate::id::{ApiKeyId, EdgeTokenId, Seed};
use crate::model::{
    ClusterChange, EDGE_TOKEN_MS, EdgeBinding, KekId, KeyHash, KeyKind, KeySalt, PepperId,
};
use crate::outcome::{Outcome, Reply};
use crate::query::{self, PepperUse};
use crate::schema::HASH_PEPPERS;

/// What bootstrap wrote.
const FIRST: u8 = 9;

fn key_id(number: u64) -> ApiKeyId {
    ApiKeyId::new(Seed {
        unix_ms: 1,
        random: number,
    })
}

fn hash(number: u8) -> KeyHash {
    KeyHash([number; 32])
}

fn pepper(number: u8) -> PepperId {
    PepperId([number; 8])
}

fn create(number: u8) -> KeyIssue {
    KeyIssue::CreateApiKey(CreateApiKey {
        id: key_id(number.into()),
        hash: hash(number),
        salt: KeySalt([number; 16]),
        kind: KeyKind::Live,
        name: "a key".to_owned(),
        environments: vec![super::world::actor(0).environment_id],
        routes: Vec::new(),
        methods: Vec::new(),
        resources: Vec::new(),
        ip_allowlist: Vec::new(),
        expires_at: None,
    })
}

fn roll(number: u64, to: u8) -> KeyIssue {
    KeyIssue::RollApiKey(RollApiKey {
        id: key_id(number),
        hash: hash(to),
        salt: KeySalt([to; 16]),
        overlap_ms: 1_000,
    })
}

impl World {
    fn activate_pepper(&mut self, to: u8, before: u8) -> Reply {
        self.apply(Command::ActivatePepper(ActivatePepper {
            pepper: pepper(to),
            before: pepper(before),
        }))
    }

    /// One whose secrets are sealed under a key of their own, and whose keys are hashed under another pepper.
    fn peppered(to: u8) -> Self {
        let mut world = world();
        let activate = ActivateKek {
            key: KekId([1; 8]),
            before: None,
        };
        world.apply(Command::ActivateKek(activate)).unwrap();
        world.activate_pepper(to, FIRST).unwrap();
        world
    }

    fn move_keys(&mut self, to: u8, moves: &[(u64, u8, u8)]) {
        let moved = |&(id, was, now): &(u64, u8, u8)| MovedKey {
            id: key_id(id),
            was: hash(was),
            now: hash(now),
        };
        let command = MoveKeys {
            pepper: pepper(to),
            keys: moves.iter().map(moved).collect(),
        };
        let reply = self.apply(Command::MoveKeys(command));
        assert_eq!(reply, Ok(Outcome::Recorded));
    }

    fn issue_key(&mut self, to: KeyIssue, under: u8) -> Reply {
        let pepper = pepper(under);
        self.apply(Command::IssueKey(
            self.actor.clone(),
            IssueKey { to, pepper },
        ))
    }

    fn whose(&self, number: u8) -> Option<ApiKeyId> {
        query::api_key_by_hash(&self.rows, &hash(number)).map(|key| key.id)
    }

    /// How many secrets of keys and tokens are under each pepper.
    fn under(&self) -> Vec<(u8, u64, u64)> {
        let uses = query::pepper_uses(&self.rows).into_iter();
        let shown = |(
            PepperId([first, ..]),
            PepperUse {
                api_keys,
                join_tokens,
            },
        )| { (first, api_keys, join_tokens) };
        uses.map(shown).collect()
    }
}

#[test]
fn a_pepper_is_activated_by_whoever_has_seen_the_one_before_and_once_secrets_have_a_key() {
    let mut world = world();
    assert_eq!(query::active_pepper(&world.rows), Some(pepper(FIRST)));
    assert_eq!(world.activate_pepper(FIRST, 1), Ok(Outcome::Recorded));
    let (name, _) = refused(world.activate_pepper(2, FIRST));
    assert_eq!(name, "PreconditionFailed");
    let mut world = World::peppered(2);
    assert_eq!(world.activate_pepper(2, FIRST), Ok(Outcome::Recorded));
    let (name, _) = refused(world.activate_pepper(3, FIRST));
    assert_eq!(name, "PreconditionFailed");
    assert_eq!(query::active_pepper(&world.rows), Some(pepper(2)));
    let changes = query::cluster_changes(&world.rows, 1);
    let told = ClusterChange::PepperActivated { pepper: pepper(2) };
    assert_eq!(changes[0].1.change, told);
    // Back to the first one, as to any other.
    assert_eq!(world.activate_pepper(FIRST, 2), Ok(Outcome::Recorded));
    assert_eq!(query::active_pepper(&world.rows), Some(pepper(FIRST)));
}

#[test]
fn before_there_is_a_workspace_nothing_is_hashed() {
    let mut world = world();
    world.rows = Default::default();
    let (name, _) = refused(world.activate_pepper(2, FIRST));
    assert_eq!(name, "PreconditionFailed");
    assert!(query::pepper_uses(&world.rows).is_empty());
}

#[test]
fn a_key_moves_if_it_still_has_the_hash_and_nothing_else_of_it_changes() {
    let mut world = World::peppered(2);
    let before = query::api_key(&world.rows, &key_id(0)).unwrap();
    // Bootstrap's keys have the hashes 0 and 1.
    assert_eq!(world.under(), [(FIRST, 2, 0)]);
    world.move_keys(3, &[(0, 0, 100)]);
    world.move_keys(2, &[(0, 7, 100), (77, 0, 100), (0, 0, 1)]);
    assert_eq!(
        query::api_key(&world.rows, &key_id(0)),
        Some(before.clone())
    );

    world.move_keys(2, &[(0, 0, 100), (0, 0, 101), (1, 1, 100)]);
    assert_eq!((world.whose(0), world.whose(100)), (None, Some(key_id(0))));
    assert_eq!(world.whose(1), Some(key_id(1)));
    let mut after = before;
    after.hash = hash(100);
    assert_eq!(query::api_key(&world.rows, &key_id(0)), Some(after));
    assert_eq!(world.under(), [(2, 1, 0), (FIRST, 1, 0)]);
    // A repetition finds something else there; one that goes on from there is another move.
    world.move_keys(2, &[(0, 0, 102)]);
    world.move_keys(2, &[(0, 100, 103), (0, 103, 104)]);
    assert_eq!(world.whose(104), Some(key_id(0)));
    assert_eq!(world.under(), [(2, 1, 0), (FIRST, 1, 0)]);
    world.move_keys(2, &[(1, 1, 105)]);
    assert_eq!(world.under(), [(2, 2, 0)]);
}

#[test]
fn both_secrets_of_a_rolled_key_move_each_by_itself() {
    let mut world = World::peppered(2);
    world.issue_key(create(20), FIRST).unwrap();
    world.issue_key(roll(20, 21), 2).unwrap();
    assert_eq!(world.under(), [(2, 1, 0), (FIRST, 3, 0)]);
    world.move_keys(2, &[(20, 20, 22)]);
    assert_eq!(world.under(), [(2, 2, 0), (FIRST, 2, 0)]);
    let key = query::api_key(&world.rows, &key_id(20)).unwrap();
    assert_eq!(
        key.hashes().copied().collect::<Vec<_>>(),
        [hash(21), hash(22)]
    );
    // The overlap ends.
    world.now += 1_000;
    world.move_keys(2, &[]);
    assert_eq!(world.under(), [(2, 1, 0), (FIRST, 2, 0)]);
}

#[test]
fn what_works_no_more_does_not_count_and_what_is_gone_leaves_no_name() {
    let mut world = World::peppered(2);
    world.issue_key(create(20), 2).unwrap();
    let token = |number| {
        EdgeTokenId::new(Seed {
            unix_ms: 1,
            random: number,
        })
    };
    for number in [30, 31] {
        let create = CreateEdgeToken {
            id: token(number.into()),
            hash: hash(number),
            salt: KeySalt([1; 16]),
            binding: EdgeBinding {
                edge_id: None,
                region: "eu".to_owned(),
                labels: Default::default(),
            },
        };
        world
            .issue_key(KeyIssue::CreateEdgeToken(create), 2)
            .unwrap();
    }
    assert_eq!(world.under(), [(2, 1, 2), (FIRST, 2, 0)]);
    let names = |world: &World| HASH_PEPPERS.walk(&world.rows, HASH_PEPPERS.all()).count();
    assert_eq!(names(&world), 3);
    let delete = DeleteEdgeToken { id: token(30) };
    world
        .apply(Command::DeleteEdgeToken(world.actor.clone(), delete))
        .unwrap();
    assert_eq!(
        (world.under(), names(&world)),
        (vec![(2, 1, 1), (FIRST, 2, 0)], 2)
    );
    world.now += EDGE_TOKEN_MS;
    let revoke = RevokeApiKey { id: key_id(20) };
    world.apply(Command::RevokeApiKey(revoke)).unwrap();
    assert_eq!(world.under(), [(FIRST, 2, 0)]);
}

#[test]
fn an_entry_moves_so_many_keys() {
    let mut world = World::peppered(2);
    let one = MovedKey {
        id: key_id(0),
        was: hash(0),
        now: hash(100),
    };
    let command = MoveKeys {
        pepper: pepper(2),
        keys: vec![one; KEY_MOVES_MAX + 1],
    };
    let reply = world.apply(Command::MoveKeys(command));
    assert_eq!(refused(reply), ("LimitExceeded", "keys".to_owned()));
}
