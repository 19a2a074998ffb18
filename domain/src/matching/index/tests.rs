//! The index against trying all rules one by one: whatever the rules and the request, the answer is
//! the same.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::{Sent, criteria, sent};
use super::*;
use crate::content::{PathPattern, ValuePattern};
use crate::matching::predicate::CompiledCriteria;
use crate::model::IpRange;

fn index(criteria: &[Criteria]) -> Index {
    let rules: Vec<_> = criteria.iter().collect();
    Index::new(&rules, &KnownLiterals::of_criteria(&rules))
}

/// Rules as the index has them and as they are tried one by one.
struct Rules {
    index: Index,
    compiled: Vec<CompiledCriteria>,
    /// How often a rule was tried.
    tried: Cell<usize>,
}

impl Rules {
    fn new(criteria: &[Criteria]) -> Self {
        Self {
            index: index(criteria),
            compiled: criteria
                .iter()
                .map(|criteria| CompiledCriteria::compile(criteria).unwrap())
                .collect(),
            tried: Cell::new(0),
        }
    }

    fn find(&self, sent: &Sent) -> Option<usize> {
        let request = sent.request();
        let found = self.index.first(&request, Place::MAX, |place, proven| {
            self.tried.set(self.tried.get() + 1);
            let holds = self.compiled[place as usize].hold(&request);
            let beside_path = self.compiled[place as usize].hold_beside_path(&request);
            let by_proof = match proven {
                Proven::Nothing => holds,
                Proven::Path => beside_path,
                Proven::All => true,
            };
            assert_eq!(by_proof, holds, "{proven:?} of rule {place}, {sent:?}");
            if holds { Tried::Yes } else { Tried::No }
        });
        found.map(|place| place as usize)
    }

    fn scan(&self, sent: &Sent) -> Option<usize> {
        let request = sent.request();
        self.compiled
            .iter()
            .position(|criteria| criteria.hold(&request))
    }

    /// What is found, and how many rules were tried for it.
    #[track_caller]
    fn check(&self, sent: &Sent, tried_max: usize) -> Option<usize> {
        self.tried.set(0);
        let found = self.find(sent);
        assert_eq!(found, self.scan(sent), "{sent:?}");
        let tried = self.tried.get();
        assert!(tried <= tried_max, "{tried} rules were tried: {sent:?}");
        found
    }
}

fn path(pattern: PathPattern) -> Criteria {
    Criteria {
        path: vec![pattern],
        ..Criteria::default()
    }
}

fn exact(path_text: &str) -> Criteria {
    path(PathPattern::Exact(path_text.to_owned()))
}

fn regex(pattern: &str) -> Criteria {
    path(PathPattern::Regex(pattern.to_owned()))
}

const MANY: usize = 1000;

fn many(make: impl Fn(usize) -> Criteria) -> Rules {
    Rules::new(&(0..MANY).map(make).collect::<Vec<_>>())
}

#[test]
fn of_many_paths_few_are_tried() {
    let rules = many(|n| exact(&format!("/r/{n}")));
    assert_eq!(rules.check(&Sent::of("/r/700"), 1), Some(700));
    assert_eq!(rules.check(&Sent::of("/r/x"), 0), None);
    let rules = many(|n| path(PathPattern::Prefix(format!("/r/{n}"))));
    assert_eq!(rules.check(&Sent::of("/r/700/x"), 1), Some(700));
    assert_eq!(rules.check(&Sent::of("/r/7000/x"), 0), None);
}

