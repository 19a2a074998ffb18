//! The cache as clients and origins see it: what is answered without the origin, what is asked
//! anew, and what the modes of routes make of it.

mod purging;

use std::cell::RefCell;
use std::rc::Rc;

use domain::content::{Criteria, ValuePattern};
use domain::model::{ManifestVersion, Mode, PurgedUrl};
use http::{Method, Request, Response, StatusCode};

use crate::client::{Answer, Body, ask, empty, get, whole};
use crate::origin::Origin;
use crate::publish::{Draft, HOST, forward};
use crate::world::{Options, World, eventually, run};

/// What an origin says from now on, whatever it is asked; and what of it can be confirmed.
#[derive(Clone)]
pub(crate) struct Shelf(
    Rc<RefCell<Vec<(String, String)>>>,
    Rc<RefCell<(u16, String)>>,
);

impl Shelf {
    pub(crate) fn new(body: &str, fields: &[(&str, &str)]) -> Self {
        let shelf = Self(Rc::default(), Rc::default());
        shelf.put(200, body, fields);
        shelf
    }

    pub(crate) fn put(&self, status: u16, body: &str, fields: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        *self.0.borrow_mut() = fields.iter().map(owned).collect();
        *self.1.borrow_mut() = (status, body.to_owned());
    }

