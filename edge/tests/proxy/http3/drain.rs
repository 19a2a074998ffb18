//! Stopping: connections of HTTP/3 are told, what is under way is finished, and nothing new is taken.

use h3::error::Code;
use http::Response;

use super::client::{Client, answer, dial, get};
use super::open_to;
use super::raw::{Outcome, Raw, head, outcome};
use crate::client::whole;
use crate::origin::{Origin, streaming};
use crate::publish::HOST;
use crate::world::{eventually, run};

/// An origin that answers when it is told to.
async fn held() -> (Origin, tokio::sync::watch::Sender<bool>) {
    let (release, held) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            Response::new(whole(vec![b'x'; 1024 * 1024]))
        }
    })
    .await;
    (origin, release)
}

#[test]
fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    run(async {
        let (origin, release) = held().await;
        let (world, address) = open_to(&[], origin.address).await;
        let client = Client::connect(address).await;
        let idle = Client::connect(address).await;
        let mut stream = client.begin(get("/")).await.unwrap();
        stream.finish().await.unwrap();
        eventually("the origin is asked", || origin.count() == 1).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        // Who has nothing under way is let go.
        idle.let_go().await;
        // After GOAWAY the client sends nothing new on this connection.
        while let Ok(mut late) = client.begin(get("/late")).await {
            let _ = late.finish().await;
            tokio::task::yield_now().await;
        }
        dial(address, HOST).await.unwrap_err();
        assert!(!stopping.is_finished());
        release.send_replace(true);
        let answer = answer(&mut stream).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 1024 * 1024));
        client.let_go().await;
        stopping.await.unwrap();
        assert_eq!(origin.count(), 1);
    });
}

#[test]
fn a_request_that_comes_too_late_is_told_that_nothing_was_done_about_it() {
    run(async {
        let (origin, release) = held().await;
        let (world, address) = open_to(&[], origin.address).await;
        let raw = Raw::connect(address).await;
        let (mut send, recv) = raw.send(&head("GET", &[])).await;
        send.finish().unwrap();
        eventually("the origin is asked", || origin.count() == 1).await;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        let goaway = goaway(&raw).await;
        // The first that is refused is the one behind the first.
        assert_eq!(goaway, [7, 1, 4]);
        let late = raw.ask(&head("GET", &[])).await;
        let rejected = Code::H3_REQUEST_REJECTED.value();
        assert!(
            matches!(late, Outcome::Reset(code) if code == rejected),
            "{late:?}"
        );
        release.send_replace(true);
        assert_eq!(outcome(recv).await.status(), Some(200));
        // Where it is heard at all: see `raw::closing`.
        let code = raw.closed().await;
        assert!(code.is_none_or(|code| code == Code::H3_NO_ERROR.value()));
        stopping.await.unwrap();
        assert_eq!(origin.count(), 1);
    });
}

/// The GOAWAY that comes on the edge's stream for control, behind its settings.
async fn goaway(raw: &Raw) -> [u8; 3] {
    loop {
        let mut stream = raw.quic.accept_uni().await.unwrap();
        let mut kind = [0; 1];
        stream.read_exact(&mut kind).await.unwrap();
        if kind != [0] {
            continue;
        }
        let mut frame = [0; 2];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[0], 4, "settings come first");
        let mut settings = vec![0; usize::from(frame[1])];
        stream.read_exact(&mut settings).await.unwrap();
        let mut goaway = [0; 3];
        stream.read_exact(&mut goaway).await.unwrap();
        return goaway;
    }
}

#[test]
fn what_is_not_finished_in_time_is_ended() {
    run(async {
        let origin = Origin::start(|_| async {
            let (sender, body) = streaming();
            sender.send("begun".into()).unwrap();
            // It is never dropped, so the body never ends.
            std::mem::forget(sender);
            Response::new(body)
        })
        .await;
        let set = [("TIMEOUTS__DRAIN_MS", "50")];
        let (world, address) = open_to(&set, origin.address).await;
        let client = Client::connect(address).await;
        let mut stream = client.begin(get("/")).await.unwrap();
        stream.finish().await.unwrap();
        stream.recv_response().await.unwrap();
        world.running.shut_down().await;
        assert!(super::client::rest(&mut stream).await.is_err());
        client.quic.closed().await;
    });
}
