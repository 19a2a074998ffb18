//! Which targets take requests: by checks, by what requests tell, and by their limits.

use std::cell::Cell;
use std::rc::Rc;

use domain::model::{Algorithm, Check, CheckKind, HashKey, Limits, UpstreamSettings};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;

use crate::client::{Body, ask, get, send, whole};
use crate::origin::{Origin, nobody, read_head, streaming};
use crate::publish::Draft;
use crate::world::{World, eventually, run};

/// One result is enough, so that nobody waits for several.
fn check(kind: CheckKind) -> UpstreamSettings {
    UpstreamSettings {
        health_check: Some(Check {
            kind,
            interval_s: 1,
            timeout_s: 1,
            healthy_threshold: 1,
            unhealthy_threshold: 1,
        }),
        ..UpstreamSettings::default()
    }
}

fn http_check() -> UpstreamSettings {
    check(CheckKind::Http {
        path: "/up".to_owned(),
        head: false,
        host: None,
        expected_status: Vec::new(),
    })
}

fn with_status(status: u16, text: &'static str) -> Response<Body> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// An origin that says `text`, and to checks whether it is up.
async fn checked(text: &'static str, up: &Rc<Cell<bool>>) -> Origin {
    let up = Rc::clone(up);
    Origin::start(move |request: Request<Incoming>| {
        let is_check = request.uri().path() == "/up";
        let status = if is_check && !up.get() { 503 } else { 200 };
        async move { with_status(status, text) }
    })
    .await
}

#[test]
fn a_target_that_fails_its_checks_takes_no_requests_until_it_passes_them() {
    run(async {
        let up = Rc::new(Cell::new(false));
        let (one, two) = (checked("one", &up).await, Origin::saying("two").await);
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(one.address, 1), (two.address, 1)])],
            settings: http_check(),
            ..Draft::to(one.address)
        })
        .await;
        eventually("being out", || world.metric("targets_out") == 1).await;
        for _ in 0..10 {
            assert_eq!(ask(world.address, get("/")).await.text(), "two");
        }
        let seen = one.asked.borrow().first().unwrap().clone();
        assert_eq!(seen.uri.path(), "/up");
        // The check asks for the route's host, as requests do.
        assert_eq!(seen.header("host"), Some("api.example.net"));
        up.set(true);
        eventually("being in", || world.metric("targets_out") == 0).await;
        let mut answers = Vec::new();
        for _ in 0..40 {
            answers.push(ask(world.address, get("/")).await.text().to_owned());
        }
        assert!(answers.contains(&"one".to_owned()));
        assert_ne!(world.metric("health_checks_total{result=\"failed\"}"), 0);
    });
}

#[test]
fn a_target_to_which_nobody_connects_fails_a_check_of_tcp() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(nobody().await, 1), (origin.address, 1)])],
            settings: check(CheckKind::Tcp),
            ..Draft::to(origin.address)
        })
        .await;
        eventually("being out", || world.metric("targets_out") == 1).await;
        for _ in 0..10 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        assert_eq!(world.metric("upstream_retries_total"), 0);
    });
}

#[test]
fn when_all_targets_are_out_all_of_them_are_asked() {
    run(async {
        let up = Rc::new(Cell::new(false));
        let (one, two) = (checked("one", &up).await, checked("two", &up).await);
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(one.address, 1), (two.address, 1)])],
            settings: http_check(),
            ..Draft::to(one.address)
        })
        .await;
        eventually("being out", || world.metric("targets_out") == 2).await;
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(ask(world.address, get("/")).await.text().to_owned());
        }
        answers.sort();
        assert_eq!(answers, ["one", "one", "two", "two"]);
    });
}

#[test]
fn a_target_that_fails_requests_in_a_row_is_left_out_for_a_while() {
    run(async {
        let failing = Origin::start(|_| async { with_status(500, "oh") }).await;
        let origin = Origin::saying("x").await;
        let mut world = World::with(Draft {
            upstreams: vec![("main", vec![(failing.address, 1), (origin.address, 1)])],
            ..Draft::to(origin.address)
        })
        .await;
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(ask(world.address, get("/")).await.status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 5);
        eventually("being left out", || world.metric("targets_out") == 1).await;
        assert_eq!(world.metric("target_ejections_total"), 1);
        // It stays out when something else is published.
        world.publish(&[Draft {
            upstreams: vec![
                ("main", vec![(failing.address, 1), (origin.address, 1)]),
                ("other", vec![(origin.address, 1)]),
            ],
            ..Draft::to(origin.address)
        }]);
        for _ in 0..10 {
            assert_eq!(ask(world.address, get("/")).await.status, 200);
        }
    });
}

