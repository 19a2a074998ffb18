//! WebSockets: who is let through, in both versions of HTTP, and how they end.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use domain::content::{Action, Criteria};
use domain::model::{Ejection, Limits, UpstreamSettings};
use http::{Method, Request, Version};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, Raw, ask, empty, get};
use crate::http2;
use crate::origin::{Origin, answer, nobody, read_head};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: api.example.net\r\nconnection: keep-alive, Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: chat\r\n\r\n";

/// Agrees to what is asked and then sends back what comes, in capitals.
async fn shout(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        buffer.make_ascii_uppercase();
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn key(head: &str) -> &str {
    let from = head.find("sec-websocket-key: ").expect("no key") + "sec-websocket-key: ".len();
    head[from..].split("\r\n").next().unwrap()
}

/// What RFC 6455 makes of a key, by another implementation than the edge's.
fn accept(key: &str) -> String {
    use base64::Engine;
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

fn agreed(head: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-accept: {}\r\nsec-websocket-protocol: chat\r\nx-kept: 1\r\n\r\n",
        accept(key(head))
    )
}

/// An origin that agrees; what it was asked is in the returned cell.
async fn agreeing() -> (Origin, Rc<std::cell::RefCell<String>>) {
    let asked = Rc::<std::cell::RefCell<String>>::default();
    let heads = Rc::clone(&asked);
    let origin = Origin::raw(move |_, mut stream| {
        let heads = Rc::clone(&heads);
        async move {
            let Some(head) = read_head(&mut stream).await else {
                return;
            };
            stream.write_all(agreed(&head).as_bytes()).await.unwrap();
            heads.replace(head);
            shout(&mut stream).await;
        }
    })
    .await;
    (origin, asked)
}

async fn exchange<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    text: &str,
) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, text.to_ascii_uppercase().as_bytes());
}

#[test]
fn a_websocket_is_joined_to_the_origin_that_agreed_to_it() {
    run(async {
        let (origin, asked) = agreeing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write(ASK).await;
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        for field in [
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "sec-websocket-protocol: chat\r\n",
            "x-kept: 1\r\n",
            "via: 1.1 edge-1\r\n",
        ] {
            assert!(head.contains(field), "{field}: {head}");
        }
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"));
        let at_origin = asked.borrow().clone();
        for field in [
            "GET /chat HTTP/1.1\r\n",
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "sec-websocket-version: 13\r\n",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "x-forwarded-for: 127.0.0.1\r\n",
        ] {
            assert!(at_origin.contains(field), "{field}: {at_origin}");
        }
        exchange(&mut raw.0, "hello").await;
        exchange(&mut raw.0, &"much ".repeat(100_000 / 5)[..4000]).await;
        assert_eq!(world.metric("tunnels_open"), 1);
        assert_eq!(
            world.metric("responses_total{by=\"origin\",status=\"1xx\"}"),
            1
        );
        drop(raw);
        eventually("the tunnel ends", || world.metric("tunnels_open") == 0).await;
        eventually("the connection ends", || {
            world.metric("connections_open") == 0
        })
        .await;
    });
}

/// Two targets, of which the first takes no connections and is out as soon as that is known.
async fn halved(origin: SocketAddr) -> World {
    World::with(Draft {
        upstreams: vec![("main", vec![(nobody().await, 1), (origin, 1)])],
        settings: UpstreamSettings {
            ejection: Ejection {
                failures: 1,
                ..Ejection::default()
            },
            ..UpstreamSettings::default()
        },
        ..Draft::to(origin)
    })
    .await
}

#[test]
fn a_websocket_is_opened_elsewhere_where_a_target_takes_no_connection() {
    run(async {
        let (origin, _) = agreeing().await;
        let world = halved(origin.address).await;
        for _ in 0..2 {
            let mut raw = Raw::connect(world.address).await;
            raw.write(ASK).await;
            let head = raw.read_until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        }
        assert_eq!(world.metric("upstream_retries_total"), 1);
        eventually("being out", || world.metric("targets_out") == 1).await;
    });
}

#[test]
fn a_target_that_answers_a_websocket_with_an_error_has_failed() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            let text = answer("no").replace("200 OK", "503 Oh");
            stream.write_all(text.as_bytes()).await.unwrap();
            read_head(&mut stream).await;
        })
        .await;
        let world = halved(origin.address).await;
        let mut raw = Raw::connect(world.address).await;
        // Whichever comes first is out for it, and no more than half of them.
        raw.write(ASK).await;
        raw.read_until("\r\n\r\nno").await;
        eventually("being out", || world.metric("targets_out") == 1).await;
    });
}

#[test]
fn websockets_count_among_what_a_target_takes() {
    run(async {
        let (origin, _) = agreeing().await;
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
        let mut raw = Raw::connect(world.address).await;
        raw.write(ASK).await;
        raw.read_until("\r\n\r\n").await;
        let mut second = Raw::connect(world.address).await;
        second.write(ASK).await;
        let head = second.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(ask(world.address, get("/")).await.code() == "upstream_overloaded");
        drop(raw);
        eventually("the tunnel ends", || world.metric("tunnels_open") == 0).await;
        let mut third = Raw::connect(world.address).await;
        third.write(ASK).await;
        let head = third.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    });
}

