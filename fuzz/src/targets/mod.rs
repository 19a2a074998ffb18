//! The targets, and how many bytes each may allocate for an input.

mod audit;
mod cursor;
mod frame;
mod hostname;
mod key;
mod matcher;
mod raft;
mod rule;
mod snapshot;
mod webhook;

use crate::Seen;

/// A function that is given bytes and panics when a property does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What holds, in a line.
    pub what: &'static str,
    /// The function.
    pub run: fn(&[u8]) -> Seen,
    /// Words that mean something to what reads the input.
    pub words: &'static [&'static [u8]],
    /// How much it may allocate.
    pub allocates: Allocates,
}

/// How many bytes a target may hold at once for an input of so many bytes: with a bound in proportion to
/// the input, no length that is only claimed is believed.
#[derive(Clone, Copy, Debug)]
pub struct Allocates {
    /// For any input.
    pub always: u64,
    /// For each byte of it.
    pub per_byte: u64,
}

impl Allocates {
    /// For what decodes: serde takes a claimed length for at most a mebibyte of elements at a time, and the
    /// encodings compared stand beside each other.
    const DECODING: Self = Self {
        always: 4 << 20,
        per_byte: 256,
    };

    /// For what compiles regular expressions, each of which may come to 64 KiB beside what searching it takes.
    const COMPILING: Self = Self {
        always: 64 << 20,
        per_byte: 4096,
    };

    /// For what reads short texts.
    const TEXT: Self = Self {
        always: 256 << 10,
        per_byte: 64,
    };

    /// How many bytes an input of this length may take.
    #[must_use]
    pub fn allowed(self, length: usize) -> u64 {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.always
            .saturating_add(self.per_byte.saturating_mul(length))
    }
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "snapshot",
        what: "chunks, heads, rules, upstreams, entries and checkpoint manifests have one encoding",
        run: snapshot::run,
        words: &[
            b"rule_",
            b"up_",
            b"rt_",
            b"snap_",
            b"{}",
            &[1, 1, 0],
            &[1, 4, 0],
        ],
        allocates: Allocates::DECODING,
    },
    Target {
        name: "raft",
        what: "log entries, votes and memberships read back as written; two replicas do the same",
        run: raft::run,
        words: &[b"req_", b"key_", b"up_", b"rt_", b"rule_"],
        allocates: Allocates::DECODING,
    },
    Target {
        name: "rule",
        what: "a rule that is taken has one normal form, compiles, and reads back from its snapshot",
        run: rule::run,
        words: rule::WORDS,
        allocates: Allocates::COMPILING,
    },
    Target {
        name: "matcher",
        what: "the index finds the rule that trying all of them finds; shadowed rules take nothing",
        run: matcher::run,
        words: &[],
        allocates: Allocates::COMPILING,
    },
    Target {
        name: "cursor",
        what: "a cursor is taken only in its one spelling, and only where it was given out",
        run: cursor::run,
        words: &[
            b"cur_",
            b"\"id\":\"",
            b"\"f\":\"",
            b"\"m\":\"",
            b" ",
            b"{",
            b"}",
            b",",
        ],
        allocates: Allocates::TEXT,
    },
    Target {
        name: "key",
        what: "a well-formed key has one spelling, and no burst of changes passes its checksum",
        run: key::run,
        words: &[b"vg_live_sk_v2_", b"vg_test_sk_v2_", b"vg_rk_v2_"],
        allocates: Allocates::TEXT,
    },
    Target {
        name: "hostname",
        what: "a hostname that is taken is normal, no address, and the name that URL parsers see",
        run: hostname::run,
        words: hostname::WORDS,
        allocates: Allocates::TEXT,
    },
    Target {
        name: "webhook",
        what: "a receiver that is taken is public, over TLS, and the one that its URL names",
        run: webhook::run,
        words: webhook::WORDS,
        allocates: Allocates::TEXT,
    },
    Target {
        name: "frame",
        what: "frames decode the same however they are cut, read back, and upset no state machine",
        run: frame::run,
        words: &[b"vg_join_v2_", b"edge-1", &[0, 0, 0, 2, 1], &[0, 16, 0, 0]],
        allocates: Allocates::DECODING,
    },
    Target {
        name: "audit",
        what: "canonical JSON is canonical, and a log that was tampered with does not verify",
        run: audit::run,
        words: audit::WORDS,
        allocates: Allocates::DECODING,
    },
];

/// The target with a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
