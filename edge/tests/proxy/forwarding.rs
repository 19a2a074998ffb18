//! Requests and responses on their way through: what is passed on, what is added, what stays.

use http::{Request, Response, Version};

use crate::client::{Raw, ask, empty, get, post, talk, whole};
use crate::origin::Origin;
use crate::publish::{Draft, HOST};
use crate::world::{World, run};

#[test]
fn a_request_reaches_the_origin_as_it_was_sent_and_says_who_sent_it() {
    run(async {
        let origin = Origin::saying("hello").await;
        let world = World::with(Draft::to(origin.address)).await;
        let request = Request::get("/a%2Fb//c?x=1&y=%20?z")
            .header("host", "API.example.net:8101")
            .header("x-custom", "kept")
            .header("cookie", "a=b")
            .header("traceparent", "whatever")
            .header("tracestate", "a=b")
            .body(empty())
            .unwrap();
        let answer = ask(world.address, request).await;
        assert_eq!((answer.status, answer.text()), (200, "hello"));
        assert_eq!(answer.header("via"), Some("1.1 edge-1"));
        let asked = origin.last();
        assert_eq!(asked.uri, "/a%2Fb//c?x=1&y=%20?z");
        assert_eq!(asked.version, Version::HTTP_11);
        for (name, value) in [
            ("host", "API.example.net:8101"),
            ("x-custom", "kept"),
            ("cookie", "a=b"),
            // Where nothing is recorded, nothing is made of it.
            ("traceparent", "whatever"),
            ("tracestate", "a=b"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "API.example.net:8101"),
            ("x-forwarded-proto", "http"),
            (
                "forwarded",
                "for=127.0.0.1;host=\"API.example.net:8101\";proto=http",
            ),
            ("via", "1.1 edge-1"),
        ] {
            assert_eq!(asked.header(name), Some(value));
        }
        for absent in ["connection", "transfer-encoding", "content-length", "te"] {
            assert_eq!(asked.header(absent), None);
        }
    });
}

#[test]
fn what_belongs_to_one_connection_is_not_passed_on_in_either_direction() {
    run(async {
        let origin = Origin::start(|_| async {
            Response::builder()
                .header("connection", "x-origin-only")
                .header("x-origin-only", "1")
                .header("keep-alive", "timeout=5")
                .header("proxy-authenticate", "Basic")
                .header("x-kept", "1")
                .body(whole("x"))
                .unwrap()
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut request = get("/");
        for (name, value) in [
            ("connection", "keep-alive, X-Client-Only, x-forwarded-for"),
            ("x-client-only", "1"),
            ("keep-alive", "timeout=9"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZQ=="),
            ("x-forwarded-for", "10.1.1.1"),
        ] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = ask(world.address, request).await;
        assert_eq!(answer.status, 200);
        for absent in ["x-origin-only", "keep-alive", "proxy-authenticate"] {
            assert_eq!(answer.header(absent), None);
        }
        assert_eq!(answer.header("x-kept"), Some("1"));
        let asked = origin.last();
        for absent in [
            "connection",
            "x-client-only",
            "keep-alive",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "upgrade",
        ] {
            assert_eq!(asked.header(absent), None, "{absent}");
        }
        // An upgrade that is not passed on leaves an ordinary request.
        assert_eq!(asked.header("sec-websocket-key"), Some("dGhlIHNhbXBsZQ=="));
        assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
    });
}

#[test]
fn methods_lengths_and_statuses_pass_through() {
    run(async {
        let origin = Origin::start(|request| async move {
            let status = request.uri().path()[1..].parse::<u16>().unwrap();
            Response::builder().status(status).body(empty()).unwrap()
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        for (method, status) in [
            ("PUT", 201),
            ("DELETE", 204),
            ("PATCH", 418),
            ("OPTIONS", 301),
            ("PURGE", 599),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/{status}"))
                .header("host", HOST)
                .body(empty())
                .unwrap();
            assert_eq!(ask(world.address, request).await.status, status);
            assert_eq!(origin.last().method, method);
        }
        assert_eq!(
            ask(world.address, post("/200", whole("12345")))
                .await
                .status,
            200
        );
        assert_eq!(origin.last().header("content-length"), Some("5"));
    });
}

#[test]
fn a_head_request_gets_the_length_and_no_body_and_the_connection_is_reused() {
    run(async {
        let origin = Origin::saying("0123456789").await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        for _ in 0..3 {
            raw.write("HEAD / HTTP/1.1\r\nhost: api.example.net\r\n\r\n")
                .await;
            let head = raw.read_until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("content-length: 10\r\n"), "{head}");
        }
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn an_absolute_target_names_the_host_and_is_sent_on_as_a_path() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let text = "GET http://api.example.net?q HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n";
        assert!(talk(world.address, text).await.starts_with("HTTP/1.1 200"));
        assert_eq!(origin.last().uri, "/?q");
        assert_eq!(origin.last().header("host"), Some("api.example.net"));
    });
}

#[test]
fn an_http10_client_gets_an_answer_it_understands() {
    run(async {
        let origin = Origin::start(|_| async {
            let (sender, body) = crate::origin::streaming();
            for piece in ["a", "b", "c"] {
                sender.send(piece.into()).unwrap();
            }
            Response::new(body)
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let text = talk(
            world.address,
            "GET / HTTP/1.0\r\nhost: api.example.net\r\n\r\n",
        )
        .await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(body, "abc");
        assert_eq!(origin.last().header("via"), Some("1.0 edge-1"));
    });
}

#[test]
fn a_client_is_told_to_continue_only_when_its_body_is_wanted() {
    run(async {
        let origin = Origin::start(|request| async move {
            use http_body_util::BodyExt;
            Response::new(whole(
                request.into_body().collect().await.unwrap().to_bytes(),
            ))
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write("PUT / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
            .await;
        assert_eq!(
            raw.read_until("\r\n\r\n").await,
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        raw.write("body").await;
        assert!(raw.read_until("body").await.starts_with("HTTP/1.1 200"));
        assert_eq!(origin.last().header("expect"), None);
        let refused = talk(
            world.address,
            "PUT / HTTP/1.1\r\nhost: nobody.example\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
        assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
        let other =
            "PUT / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 4\r\nexpect: tea\r\n\r\n";
        assert!(talk(world.address, other).await.starts_with("HTTP/1.1 417"));
    });
}

#[test]
fn hints_before_the_answer_are_not_mistaken_for_it() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            use tokio::io::AsyncWriteExt;
            while crate::origin::read_head(&mut stream).await.is_some() {
                let text = format!(
                    "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{}",
                    crate::origin::answer("final")
                );
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!((answer.status, answer.text()), (200, "final"));
    });
}

#[test]
fn requests_that_were_sent_ahead_are_answered_in_order() {
    run(async {
        let origin = Origin::start(|request| async move {
            Response::new(whole(request.uri().path().to_owned()))
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let one = |path: &str, end: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: api.example.net\r\n{end}\r\n")
        };
        let text = [
            one("/first", ""),
            one("/second", ""),
            one("/third", "connection: close\r\n"),
        ]
        .concat();
        let answers = talk(world.address, &text).await;
        let places: Vec<_> = ["/first", "/second", "/third"]
            .iter()
            .map(|path| answers.find(path).unwrap())
            .collect();
        assert!(places.is_sorted(), "{answers}");
    });
}
