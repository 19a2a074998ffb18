//! Attempts against receivers on real sockets, well-behaved and not, and against names that lead
//! where no webhook may go.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use platform::{Listener, Network, TokioNetwork};
use rustls::RootCertStore;

use super::super::address::{AddressPolicy, Receiver};
use super::super::sender::Sender;
use super::world::{Answer, Behaviour, Listening, Scripted, loopback, send, send_soon, sender};

/// Long enough for a head to arrive on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

fn by_address() -> Sender<Scripted> {
    sender(Scripted::new([]))
}

#[tokio::test]
async fn a_request_arrives_as_it_was_signed_and_the_answer_comes_back() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
    let listening = Listening::start(Behaviour::Say(answer), None).await;
    let attempted = send_soon(&by_address(), &listening.url()).await;
    assert_eq!((attempted.status, attempted.error), (Some(200), None));
    assert_eq!(attempted.head, "done");
    let requests = listening.requests.lock();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"id":"evt_1"}"#);
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /hook?x=1 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", listening.address);
    let agent = concat!(
        "user-agent: VectorGate-Webhooks/",
        env!("CARGO_PKG_VERSION")
    );
    let expected = [
        "connection: close",
        "content-length: 14",
        "content-type: application/json",
        host.as_str(),
        agent,
        "webhook-id: evt_1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn any_status_is_just_a_status() {
    let cases: [(&[u8], u16, &str); 5] = [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", 410, ""),
        (
            b"HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\noops",
            500,
            "oops",
        ),
        (
            b"HTTP/1.1 503 No\r\n\r\nuntil the end",
            503,
            "until the end",
        ),
        // A body that breaks off takes nothing from the status.
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nha", 200, "ha"),
    ];
    for (answer, status, head) in cases {
        let listening = Listening::start(Behaviour::Say(answer), None).await;
        let attempted = send_soon(&by_address(), &listening.url()).await;
        assert_eq!((attempted.status, attempted.error), (Some(status), None));
        assert_eq!(attempted.head, head);
    }
}

/// Contract: D-58.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let trap = Listening::start(Behaviour::Hang, None).await;
        let answer = format!(
            "HTTP/1.1 {status} There\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            trap.url()
        );
        let answer = Behaviour::Say(answer.leak().as_bytes());
        let listening = Listening::start(answer, None).await;
        let attempted = send_soon(&by_address(), &listening.url()).await;
        assert_eq!(attempted.status, Some(status));
        assert_eq!(listening.requests.lock().len(), 1);
        assert!(trap.requests.lock().is_empty());
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up() {
    for behaviour in [
        Behaviour::Hang,
        Behaviour::Drip("HTTP/1.1 200 OK\r\nslow: "),
        Behaviour::Drip("HTTP/1.1 "),
    ] {
        let listening = Listening::start(behaviour, None).await;
        let hasty = by_address().with_deadline(SHORT);
        let attempted = send_soon(&hasty, &listening.url()).await;
        assert_eq!(attempted.status, None);
        assert_eq!(attempted.error.as_deref(), Some("no answer within 1s"));
        assert!(attempted.latency >= SHORT, "{:?}", attempted.latency);
        listening.ended().await;
    }
}

#[tokio::test]
async fn a_body_that_trickles_takes_nothing_from_the_status_and_no_more_than_the_deadline() {
    let drip = Behaviour::Drip("HTTP/1.1 202 Accepted\r\ncontent-length: 99999\r\n\r\nso");
    let listening = Listening::start(drip, None).await;
    let hasty = by_address().with_deadline(SHORT);
    let attempted = send_soon(&hasty, &listening.url()).await;
    assert_eq!((attempted.status, attempted.error), (Some(202), None));
    assert!(attempted.head.starts_with("so"), "{}", attempted.head);
    listening.ended().await;
}

#[tokio::test]
async fn of_a_huge_answer_little_is_read_and_less_is_kept() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
    ] {
        let listening = Listening::start(Behaviour::Flood(head), None).await;
        let attempted = send_soon(&by_address(), &listening.url()).await;
        assert_eq!(attempted.status, Some(200));
        assert_eq!(attempted.head, "x".repeat(1024));
        listening.ended().await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    for behaviour in [
        Behaviour::Say(b""),
        Behaviour::Say(b"SSH-2.0-OpenSSH_9.2\r\n"),
        Behaviour::Say(b"HTTP/1.1 200 OK\r\n"),
        Behaviour::Flood("HTTP/1.1 200 OK\r\nendless: "),
    ] {
        let listening = Listening::start(behaviour, None).await;
        let attempted = send_soon(&by_address(), &listening.url()).await;
        assert_eq!(attempted.status, None);
        let error = attempted.error.unwrap();
        assert!(error.contains("not HTTP"), "{error}");
        listening.ended().await;
    }
}

#[tokio::test]
async fn what_is_no_text_is_kept_within_the_bound() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(answer.len() + 2000, 0xff);
    let listening = Listening::start(Behaviour::Say(answer.leak()), None).await;
    let attempted = send_soon(&by_address(), &listening.url()).await;
    assert_eq!(attempted.head, "\u{fffd}".repeat(1024 / 3));
}

