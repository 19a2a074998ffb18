//! Receivers of webhooks. They judge nothing: they write down what they got and how they answered,
//! well or badly as they were told to.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep};
use turmoil::net::{TcpListener, TcpStream};

use crate::history::{Answered, Delivery, History};
use crate::options::Behaviour;
use crate::workload::now_us;

/// Where it listens.
const PORT: u16 = 80;

/// How long a receiver that hangs does so: longer than any sender waits.
const HANG: Duration = Duration::from_secs(60);

/// A piece of an answer that nobody wants to read to its end.
static PIECE: [u8; 8192] = [b'x'; 8192];

/// How many pieces a huge answer has: 64 MiB.
const PIECES: usize = 8192;

/// A receiver, from outside. Clones are the same one.
#[derive(Clone)]
pub struct Receiver {
    name: String,
    behaviour: Arc<Mutex<Behaviour>>,
    history: Arc<Mutex<History>>,
}

impl Receiver {
    /// One that behaves well.
    #[must_use]
    pub fn new(name: String, history: Arc<Mutex<History>>) -> Self {
        Self {
            name,
            behaviour: Arc::default(),
            history,
        }
    }

    /// From now on it behaves so.
    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    /// Receives, until its host dies.
    ///
    /// # Errors
    /// When its port is taken.
    pub async fn run(self) -> turmoil::Result {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self, stream: TcpStream) {
        let service = service_fn(|request| self.answer(request));
        // A sender that hangs up, or is hung up on, is no error here.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// Writes a delivery down and answers it.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
        let at_us = now_us();
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return Err(Broken);
        };
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        let behaviour = *self.behaviour.lock();
        let place = {
            let mut history = self.history.lock();
            history.deliveries.push(Delivery {
                receiver: self.name.clone(),
                path: head.uri.path().to_owned(),
                at_us,
                ended_us: at_us,
                headers: headers.collect(),
                body: body.to_bytes().to_vec(),
                answered: Answered::Never,
            });
            history.deliveries.len() - 1
        };
        let answer = behave(behaviour).await;
        let mut history = self.history.lock();
        let delivery = &mut history.deliveries[place];
        delivery.ended_us = now_us();
        delivery.answered = match &answer {
            Ok(response) => Answered::Status(response.status().as_u16()),
            Err(Broken) => Answered::Broken,
        };
        answer
    }
}

async fn behave(behaviour: Behaviour) -> Result<Response<Answer>, Broken> {
    let response = Response::builder();
    let (response, answer) = match behaviour {
        Behaviour::Well => (response, Answer::Pieces(0)),
        Behaviour::Status(status) => (response.status(status), Answer::Pieces(0)),
        Behaviour::Hang => {
            sleep(HANG).await;
            return Err(Broken);
        }
        Behaviour::Slow => (response, Answer::Dripping(100, None)),
        Behaviour::Redirect => (
            response
                .status(302)
                .header(LOCATION, "http://origin/elsewhere"),
            Answer::Pieces(0),
        ),
        Behaviour::Huge => (response, Answer::Pieces(PIECES)),
        Behaviour::Break => return Err(Broken),
    };
    response.body(answer).map_err(|_| Broken)
}

/// Ends the connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the receiver hangs up")
    }
}

impl std::error::Error for Broken {}

/// The body of an answer.
enum Answer {
    /// So many pieces, as fast as they are taken.
    Pieces(usize),
    /// So many bytes, one each second.
    Dripping(usize, Option<Pin<Box<Sleep>>>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Pieces(0) | Self::Dripping(0, _) => Poll::Ready(None),
            Self::Pieces(left) => {
                *left -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
            }
            Self::Dripping(left, pause) => {
                let waiting = pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(1))));
                ready!(waiting.as_mut().poll(cx));
                *pause = None;
                *left -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..1])))))
            }
        }
    }
}
