//! Clients that keep a connection busy with what is no use to anybody: frames of HTTP/2 that must be
//! answered or remembered but carry nothing, and requests that are taken back as soon as they are
//! made. h2 bounds what each of them takes; here a connection that does nothing else is ended. Frames
//! of HTTP/3 are counted here, too; `http3` finds them.
//!
//! | | counted | unless |
//! |---|---|---|
//! | frames | PING, SETTINGS, PRIORITY, RST_STREAM, DATA without data, what is unknown | a request or data came between, or as much of answers was made in frames |
//! | resets | requests taken back within [`SOON`] and before their answer | as many others were answered |

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Empty frames in a row. Clients that measure a connection send one with each round trip in which they
/// send or are sent data: of those who only read, there are no more than frames of their answers.
const FRAMES_MAX: u32 = 1_000;

/// Requests taken back. A browser's window that is closed takes back what it had asked for: up to
/// all streams of a connection at once.
const RESETS_MAX: u32 = 500;

/// For how long is counted. What is less than that in this time harms nobody.
const WINDOW: Duration = Duration::from_secs(10);

/// A request that is taken back later than this was meant.
const SOON: Duration = Duration::from_secs(1);

/// The length of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// What an HTTP/2 client sends before its first frame.
const PREFACE_BYTES: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Counts within a window of time, which it looks at the clock for only when there are many.
#[derive(Debug)]
struct Count {
    count: Cell<u32>,
    since: Cell<Instant>,
}

impl Count {
    fn new() -> Self {
        Self {
            count: Cell::new(0),
            since: Cell::new(Instant::now()),
        }
    }

    /// One more; true when that makes `max` within a window.
    fn reaches(&self, max: u32) -> bool {
        let count = self.count.get() + 1;
        self.count.set(count);
        if count < max {
            return false;
        }
        let now = Instant::now();
        let in_time = now.duration_since(self.since.get()) < WINDOW;
        self.clear(now);
        in_time
    }

    fn clear(&self, now: Instant) {
        self.count.set(0);
        self.since.set(now);
    }
}

/// Frames in a row that carry nothing, of a connection.
#[derive(Debug)]
pub(super) struct Empties(Count);

impl Empties {
    pub(super) fn new() -> Self {
        Self(Count::new())
    }

    /// One more; true when there are too many.
    pub(super) fn another(&self) -> bool {
        self.0.reaches(FRAMES_MAX)
    }

    /// A request or data came between.
    pub(super) fn interrupted(&self) {
        self.0.count.set(0);
    }
}

/// Requests that are taken back, of a connection.
#[derive(Debug)]
pub(super) struct Resets {
    resets: Count,
    answered: Cell<u32>,
}