#[test]
fn of_many_rules_with_one_path_few_are_tried() {
    let named =
        |n: usize| BTreeMap::from([("x-a".to_owned(), vec![ValuePattern::Exact(n.to_string())])]);
    let rules = many(|n| Criteria {
        header: named(n),
        ..exact("/a")
    });
    let headers = vec![("x-a", "700"), ("accept", "*/*")];
    assert_eq!(
        rules.check(
            &Sent {
                headers,
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
    assert_eq!(rules.check(&Sent::of("/a"), 0), None);
    let rules = many(|n| Criteria {
        query: named(n),
        ..exact("/a")
    });
    let query = "b=1&x-a=%37%300".to_owned();
    assert_eq!(
        rules.check(
            &Sent {
                query,
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
    let network = |n: usize| IpRange::parse(&format!("10.{}.{}.0/24", n / 256, n % 256)).unwrap();
    let rules = many(|n| Criteria {
        ip_cidr: vec![network(n)],
        ..exact("/a")
    });
    let client = IpAddr::from([10, 2, 188, 77]);
    assert_eq!(
        rules.check(
            &Sent {
                client,
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
    let rules = many(|n| Criteria {
        host: vec![format!("*.h{n}.net")],
        ..exact("/a")
    });
    assert_eq!(
        rules.check(
            &Sent {
                host: "a.h700.net",
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
    let rules = many(|n| Criteria {
        region: vec![format!("r{n}")],
        ..exact("/a")
    });
    assert_eq!(
        rules.check(
            &Sent {
                region: "r700",
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
    let rules = many(|n| Criteria {
        method: vec![format!("M{n}")],
        ..exact("/a")
    });
    assert_eq!(
        rules.check(
            &Sent {
                method: "M700",
                ..Sent::of("/a")
            },
            1
        ),
        Some(700)
    );
}

#[test]
fn of_many_expressions_few_are_tried() {
    let rules = many(|n| regex(&format!("/v[0-9]+/item-{n}-/[a-z]+")));
    assert_eq!(rules.check(&Sent::of("/v1/item-700-/x"), 1), Some(700));
    let rules = many(|n| regex(&format!(".*/item-{n}\\.png")));
    assert_eq!(rules.check(&Sent::of("/a/item-700.png"), 1), Some(700));
    let rules = many(|n| regex(&format!("/item-{n}/(a|b)+")));
    assert_eq!(rules.check(&Sent::of("/item-700/ab"), 1), Some(700));
    let value = |n: usize| vec![ValuePattern::Regex(format!(".*bot-{n}/.*"))];
    let rules = many(|n| Criteria {
        header: BTreeMap::from([("x-a".to_owned(), value(n))]),
        ..exact("/a")
    });
    let headers = vec![("x-a", "a bot-700/1.0")];
    let sent = Sent {
        headers,
        ..Sent::of("/a")
    };
    assert_eq!(rules.check(&sent, 1), Some(700));
    let rules = many(|n| regex(&format!("/item-{n}")));
    assert_eq!(rules.check(&Sent::of("/item-700"), 1), Some(700));
}

#[test]
fn of_the_same_criteria_only_the_first_is_tried() {
    let rules = many(|n| if n == 0 { exact("/b") } else { exact("/a") });
    assert_eq!(rules.check(&Sent::of("/a"), 1), Some(1));
    let rules = many(|n| Criteria {
        method: vec!["PUT".to_owned()],
        ..exact(&format!("/{}", n % 2))
    });
    assert_eq!(rules.check(&Sent::of("/1"), 1), None);
    // Behind a rule that takes everything nothing is tried, however well it fits.
    let rules = many(|n| {
        if n == 3 {
            Criteria::default()
        } else {
            exact(&format!("/{n}"))
        }
    });
    assert_eq!(rules.check(&Sent::of("/700"), 1), Some(3));
}

#[test]
fn what_a_request_repeats_is_looked_at_once() {
    let value = vec![ValuePattern::Exact("1".to_owned())];
    let rules = many(|n| Criteria {
        query: BTreeMap::from([("a".to_owned(), value.clone())]),
        header: BTreeMap::from([(format!("x-{}", n % 10), vec![ValuePattern::Present(true)])]),
        method: vec![format!("M{n}"), "GET".to_owned()],
        ..exact("/a")
    });
    let sent = Sent {
        query: "a=1&".repeat(500),
        ..Sent::of("/a")
    };
    assert_eq!(rules.check(&sent, MANY), None);
    let rules = many(|n| Criteria {
        method: vec![format!("M{n}"), "PUT".to_owned()],
        ..regex(".*abc.*")
    });
    assert_eq!(rules.check(&Sent::of(&"/abc".repeat(500)), MANY), None);
}

proptest! {
    #[test]
    fn the_index_finds_what_trying_all_rules_finds(
        criteria in vec(criteria(), 0..40),
        requests in vec(sent(), 1..8),
    ) {
        let rules = Rules::new(&criteria);
        for sent in requests {
            prop_assert_eq!(rules.find(&sent), rules.scan(&sent), "{:?}", sent);
        }
    }
}
