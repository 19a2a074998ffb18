//! A QUIC connection as h3 takes one, made of quinn's. What clients send is sifted on the way
//! ([`super::frames`]), and a stream that is given up says why: quinn by itself would end it as if all
//! had been said.

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::VarInt;
use tokio_util::sync::ReusableBoxFuture;

use super::frames::{Fault, Frames};
use super::section::Flaw;
use crate::proxy::connection::Connection;
use crate::proxy::flood::Empties;

/// What the streams of a connection have in common.
pub(super) struct Line {
    connection: Rc<Connection>,
    quic: quinn::Connection,
    empties: Empties,
    /// Whether no more requests are taken.
    refuses: Cell<bool>,
    /// The stream that h3 was given last.
    latest: RefCell<Option<Course>>,
}

/// A request's stream, as whoever answers it sees it.
pub(super) struct Course {
    /// Comes about when the client has all of the answer, or wants no more of it, or is gone.
    pub(super) over: Pin<Box<dyn Future<Output = ()>>>,
    ending: Rc<Ending>,
}

/// How a stream ends that is given up.
struct Ending {
    code: Cell<Code>,
    /// Whether it has come to an answer of ours. Before that, h3 may have given one of its own: that
    /// the head is too long.
    answers: Cell<bool>,
}

impl Line {
    pub(super) fn new(connection: Rc<Connection>, quic: quinn::Connection) -> Self {
        Self {
            connection,
            quic,
            empties: Empties::new(),
            refuses: Cell::new(false),
            latest: RefCell::default(),
        }
    }

    /// Takes no more requests: each is told that nothing was done about it.
    pub(super) fn refuse(&self) {
        self.refuses.set(true);
    }

    /// The stream that h3 was given last.
    pub(super) fn take_latest(&self) -> Option<Course> {
        self.latest.take()
    }

    /// Ends the connection.
    pub(super) fn close(&self, code: Code) {
        self.quic.close(number(code), &[]);
    }

    /// Does about a fault what is to be done beyond its stream, and says how that ends.
    fn blame(&self, fault: Fault) -> Code {
        match fault {
            Fault::TooLong => Code::H3_EXCESSIVE_LOAD,
            Fault::Section(Flaw::Pseudo) => Code::H3_MESSAGE_ERROR,
            Fault::Section(Flaw::Undecodable) => {
                self.close(Code::QPACK_DECOMPRESSION_FAILED);
                Code::QPACK_DECOMPRESSION_FAILED
            }
            Fault::Truncated => {
                self.close(Code::H3_FRAME_ERROR);
                Code::H3_FRAME_ERROR
            }
            Fault::Flood => {
                self.close(Code::H3_EXCESSIVE_LOAD);
                self.connection.floods();
                Code::H3_EXCESSIVE_LOAD
            }
        }
    }
}

impl Course {
    /// From now on it is answered, or given up with this code.
    pub(super) fn answers(&self) {
        self.ending.answers.set(true);
        self.ending.code.set(Code::H3_INTERNAL_ERROR);
    }

    /// Should it be given up, then with this code.
    pub(super) fn blame(&self, code: Code) {
        self.ending.code.set(code);
    }
}

impl Ending {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            code: Cell::new(Code::H3_REQUEST_REJECTED),
            answers: Cell::new(false),
        })
    }
}

type Accepted<T> = ReusableBoxFuture<'static, Result<T, quinn::ConnectionError>>;

/// A connection for h3.
pub(super) struct Transport {
    line: Rc<Line>,
    requests: Accepted<(quinn::SendStream, quinn::RecvStream)>,
    one_way: Accepted<quinn::RecvStream>,
    opening: Option<Accepted<quinn::SendStream>>,
}

async fn accept_bi(
    quic: quinn::Connection,
) -> Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError> {
    quic.accept_bi().await
}

async fn accept_uni(quic: quinn::Connection) -> Result<quinn::RecvStream, quinn::ConnectionError> {
    quic.accept_uni().await
}

async fn open_uni(quic: quinn::Connection) -> Result<quinn::SendStream, quinn::ConnectionError> {
    quic.open_uni().await
}

impl Transport {
    pub(super) fn new(line: Rc<Line>) -> Self {
        Self {
            requests: ReusableBoxFuture::new(accept_bi(line.quic.clone())),
            one_way: ReusableBoxFuture::new(accept_uni(line.quic.clone())),
            opening: None,
            line,
        }
    }

    fn stream(&self, send: quinn::SendStream, recv: quinn::RecvStream) -> BidiStream {
        let ending = Ending::new();
        let stopped = send.stopped();
        self.line.latest.replace(Some(Course {
            over: Box::pin(async move { drop(stopped.await) }),
            ending: Rc::clone(&ending),
        }));
        BidiStream {
            recv: RecvStream::new(
                recv,
                Frames::of_request(),
                Rc::clone(&ending),
                Rc::clone(&self.line),
            ),
            send: SendStream::new(send, ending),
        }
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = RecvStream;
    type OpenStreams = Self;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let accepted = ready!(self.one_way.poll(cx));
        self.one_way.set(accept_uni(self.line.quic.clone()));
        let stream = accepted.map_err(lost)?;
        // Opening streams that carry nothing is as good as sending such frames.
        if self.line.empties.another() {
            self.line.connection.floods();
        }
        let frames = Frames::of_connection();
        let line = Rc::clone(&self.line);
        Poll::Ready(Ok(RecvStream::new(stream, frames, Ending::new(), line)))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        loop {
            let accepted = ready!(self.requests.poll(cx));
            self.requests.set(accept_bi(self.line.quic.clone()));
            let (mut send, mut recv) = accepted.map_err(lost)?;
            if !self.line.refuses.get() {
                return Poll::Ready(Ok(self.stream(send, recv)));
            }
            // One that is closed already needs not be told.
            let _ = send.reset(number(Code::H3_REQUEST_REJECTED));
            let _ = recv.stop(number(Code::H3_REQUEST_REJECTED));
        }
    }

