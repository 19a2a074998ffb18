//! Targets that take fewer requests over HTTP/2 than before, or none: they say so, or go.

use domain::model::{Ejection, Protocol, UpstreamSettings};
use http::{Method, Request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{Raw, ask, empty, get, post, whole};
use crate::frames::{
    ACK, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, frame,
};
use crate::origin::Origin;
use crate::publish::{Draft, HOST};
use crate::world::{Options, World, eventually, run};

const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
const MAX_CONCURRENT_STREAMS: u8 = 3;

/// What is done about a request.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    /// Take one at once from now on, and answer.
    Narrow,
    Hold,
    Refuse,
    /// Go away because of this, having looked at no more than this stream.
    Leave(u32, u32),
    Close,
}

/// An origin that does `act` about each request, by its connection's number and its stream.
async fn origin(act: impl Fn(usize, u32) -> Act + Clone + 'static) -> Origin {
    Origin::raw(move |number, stream| {
        let act = act.clone();
        serve(stream, move |stream| act(number, stream))
    })
    .await
}

async fn serve(mut stream: TcpStream, act: impl Fn(u32) -> Act) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    let mut frames = Frames(Raw(stream));
    frames.send(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    while let Some(next) = frames.next().await {
        let answer = match next.kind {
            SETTINGS if next.flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
            HEADERS => match act(next.stream) {
                Act::Answer => answer(next.stream),
                Act::Narrow => {
                    let one = [[0, MAX_CONCURRENT_STREAMS].as_slice(), &1_u32.to_be_bytes()];
                    let settings = frame(SETTINGS, 0, 0, &one.concat());
                    [settings, answer(next.stream)].concat()
                }
                Act::Hold => continue,
                Act::Refuse => frame(RST_STREAM, 0, next.stream, &REFUSED_STREAM.to_be_bytes()),
                Act::Leave(reason, last) => {
                    let content = [last.to_be_bytes(), reason.to_be_bytes()].concat();
                    frame(GOAWAY, 0, 0, &content)
                }
                Act::Close => return,
            },
            _ => continue,
        };
        if frames.send(&answer).await.is_err() {
            return;
        }
    }
}

fn answer(stream: u32) -> Vec<u8> {
    // `:status: 200` stands in the table.
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88])
}

/// A failure puts a target out at once, where there is another.
fn draft(origins: &[&Origin]) -> Draft {
    let targets = origins.iter().map(|origin| (origin.address, 1)).collect();
    Draft {
        upstreams: vec![("main", targets)],
        settings: UpstreamSettings {
            protocol: Protocol::H2c,
            ejection: Ejection {
                failures: 1,
                ..Ejection::default()
            },
            ..UpstreamSettings::default()
        },
        ..Draft::to(origins[0].address)
    }
}

fn request(method: Method) -> Request<crate::client::Body> {
    let request = Request::builder().method(method).uri("/");
    request.header("host", HOST).body(empty()).unwrap()
}

#[test]
fn what_a_target_that_goes_away_did_not_look_at_is_sent_once_more() {
    run(async {
        for method in [Method::GET, Method::POST] {
            let origin = origin(|number, stream| match (number, stream) {
                (0, 3) => Act::Leave(NO_ERROR, 1),
                _ => Act::Answer,
            })
            .await;
            let world = World::with(draft(&[&origin])).await;
            for _ in 0..3 {
                let answer = ask(world.address, request(method.clone())).await;
                assert_eq!(answer.status, 200, "{method}");
            }
            assert_eq!(origin.connections.get(), 2);
            assert_eq!(world.metric("upstream_repeats_total"), 1);
        }
    });
}

