//! What was seen of edges: what they held, what they said of it, and what they answered.

/// What a client saw of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Which edge.
    pub edge: usize,
    /// When it was sent, in simulated microseconds.
    pub sent_us: u64,
    /// When the answer came, in simulated microseconds.
    pub at_us: u64,
    /// The path that was asked for.
    pub path: String,
    /// The status, or nothing where the connection failed.
    pub status: Option<u16>,
    /// The body.
    pub body: String,
    /// The snapshot that the answer was made by, as the edge says.
    pub snapshot: Option<String>,
    /// The marker in the answer's head, which the body repeats.
    pub mark: Option<String>,
}

/// What an edge process held at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeSight {
    /// Which edge.
    pub edge: usize,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// The manifest's epoch.
    pub epoch: u64,
    /// The manifest's version.
    pub version: u64,
    /// The manifest's root.
    pub root: [u8; 32],
}

/// What an edge said of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeWord {
    /// Which edge.
    pub edge: usize,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// The manifest's epoch and version.
    pub manifest: (u64, u64),
    /// The manifest's root.
    pub root: [u8; 32],
    /// Why it was refused; nothing where it was taken into use.
    pub refused: Option<String>,
}

/// A manifest that was made bad on purpose on its way to an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadManifest {
    /// Which edge it was meant for.
    pub edge: usize,
    /// When, in simulated microseconds.
    pub at_us: u64,
    /// What was done to it.
    pub how: &'static str,
    /// Its epoch and version.
    pub manifest: (u64, u64),
    /// Its root, where it was one that no good manifest has.
    pub root: Option<[u8; 32]>,
}