    pub(crate) async fn origin(&self) -> Origin {
        let shelf = self.clone();
        Origin::start(move |request| {
            let shelf = shelf.clone();
            async move { shelf.answer(&request) }
        })
        .await
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let (status, body) = self.1.borrow().clone();
        let mut response = Response::new(whole(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in &*self.0.borrow() {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            response.headers_mut().append(name, value.parse().unwrap());
        }
        let tag = response.headers().get("etag");
        if tag.is_some() && request.headers().get("if-none-match") == tag {
            *response.body_mut() = empty();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

pub(crate) fn with(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("host", HOST);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(empty()).unwrap()
}

pub(crate) fn moded(origin: &Origin, mode: Mode, config: &'static str) -> Draft {
    Draft {
        mode: Some(mode),
        config: config.to_owned(),
        ..Draft::to(origin.address)
    }
}

async fn asked(world: &World, request: Request<Body>) -> Answer {
    ask(world.address, request).await
}

fn outcome(world: &World, outcome: &str) -> u64 {
    world.metric(&format!("cache_requests_total{{outcome=\"{outcome}\"}}"))
}

#[test]
fn a_fresh_answer_is_served_without_the_origin() {
    run(async {
        let shelf = Shelf::new("kept", &[("cache-control", "max-age=60"), ("x-mine", "1")]);
        let origin = shelf.origin().await;
        let world = World::with(Draft::to(origin.address)).await;
        let first = asked(&world, get("/a?b")).await;
        assert_eq!((first.text(), first.header("age")), ("kept", None));
        world.clock.advance(30);
        let second = asked(&world, get("/a?b")).await;
        assert_eq!(
            (second.text(), second.header("x-mine")),
            ("kept", Some("1"))
        );
        assert!(["30", "31"].contains(&second.header("age").unwrap()));
        assert_eq!(second.header("content-length"), Some("4"));
        assert_eq!(second.header("date"), first.header("date"));
        assert_eq!(second.header("via"), first.header("via"));
        assert_eq!(origin.count(), 1);
        for other in ["/a?c", "/a", "/b?b"] {
            assert_eq!(asked(&world, get(other)).await.text(), "kept");
        }
        assert_eq!(origin.count(), 4);
        world.clock.advance(31);
        shelf.put(200, "new", &[]);
        assert_eq!(asked(&world, get("/a?b")).await.text(), "new");
        assert_eq!((outcome(&world, "hit"), outcome(&world, "stored")), (1, 4));
        assert_eq!(outcome(&world, "miss"), 1);
    });
}

#[test]
fn answers_that_say_nothing_or_are_somebodys_own_are_always_asked_for() {
    run(async {
        for fields in [
            &[][..],
            &[("etag", "\"a\"")],
            &[("cache-control", "no-store, max-age=60")],
            &[("cache-control", "private, max-age=60")],
            &[("cache-control", "max-age=60"), ("set-cookie", "id=7")],
            &[("cache-control", "max-age=60"), ("vary", "*")],
        ] {
            let origin = Shelf::new("mine", fields).origin().await;
            let world = World::with(Draft::to(origin.address)).await;
            for count in 1..=3 {
                assert_eq!(asked(&world, get("/")).await.text(), "mine");
                assert_eq!(origin.count(), count, "{fields:?}");
            }
            assert_eq!(world.metric("cache_entries"), 0);
        }
    });
}

#[test]
fn a_kept_answer_serves_heads_parts_and_conditions() {
    run(async {
        let shelf = Shelf::new(
            "0123456789",
            &[
                ("cache-control", "max-age=60"),
                ("etag", "\"a\""),
                ("content-type", "text/plain"),
            ],
        );
        let origin = shelf.origin().await;
        let world = World::with(Draft::to(origin.address)).await;
        asked(&world, get("/")).await;
        for (method, fields, status, body, length) in [
            ("HEAD", &[][..], 200, "", Some("10")),
            ("GET", &[("range", "bytes=2-4")], 206, "234", Some("3")),
            ("GET", &[("range", "bytes=-3")], 206, "789", Some("3")),
            ("GET", &[("range", "bytes=20-")], 416, "", Some("0")),
            (
                "GET",
                &[("range", "bytes=2-4"), ("if-range", "\"b\"")],
                200,
                "0123456789",
                Some("10"),
            ),
            (
                "GET",
                &[("range", "bytes=2-4"), ("if-range", "\"a\"")],
                206,
                "234",
                Some("3"),
            ),
            ("GET", &[("if-none-match", "W/\"a\"")], 304, "", None),
            (
                "GET",
                &[("if-none-match", "\"b\"")],
                200,
                "0123456789",
                Some("10"),
            ),
            ("HEAD", &[("if-none-match", "\"a\"")], 304, "", None),
            (
                "GET",
                &[("range", "bytes=2-4"), ("if-none-match", "\"a\"")],
                304,
                "",
                None,
            ),
        ] {
            let answer = asked(&world, with(method, "/", fields)).await;
            assert_eq!(
                (answer.status, answer.text()),
                (status, body),
                "{method} {fields:?}"
            );
            assert_eq!(
                answer.header("content-length"),
                length,
                "{method} {fields:?}"
            );
            assert_eq!(answer.header("etag"), Some("\"a\""));
            let typed = (status != 304).then_some("text/plain");
            assert_eq!(answer.header("content-type"), typed);
        }
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_stale_answer_is_confirmed_and_renewed() {
    run(async {
        let kept = &[
            ("cache-control", "max-age=10"),
            ("etag", "\"a\""),
            ("x-mine", "1"),
        ];
        let shelf = Shelf::new("old", kept);
        let origin = shelf.origin().await;
        let world = World::with(Draft::to(origin.address)).await;
        asked(&world, get("/")).await;
        world.clock.advance(11);
        let news = &[
            ("cache-control", "max-age=20"),
            ("etag", "\"a\""),
            ("x-mine", "2"),
        ];
        shelf.put(200, "old", news);
        let renewed = asked(&world, with("GET", "/", &[("if-none-match", "\"client\"")])).await;
        assert_eq!((renewed.status, renewed.text()), (200, "old"));
        assert_eq!(renewed.header("x-mine"), Some("2"));
        assert_eq!(origin.last().header("if-none-match"), Some("\"a\""));
        world.clock.advance(15);
        let hit = asked(&world, with("GET", "/", &[("if-none-match", "\"a\"")])).await;
        assert_eq!((hit.status, origin.count()), (304, 2));
        world.clock.advance(15);
        shelf.put(
            200,
            "new",
            &[("cache-control", "max-age=20"), ("etag", "\"b\"")],
        );
        assert_eq!(asked(&world, get("/")).await.text(), "new");
        assert_eq!(asked(&world, get("/")).await.text(), "new");
        assert_eq!(origin.count(), 3);
        assert_eq!(outcome(&world, "revalidated"), 1);
    });
}

#[test]
fn a_change_is_seen_by_the_next_who_asks() {
    run(async {
        let shelf = Shelf::new(
            "old",
            &[("cache-control", "max-age=60"), ("location", "/other")],
        );
        let origin = shelf.origin().await;
        let world = World::with(Draft::to(origin.address)).await;
        for (method, status, changed) in [
            ("POST", 200, true),
            ("PUT", 204, true),
            ("DELETE", 404, false),
            ("OPTIONS", 200, false),
            ("PATCH", 500, false),
            ("M-SEARCH", 200, true),
        ] {
            for path in ["/", "/other"] {
                asked(&world, get(path)).await;
            }
            let body = if status == 204 { "" } else { "done" };
            shelf.put(status, body, &[("location", "/other")]);
            asked(&world, with(method, "/", &[])).await;
            shelf.put(200, "old", &[("cache-control", "max-age=60")]);
            for path in ["/", "/other"] {
                let before = origin.count();
                asked(&world, get(path)).await;
                assert_eq!(origin.count() > before, changed, "{method} {status} {path}");
            }
        }
    });
}

#[test]
fn rules_keep_their_answers_apart() {
    run(async {
        let stable = Shelf::new("stable", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let beta = Shelf::new("beta", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let criteria = Criteria {
            header: [(
                "x-beta".to_owned(),
                vec![ValuePattern::Exact("1".to_owned())],
            )]
            .into(),
            ..Criteria::default()
        };
        let mut draft = Draft::to(stable.address);
        draft.upstreams.push(("beta", vec![(beta.address, 1)]));
        draft.upstreams.sort();
        draft.rules = vec![(criteria, forward(&[("beta", 1)]))];
        let world = World::with(draft).await;
        for _ in 0..2 {
            assert_eq!(asked(&world, get("/")).await.text(), "stable");
            let request = with("GET", "/", &[("x-beta", "1")]);
            assert_eq!(asked(&world, request).await.text(), "beta");
        }
        assert_eq!((stable.count(), beta.count()), (1, 1));
    });
}

#[test]
fn a_client_may_want_only_what_is_kept() {
    run(async {
        let origin = Shelf::new("kept", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let world = World::with(Draft::to(origin.address)).await;
        let only = || with("GET", "/", &[("cache-control", "only-if-cached")]);
        let refused = asked(&world, only()).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (504, "not_cached")
        );
        asked(&world, get("/")).await;
        assert_eq!(asked(&world, only()).await.text(), "kept");
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn what_is_kept_outlives_a_publish() {
    run(async {
        let origin = Shelf::new("kept", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let mut world = World::with(Draft::to(origin.address)).await;
        asked(&world, get("/")).await;
        let mut draft = Draft::to(origin.address);
        draft.upstreams.push(("other", vec![(origin.address, 7)]));
        world.publish(&[draft]);
        assert_eq!(asked(&world, get("/")).await.text(), "kept");
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn without_memory_nothing_is_kept() {
    run(async {
        let origin = Shelf::new("x", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let mut world = World::start(Options {
            set: vec![("CACHE__MEMORY_BYTES", "0")],
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(origin.address)]);
        for count in 1..3 {
            asked(&world, get("/")).await;
            assert_eq!(origin.count(), count);
        }
    });
}

#[test]
fn where_the_cache_goes_first_stale_answers_are_refreshed_behind_the_client() {
    run(async {
        let shelf = Shelf::new("old", &[]);
        let origin = shelf.origin().await;
        let config = r#"{"cache":{"ttl_s":60,"stale_while_revalidate_s":30}}"#;
        let world = World::with(moded(&origin, Mode::CacheFirst, config)).await;
        asked(&world, get("/")).await;
        // A client cannot have the origin asked.
        let insisting = with("GET", "/", &[("cache-control", "no-cache")]);
        assert_eq!(asked(&world, insisting).await.text(), "old");
        assert_eq!(origin.count(), 1);
        world.clock.advance(70);
        shelf.put(200, "new", &[]);
        assert_eq!(asked(&world, get("/")).await.text(), "old");
        eventually("the new answer", || {
            origin.count() == 2 && outcome(&world, "stored") == 2
        })
        .await;
        assert_eq!(asked(&world, get("/")).await.text(), "new");
        assert_eq!(world.metric("cache_refreshes_total"), 1);
        // Beyond the window nobody is given what is stale.
        world.clock.advance(91);
        shelf.put(200, "newest", &[]);
        assert_eq!(asked(&world, get("/")).await.text(), "newest");
    });
}

#[test]
fn a_stale_answer_stands_in_for_an_origin_that_fails() {
    run(async {
        let config = r#"{"cache":{"ttl_s":60,"stale_while_revalidate_s":0}}"#;
        for (mode, kept) in [
            (Mode::CacheFirst, &[][..]),
            (Mode::OriginFirst, &[]),
            (
                Mode::Balanced,
                &[("cache-control", "max-age=60, stale-if-error=900")],
            ),
        ] {
            let shelf = Shelf::new("old", kept);
            let origin = shelf.origin().await;
            let world = World::with(moded(&origin, mode, config)).await;
            asked(&world, get("/")).await;
            world.clock.advance(70);
            for status in [500, 502, 503, 504] {
                shelf.put(status, "broken", &[]);
                let answer = asked(&world, get("/")).await;
                assert_eq!(
                    (answer.status, answer.text()),
                    (200, "old"),
                    "{mode:?} {status}"
                );
            }
            shelf.put(404, "gone", &[("cache-control", "no-store")]);
            assert_eq!(asked(&world, get("/")).await.status, 404);
            shelf.put(500, "broken", &[]);
            assert_eq!(asked(&world, get("/")).await.status, 500, "{mode:?}");
            assert_eq!(outcome(&world, "stale_if_error"), 4);
        }
    });
}

#[test]
fn a_stale_answer_stands_in_for_an_origin_that_is_gone() {
    run(async {
        let shelf = Shelf::new(
            "old",
            &[("cache-control", "max-age=60, stale-if-error=900")],
        );
        let origin = shelf.origin().await;
        let mut world = World::with(Draft::to(origin.address)).await;
        asked(&world, get("/")).await;
        world.publish(&[Draft::to(crate::origin::nobody().await)]);
        world.clock.advance(70);
        assert_eq!(asked(&world, get("/")).await.text(), "old");
        world.clock.advance(900);
        assert_eq!(asked(&world, get("/")).await.code(), "upstream_unreachable");
    });
}

#[test]
fn where_the_origin_goes_first_it_is_always_asked() {
    run(async {
        let shelf = Shelf::new("one", &[("cache-control", "max-age=60"), ("etag", "\"1\"")]);
        let origin = shelf.origin().await;
        let world = World::with(moded(&origin, Mode::OriginFirst, "{}")).await;
        for count in 1..=3 {
            assert_eq!(asked(&world, get("/")).await.text(), "one");
            assert_eq!(origin.count(), count);
        }
        assert_eq!(origin.last().header("if-none-match"), Some("\"1\""));
        shelf.put(200, "two", &[("etag", "\"2\"")]);
        assert_eq!(asked(&world, get("/")).await.text(), "two");
        shelf.put(503, "", &[]);
        assert_eq!(asked(&world, get("/")).await.text(), "two");
    });
}

#[test]
fn a_key_says_which_requests_are_the_same() {
    run(async {
        let shelf = Shelf::new("x", &[]);
        let origin = shelf.origin().await;
        let config = r#"{"cache":{"ttl_s":60,"key":["query:v","header:x-tenant"]}}"#;
        let world = World::with(moded(&origin, Mode::CacheFirst, config)).await;
        let tenant = |path, tenant| with("GET", path, &[("x-tenant", tenant)]);
        for (path, name, count) in [
            ("/?v=1", "a", 1),
            ("/?v=1&utm=2", "a", 1),
            ("/?v=2", "a", 2),
            ("/?v=1", "b", 3),
            ("/?v=1", "a", 3),
        ] {
            asked(&world, tenant(path, name)).await;
            assert_eq!(origin.count(), count, "{path} {name}");
        }
    });
}

#[test]
fn a_route_that_keeps_answers_by_other_rules_begins_anew() {
    run(async {
        let origin = Shelf::new("x", &[]).origin().await;
        let with = |config| moded(&origin, Mode::CacheFirst, config);
        let mut world = World::with(with(r#"{"cache":{"ttl_s":60}}"#)).await;
        for (config, count) in [
            (r#"{"cache":{"ttl_s":60}}"#, 1),
            (r#"{"cache":{"ttl_s":60},"tls":{"policy":"off"}}"#, 1),
            (r#"{"cache":{"ttl_s":90}}"#, 2),
        ] {
            world.publish(&[with(config)]);
            asked(&world, get("/")).await;
            asked(&world, get("/")).await;
            assert_eq!(origin.count(), count, "{config}");
        }
    });
}