#[tokio::test]
async fn a_refused_connection_is_an_error_and_another_address_gets_its_turn() {
    let free = "127.0.0.1:0".parse().unwrap();
    let listener = TokioNetwork.listen(free).await.unwrap();
    let nobody = Listener::local_addr(&listener).unwrap();
    drop(listener);
    let attempted = send_soon(&by_address(), &format!("http://{nobody}/")).await;
    assert_eq!(attempted.status, None);
    let error = attempted.error.unwrap();
    assert_eq!(error, "cannot connect: connection refused");

    let answer = Behaviour::Say(b"HTTP/1.1 204 Fine\r\n\r\n");
    let listening = Listening::start(answer, None).await;
    let network = Scripted::new([Scripted::addresses(["127.0.0.2", "127.0.0.1"])]);
    let url = listening.named("http", "receiver.test");
    let attempted = send_soon(&sender(network.clone()), &url).await;
    assert_eq!(attempted.status, Some(204));
    assert_eq!(network.connected.lock().len(), 2);
}

#[tokio::test]
async fn a_name_that_leads_where_no_webhook_may_go_is_not_connected_to() {
    for (scheme, addresses) in [
        ("https", vec!["10.0.0.1"]),
        ("https", vec!["169.254.169.254"]),
        ("https", vec!["::1"]),
        ("https", vec!["::ffff:10.0.0.1"]),
        ("https", vec!["8.8.8.8", "10.0.0.1"]),
        ("https", vec!["127.0.0.1", "fd00::1"]),
        ("http", vec!["8.8.8.8"]),
        ("http", vec!["127.0.0.1", "8.8.8.8"]),
        ("http", vec!["10.0.0.1"]),
    ] {
        let resolved = addresses.iter().map(|text| text.parse().unwrap());
        let network = Scripted::new([Answer::Addresses(resolved.collect())]);
        let url = format!("{scheme}://receiver.test/");
        let attempted = send_soon(&sender(network.clone()), &url).await;
        assert_eq!(attempted.status, None, "{addresses:?}");
        assert!(attempted.error.is_some(), "{addresses:?}");
        assert!(network.connected.lock().is_empty(), "{addresses:?}");
        let error = attempted.error.unwrap();
        let named = addresses.iter().any(|address| error.contains(address));
        assert!(!named, "{error} tells what our resolver knows");
    }
}

/// The name answers well when it is judged, and would lead inside when asked again.
#[tokio::test]
async fn a_name_that_resolves_otherwise_a_moment_later_changes_nothing() {
    let answer = Behaviour::Say(b"HTTP/1.1 200 OK\r\n\r\n");
    let listening = Listening::start(answer, None).await;
    let network = Scripted::new([
        Scripted::addresses(["127.0.0.1"]),
        Scripted::addresses(["10.0.0.1"]),
    ]);
    let url = listening.named("http", "receiver.test");
    let rebound = sender(network.clone());
    assert_eq!(send_soon(&rebound, &url).await.status, Some(200));
    assert_eq!(network.left(), 1);
    assert_eq!(*network.connected.lock(), [listening.address.to_string()]);
    // The next attempt asks anew, and is refused.
    assert_eq!(send_soon(&rebound, &url).await.status, None);
    assert_eq!(network.connected.lock().len(), 1);
}

#[tokio::test]
async fn a_name_without_addresses_is_an_error() {
    for answer in [Answer::Nothing, Answer::Addresses(Vec::new())] {
        let network = Scripted::new([answer]);
        let attempted = send_soon(&sender(network), "https://receiver.test/").await;
        let expected = Some("the host's name does not resolve");
        assert_eq!(attempted.error.as_deref(), expected);
    }
}

/// An endpoint may be older than the settings.
#[tokio::test]
async fn a_literal_address_is_judged_at_each_attempt() {
    let listening = Listening::start(Behaviour::Hang, None).await;
    let receiver = Receiver::parse(&listening.url(), &loopback()).unwrap();
    let network = Scripted::new([]);
    let none = RootCertStore::empty();
    let strict = Sender::new(network.clone(), AddressPolicy::default(), none).unwrap();
    let attempted = strict.send(&receiver, HeaderMap::new(), Bytes::new()).await;
    assert!(attempted.error.is_some());
    assert!(network.connected.lock().is_empty());
}

/// Contract: D-58.
#[tokio::test(start_paused = true)]
async fn ten_seconds_are_for_everything_from_the_name_on() {
    let network = Scripted::new([Answer::Never]);
    let attempted = send(&sender(network), "https://receiver.test/").await;
    assert_eq!(attempted.error.as_deref(), Some("no answer within 10s"));
    assert_eq!(attempted.latency.as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn addresses_that_are_silent_get_three_seconds_each() {
    let many = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let mut network = Scripted::new([Scripted::addresses(many)]);
    network.silent = true;
    let attempted = send(&sender(network.clone()), "https://receiver.test/").await;
    let expected = Some("cannot connect: it took too long");
    assert_eq!(attempted.error.as_deref(), expected);
    assert_eq!(attempted.latency.as_secs(), 9);
    assert_eq!(network.connected.lock().len(), 3);
}