#[test]
fn what_a_client_sends_before_the_answer_is_not_lost() {
    run(async {
        let (origin, _) = agreeing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write(&format!("{ASK}early")).await;
        raw.read_until("\r\n\r\nEARLY").await;
        exchange(&mut raw.0, "late").await;
    });
}

#[test]
fn much_passes_both_ways_at_once() {
    run(async {
        let (origin, _) = agreeing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        raw.write(ASK).await;
        raw.read_until("\r\n\r\n").await;
        let (mut from, mut to) = raw.0.into_split();
        let sent: Vec<u8> = (0..3_000_000_u32)
            .map(|at| b'a' + u8::try_from(at % 23).unwrap())
            .collect();
        let expect = sent.to_ascii_uppercase();
        let sending = tokio::task::spawn_local(async move {
            to.write_all(&sent).await.unwrap();
            to
        });
        let mut heard = vec![0; expect.len()];
        from.read_exact(&mut heard).await.unwrap();
        assert!(heard == expect);
        drop(sending.await.unwrap());
    });
}

#[test]
fn an_origin_that_does_not_agree_has_answered() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            while let Some(head) = read_head(&mut stream).await {
                assert!(head.contains("upgrade: websocket\r\n"));
                let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
                stream.write_all(refusal.as_bytes()).await.unwrap();
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut raw = Raw::connect(world.address).await;
        for _ in 0..2 {
            // The connection goes on with HTTP.
            raw.write(ASK).await;
            let answer = raw.read_until("\r\n\r\nno").await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
            assert!(!answer.contains("upgrade"), "{answer}");
        }
    });
}

#[test]
fn an_origin_that_switches_to_something_else_is_502() {
    run(async {
        for fields in [
            "upgrade: h2c\r\nconnection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "connection: upgrade\r\n",
            "",
        ] {
            let origin = Origin::raw(move |_, mut stream| async move {
                read_head(&mut stream).await;
                let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
                read_head(&mut stream).await;
            })
            .await;
            let world = World::with(Draft::to(origin.address)).await;
            let mut raw = Raw::connect(world.address).await;
            raw.write(ASK).await;
            let head = raw.read_until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 502 "), "{fields}: {head}");
        }
    });
}