/// Sends requests until a target that answers with this text is out, which another does not.
async fn is_put_out(text: &'static str) {
    let failing = Origin::raw(move |_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let origin = Origin::saying("x").await;
    let world = World::with(Draft {
        upstreams: vec![("main", vec![(failing.address, 1), (origin.address, 1)])],
        ..Draft::to(origin.address)
    })
    .await;
    for _ in 0..10 {
        drop(
            send(world.address, get("/"))
                .await
                .into_body()
                .collect()
                .await,
        );
    }
    eventually("being left out", || world.metric("targets_out") == 1).await;
    for _ in 0..4 {
        assert_eq!(ask(world.address, get("/")).await.text(), "x");
    }
}

#[test]
fn a_target_whose_bodies_break_off_is_left_out() {
    run(is_put_out(
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbegun",
    ));
}

#[test]
fn a_target_whose_answers_are_not_understood_is_left_out() {
    run(is_put_out(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ));
}

#[test]
fn a_target_takes_as_many_requests_as_its_limit_says() {
    run(async {
        let origin = Origin::start(|request: Request<Incoming>| async move {
            if request.uri().path() != "/long" {
                return Response::new(whole("x"));
            }
            let (sender, body) = streaming();
            sender.send("begun".into()).unwrap();
            // It ends when the client goes.
            tokio::task::spawn_local(async move { sender.closed().await });
            Response::new(body)
        })
        .await;
        let world = World::with(Draft {
            settings: UpstreamSettings {
                limits: Limits {
                    requests: 1,
                    pending: 1,
                },
                ..UpstreamSettings::default()
            },
            ..Draft::to(origin.address)
        })
        .await;
        let long = send(world.address, get("/long")).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "upstream_overloaded")
        );
        drop(long);
        let deadline = tokio::time::Instant::now() + crate::world::PATIENCE;
        while ask(world.address, get("/")).await.status != 200 {
            assert!(tokio::time::Instant::now() < deadline, "no room is made");
        }
    });
}

#[test]
fn requests_with_the_same_key_go_to_the_same_target() {
    run(async {
        let (one, two) = (Origin::saying("one").await, Origin::saying("two").await);
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(one.address, 1), (two.address, 1)])],
            algorithm: Some(Algorithm::Hash),
            settings: UpstreamSettings {
                hash_key: HashKey::Cookie("sid".to_owned()),
                ..UpstreamSettings::default()
            },
            ..Draft::to(one.address)
        })
        .await;
        let mut chosen = Vec::new();
        for session in 0..16 {
            let mut answers = Vec::new();
            for _ in 0..3 {
                let mut request = get("/");
                let cookie = format!("a=b; sid={session}");
                request
                    .headers_mut()
                    .insert("cookie", cookie.parse().unwrap());
                answers.push(ask(world.address, request).await.text().to_owned());
            }
            answers.dedup();
            assert_eq!(answers.len(), 1);
            chosen.extend(answers);
        }
        chosen.sort();
        chosen.dedup();
        assert_eq!(chosen, ["one", "two"]);
    });
}

#[test]
fn the_target_with_the_fewest_requests_is_asked() {
    run(async {
        let slow = Origin::start(|_| async {
            let (sender, body) = streaming();
            tokio::task::spawn_local(async move { sender.closed().await });
            Response::new(body)
        })
        .await;
        let quick = Origin::saying("quick").await;
        let world = World::with(Draft {
            upstreams: vec![("main", vec![(slow.address, 1), (quick.address, 1)])],
            algorithm: Some(Algorithm::LeastConn),
            ..Draft::to(slow.address)
        })
        .await;
        let held = send(world.address, get("/")).await;
        for _ in 0..10 {
            assert_eq!(ask(world.address, get("/")).await.text(), "quick");
        }
        drop(held);
    });
}