    fn opener(&self) -> Self {
        Self::new(Rc::clone(&self.line))
    }
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        // Servers open none (RFC 9114, section 6.1), and h3 does not ask for any.
        Poll::Ready(Err(StreamErrorIncoming::ConnectionErrorIncoming {
            connection_error: ConnectionErrorIncoming::InternalError(
                "a server opens no streams for requests".to_owned(),
            ),
        }))
    }

    fn poll_open_send(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let quic = &self.line.quic;
        let opening = self
            .opening
            .get_or_insert_with(|| ReusableBoxFuture::new(open_uni(quic.clone())));
        let opened = ready!(opening.poll(cx));
        self.opening = None;
        Poll::Ready(match opened {
            Ok(stream) => Ok(SendStream::new(stream, Ending::new())),
            Err(error) => Err(stream_lost(error)),
        })
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.line.quic.close(number(code), reason);
    }
}

/// A request's stream.
pub(super) struct BidiStream {
    send: SendStream,
    recv: RecvStream,
}

/// What is sent on a stream.
pub(super) struct SendStream {
    stream: quinn::SendStream,
    id: StreamId,
    writing: Option<WriteBuf<Bytes>>,
    has_written: bool,
    has_ended: bool,
    ending: Rc<Ending>,
}

/// What comes on a stream.
pub(super) struct RecvStream {
    stream: quinn::RecvStream,
    id: StreamId,
    frames: Frames,
    /// What has come and is not sifted yet.
    come: Bytes,
    ending: Rc<Ending>,
    line: Rc<Line>,
}

impl SendStream {
    fn new(stream: quinn::SendStream, ending: Rc<Ending>) -> Self {
        Self {
            id: stream_id(stream.id()),
            stream,
            writing: None,
            has_written: false,
            has_ended: false,
            ending,
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        let is_h3s_own = self.has_written && !self.ending.answers.get();
        if !self.has_ended && !is_h3s_own {
            let _ = self.stream.reset(number(self.ending.code.get()));
        }
    }
}

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(writing) = &mut self.writing {
            while writing.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                let written = ready!(stream.poll_write(cx, writing.chunk())).map_err(unwritten)?;
                self.has_written = true;
                writing.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.has_ended = true;
        let finished = self.stream.finish();
        Poll::Ready(finished.map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        self.has_ended = true;
        let _ = self.stream.reset(number(Code::from(code)));
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

impl RecvStream {
    fn new(stream: quinn::RecvStream, frames: Frames, ending: Rc<Ending>, line: Rc<Line>) -> Self {
        Self {
            id: stream_id(stream.id()),
            stream,
            frames,
            come: Bytes::new(),
            ending,
            line,
        }
    }

    fn faulty(&mut self, fault: Fault) -> StreamErrorIncoming {
        let code = self.line.blame(fault);
        self.ending.code.set(code);
        let _ = self.stream.stop(number(code));
        StreamErrorIncoming::Unknown(Box::new(fault))
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        // Where all is answered, no error is meant (RFC 9114, section 4.1).
        let code = if self.ending.answers.get() {
            Code::H3_NO_ERROR
        } else {
            self.ending.code.get()
        };
        // One that was read to its end needs not be told.
        let _ = self.stream.stop(number(code));
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            match self.frames.next(&mut self.come, &self.line.empties) {
                Ok(Some(given)) => return Poll::Ready(Ok(Some(given))),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(self.faulty(fault))),
            }
            // A reading that is given up leaves everything where it is.
            let read = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(cx));
            match read {
                Ok(Some(chunk)) => self.come = chunk.bytes,
                Ok(None) => {
                    let ended = self.frames.ended().map(|()| None);
                    return Poll::Ready(ended.map_err(|fault| self.faulty(fault)));
                }
                Err(error) => return Poll::Ready(Err(unread(error))),
            }
        }
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.stream.stop(number(Code::from(code)));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::BidiStream<Bytes> for BidiStream {
    type SendStream = SendStream;
    type RecvStream = RecvStream;

    fn split(self) -> (SendStream, RecvStream) {
        (self.send, self.recv)
    }
}

fn number(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    let number: u64 = id.into();
    StreamId::try_from(number).expect("streams are numbered as the standard says")
}

fn lost(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose {
                error_code: close.error_code.into(),
            }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn stream_lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming {
        connection_error: lost(error),
    }
}

fn unread(error: quinn::ReadError) -> StreamErrorIncoming {
    match error {
        quinn::ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        quinn::ReadError::ConnectionLost(error) => stream_lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn unwritten(error: quinn::WriteError) -> StreamErrorIncoming {
    match error {
        quinn::WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        quinn::WriteError::ConnectionLost(error) => stream_lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
