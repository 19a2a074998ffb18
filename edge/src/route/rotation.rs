//! A rotation that costs nothing where there is nothing to choose.

use parking_lot::Mutex;

use crate::balance::SmoothWeighted;

/// A rotation over entries with weights.
#[derive(Debug)]
pub(super) enum Rotation {
    Nothing,
    Always(usize),
    Weighted(Mutex<SmoothWeighted>),
}

impl Rotation {
    /// A rotation that goes on where `previous` stood; `was` says where an entry stood there.
    pub(super) fn new(
        weights: &[u32],
        previous: Option<&Self>,
        was: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let mut usable = weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0)
            .map(|(place, _)| place);
        match (usable.next(), usable.next()) {
            (None, _) => Self::Nothing,
            (Some(only), None) => Self::Always(only),
            _ => {
                let weights = weights.iter().copied();
                let rotation = match previous {
                    Some(Self::Weighted(before)) => {
                        SmoothWeighted::continuing(weights, &before.lock(), was)
                    }
                    _ => SmoothWeighted::new(weights),
                };
                Self::Weighted(Mutex::new(rotation))
            }
        }
    }

    /// Whether what it gives depends on what it gave before.
    pub(super) fn remembers(&self) -> bool {
        matches!(self, Self::Weighted(_))
    }

    pub(super) fn is_usable(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The next entry.
    pub(super) fn next(&self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Always(place) => Some(*place),
            Self::Weighted(rotation) => rotation.lock().next(),
        }
    }

    /// The next entry where entries have only a share of their weight for now, or none.
    pub(super) fn next_by(&self, share: impl Fn(usize) -> u32) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Always(place) => (share(*place) > 0).then_some(*place),
            Self::Weighted(rotation) => rotation.lock().next_by(share),
        }
    }
}
