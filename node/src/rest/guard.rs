//! Deadlines for a connection's bytes, which hyper does not have all of: it can bound the time
//! for a request's head, but counts the idle time between two requests as such, and has no bound
//! for the first bytes (while it finds out which HTTP is spoken) nor for a peer that does not
//! read its answer.
//!
//! ```text
//! opened, or first byte of a head      -> the request must be complete within HEAD
//! a request is being answered          -> no limit here; the pipeline has its own
//! the last request was answered        -> the next one must begin within IDLE, counted again
//!                                         whenever an answer that was stuck moves on
//! an answer is stuck in the socket     -> it must move on within WRITE
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// By when a request's head must be complete, from its first byte or the connection's beginning.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may be without a request.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// How long a peer may leave an answer unread.
pub(crate) const WRITE: Duration = Duration::from_secs(30);

/// What the requests of a connection tell its guard.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests whose head arrived.
    begun: AtomicU64,
    /// Requests that were answered or given up.
    ended: AtomicU64,
    /// Whether HTTP/2 is spoken, where frames come at any time and only IDLE applies.
    multiplexed: AtomicBool,
}

impl Activity {
    /// A request's head arrived; the request ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: http::Version) -> RequestGuard {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if version == http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        RequestGuard(Arc::clone(self))
    }

    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > self.ended()
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream that gives up on a peer that keeps it waiting.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    stream: S,
    activity: Arc<Activity>,
    /// How many requests had ended when the phase was last set.
    ended: u64,
    /// Whether the head of a request is arriving.
    heading: bool,
    /// When the present wait for bytes ends.
    read_by: Instant,
    read_timer: Pin<Box<Sleep>>,
    /// Set while an answer is stuck.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        let read_by = Instant::now() + HEAD;
        Self {
            stream,
            activity,
            ended: 0,
            heading: true,
            read_by,
            read_timer: Box::pin(sleep_until(read_by)),
            write_timer: None,
        }
    }

    /// Notices requests that ended since the last look: the connection is idle from now on.
    fn refresh(&mut self) {
        let ended = self.activity.ended();
        if ended != self.ended {
            self.ended = ended;
            self.heading = false;
            self.read_by = Instant::now() + IDLE;
        }
    }

    fn bytes_came(&mut self) {
        if !self.heading
            && !self.activity.is_busy()
            && !self.activity.multiplexed.load(Ordering::Relaxed)
        {
            self.heading = true;
            self.read_by = Instant::now() + HEAD;
        }
    }

    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.activity.is_busy() {
            return Poll::Pending;
        }
        if self.read_timer.deadline() != self.read_by {
            self.read_timer.as_mut().reset(self.read_by);
        }
        ready!(self.read_timer.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Gives a pending write its deadline, and takes it from one that moved on.
    fn guard_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            let was_stuck = self.write_timer.take().is_some();
            // Whoever reads slowly is not idle. A write that does not wait says nothing of the
            // peer: HTTP/2 pings are such.
            if was_stuck && !self.heading {
                self.read_by = Instant::now() + IDLE;
            }
            return polled;
        }
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.refresh();
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    self.bytes_came();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_read_deadline(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.guard_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.guard_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.guard_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.guard_write(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, sleep};

    use super::*;

    fn pair(
        buffer: usize,
    ) -> (
        tokio::io::DuplexStream,
        Guarded<tokio::io::DuplexStream>,
        Arc<Activity>,
    ) {
        let (peer, stream) = tokio::io::duplex(buffer);
        let activity = Arc::new(Activity::default());
        (peer, Guarded::new(stream, Arc::clone(&activity)), activity)
    }

    /// Reads until the guard gives up, and says after how long it did.
    async fn gives_up_after(guarded: &mut Guarded<tokio::io::DuplexStream>) -> Duration {
        let started = Instant::now();
        let mut bytes = [0; 64];
        loop {
            match guarded.read(&mut bytes).await {
                Ok(0) => panic!("the peer closed"),
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return started.elapsed();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_given_up_after_the_head_deadline() {
        let (_peer, mut guarded, _) = pair(64);
        assert_eq!(gives_up_after(&mut guarded).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_does_not_gain_time_by_each_byte() {
        let (mut peer, mut guarded, _) = pair(64);
        let trickle = tokio::spawn(async move {
            while peer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(gives_up_after(&mut guarded).await, HEAD);
        trickle.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_not_timed_and_the_idle_time_starts_when_it_ends() {
        let (mut peer, mut guarded, activity) = pair(64);
        peer.write_all(b"head").await.unwrap();
        let mut bytes = [0; 64];
        assert_eq!(guarded.read(&mut bytes).await.unwrap(), 4);
        let request = activity.begin(Version::HTTP_11);
        let wait = tokio::time::timeout(HEAD * 2, guarded.read(&mut bytes)).await;
        assert!(wait.is_err(), "a request under way was timed");
        drop(request);
        assert_eq!(gives_up_after(&mut guarded).await, IDLE);
        // A next head, once begun, has the short deadline again.
        peer.write_all(b"next").await.unwrap();
        assert_eq!(guarded.read(&mut bytes).await.unwrap(), 4);
        assert_eq!(gives_up_after(&mut guarded).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_on_a_multiplexed_connection_do_not_start_the_head_deadline() {
        let (mut peer, mut guarded, activity) = pair(64);
        drop(activity.begin(Version::HTTP_2));
        peer.write_all(b"ping").await.unwrap();
        assert_eq!(gives_up_after(&mut guarded).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (_peer, mut guarded, _) = pair(8);
        let started = Instant::now();
        let error = guarded.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(
            (error.kind(), started.elapsed()),
            (io::ErrorKind::TimedOut, WRITE)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_moves_on_is_served_to_the_end() {
        let (mut peer, mut guarded, _) = pair(8);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            let mut bytes = [0; 8];
            while all.len() < 32 {
                sleep(WRITE - Duration::from_secs(1)).await;
                let count = peer.read(&mut bytes).await.unwrap();
                all.extend_from_slice(&bytes[..count]);
            }
            all.len()
        });
        guarded.write_all(&[1; 32]).await.unwrap();
        assert_eq!(reader.await.unwrap(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_slowly_is_served_to_the_end_however_long_that_takes() {
        let (mut peer, guarded, activity) = pair(8);
        drop(activity.begin(Version::HTTP_11));
        let (mut reading, mut writing) = tokio::io::split(guarded);
        let reader = tokio::spawn(async move {
            let mut bytes = [0; 8];
            for _ in 0..8 {
                sleep(WRITE - Duration::from_secs(1)).await;
                peer.read_exact(&mut bytes).await.unwrap();
            }
            peer
        });
        // Both in one task, as hyper has them.
        let mut bytes = [0; 8];
        tokio::select! {
            read = reading.read(&mut bytes) => panic!("given up while it was read: {read:?}"),
            written = writing.write_all(&[1; 64]) => written.unwrap(),
        }
        let started = Instant::now();
        let error = reading.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() <= IDLE);
        drop(reader.await.unwrap());
    }
}
