//! How many secrets are sealed under which key, and which keys are needed for that.

use std::collections::{BTreeMap, BTreeSet};

use domain::model::{KekId, Seal, SealedKey, SecretPlace};
use domain::query;
use domain::rows::View;

use super::{KekRing, active};

/// Under what a secret is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealedUnder {
    /// The pepper; webhook secrets that are derived of it are counted here.
    Pepper,
    /// A key-encryption key.
    Kek(KekId),
    /// What a later release knows.
    Unknown,
}

impl SealedUnder {
    fn of(sealed: Option<&SealedKey>) -> Self {
        match sealed.map(SealedKey::seal) {
            None | Some(Seal::Pepper) => Self::Pepper,
            Some(Seal::Kek(envelope)) => Self::Kek(envelope.kek),
            Some(Seal::Unknown) => Self::Unknown,
        }
    }

    /// The name in metrics and for operators.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Pepper => "pepper".to_owned(),
            Self::Kek(id) => id.to_string(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

/// How many secrets of each kind are sealed under one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedCount {
    /// The key that signs what edges follow.
    pub signing_keys: u64,
    /// Private keys of certificates.
    pub certificates: u64,
    /// What signs webhooks.
    pub webhook_secrets: u64,
}

impl SealedCount {
    /// All kinds.
    #[must_use]
    pub fn total(self) -> u64 {
        self.signing_keys + self.certificates + self.webhook_secrets
    }
}

/// All secrets of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The key that is sealed under; nothing is the pepper.
    pub active: Option<KekId>,
    /// By key.
    pub counts: BTreeMap<SealedUnder, SealedCount>,
}

impl Census {
    /// Looks at each of them.
    #[must_use]
    pub fn of(view: &(impl View + ?Sized)) -> Self {
        let mut counts = BTreeMap::<_, SealedCount>::new();
        query::each_secret(view, |place, sealed| {
            let count = counts.entry(SealedUnder::of(sealed)).or_default();
            match place {
                SecretPlace::SigningKey => count.signing_keys += 1,
                SecretPlace::Certificate { .. } => count.certificates += 1,
                SecretPlace::WebhookSecret { .. } => count.webhook_secrets += 1,
            }
        });
        Self {
            active: active(view),
            counts,
        }
    }

    /// The key-encryption keys that a node must have: those that something is sealed under, and the one that is
    /// sealed under next.
    #[must_use]
    pub fn needs(&self) -> BTreeSet<KekId> {
        let sealed = self.counts.keys().filter_map(|under| match under {
            SealedUnder::Kek(id) => Some(*id),
            SealedUnder::Pepper | SealedUnder::Unknown => None,
        });
        sealed.chain(self.active).collect()
    }

    /// Those of the [needed](Self::needs) keys that a node with `keks` lacks.
    #[must_use]
    pub fn missing(&self, keks: &KekRing) -> BTreeSet<KekId> {
        let mut missing = self.needs();
        missing.retain(|id| !keks.has(*id));
        missing
    }

    /// How many are not sealed under the active key.
    #[must_use]
    pub fn stale(&self) -> u64 {
        let active = self.active.map(SealedUnder::Kek);
        let stale = self
            .counts
            .iter()
            .filter(|(under, _)| Some(**under) != active);
        stale.map(|(_, count)| count.total()).sum()
    }
}