#[test]
fn a_target_that_goes_away_in_order_is_no_target_that_fails() {
    run(async {
        // Both of them go away whatever they are asked, the one without and the other with a fault.
        for (reason, is_out) in [(NO_ERROR, 0), (ENHANCE_YOUR_CALM, 1)] {
            let leaving = origin(move |_, _| Act::Leave(reason, 0)).await;
            let staying = origin(|_, _| Act::Answer).await;
            let world = World::with(draft(&[&leaving, &staying])).await;
            for _ in 0..4 {
                let answer = ask(world.address, request(Method::POST)).await;
                assert_eq!(answer.status, 200);
            }
            eventually("the judgement", || world.metric("targets_out") == is_out).await;
        }
    });
}

#[test]
fn what_a_target_refused_is_sent_once_more_and_no_more() {
    run(async {
        let refusing = origin(|_, stream| match stream {
            1 => Act::Refuse,
            _ => Act::Answer,
        })
        .await;
        let world = World::with(draft(&[&refusing])).await;
        assert_eq!(ask(world.address, request(Method::POST)).await.status, 200);
        assert_eq!(refusing.connections.get(), 1);
        assert_eq!(world.metric("upstream_repeats_total"), 1);
        let full = origin(|_, _| Act::Refuse).await;
        let world = World::with(draft(&[&full])).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "upstream_overloaded")
        );
        assert_eq!(world.metric("upstream_repeats_total"), 1);
    });
}

#[test]
fn a_kept_connection_that_ends_instead_of_an_answer_is_no_reason_for_an_error() {
    run(async {
        for (method, status) in [(Method::GET, 200), (Method::POST, 502)] {
            let origin = origin(|number, stream| match (number, stream) {
                (0, 3) => Act::Close,
                _ => Act::Answer,
            })
            .await;
            let world = World::with(draft(&[&origin])).await;
            assert_eq!(ask(world.address, get("/")).await.status, 200);
            let answer = ask(world.address, request(method)).await;
            assert_eq!(answer.status, status);
        }
        // A new connection that ends says something of the target.
        let closing = origin(|_, _| Act::Close).await;
        let world = World::with(draft(&[&closing])).await;
        assert_eq!(ask(world.address, get("/")).await.code(), "upstream_closed");
        assert_eq!(closing.connections.get(), 1);
    });
}

#[test]
fn a_body_that_was_sent_is_not_sent_again() {
    run(async {
        let origin = origin(|_, _| Act::Leave(NO_ERROR, 0)).await;
        let world = World::with(draft(&[&origin])).await;
        let answer = ask(world.address, post("/", whole("body"))).await;
        assert_eq!(answer.code(), "upstream_overloaded");
        assert_eq!(world.metric("upstream_repeats_total"), 0);
    });
}

#[test]
fn a_target_may_allow_fewer_requests_at_once_than_before() {
    run(async {
        let origin = origin(|number, stream| match (number, stream) {
            (0, 1) => Act::Narrow,
            (0, _) => Act::Hold,
            _ => Act::Answer,
        })
        .await;
        let world = World::with(draft(&[&origin])).await;
        assert_eq!(ask(world.address, get("/")).await.status, 200);
        let to = world.address;
        let held = tokio::task::spawn_local(async move { ask(to, get("/held")).await });
        eventually("being under way", || {
            world.metric("upstream_reuses_total") == 1
        })
        .await;
        assert_eq!(ask(world.address, get("/")).await.status, 200);
        assert_eq!(origin.connections.get(), 2);
        held.abort();
    });
}

#[test]
fn nothing_is_sent_to_a_target_that_does_not_begin_with_its_settings() {
    run(async {
        let silent =
            Origin::raw(|_, mut stream| async move { while stream.read_u8().await.is_ok() {} })
                .await;
        let speaking = origin(|_, _| Act::Answer).await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__CONNECT_MS", "200")],
            ..Options::default()
        })
        .await;
        world.publish(&[draft(&[&silent, &speaking])]);
        for _ in 0..2 {
            let answer = ask(world.address, post("/", whole("body"))).await;
            assert_eq!(answer.status, 200);
        }
        world.publish(&[draft(&[&silent])]);
        let answer = ask(world.address, get("/")).await;
        assert_eq!(answer.code(), "upstream_connect_timeout");
    });
}