impl Resets {
    pub(super) fn new() -> Self {
        Self {
            resets: Count::new(),
            answered: Cell::new(0),
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        self.answered.set(self.answered.get().saturating_add(1));
    }

    /// A request was taken back before its answer; true when that is all the client does.
    pub(super) fn taken_back(&self, begun: Instant) -> bool {
        if begun.elapsed() >= SOON || !self.resets.reaches(RESETS_MAX) {
            return false;
        }
        self.answered.replace(0) < RESETS_MAX
    }
}

/// Reads along where frames begin and counts the empty ones.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// How much of the head is there.
    known: usize,
    /// What is left of the frame's content, or of the preface.
    left: u32,
    empty: Count,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            head: [0; HEAD_BYTES],
            known: 0,
            left: PREFACE_BYTES,
            empty: Count::new(),
        }
    }

    /// So many frames more may come, for as many of answers that were made.
    pub(super) fn allow(&mut self, made: u32) {
        if made > 0 {
            let count = self.empty.count.get();
            self.empty.count.set(count.saturating_sub(made));
        }
    }

    /// Reads on; true when there are too many empty frames.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut too_many = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = bytes.len().min(self.left as usize);
                bytes = &bytes[skipped..];
                // It is at most what was left.
                self.left -= u32::try_from(skipped).unwrap_or(self.left);
                continue;
            }
            let taken = bytes.len().min(HEAD_BYTES - self.known);
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEAD_BYTES {
                self.known = 0;
                too_many |= self.frame();
            }
        }
        too_many
    }

    /// A frame begins.
    fn frame(&mut self) -> bool {
        let [high, middle, low, kind, ..] = self.head;
        self.left = u32::from_be_bytes([0, high, middle, low]);
        match kind {
            HEADERS => {
                self.empty.count.set(0);
                false
            }
            DATA if self.left > 0 => {
                self.empty.count.set(0);
                false
            }
            // Whoever downloads sends these alone; nothing is answered or kept. How many of the
            // latter there may be follows from the longest head.
            WINDOW_UPDATE | CONTINUATION => false,
            _ => self.empty.reaches(FRAMES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + length, 0xff);
        frame
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        assert!(!frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        frames
    }

    /// Whether that many of these in a row are too many.
    fn floods(kind: u8, length: usize, count: u32) -> bool {
        let mut frames = begun();
        (0..count).fold(false, |flood, _| flood | frames.read(&frame(kind, length)))
    }

    #[tokio::test(start_paused = true)]
    async fn empty_frames_in_a_row_are_a_flood() {
        for (kind, length) in [(6, 8), (4, 0), (4, 36), (2, 5), (3, 4), (0, 0), (0x42, 9)] {
            assert!(!floods(kind, length, FRAMES_MAX - 1), "{kind}");
            assert!(floods(kind, length, FRAMES_MAX), "{kind}");
        }
        for (kind, length) in [(1, 20), (0, 1), (8, 4), (9, 0)] {
            assert!(!floods(kind, length, 3 * FRAMES_MAX), "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spread_over_time_or_between_data_is_none() {
        let mut frames = begun();
        for _ in 0..3 * FRAMES_MAX {
            assert!(!frames.read(&frame(6, 8)));
            advance(Duration::from_millis(11)).await;
        }
        for _ in 0..3 * FRAMES_MAX {
            assert!(!frames.read(&frame(6, 8)));
            assert!(!frames.read(&frame(0, 1000)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_frames_as_answers_have_are_none() {
        let mut frames = begun();
        for _ in 0..3 * FRAMES_MAX {
            frames.allow(1);
            assert!(!frames.read(&frame(6, 8)));
        }
        // Answers that go on are no licence for more.
        frames.allow(3 * FRAMES_MAX);
        assert!((0..2 * FRAMES_MAX).any(|number| {
            frames.allow(number % 2);
            frames.read(&frame(6, 8))
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_taken_back_at_once_are_a_flood_unless_others_are_answered() {
        let flood = |resets: &Resets, count: u32| {
            (0..count).fold(false, |flood, _| flood | resets.taken_back(Instant::now()))
        };
        let resets = Resets::new();
        assert!(!flood(&resets, RESETS_MAX - 1));
        assert!(flood(&resets, 1));
        for _ in 0..RESETS_MAX {
            resets.answered();
        }
        assert!(!flood(&resets, RESETS_MAX));
        assert!(flood(&resets, RESETS_MAX));
        let early = Instant::now();
        advance(SOON).await;
        assert!((0..3 * RESETS_MAX).all(|_| !resets.taken_back(early)));
    }

    proptest! {
        /// However a stream is cut, the same frames are seen.
        #[test]
        fn frames_are_found_however_they_arrive(
            lengths in prop::collection::vec((0..12_u8, 0..300_usize), 1..20),
            cuts in prop::collection::vec(1..50_usize, 1..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _within = runtime.enter();
            let bytes: Vec<u8> = lengths.iter().flat_map(|(kind, length)| frame(*kind, *length)).collect();
            let mut frames = begun();
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let cut = rest.len().min(*cuts.next().unwrap());
                frames.read(&rest[..cut]);
                rest = &rest[cut..];
            }
            prop_assert_eq!((frames.left, frames.known), (0, 0));
            let useful = |(kind, length): &(u8, usize)| *kind == HEADERS || (*kind == DATA && *length > 0);
            let after = lengths.iter().rposition(useful).map_or(0, |place| place + 1);
            let empty = lengths[after..].iter().filter(|(kind, _)| ![WINDOW_UPDATE, CONTINUATION].contains(kind));
            prop_assert_eq!(frames.empty.count.get() as usize, empty.count());
        }
    }
}
