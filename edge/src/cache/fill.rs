//! Carries a body from an origin into a kept answer. It goes on when the client that asked has
//! gone, for as long as the answer is kept or others read it: the work is done already, and what
//! it may take is bounded by the largest body that is kept and the origin's own deadline.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http_body::Body;

use super::body::Filler;
use super::store::Cache;
use super::stored::Stored;

/// Fills the body of `stored` until it ends.
pub async fn fill<B>(cache: Arc<Cache>, stored: Arc<Stored>, filler: Filler, mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut filling = Filling {
        cache,
        stored,
        filler: Some(filler),
        kept: true,
        length: 0,
    };
    let mut trailers = None;
    loop {
        if !filling.has_room().await {
            return;
        }
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => filling.push(bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Some(Err(_)) => return,
            None => return filling.end(trailers),
        }
    }
}

/// A body on its way. Dropped before its end, with the thread or because the origin broke off,
/// it is not kept; its readers see the same end.
struct Filling {
    cache: Arc<Cache>,
    stored: Arc<Stored>,
    filler: Option<Filler>,
    kept: bool,
    length: u64,
}

impl Filling {
    async fn has_room(&self) -> bool {
        match &self.filler {
            Some(filler) => poll_fn(|cx| filler.poll_room(cx)).await,
            None => false,
        }
    }

    fn push(&mut self, bytes: Bytes) {
        let by = bytes.len() as u64;
        self.length += by;
        if let Some(filler) = &self.filler {
            filler.push(bytes);
            if self.kept && !self.is_kept_with(by) {
                self.kept = false;
                filler.pass();
            }
        }
    }

    fn is_kept_with(&self, by: u64) -> bool {
        if self.length > self.cache.body_bytes_max() {
            self.cache.remove(&self.stored);
            return false;
        }
        self.cache.grow(&self.stored, by)
    }

    fn end(mut self, trailers: Option<HeaderMap>) {
        if let Some(filler) = self.filler.take() {
            filler.end(trailers);
        }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if self.filler.is_some() {
            self.cache.remove(&self.stored);
        }
    }
}
