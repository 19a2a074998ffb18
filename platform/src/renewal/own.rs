//! How a certificate of the process's own stands: until when it holds, and how its renewals went. Metrics show it, and whoever waits
//! for a renewal is told.

use tokio::sync::watch;

use crate::certificate::Term;

/// A certificate of the process's own, as its metrics show it.
#[derive(Debug)]
pub struct OwnCertificate {
    /// What it is for.
    pub use_for: &'static str,
    standing: watch::Sender<Standing>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// From when and until when what is in use holds.
    pub term: Term,
    /// How often another one was taken into use.
    pub taken: u64,
    /// How often what came could not be used, or whoever was asked said no.
    pub refused: u64,
    /// How often nobody who was asked gave an answer.
    pub unavailable: u64,
    /// Whether what lies on the disk now was refused, while something else is in use.
    pub is_unusable: bool,
}

impl OwnCertificate {
    /// One that holds for so long.
    #[must_use]
    pub fn new(use_for: &'static str, term: Term) -> Self {
        let standing = Standing {
            term,
            ..Standing::default()
        };
        Self {
            use_for,
            standing: watch::Sender::new(standing),
        }
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// How it stands, as it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Another one is in use.
    pub fn renewed(&self, term: Term) {
        self.standing.send_modify(|standing| {
            standing.term = term;
            standing.taken += 1;
            standing.is_unusable = false;
        });
    }

    /// What came could not be used, or whoever was asked said no.
    pub fn refused(&self) {
        self.standing.send_modify(|standing| standing.refused += 1);
    }

    /// Nobody who was asked gave an answer.
    pub fn unavailable(&self) {
        self.standing
            .send_modify(|standing| standing.unavailable += 1);
    }

    /// What lies on the disk cannot be used.
    pub(super) fn files_refused(&self) {
        self.standing.send_modify(|standing| {
            standing.refused += 1;
            standing.is_unusable = true;
        });
    }

    /// What lies on the disk is what is in use.
    pub(super) fn files_known(&self) {
        self.standing
            .send_modify(|standing| standing.is_unusable = false);
    }
}
