//! Webhooks over real sockets: a receiver that checks signatures as its owner is told to, and a leader
//! that dies.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use platform::{Listener, Network, TokioNetwork};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::commands::{self, bootstrap, create, rename};
use crate::world::{World, eventually, pepper};

/// A request whose signature was good: the event's identifier, and the event.
type Received = (String, serde_json::Value);

/// Takes everything but the very first request.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    async fn start(secret: String) -> Self {
        let any = ([127, 0, 0, 1], 0).into();
        let mut listener = TokioNetwork.listen(any).await.unwrap();
        let address = Listener::local_addr(&listener).unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = Listener::accept(&mut listener).await {
                let Some(event) = read(&mut stream, &secret).await else {
                    continue;
                };
                let first = {
                    let mut seen = seen.lock();
                    seen.push(event);
                    seen.len() == 1
                };
                let answer: &[u8] = if first {
                    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
                } else {
                    b"HTTP/1.1 204 No Content\r\n\r\n"
                };
                // A sender that is gone is what one of the tests is about.
                let _ = stream.write_all(answer).await;
            }
        });
        Self {
            url: format!("http://{address}/hook"),
            received,
        }
    }

    /// The events about that upstream, in the order in which they came.
    fn about(&self, number: u64) -> Vec<Received> {
        let id = commands::upstream_id(number);
        let received = self.received.lock();
        let about = received
            .iter()
            .filter(|(_, event)| event["data"]["upstream_id"] == id.as_str());
        about.cloned().collect()
    }
}

/// A request as it arrived.
pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads one, if it arrives whole.
    pub(crate) async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await.ok()?));
        }
        let mut request = Self {
            head,
            body: Vec::new(),
        };
        request.body = vec![0; request.header("content-length")?.parse().unwrap()];
        stream.read_exact(&mut request.body).await.ok()?;
        Some(request)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A request whose signature is good, if it arrives whole.
async fn read(stream: &mut TcpStream, secret: &str) -> Option<Received> {
    let request = Request::read(stream).await?;
    let header = |name| request.header(name);
    let body = &request.body;
    let (timestamp, signature) = header("vectorgate-signature")?.split_once(',').unwrap();
    let mut keyed = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    keyed.update(timestamp.as_bytes());
    keyed.update(b".");
    keyed.update(body);
    let computed = hex::encode(keyed.finalize().into_bytes());
    assert_eq!(computed, signature, "the signature is good");
    let event: serde_json::Value = serde_json::from_slice(body).unwrap();
    let id = header("webhook-id")?.to_owned();
    assert_eq!(event["id"], id.as_str());
    Some((id, event))
}

/// Contract: D-58.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_repeated_and_the_next_leader_goes_on() {
    let mut world = World::formed().await;
    let endpoint = commands::endpoint_id(1);
    let secret = pepper(7).derived_webhook_secret(endpoint.as_str(), 1);
    let receiver = Receiver::start(secret.reveal().to_owned()).await;
    let commands = [
        bootstrap(),
        create(10),
        commands::endpoint(1, &receiver.url),
        rename(10, 20),
    ];
    for command in commands {
        let applied = world.propose(1, command).await.unwrap();
        applied.reply.unwrap();
    }
    // The first attempt was refused; the second follows a second later, with the same event.
    let sent = eventually("the event arrives twice", || {
        let sent = receiver.about(10);
        (sent.len() >= 2).then_some(sent)
    })
    .await;
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0].1["type"], "upstream.updated");
    assert_eq!(sent[0].1["environment"], "production");
    let leader = world.leader().await;
    eventually("the attempt is recorded", || {
        let metrics = world.metrics(leader);
        metrics
            .contains("vectorgate_webhook_attempts_total{result=\"succeeded\"} 1")
            .then_some(())
    })
    .await;
    world.kill(leader);
    let next = world.leader().await;
    for command in [create(11), rename(11, 21)] {
        let applied = world.propose(next, command).await.unwrap();
        applied.reply.unwrap();
    }
    eventually("the next leader delivers", || {
        (!receiver.about(11).is_empty()).then_some(())
    })
    .await;
    // What was on its way when the leader died may have come once more.
    assert!(receiver.about(10).len() <= 3, "{:?}", receiver.about(10));
    assert_eq!(receiver.about(11).len(), 1);
}
