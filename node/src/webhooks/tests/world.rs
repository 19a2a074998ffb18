//! A network whose names the test makes up, and receivers on real sockets that behave well or badly.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use platform::{Listener, Network, TokioNetwork};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::super::address::{AddressPolicy, Receiver};
use super::super::sender::{Attempted, Sender};

/// Longer than anything that does end takes on a busy machine, and shorter than the deadline of an
/// attempt.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a name resolves to.
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    Nothing,
    Never,
}

/// The operating system's network with answers of ours to each question, in order.
#[derive(Clone, Default)]
pub(super) struct Scripted {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Where connections went, as text.
    pub(super) connected: Arc<Mutex<Vec<String>>>,
    /// Whether nobody ever answers a connection.
    pub(super) silent: bool,
}

impl Scripted {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    pub(super) fn addresses<const N: usize>(texts: [&str; N]) -> Answer {
        Answer::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    pub(super) fn left(&self) -> usize {
        self.answers.lock().len()
    }
}

impl Network for Scripted {
    type Stream = <TokioNetwork as Network>::Stream;
    type Listener = <TokioNetwork as Network>::Listener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        self.connected.lock().push(to.to_owned());
        if self.silent {
            std::future::pending::<()>().await;
        }
        // Text that is no address would be resolved here, behind the checks.
        let to: SocketAddr = to.parse().expect("an address and no name");
        TokioNetwork.connect(&to.to_string()).await
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        TokioNetwork.listen(on).await
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        TokioNetwork.quic(on, server)
    }

    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let answer = self.answers.lock().pop_front();
        let (_, port) = name.rsplit_once(':').expect("host:port");
        let port: u16 = port.parse().expect("a port");
        match answer.expect("a question that the test expects") {
            Answer::Addresses(all) => Ok(all.into_iter().map(|ip| (ip, port).into()).collect()),
            Answer::Nothing => Err(io::Error::other("no such name")),
            Answer::Never => std::future::pending().await,
        }
    }
}

/// What a receiver does once it has read a request.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    /// Says this and closes.
    Say(&'static [u8]),
    /// Says nothing.
    Hang,
    /// Says this, and then an `x` now and then, for ever.
    Drip(&'static str),
    /// Says this, and then as many `x` as anybody takes.
    Flood(&'static str),
}

/// A receiver.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    /// The requests that arrived, as text.
    pub(super) requests: Arc<Mutex<Vec<String>>>,
    ended: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Listening {
    pub(super) async fn start(behaviour: Behaviour, tls: Option<ServerConfig>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = TokioNetwork.listen(any).await.unwrap();
        let address = Listener::local_addr(&listener).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(Notify::new());
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (seen, over) = (Arc::clone(&requests), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = Listener::accept(&mut listener).await {
                // How a connection ended is what the tests look at from the other side.
                let _ = match &acceptor {
                    None => serve(stream, behaviour, &seen).await,
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream, behaviour, &seen).await,
                        Err(error) => Err(error),
                    },
                };
                over.notify_one();
            }
        });
        Self {
            address,
            requests,
            ended,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Waits until a connection is over.
    pub(super) async fn ended(&self) {
        timeout(PATIENCE, self.ended.notified())
            .await
            .expect("the sender closes the connection");
    }

    /// A URL by address.
    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?x=1", self.address)
    }

    /// A URL by name.
    pub(super) fn named(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}://{name}:{}/hook", self.address.port())
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    behaviour: Behaviour,
    requests: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let request = read_request(&mut stream).await?;
    requests.lock().push(request);
    match behaviour {
        Behaviour::Say(text) => {
            stream.write_all(text).await?;
            stream.shutdown().await
        }
        Behaviour::Hang => stream.read_u8().await.map(drop),
        Behaviour::Drip(text) => {
            stream.write_all(text.as_bytes()).await?;
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                stream.write_all(b"x").await?;
                stream.flush().await?;
            }
        }
        Behaviour::Flood(text) => {
            stream.write_all(text.as_bytes()).await?;
            loop {
                stream.write_all(&[b'x'; 8192]).await?;
            }
        }
    }
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        request.push(char::from(stream.read_u8().await?));
    }
    let length = request
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.push_str(std::str::from_utf8(&body).expect("a body in UTF-8"));
    Ok(request)
}

/// A policy that allows this machine.
pub(super) fn loopback() -> AddressPolicy {
    AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap()])
}

/// A sender that trusts nobody.
pub(super) fn sender(network: Scripted) -> Sender<Scripted> {
    Sender::new(network, loopback(), RootCertStore::empty()).unwrap()
}

/// Sends a small webhook, and does not wait for ever.
pub(super) async fn send(sender: &Sender<Scripted>, url: &str) -> Attempted {
    let receiver = Receiver::parse(url, &loopback()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "evt_1".parse().unwrap());
    let body = Bytes::from_static(br#"{"id":"evt_1"}"#);
    sender.send(&receiver, headers, body).await
}

/// Like [`send`], for what must end before an attempt's deadline does.
pub(super) async fn send_soon(sender: &Sender<Scripted>, url: &str) -> Attempted {
    timeout(PATIENCE, send(sender, url))
        .await
        .expect("the attempt ends by itself")
}
