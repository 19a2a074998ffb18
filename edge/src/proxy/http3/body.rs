//! A request's body that comes by HTTP/3: what the stream gives, piece by piece and only when asked
//! for, then trailers. It is as long as `Content-Length` says, or broken (RFC 9114, section 4.1.2):
//! the origin would otherwise take what is over for its next request.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::StreamError;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

use super::transport::RecvStream;
use crate::upstream::Broken;

/// What a body is read from.
pub(super) trait Source {
    /// The next piece; nothing where there are no more.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>>;

    /// The trailers, behind the last piece.
    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Broken>>;
}

impl Source for h3::server::RequestStream<RecvStream, Bytes> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let piece = ready!(self.poll_recv_data(cx)).map_err(broken)?;
        Poll::Ready(Ok(
            piece.map(|mut piece| piece.copy_to_bytes(piece.remaining()))
        ))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Broken>> {
        self.poll_recv_trailers(cx).map_err(broken)
    }
}

/// Why it broke, in the words of HTTP/2, in which an origin may be told.
fn broken(error: StreamError) -> Broken {
    match error {
        StreamError::RemoteTerminate { .. } => Broken::by(h2::Error::from(h2::Reason::CANCEL)),
        error => Broken::by(error),
    }
}

/// How far a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pieces,
    Trailers,
    Ended,
    Broken,
}

/// A request's body.
pub(super) struct RequestBody<S> {
    source: S,
    phase: Phase,
    /// What was looked at and not given yet.
    ahead: Option<Result<Frame<Bytes>, Broken>>,
    /// How much the client has yet to send, where it has said so.
    left: Option<u64>,
    /// To be told when somebody waits for what the client sends only then.
    wanted: Option<Rc<Notify>>,
}

impl<S: Source> RequestBody<S> {
    pub(super) fn new(source: S, length: Option<u64>, wanted: Option<Rc<Notify>>) -> Self {
        Self {
            source,
            phase: Phase::Pieces,
            ahead: None,
            left: length,
            wanted,
        }
    }

    /// Waits until it is known whether there is anything.
    pub(super) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_none() {
            self.ahead = ready!(self.poll_next(cx));
        }
        Poll::Ready(())
    }

    /// Whether it is known to be none.
    pub(super) fn is_broken(&self) -> bool {
        self.phase == Phase::Broken
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match self.phase {
                Phase::Pieces => match ready!(self.source.poll_piece(cx)) {
                    Ok(Some(piece)) if piece.is_empty() => {}
                    Ok(Some(piece)) if self.takes(&piece) => {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                    Ok(None) if self.left.unwrap_or(0) == 0 => self.phase = Phase::Trailers,
                    Ok(_) => return self.breaks(Broken::default()),
                    Err(broken) => return self.breaks(broken),
                },
                Phase::Trailers => match ready!(self.source.poll_trailers(cx)) {
                    Ok(trailers) => {
                        self.phase = Phase::Ended;
                        return Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))));
                    }
                    Err(broken) => return self.breaks(broken),
                },
                Phase::Ended => return Poll::Ready(None),
                Phase::Broken => return self.breaks(Broken::default()),
            }
        }
    }

    fn breaks<T>(&mut self, broken: Broken) -> Poll<Option<Result<T, Broken>>> {
        self.phase = Phase::Broken;
        Poll::Ready(Some(Err(broken)))
    }

    /// Counts a piece, if the body may have it.
    fn takes(&mut self, piece: &Bytes) -> bool {
        let Some(left) = self.left else { return true };
        let left = left.checked_sub(piece.len() as u64);
        self.left = left.or(self.left);
        left.is_some()
    }
}