/// The origin takes whatever it is sent for an ordinary request.
#[test]
fn anything_else_than_a_websocket_stays_an_ordinary_request() {
    run(async {
        let asked = Rc::<std::cell::RefCell<String>>::default();
        let heads = Rc::clone(&asked);
        let origin = Origin::raw(move |_, mut stream| {
            let heads = Rc::clone(&heads);
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    heads.replace(head);
                    stream.write_all(answer("x").as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        for (line, fields) in [
            (
                "GET / HTTP/1.1",
                "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
            ),
            (
                "GET / HTTP/1.1",
                "connection: upgrade\r\nupgrade: websocket, h2c\r\n",
            ),
            (
                "GET / HTTP/1.1",
                "connection: close\r\nupgrade: websocket\r\n",
            ),
            (
                "GET / HTTP/1.0",
                "connection: upgrade\r\nupgrade: websocket\r\n",
            ),
            (
                "PUT / HTTP/1.1",
                "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n",
            ),
        ] {
            let mut raw = Raw::connect(world.address).await;
            raw.write(&format!("{line}\r\nhost: api.example.net\r\n{fields}\r\n"))
                .await;
            let text = raw.read_until("\r\n\r\nx").await;
            assert!(text.contains(" 200 OK\r\n"), "{fields}: {text}");
            let asked = asked.borrow();
            assert!(
                !asked.contains("upgrade") && !asked.contains("http2-settings"),
                "{fields}: {asked}"
            );
        }
        assert_eq!(world.metric("tunnels_total"), 0);
    });
}

async fn silent(idle: &'static str, drain: &'static str) -> (World, Raw) {
    let (origin, _) = agreeing().await;
    let mut world = World::start(Options {
        set: vec![
            ("TIMEOUTS__TUNNEL_IDLE_MS", idle),
            ("TIMEOUTS__IDLE_MS", "50"),
            ("TIMEOUTS__REQUEST_HEADER_MS", "50"),
            ("TIMEOUTS__DRAIN_MS", drain),
        ],
        ..Options::default()
    })
    .await;
    world.publish(&[Draft::to(origin.address)]);
    let mut raw = Raw::connect(world.address).await;
    raw.write(ASK).await;
    raw.read_until("\r\n\r\n").await;
    (world, raw)
}

#[test]
fn silence_ends_a_websocket() {
    run(async {
        let (world, mut raw) = silent("200", "0").await;
        exchange(&mut raw.0, "hello").await;
        assert_eq!(raw.read_to_end().await, "");
        eventually("it is counted", || world.metric("tunnels_open") == 0).await;
        assert_eq!(world.metric("tunnels_overdue_total"), 1);
    });
}

#[test]
fn a_stopping_edge_lets_websockets_end_and_then_ends_them() {
    run(async {
        let (world, mut raw) = silent("60000", "60000").await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        for _ in 0..20 {
            exchange(&mut raw.0, "still here").await;
        }
        assert!(!stopping.is_finished());
        drop(raw);
        stopping.await.unwrap();
        let (world, mut raw) = silent("60000", "50").await;
        world.running.shut_down().await;
        assert_eq!(raw.read_to_end().await, "");
    });
}

async fn connect2(to: SocketAddr) -> hyper::client::conn::http2::SendRequest<crate::client::Body> {
    let sender = http2::connect(to).await;
    // The server's settings, which allow extended CONNECT, must have come.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    sender
}

fn open2(protocol: &'static str, path: &str) -> Request<crate::client::Body> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://api.example.net{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(empty())
        .unwrap()
}

async fn opened2(world: &World) -> TokioIo<Upgraded> {
    let mut sender = connect2(world.address).await;
    let response = sender
        .send_request(open2("websocket", "/chat?a=b"))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    for absent in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(absent), "{absent}");
    }
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

#[test]
fn a_websocket_over_http2_is_one_over_http1_to_the_origin() {
    run(async {
        let (origin, asked) = agreeing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut stream = opened2(&world).await;
        let at_origin = asked.borrow().clone();
        for field in [
            "GET /chat?a=b HTTP/1.1\r\n",
            "host: api.example.net\r\n",
            "connection: upgrade\r\n",
            "upgrade: websocket\r\n",
            "sec-websocket-version: 13\r\n",
            "via: 2.0 edge-1\r\n",
        ] {
            assert!(at_origin.contains(field), "{field}: {at_origin}");
        }
        assert_eq!(key(&at_origin).len(), 24);
        for _ in 0..50 {
            exchange(&mut stream, "hello").await;
        }
        assert_eq!(world.metric("tunnels_open"), 1);
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        eventually("the tunnel ends", || world.metric("tunnels_open") == 0).await;
    });
}

#[test]
fn over_http2_the_edge_checks_what_the_client_cannot() {
    run(async {
        let number = Rc::new(Cell::new(0));
        let origin = Origin::raw(move |_, mut stream| {
            let number = number.replace(number.get() + 1);
            async move {
                let head = read_head(&mut stream).await.unwrap();
                let text = match number {
                    0 => agreed(&head).replace("sec-websocket-accept: ", "sec-websocket-accept: x"),
                    1 => agreed(&head).replace("sec-websocket-accept", "x-accept"),
                    2 => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_owned(),
                    _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno".to_owned(),
                };
                stream.write_all(text.as_bytes()).await.unwrap();
                read_head(&mut stream).await;
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect2(world.address).await;
        let mut ask = async || {
            let response = sender.send_request(open2("websocket", "/")).await;
            Answer::of(response.unwrap()).await
        };
        assert_eq!(ask().await.code(), "upstream_malformed");
        assert_eq!(ask().await.code(), "upstream_malformed");
        // Success without a tunnel would be taken for one.
        assert_eq!(ask().await.code(), "unsupported_protocol");
        let answer = ask().await;
        assert_eq!((answer.status, answer.text()), (404, "no"));
    });
}

#[test]
fn other_protocols_and_plain_connect_are_refused_over_http2() {
    run(async {
        let origin = Origin::saying("x").await;
        let fixed = Action::FixedResponse {
            status: 200,
            headers: std::collections::BTreeMap::new(),
            body: "no tunnel".to_owned(),
        };
        let mut draft = Draft::to(origin.address);
        draft.rules = vec![(Criteria::default(), fixed)];
        let world = World::with(draft).await;
        let mut sender = connect2(world.address).await;
        let response = sender.send_request(open2("connect-udp", "/")).await;
        let answer = Answer::of(response.unwrap()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (501, "unsupported_protocol")
        );
        let response = sender.send_request(open2("websocket", "/")).await;
        let answer = Answer::of(response.unwrap()).await;
        assert_eq!(answer.code(), "unsupported_protocol");
        let plain = Request::connect("api.example.net:443")
            .version(Version::HTTP_2)
            .body(empty())
            .unwrap();
        let answer = Answer::of(sender.send_request(plain).await.unwrap()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (405, "method_not_allowed")
        );
        let answer = Answer::of(sender.send_request(get2()).await.unwrap()).await;
        assert_eq!(answer.text(), "no tunnel");
        assert_eq!(origin.count(), 0);
    });
}

fn get2() -> Request<crate::client::Body> {
    let mut request = get("http://api.example.net/");
    request.headers_mut().remove("host");
    *request.version_mut() = Version::HTTP_2;
    request
}

#[test]
fn a_stopping_edge_waits_for_websockets_over_http2() {
    run(async {
        let (origin, _) = agreeing().await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut stream = opened2(&world).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        for _ in 0..20 {
            exchange(&mut stream, "still here").await;
        }
        assert!(!stopping.is_finished());
        drop(stream);
        stopping.await.unwrap();
    });
}
