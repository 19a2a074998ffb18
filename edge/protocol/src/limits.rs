//! Every bound of the protocol, with the reason for the number.

use std::time::Duration;

/// A frame's bytes after its length. A frame of chunks is the largest: it closes once it holds
/// [`CHUNKS_FRAME_BYTES`], so the last chunk may go over by its own size; 1 MiB leaves room.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// When a frame of chunks is full: large enough that framing costs nothing, small enough that
/// the newest manifest and the next ping never wait long behind it.
pub const CHUNKS_FRAME_BYTES: usize = 256 * 1024;

/// A chunk's bytes, as the trees of `domain` cut them.
pub const CHUNK_BYTES_MAX: usize = domain::tree::CHUNK_BYTES_MAX;

/// Chunks asked for in one frame: 16 KiB of hashes.
pub const WANT_HASHES_MAX: usize = 512;

/// Chunks asked for and not answered yet: two frames of them, so that the next is under way
/// while one is answered. A node keeps no more than this per edge.
pub const WANTS_IN_FLIGHT_MAX: usize = 2 * WANT_HASHES_MAX;

/// Bytes fetched and not stored yet: all chunks of about a million rules. What is larger than
/// this is refused with that reason instead of filling the edge's memory.
pub const FETCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// An edge's identifier, environment, region or software version, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// An edge's labels.
pub const LABELS_MAX: usize = 32;

/// A label's key or value, in bytes.
pub const LABEL_BYTES_MAX: usize = 256;

/// The reason in a report or a refusal, in bytes: a screenful.
pub const REASON_BYTES_MAX: usize = 1024;

/// Targets in a report of health: more than fail at once where anybody looks at each, and little
/// enough that what nodes tell each other of thousands of edges stays small.
pub const HEALTH_TARGETS_MAX: usize = 192;

/// What was wrong with a target, in bytes: a line.
pub const TARGET_ERROR_BYTES_MAX: usize = 120;

/// The place in a trace that a manifest comes from, in bytes: a `traceparent` of version 00.
pub const TRACEPARENT_BYTES_MAX: usize = 55;

/// Addresses in a welcome: more nodes than a cluster has.
pub const PUBLISHERS_MAX: usize = 64;

/// Roots that an edge remembers as rejected, so that it does not fetch them again.
pub const REJECTED_ROOTS_MAX: usize = 16;

/// Frames waiting to be sent by an edge. Its wants are bounded by themselves and reports are
/// few; more than this means that the node reads nothing.
pub const OUTBOX_FRAMES_MAX: usize = 64;

/// How long the first answer on a new connection may take, on either side.
pub const GREETING_MAX: Duration = Duration::from_secs(5);

/// How often a node pings. It also shows the node that the edge's own loop is alive.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long a peer may be silent before it counts as stuck. QUIC notices a dead process sooner;
/// this is for one whose socket still answers. An edge that takes in less than about 50 KB/s
/// is lost by it as well, since pings wait behind chunks.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long a node that pings may leave a want unanswered.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// How long an edge waits before it tries again what its disk or memory refused.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(5);

const _: () = assert!(CHUNKS_FRAME_BYTES + CHUNK_BYTES_MAX + 4096 <= FRAME_BYTES_MAX);
const _: () = assert!(WANT_HASHES_MAX * 32 + 64 <= FRAME_BYTES_MAX);