impl<S: Source + Unpin> Body for RequestBody<S> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(ahead) = this.ahead.take() {
            return Poll::Ready(Some(ahead));
        }
        let polled = this.poll_next(cx);
        if polled.is_pending()
            && let Some(wanted) = this.wanted.take()
        {
            wanted.notify_one();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.phase == Phase::Ended && self.ahead.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        match self.left {
            Some(left) => SizeHint::with_exact(left + ahead),
            None if self.phase == Phase::Ended => SizeHint::with_exact(ahead),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;

    use super::*;

    /// What a scripted source does next.
    enum Does {
        Gives(&'static str),
        Waits,
        Breaks,
    }

    use Does::{Breaks, Gives, Waits};

    /// Gives what it is told to, then trailers if it has any.
    struct Script(VecDeque<Does>, Option<HeaderMap>);

    impl Source for Script {
        fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
            match self.0.pop_front() {
                Some(Gives(text)) => Poll::Ready(Ok(Some(Bytes::from_static(text.as_bytes())))),
                Some(Waits) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Breaks) => Poll::Ready(Err(Broken::default())),
                None => Poll::Ready(Ok(None)),
            }
        }

        fn poll_trailers(
            &mut self,
            _: &mut Context<'_>,
        ) -> Poll<Result<Option<HeaderMap>, Broken>> {
            Poll::Ready(Ok(self.1.take()))
        }
    }

    fn body(does: Vec<Does>, length: Option<u64>) -> RequestBody<Script> {
        RequestBody::new(Script(does.into(), None), length, None)
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_trailers_last() {
        let fields = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let script = Script(
            vec![Gives("one "), Waits, Gives(""), Gives("two")].into(),
            Some(fields),
        );
        let mut body = RequestBody::new(script, None, None);
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none());
        std::future::poll_fn(|cx| body.poll_look(cx)).await;
        assert!(!body.is_end_stream());
        let whole = body.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "7");
        assert_eq!(whole.to_bytes(), "one two");
    }

    #[tokio::test]
    async fn that_there_is_nothing_is_known_by_looking() {
        for length in [None, Some(0)] {
            let mut body = body(vec![Waits], length);
            assert!(!body.is_end_stream());
            std::future::poll_fn(|cx| body.poll_look(cx)).await;
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(body.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_it_says_or_broken() {
        for (does, length, expect) in [
            (
                vec![Gives("abc"), Gives("def")],
                Some(6),
                Ok(&b"abcdef"[..]),
            ),
            (vec![Gives("abc"), Gives("def")], Some(5), Err(())),
            (vec![Gives("abc"), Gives("def")], Some(7), Err(())),
            (vec![Gives("a")], Some(0), Err(())),
            (vec![Gives("abc"), Breaks], Some(3), Err(())),
            (vec![Gives("abc"), Breaks], None, Err(())),
            (vec![], Some(1), Err(())),
        ] {
            let mut body = body(does, length);
            assert_eq!(body.size_hint().exact(), length);
            std::future::poll_fn(|cx| body.poll_look(cx)).await;
            let read = body.collect().await.map(|whole| whole.to_bytes());
            let read = read.map_err(drop);
            assert_eq!(read, expect.map(Bytes::from_static));
        }
    }

    #[tokio::test]
    async fn what_breaks_stays_broken() {
        let mut body = body(vec![Breaks, Gives("more")], None);
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap_err();
        }
        assert!(!body.is_end_stream());
    }

    #[tokio::test]
    async fn what_is_looked_at_counts_as_length() {
        let mut body = body(vec![Gives("abc"), Gives("def")], Some(6));
        std::future::poll_fn(|cx| body.poll_look(cx)).await;
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "abc"
        );
        assert_eq!(body.size_hint().exact(), Some(3));
    }

    #[tokio::test]
    async fn that_somebody_waits_is_told_once_and_not_by_looking() {
        let wanted = Rc::new(Notify::new());
        let script = Script(vec![Waits, Waits, Gives("abc")].into(), None);
        let mut body = RequestBody::new(script, None, Some(Rc::clone(&wanted)));
        let told = |wanted: &Notify| {
            let notified = std::pin::pin!(wanted.notified());
            notified.poll(&mut Context::from_waker(std::task::Waker::noop()))
        };
        std::future::poll_fn(|cx| Poll::Ready(body.poll_look(cx).is_ready())).await;
        assert!(told(&wanted).is_pending());
        body.frame().await.unwrap().unwrap();
        assert!(told(&wanted).is_ready());
        assert!(told(&wanted).is_pending());
    }
}
