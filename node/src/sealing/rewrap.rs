//! Seals what is there under another key, some secrets at a time, as a command that replaces each only if it is still
//! what was read.

use std::collections::BTreeMap;

use domain::command::{Command, RewrapSecrets, RewrappedSecret};
use domain::model::{KekId, SealedKey, SecretPlace};
use domain::query;
use domain::rows::View;
use platform::Entropy;

use super::slot::Slot;
use super::{Belongs, Unopened, WebhookSlot};
use crate::keys::KeyRing;

/// What was made of some secrets.
#[derive(Debug, Default)]
pub(crate) struct Rewrap {
    secrets: Vec<RewrappedSecret>,
    /// What cannot be sealed anew, and why.
    pub(crate) failed: BTreeMap<SecretPlace, Unopened>,
}

impl Rewrap {
    /// How many secrets there are to be replaced.
    pub(crate) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// The command that replaces them, if there are any.
    pub(crate) fn command(self) -> Option<Command> {
        let secrets = self.secrets;
        (!secrets.is_empty()).then_some(Command::RewrapSecrets(RewrapSecrets { secrets }))
    }
}

/// Seals up to `limit` secrets under `to` that are sealed under something else.
pub(crate) fn rewrap(
    keys: &KeyRing,
    view: &dyn View,
    to: KekId,
    limit: usize,
    entropy: &dyn Entropy,
) -> Rewrap {
    let mut made = Rewrap::default();
    query::each_secret(view, |place, sealed| {
        let is_there = sealed.and_then(SealedKey::kek) == Some(to);
        if is_there || made.secrets.len() >= limit {
            return;
        }
        match sealed_anew(keys, view, to, (&place, sealed), entropy) {
            Ok(Some(now)) => made.secrets.push(RewrappedSecret {
                place,
                was: sealed.map(SealedKey::digest),
                now,
            }),
            // It went meanwhile, which cannot be in one view.
            Ok(None) => {}
            Err(error) => drop(made.failed.insert(place, error)),
        }
    });
    made
}

fn sealed_anew(
    keys: &KeyRing,
    view: &dyn View,
    to: KekId,
    (place, sealed): (&SecretPlace, Option<&SealedKey>),
    entropy: &dyn Entropy,
) -> Result<Option<SealedKey>, Unopened> {
    let slot = match place {
        SecretPlace::SigningKey => {
            query::signing(view).map(|signing| Slot::signing(&signing.cluster_id, &signing.active))
        }
        SecretPlace::Certificate {
            environment_id,
            certificate_id,
        } => query::certificate(view, environment_id, certificate_id)
            .map(|certificate| Slot::certificate(Belongs::of(&certificate))),
        SecretPlace::WebhookSecret {
            environment_id,
            endpoint_id,
            generation,
        } => {
            let Some(endpoint) = query::webhook_endpoint(view, environment_id, endpoint_id) else {
                return Ok(None);
            };
            let slot = WebhookSlot::of(&endpoint);
            if sealed.is_none() {
                let secret = keys.derived_webhook_secret(endpoint.id.as_str(), generation.0);
                return keys
                    .seal_webhook_secret(to, slot, &secret, entropy)
                    .map(Some);
            }
            Some(Slot::webhook(slot))
        }
    };
    slot.zip(sealed)
        .map(|(slot, sealed)| keys.rewrap_bytes(to, &slot, sealed, entropy))
        .transpose()
}
