//! Join tokens, the edges that come by them, and those that are turned away.

use std::collections::BTreeMap;

use super::world::{World, actor, refused, world};
use crate::command::{
    Actor, Command, CreateApiKey, CreateEdgeToken, DeleteEdgeToken, EnrolEdge, ForgetEdges,
    RevokeApiKey, RevokeEdge, RollApiKey,
};
use crate::decide::{EDGE_LABELS_MAX, EDGE_RECORDS_MAX, EDGE_TOKENS_MAX, EDGES_FORGOTTEN_MAX};
use crate::id::{ApiKeyId, EdgeTokenId, Seed};
use crate::model::{
    EDGE_TOKEN_MS, EdgeBinding, EdgePublicKey, EdgeRecord, EdgeToken, KeyHash, KeyKind, KeySalt,
    REVOKED_EDGE_KEPT_MS,
};
use crate::outcome::{Outcome, Reply};
use crate::query;
use crate::schema::EDGE_RECORDS;
use crate::time::Timestamp;

fn id(number: u64) -> EdgeTokenId {
    EdgeTokenId::new(Seed {
        unix_ms: 1,
        random: number,
    })
}

fn hash(number: u64) -> KeyHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    KeyHash(hash)
}

fn key(number: u8) -> EdgePublicKey {
    EdgePublicKey([number; 32])
}

fn binding(edge_id: Option<&str>) -> EdgeBinding {
    EdgeBinding {
        edge_id: edge_id.map(str::to_owned),
        region: "eu-central-1".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
    }
}

impl World {
    fn create_token(&mut self, number: u64, binding: EdgeBinding) -> Reply {
        let command = CreateEdgeToken {
            id: id(number),
            hash: hash(number),
            salt: KeySalt([1; 16]),
            binding,
        };
        self.apply(Command::CreateEdgeToken(self.actor.clone(), command))
    }

    fn delete_token(&mut self, number: u64) -> Reply {
        let command = DeleteEdgeToken { id: id(number) };
        self.apply(Command::DeleteEdgeToken(self.actor.clone(), command))
    }

    fn enrol(&mut self, number: u64, edge_id: &str, key: EdgePublicKey) -> Reply {
        let command = EnrolEdge {
            token_id: id(number),
            hash: hash(number),
            edge_id: edge_id.to_owned(),
            key,
        };
        self.apply(Command::EnrolEdge(self.actor.clone(), command))
    }

    fn revoke_edge(&mut self, edge_id: &str) -> Reply {
        let command = RevokeEdge {
            edge_id: edge_id.to_owned(),
        };
        self.apply(Command::RevokeEdge(self.actor.clone(), command))
    }

    fn edge_record(&self, edge_id: &str) -> Option<EdgeRecord> {
        query::edge_record(&self.rows, &self.actor.environment_id, edge_id)
    }
}

