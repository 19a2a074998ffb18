//! What is done when a target fails: other targets, and the route's fallback.

use tokio::io::AsyncWriteExt;

use crate::client::{ask, get, post, whole};
use crate::origin::{Origin, answer, nobody, read_head};
use crate::publish::{Draft, upstream_id};
use crate::world::{World, run};

/// An origin that closes connections instead of answering.
async fn closing() -> Origin {
    Origin::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
    })
    .await
}

#[test]
fn what_could_not_be_sent_is_sent_elsewhere_whatever_it_is() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(nobody().await, 1), (origin.address, 1)])],
            ..Draft::to(origin.address)
        })
        .await;
        for number in 0..4 {
            let request = if number % 2 == 0 {
                get("/")
            } else {
                post("/", whole("body"))
            };
            assert_eq!(ask(world.address, request).await.text(), "x");
        }
        assert_eq!(origin.count(), 4);
        assert_ne!(world.metric("upstream_retries_total"), 0);
    });
}

#[test]
fn what_was_sent_is_sent_elsewhere_only_if_that_cannot_do_anything_twice() {
    run(async {
        let (closing, origin) = (closing().await, Origin::saying("x").await);
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(closing.address, 1), (origin.address, 1)])],
            ..Draft::to(origin.address)
        })
        .await;
        for _ in 0..2 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        assert_eq!(closing.connections.get(), 1);
        let mut statuses = Vec::new();
        for _ in 0..2 {
            statuses.push(ask(world.address, post("/", whole("body"))).await.status);
        }
        statuses.sort();
        assert_eq!(statuses, [200, 502]);
        assert_eq!(closing.connections.get(), 2);
    });
}

#[test]
fn a_request_is_tried_three_times_and_no_more() {
    run(async {
        let mut targets = Vec::new();
        let mut origins = Vec::new();
        for _ in 0..5 {
            let origin = closing().await;
            targets.push((origin.address, 1));
            origins.push(origin);
        }
        let world = World::with(Draft {
            upstreams: vec![("main", targets)],
            ..Draft::to(origins[0].address)
        })
        .await;
        let failed = ask(world.address, get("/")).await;
        assert_eq!(
            (failed.status, failed.code().as_str()),
            (502, "upstream_closed")
        );
        let asked: usize = origins.iter().map(|origin| origin.connections.get()).sum();
        assert_eq!(asked, 3);
        assert_eq!(world.metric("upstream_retries_total"), 2);
    });
}

#[test]
fn a_fallback_upstream_takes_what_the_others_cannot() {
    run(async {
        let (spare, closing) = (Origin::saying("spare").await, closing().await);
        let fallback = upstream_id("spare");
        let draft = |target| Draft {
            upstreams: vec![
                ("main", vec![(target, 1)]),
                ("spare", vec![(spare.address, 1)]),
            ],
            config: format!(r#"{{"fallback":{{"upstream_id":"{fallback}"}}}}"#),
            ..Draft::to(target)
        };
        let mut world = World::with(draft(nobody().await)).await;
        assert_eq!(ask(world.address, get("/")).await.text(), "spare");
        let answer = ask(world.address, post("/", whole("body"))).await;
        assert_eq!(answer.text(), "spare");
        assert_eq!(world.metric("upstream_fallbacks_total"), 2);
        world.publish(&[draft(closing.address)]);
        assert_eq!(ask(world.address, get("/")).await.text(), "spare");
        // It may have been acted on.
        assert_eq!(ask(world.address, post("/", whole("x"))).await.status, 502);
        assert_eq!(world.metric("upstream_fallbacks_total"), 3);
    });
}

#[test]
fn a_fallback_action_answers_whatever_could_not_be_answered() {
    run(async {
        let closing = closing().await;
        let draft = |action: &str| Draft {
            config: format!(r#"{{"fallback":{{"action":{action}}}}}"#),
            ..Draft::to(closing.address)
        };
        let sorry =
            r#"{"type":"fixed_response","status":503,"headers":{"x-a":"1"},"body":"sorry"}"#;
        let mut world = World::with(draft(sorry)).await;
        for request in [get("/"), post("/", whole("body"))] {
            let answer = ask(world.address, request).await;
            assert_eq!(
                (answer.status, answer.text(), answer.header("x-a")),
                (503, "sorry", Some("1"))
            );
        }
        let away = r#"{"type":"redirect","url":"https://b.example","preserve_path":true}"#;
        world.publish(&[draft(away)]);
        let answer = ask(world.address, get("/a?b")).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some("https://b.example/a?b"))
        );
        assert_eq!(world.metric("upstream_fallbacks_total"), 3);
    });
}

#[test]
fn a_fallback_is_not_for_answers_that_come() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            while read_head(&mut stream).await.is_some() {
                let text = answer("x").replace("200 OK", "500 Oh");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        })
        .await;
        let world = World::with(Draft {
            config: r#"{"fallback":{"action":{"type":"fixed_response","status":200}}}"#.to_owned(),
            ..Draft::to(origin.address)
        })
        .await;
        for _ in 0..3 {
            assert_eq!(ask(world.address, get("/")).await.status, 500);
        }
    });
}
