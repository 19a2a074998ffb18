//! Two streams of bytes that are joined: what one side says, the other hears, until both have
//! ended, one breaks, or neither says anything for too long. Nothing of it is understood here.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until};
use tokio_util::io::InspectReader;
use tracing::debug;

use super::connection::Flight;
use crate::metrics::Tally;
use crate::upstream::Hold;

/// What is held of each direction. Most messages of a WebSocket fit in it, and ten thousand tunnels
/// take 160 MiB.
const PIECE_BYTES: usize = 8 * 1024;

/// An origin that has agreed to speak something else from now on. Its request is under way for
/// as long as the tunnel lives, so that a stopping edge waits for it as for any other.
#[derive(Debug)]
pub(super) struct Tunnel {
    origin: OnUpgrade,
    idle: Duration,
    tally: Arc<Tally>,
    _flight: Flight,
    /// Its place at the target.
    _hold: Hold,
}

/// Counts a tunnel for as long as it is open, however it ends.
struct Counted(Arc<Tally>);

impl Tunnel {
    pub(super) fn new(
        origin: OnUpgrade,
        idle: Duration,
        tally: Arc<Tally>,
        flight: Flight,
        hold: Hold,
    ) -> Self {
        Self {
            origin,
            idle,
            tally,
            _flight: flight,
            _hold: hold,
        }
    }

    /// Joins the client's side to it, until the end.
    pub(super) async fn join<C: AsyncRead + AsyncWrite + Unpin>(self, client: C) {
        match self.origin.await {
            Ok(origin) => relay(client, TokioIo::new(origin), self.idle, &self.tally).await,
            Err(error) => debug!(%error, "an origin that had switched protocols is gone"),
        }
    }
}

/// Passes bytes on between two streams until the end.
pub(super) async fn relay<A, B>(one: A, other: B, idle: Duration, tally: &Arc<Tally>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let _counted = Counted::new(tally);
    let moved = Cell::new(Instant::now());
    let note = |_: &[u8]| moved.set(Instant::now());
    let mut one = InspectReader::new(one, note);
    let mut other = InspectReader::new(other, note);
    let copy = copy_bidirectional_with_sizes(&mut one, &mut other, PIECE_BYTES, PIECE_BYTES);
    tokio::select! {
        ended = copy => match ended {
            Ok((from_client, from_origin)) => debug!(from_client, from_origin, "a tunnel has ended"),
            Err(error) => debug!(%error, "a tunnel broke off"),
        },
        () = silence(&moved, idle) => {
            tally.tunnel_overdue();
            debug!("a tunnel was silent for too long");
        }
    }
}

/// Waits until nothing has moved for that long. One timer, moved only when it fires.
async fn silence(moved: &Cell<Instant>, limit: Duration) {
    loop {
        let due = moved.get() + limit;
        if Instant::now() >= due {
            return;
        }
        sleep_until(due).await;
    }
}

impl Counted {
    fn new(tally: &Arc<Tally>) -> Self {
        tally.tunnel_opened();
        Self(Arc::clone(tally))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tunnel_ended();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn either_side_keeps_a_tunnel_open_and_silence_ends_it() {
        let ((mut client, near), (far, mut origin)) = (duplex(64), duplex(64));
        let tally = Arc::<Tally>::default();
        let talk = async {
            let begun = Instant::now();
            for turn in 0..6 {
                tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
                let (from, to) = if turn % 2 == 0 {
                    (&mut client, &mut origin)
                } else {
                    (&mut origin, &mut client)
                };
                from.write_all(b"tick").await.unwrap();
                let mut heard = [0; 4];
                to.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"tick");
            }
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty());
            assert_eq!(begun.elapsed(), 6 * (IDLE - Duration::from_secs(1)) + IDLE);
        };
        tokio::join!(relay(near, far, IDLE, &tally), talk);
    }

    #[tokio::test]
    async fn one_side_may_end_while_the_other_goes_on() {
        let ((mut client, near), (far, mut origin)) = (duplex(64), duplex(64));
        let tally = Arc::<Tally>::default();
        let talk = async {
            client.write_all(b"that is all").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            origin.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "that is all");
            origin.write_all(b"not for me").await.unwrap();
            drop(origin);
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "not for me");
        };
        tokio::join!(relay(near, far, IDLE, &tally), talk);
    }
}