#[track_caller]
fn token(reply: Reply) -> EdgeToken {
    match reply.unwrap() {
        Outcome::EdgeToken(token) => token,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn edge(reply: Reply) -> EdgeRecord {
    match reply.unwrap() {
        Outcome::Edge(record) => record,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn why(reply: Reply) -> String {
    let (kind, message) = refused(reply);
    assert_eq!(kind, "EnrolmentRefused");
    message
}

#[test]
fn an_edge_comes_by_a_token_which_decides_what_it_gets() {
    let mut world = world();
    let made = token(world.create_token(1, binding(None)));
    assert_eq!(
        made.expires_at,
        Timestamp(made.created_at.0 + EDGE_TOKEN_MS)
    );
    assert_eq!(query::edge_token_by_hash(&world.rows, &hash(1)), Some(made));
    let record = edge(world.enrol(1, "edge-1", key(1)));
    let enrolment = record.enrolment.clone().unwrap();
    assert_eq!(
        (enrolment.region.as_str(), enrolment.key),
        ("eu-central-1", key(1))
    );
    assert_eq!(enrolment.labels["rack"], "7");
    assert_eq!(record.environment_id, world.actor.environment_id);
    assert!(record.admits(Some(&key(1))) && !record.admits(Some(&key(2))) && !record.admits(None));
    let used = query::edge_token(&world.rows, &world.actor.environment_id, &id(1)).unwrap();
    assert_eq!(used.used.unwrap().edge_id, "edge-1");
    let changed = query::edges_changed(&world.rows, &world.actor.environment_id);
    assert_eq!(changed, Some(record.revision));
}

/// Contract: D-64.
#[test]
fn a_token_works_once_and_again_for_whoever_did_not_hear_the_answer() {
    let mut world = world();
    token(world.create_token(1, binding(None)));
    let first = edge(world.enrol(1, "edge-1", key(1)));
    assert_eq!(
        why(world.enrol(1, "edge-2", key(2))),
        "The token was used already."
    );
    assert_eq!(
        why(world.enrol(1, "edge-1", key(2))),
        "The token was used already."
    );
    let made = query::edge_token(&world.rows, &world.actor.environment_id, &id(1)).unwrap();
    for at in [world.now, made.expires_at.0 - 1] {
        world.now = at;
        assert_eq!(edge(world.enrol(1, "edge-1", key(1))), first);
    }
    assert_eq!(world.edge_record("edge-2"), None);
    world.now = made.expires_at.0;
    assert_eq!(
        why(world.enrol(1, "edge-1", key(1))),
        "The token was used already."
    );
}

#[test]
fn a_token_works_for_a_quarter_of_an_hour() {
    let mut world = world();
    let first = token(world.create_token(1, binding(None)));
    let second = token(world.create_token(2, binding(None)));
    world.now = first.expires_at.0 - 1;
    edge(world.enrol(1, "edge-1", key(1)));
    world.now = second.expires_at.0;
    assert_eq!(
        why(world.enrol(2, "edge-2", key(2))),
        "The token has expired."
    );
}

#[test]
fn a_token_that_is_not_known_in_the_environment_lets_nobody_in() {
    let mut world = world();
    token(world.create_token(1, binding(None)));
    let unknown = "The token is not known.";
    assert_eq!(why(world.enrol(2, "edge-1", key(1))), unknown);
    let wrong = EnrolEdge {
        token_id: id(1),
        hash: hash(2),
        edge_id: "edge-1".to_owned(),
        key: key(1),
    };
    let wrong = Command::EnrolEdge(world.actor.clone(), wrong);
    assert_eq!(why(world.apply(wrong)), unknown);
    world.actor = actor(1);
    assert_eq!(why(world.enrol(1, "edge-1", key(1))), unknown);
    assert_eq!(
        refused(world.delete_token(1)),
        ("NotFound", "edge token".to_owned())
    );
    world.actor = actor(0);
    world.delete_token(1).unwrap();
    assert_eq!(why(world.enrol(1, "edge-1", key(1))), unknown);
}

#[test]
fn a_name_that_is_taken_is_given_to_another_key_by_a_token_that_names_it_alone() {
    let mut world = world();
    token(world.create_token(1, binding(None)));
    token(world.create_token(2, binding(None)));
    token(world.create_token(3, binding(Some("edge-1"))));
    edge(world.enrol(1, "edge-1", key(1)));
    assert!(why(world.enrol(2, "edge-1", key(2))).starts_with("An edge of this name is there"));
    assert_eq!(
        why(world.enrol(3, "edge-2", key(3))),
        "The token is for another edge."
    );
    edge(world.enrol(3, "edge-1", key(3)));
    assert!(world.edge_record("edge-1").unwrap().admits(Some(&key(3))));
    assert!(!world.edge_record("edge-1").unwrap().admits(Some(&key(1))));
    // The token that a failed attempt did not use still works.
    edge(world.enrol(2, "edge-2", key(2)));
}

#[test]
fn an_edge_that_was_turned_away_never_comes_back() {
    let mut world = world();
    token(world.create_token(1, binding(None)));
    token(world.create_token(2, binding(Some("edge-1"))));
    edge(world.enrol(1, "edge-1", key(1)));
    let revoked = edge(world.revoke_edge("edge-1"));
    assert_eq!(revoked.revoked_at, Some(Timestamp(world.now - 1)));
    assert!(!revoked.admits(Some(&key(1))));
    assert_eq!(edge(world.revoke_edge("edge-1")), revoked);
    assert!(why(world.enrol(2, "edge-1", key(2))).contains("not used again"));
    assert!(why(world.enrol(1, "edge-1", key(1))).contains("used already"));
    let refusal = refused(world.create_token(3, binding(Some("edge-1"))));
    assert_eq!(refusal, ("InvalidParameter", "edge_id".to_owned()));
}

#[test]
fn an_edge_that_never_came_by_a_token_is_turned_away_in_its_environment_alone() {
    let mut world = world();
    let record = edge(world.revoke_edge("edge-9"));
    assert_eq!(record.enrolment, None);
    assert!(!record.admits(None));
    world.actor = actor(1);
    assert_eq!(world.edge_record("edge-9"), None);
}

#[test]
fn what_a_token_says_of_an_edge_is_bounded() {
    let mut world = world();
    let with = |change: &dyn Fn(&mut EdgeBinding)| {
        let mut binding = binding(Some("edge-1"));
        change(&mut binding);
        binding
    };
    let labels = |count: usize, value: &str| {
        let labels = (0..count).map(|number| (number.to_string(), value.to_owned()));
        labels.collect::<BTreeMap<_, _>>()
    };
    for (param, binding) in [
        (
            "edge_id",
            with(&|it| it.edge_id = Some("no name".to_owned())),
        ),
        ("edge_id", with(&|it| it.edge_id = Some("e".repeat(65)))),
        ("region", with(&|it| it.region = String::new())),
        (
            "labels",
            with(&|it| it.labels = labels(EDGE_LABELS_MAX + 1, "x")),
        ),
        ("labels", with(&|it| it.labels = labels(1, ""))),
        (
            "labels",
            with(&|it| it.labels = labels(1, &"x".repeat(129))),
        ),
        ("labels", with(&|it| it.labels = labels(1, "a\nb"))),
    ] {
        let refusal = refused(world.create_token(1, binding));
        assert_eq!(refusal, ("InvalidParameter", param.to_owned()));
    }
    let full = with(&|it| it.labels = labels(EDGE_LABELS_MAX, "x"));
    token(world.create_token(1, full));
    assert_eq!(refused(world.create_token(1, binding(None))).0, "IdTaken");
    assert_eq!(refused(world.enrol(1, "", key(1))).0, "InvalidParameter");
    assert_eq!(refused(world.revoke_edge("a/b")).0, "InvalidParameter");
}

#[test]
fn tokens_that_expired_a_day_ago_make_room() {
    let mut world = world();
    for number in 0..EDGE_TOKENS_MAX as u64 {
        token(world.create_token(number, binding(None)));
    }
    let refusal = refused(world.create_token(5_000, binding(None)));
    assert_eq!(refusal.0, "LimitExceeded");
    world.now += EDGE_TOKEN_MS + 24 * 60 * 60 * 1000;
    token(world.create_token(5_000, binding(None)));
    let left = query::edge_tokens(&world.rows, &world.actor.environment_id);
    assert_eq!(left.len(), 1);
}

#[test]
fn an_edge_is_turned_away_however_many_there_are_and_makes_room() {
    let mut world = world();
    token(world.create_token(1, binding(None)));
    token(world.create_token(2, binding(None)));
    let first = edge(world.enrol(1, "edge-0", key(1)));
    for number in 1..EDGE_RECORDS_MAX {
        let record = EdgeRecord {
            edge_id: format!("edge-{number}"),
            ..first.clone()
        };
        let key = (&record.environment_id, &record.edge_id);
        EDGE_RECORDS.put(&mut world.rows, key, &record);
    }
    let refusal = refused(world.enrol(2, "one-more", key(2)));
    assert_eq!(refusal, ("LimitExceeded", "edge_id".to_owned()));
    edge(world.revoke_edge("somebody-elses"));
    assert_eq!(
        refused(world.enrol(2, "one-more", key(2))).0,
        "LimitExceeded"
    );
    edge(world.revoke_edge("edge-7"));
    edge(world.enrol(2, "one-more", key(2)));
}

/// Another key of the actor's environment.
fn second_key(world: &mut World) -> Actor {
    let id = ApiKeyId::new(Seed {
        unix_ms: 1,
        random: 77,
    });
    let command = CreateApiKey {
        id: id.clone(),
        hash: KeyHash([77; 32]),
        salt: KeySalt([1; 16]),
        kind: KeyKind::Live,
        name: "second".to_owned(),
        environments: vec![world.actor.environment_id.clone()],
        routes: Vec::new(),
        methods: Vec::new(),
        resources: Vec::new(),
        ip_allowlist: Vec::new(),
        expires_at: None,
    };
    world
        .apply(Command::CreateApiKey(world.actor.clone(), command))
        .unwrap();
    Actor {
        api_key_id: id,
        ..world.actor.clone()
    }
}

#[test]
fn a_token_is_worth_no_more_than_the_key_that_made_it() {
    let mut world = world();
    let (own, second) = (world.actor.clone(), second_key(&mut world));
    world.actor = second.clone();
    token(world.create_token(1, binding(None)));
    token(world.create_token(2, binding(None)));
    let first = edge(world.enrol(1, "edge-1", key(1)));
    world.actor = own.clone();
    let revoke = RevokeApiKey {
        id: second.api_key_id.clone(),
    };
    world.apply(Command::RevokeApiKeyFor(own, revoke)).unwrap();
    world.actor = second;
    assert_eq!(
        why(world.enrol(2, "edge-2", key(2))),
        "The API key that made the token was revoked or has expired."
    );
    // Who has come stays, and may not have heard it.
    assert_eq!(edge(world.enrol(1, "edge-1", key(1))), first);
}

#[test]
fn a_key_that_is_rolled_without_an_overlap_takes_its_open_tokens_along() {
    let mut world = world();
    let roll = |world: &mut World, overlap_ms, number| {
        let command = RollApiKey {
            id: world.actor.api_key_id.clone(),
            hash: KeyHash([number; 32]),
            salt: KeySalt([1; 16]),
            overlap_ms,
        };
        world
            .apply(Command::RollApiKey(world.actor.clone(), command))
            .unwrap();
    };
    for number in 1..=3 {
        token(world.create_token(number, binding(None)));
    }
    roll(&mut world, 60_000, 70);
    edge(world.enrol(1, "edge-1", key(1)));
    roll(&mut world, 0, 71);
    assert_eq!(
        why(world.enrol(2, "edge-2", key(2))),
        "The token is not known."
    );
    let left = query::edge_tokens(&world.rows, &world.actor.environment_id);
    let left: Vec<_> = left.into_iter().map(|token| token.id).collect();
    assert_eq!(left, [id(1)]);
    token(world.create_token(4, binding(None)));
    edge(world.enrol(4, "edge-2", key(2)));
}

impl World {
    fn forget_edges(&mut self, edges: &[&str]) -> Reply {
        let command = ForgetEdges {
            environment_id: self.actor.environment_id.clone(),
            edges: edges.iter().map(|edge| (*edge).to_owned()).collect(),
        };
        self.apply(Command::ForgetEdges(command))
    }
}

#[test]
fn an_edge_that_was_turned_away_is_forgotten_once_no_certificate_of_it_holds() {
    let mut world = world();
    for (number, edge_id) in [(1, "edge-1"), (2, "edge-2")] {
        token(world.create_token(number, binding(None)));
        edge(world.enrol(number, edge_id, key(1)));
    }
    // One that has its certificate from somebody else: nobody knows when that ends.
    edge(world.revoke_edge("edge-3"));
    edge(world.revoke_edge("edge-1"));
    let environment = world.actor.environment_id.clone();
    let due = |world: &World, limit| {
        let at = Timestamp(world.now);
        query::forgotten_edges(&world.rows, &environment, at, limit)
    };
    let all = ["edge-1", "edge-2", "edge-3", "nobody"];
    world.now += REVOKED_EDGE_KEPT_MS - 10;
    assert_eq!(due(&world, 9), Vec::<String>::new());
    assert_eq!(world.forget_edges(&all), Ok(Outcome::Recorded));
    assert!(world.edge_record("edge-1").is_some());
    let (kind, _) = refused(world.create_token(3, binding(Some("edge-1"))));
    assert_eq!(kind, "InvalidParameter");

    world.now += 10;
    assert_eq!(
        (due(&world, 9), due(&world, 0)),
        (vec!["edge-1".to_owned()], vec![])
    );
    assert_eq!(world.forget_edges(&all), Ok(Outcome::Recorded));
    let known = ["edge-1", "edge-2", "edge-3"].map(|edge| world.edge_record(edge).is_some());
    assert_eq!(known, [false, true, true]);
    let tokens = query::edge_tokens(&world.rows, &environment);
    assert_eq!(
        tokens
            .iter()
            .map(|token| token.id.clone())
            .collect::<Vec<_>>(),
        [id(2)]
    );
    // Another one may come under the name, and the one that was there does not with what it had.
    token(world.create_token(4, binding(Some("edge-1"))));
    assert_eq!(
        why(world.enrol(1, "edge-1", key(1))),
        "The token is not known."
    );
    edge(world.enrol(4, "edge-1", key(2)));

    let many = vec!["edge-1"; EDGES_FORGOTTEN_MAX + 1];
    assert_eq!(
        refused(world.forget_edges(&many)),
        ("LimitExceeded", "edges".to_owned())
    );
}
