//! The accept loop on real streams, in memory: protocols, limits, draining.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use platform::Listener;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::{HttpMetrics, Server, ServerLimits};
use super::support::World;

/// Accepts what a test hands it.
struct Handed(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Handed {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, ([127, 0, 0, 1], 1).into())),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

struct Running {
    connect: mpsc::UnboundedSender<DuplexStream>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    fn start(router: Router, limits: ServerLimits) -> Self {
        let (connect, accept) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(
            Handed(accept),
            router,
            limits,
            HttpMetrics::register(&mut Registry::default()),
        );
        let server = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            connect,
            stop,
            server,
        }
    }

    fn connect(&self) -> DuplexStream {
        let (mine, theirs) = tokio::io::duplex(64 * 1024);
        self.connect.send(theirs).unwrap();
        mine
    }
}

/// Reads until the server closes.
async fn read_all(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn exchange(running: &Running, request: &str) -> String {
    let mut stream = running.connect();
    // The server may refuse before it has read all.
    let _ = stream.write_all(request.as_bytes()).await;
    read_all(&mut stream).await
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_and_connections_kept_until_they_are_idle() {
    let running = Running::start(World::new().router, ServerLimits::default());
    let mut stream = running.connect();
    for _ in 0..2 {
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]);
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("ok\n"),
            "{text}"
        );
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_given_up_in_ten_seconds() {
    let running = Running::start(World::new().router, ServerLimits::default());
    for beginning in [
        "",
        "P",
        "GET /livez HT",
        "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ",
    ] {
        let mut stream = running.connect();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let started = tokio::time::Instant::now();
        read_all(&mut stream).await;
        assert!(
            started.elapsed() <= Duration::from_secs(11),
            "{beginning:?} took {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ambiguous_and_oversized_heads_are_refused() {
    let running = Running::start(World::new().router, ServerLimits::default());
    let many = (0..201)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect::<String>();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70 * 1024));
    for (request, status) in [
        (
            "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "400",
        ),
        (
            "POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "400",
        ),
        (
            &format!("GET /livez HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            "431",
        ),
        (long.as_str(), "4"),
    ] {
        let answer = exchange(&running, request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:.60} gives {answer:.60}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn heads_beyond_the_limits_are_refused_and_the_connection_goes_on() {
    let running = Running::start(World::new().router, ServerLimits::default());
    let big = "x".repeat(4 * 1024);
    let headers = (0..5)
        .map(|number| format!("X-{number}: {big}\r\n"))
        .collect::<String>();
    let many = (0..101)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect::<String>();
    let long = format!("/livez?x={}", "a".repeat(33 * 1024));
    let end = "Connection: close\r\n\r\n";
    let requests = [
        format!("GET /livez HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET {long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: x\r\n{end}"),
    ];
    let answers = exchange(&running, &requests.concat()).await;
    let statuses: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, start)| &answers[at + start.len()..][..3])
        .collect();
    assert_eq!(statuses, ["431", "431", "414", "200"], "{answers}");
    assert_eq!(answers.matches("vectorgate-request-id: ").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_cannot_write_lines_of_its_answer() {
    let running = Running::start(World::new().router, ServerLimits::default());
    let injected = "req_1\r\nX-Injected: 1";
    let long = "r".repeat(10 * 1024);
    for (value, status) in [
        (injected, "200"),
        (long.as_str(), "200"),
        ("req_1\rX-Injected: 1", "400"),
        ("req_1\0", "400"),
        ("req_1%0d%0aX-Injected: 1", "200"),
    ] {
        for name in ["VectorGate-Request-Id", "X-Request-Id"] {
            let answer = exchange(
                &running,
                &format!(
                    "GET /livez HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\nConnection: close\r\n\r\n"
                ),
            )
            .await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{value:.20?} gives {answer}"
            );
            assert!(
                !answer.to_ascii_lowercase().contains("injected") && !answer.contains("rrrr"),
                "{answer}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_answers_over_tls_ask_for_tls() {
    let router = World::new().router;
    let plain = Running::start(router.clone(), ServerLimits::default());
    let secure = Running::start(super::super::over_tls(router), ServerLimits::default());
    for path in ["/livez", "/v2/rules", "/nowhere"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let header = "strict-transport-security: max-age=31536000";
        assert!(!exchange(&plain, &request).await.contains(header), "{path}");
        assert!(exchange(&secure, &request).await.contains(header), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_wait_for_a_free_place() {
    let running = Running::start(
        World::new().router,
        ServerLimits {
            connections_max: 1,
            ..ServerLimits::default()
        },
    );
    let holder = running.connect();
    let mut waiting = running.connect();
    waiting
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_secs(5), waiting.read(&mut byte)).await;
    assert!(early.is_err(), "it was served beyond the limit");
    drop(holder);
    assert!(read_all(&mut waiting).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_big_answer_reaches_whoever_reads_it_slowly() {
    const LENGTH: usize = 1024 * 1024;
    let big = || async { vec![b'x'; LENGTH] };
    let router = Router::new().route("/big", axum::routing::get(big));
    let running = Running::start(router, ServerLimits::default());
    let mut stream = running.connect();
    stream
        .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let (mut bytes, mut got) = (vec![0; 64 * 1024], 0);
    while got < LENGTH {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let count = stream.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "cut off after {got} bytes");
        got += count;
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_idle_connections_and_lets_requests_end() {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Arc::new(tokio::sync::Mutex::new(Some(released)));
    let slow = Router::new().route(
        "/slow",
        axum::routing::get(move || async move {
            if let Some(released) = released.lock().await.take() {
                let _ = released.await;
            }
            "done"
        }),
    );
    let running = Running::start(slow, ServerLimits::default());
    let (mut idle, mut busy) = (running.connect(), running.connect());
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    running.stop.send(()).unwrap();
    assert_eq!(read_all(&mut idle).await, "");
    assert!(!running.server.is_finished());
    assert!(
        running.connect.is_closed(),
        "somebody would wait in a queue that nobody serves"
    );
    release.send(()).unwrap();
    assert!(read_all(&mut busy).await.ends_with("done"));
    running.server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_longer_than_the_drain_time() {
    let stuck = Router::new().route(
        "/stuck",
        axum::routing::get(std::future::pending::<&'static str>),
    );
    let running = Running::start(
        stuck,
        ServerLimits {
            drain: Duration::from_secs(3),
            ..ServerLimits::default()
        },
    );
    let mut busy = running.connect();
    busy.write_all(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let started = tokio::time::Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn heads_have_the_same_limits_over_http_2() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let running = Running::start(World::new().router, ServerLimits::default());
    let io = TokioIo::new(running.connect());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let value = "x".repeat(1024);
    for (query, headers, status) in [
        (20 * 1024, 0, 404),
        (33 * 1024, 0, 414),
        (0, 15, 404),
        (0, 17, 431),
    ] {
        let target = format!("http://x/nowhere?x={}", "a".repeat(query));
        let mut request = http::Request::get(target);
        for number in 0..headers {
            request = request.header(format!("x-{number}"), &value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{query} {headers}");
        assert!(response.headers().contains_key("vectorgate-request-id"));
    }
}

#[tokio::test(start_paused = true)]
async fn http_2_is_spoken_with_those_who_begin_so() {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let running = Running::start(World::new().router, ServerLimits::default());
    let io = TokioIo::new(running.connect());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("http://x/livez")
            .body(axum::body::Body::empty())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, http::Version::HTTP_2)
        );
    }
    // Pings keep it open up to the idle deadline, and not beyond.
    let started = tokio::time::Instant::now();
    let _ = connection.await;
    let open = started.elapsed();
    assert!(
        (Duration::from_secs(59)..Duration::from_secs(85)).contains(&open),
        "{open:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_address_that_has_as_many_connections_as_it_may_gets_no_more_until_one_ends() {
    let running = Running::start(
        World::new().router,
        ServerLimits {
            connections_of_address_max: 2,
            ..ServerLimits::default()
        },
    );
    let request = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (one, _two) = (running.connect(), running.connect());
    assert_eq!(exchange(&running, request).await, "");
    drop(one);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !exchange(&running, request)
        .await
        .starts_with("HTTP/1.1 200")
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "its place is not free again"
        );
        tokio::task::yield_now().await;
    }
}
