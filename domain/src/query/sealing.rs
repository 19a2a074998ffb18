//! Secrets as they are sealed: under which key from now on, and which there are.

use crate::model::{SealedKey, Sealing, SecretGeneration, SecretPlace, WebhookEndpoint};
use crate::rows::View;
use crate::schema::{CERTIFICATES, SEALING, SIGNING, WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS};

/// Under which key secrets are sealed; nothing while that is the pepper.
pub fn sealing(view: &(impl View + ?Sized)) -> Option<Sealing> {
    SEALING.get(view, ())
}

/// A secret of a webhook endpoint; nothing where it is derived of the pepper.
pub fn webhook_secret(
    view: &(impl View + ?Sized),
    endpoint: &WebhookEndpoint,
    generation: SecretGeneration,
) -> Option<SealedKey> {
    let key = (&endpoint.environment_id, &endpoint.id, &generation);
    WEBHOOK_SECRETS.get(view, key)
}

/// The secrets of an endpoint that sign, or may have signed until lately: the newest, and the one before.
pub fn signing_generations(endpoint: &WebhookEndpoint) -> impl Iterator<Item = SecretGeneration> {
    let newest = endpoint.secret_generation;
    let before = newest.checked_sub(1).filter(|before| *before > 0);
    [Some(newest), before]
        .into_iter()
        .flatten()
        .map(SecretGeneration)
}

/// Shows every secret there is, with what it is sealed as: nothing of a webhook secret that is derived of the
/// pepper. It costs a look at each of them: a few thousand at most.
pub fn each_secret(
    view: &(impl View + ?Sized),
    mut show: impl FnMut(SecretPlace, Option<&SealedKey>),
) {
    if let Some(signing) = SIGNING.get(view, ()) {
        show(SecretPlace::SigningKey, Some(&signing.private));
    }
    for (_, certificate) in CERTIFICATES.walk(view, CERTIFICATES.all()) {
        let place = SecretPlace::Certificate {
            environment_id: certificate.environment_id,
            certificate_id: certificate.id,
        };
        show(place, Some(&certificate.material.key));
    }
    for (_, endpoint) in WEBHOOK_ENDPOINTS.walk(view, WEBHOOK_ENDPOINTS.all()) {
        for generation in signing_generations(&endpoint) {
            let secret = webhook_secret(view, &endpoint, generation);
            let place = SecretPlace::WebhookSecret {
                environment_id: endpoint.environment_id.clone(),
                endpoint_id: endpoint.id.clone(),
                generation,
            };
            show(place, secret.as_ref());
        }
    }
}
