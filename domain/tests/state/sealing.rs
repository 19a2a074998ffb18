//! Sealed secrets: samples of their bytes, and changes of how they are sealed at random.

use domain::command::{
    ActivateKek, ChangeCluster, Command, CreateWebhookEndpoint, IssueWebhookSecret, RewrapSecrets,
    RewrappedSecret, RotateWebhookSecret, SecretIssue,
};
use domain::id::WebhookEndpointId;
use domain::model::{
    ClusterChange, Envelope, KekId, SEALED_DATA_KEY_BYTES, SealedKey, Sealing, SecretGeneration,
    SecretPlace,
};
use domain::time::Timestamp;
use proptest::prelude::*;

use crate::commands::{actor, who};
use crate::{certificates, history, samples, webhooks};

pub(crate) fn sealed(number: u8) -> SealedKey {
    SealedKey::enveloped(
        [number; 12],
        Envelope {
            kek: KekId([number; 8]),
            data_key: &[number; SEALED_DATA_KEY_BYTES],
            secret: &[number; 20],
        },
    )
}

pub(crate) fn sealing() -> Sealing {
    Sealing {
        active: KekId([3; 8]),
        since: Timestamp(1_714_320_000_123),
    }
}

fn create(id: WebhookEndpointId) -> SecretIssue {
    SecretIssue::Create(CreateWebhookEndpoint {
        id,
        url: "https://hooks.example.net/".to_owned(),
        events: Vec::new(),
        description: None,
        api_version: Some(samples::api_version()),
    })
}

fn rotate(id: WebhookEndpointId) -> SecretIssue {
    SecretIssue::Rotate(RotateWebhookSecret { id, grace_ms: 9 })
}

/// One of each change.
pub(crate) fn commands() -> Vec<Command> {
    let places = [
        SecretPlace::SigningKey,
        SecretPlace::Certificate {
            environment_id: samples::environment_id(),
            certificate_id: certificates::id(),
        },
        SecretPlace::WebhookSecret {
            environment_id: samples::environment_id(),
            endpoint_id: history::endpoint_id(),
            generation: SecretGeneration(2),
        },
    ];
    let secrets = places.into_iter().zip([Some(samples::hash()), None, None]);
    let issue = |to| {
        let secret = sealed(4);
        Command::IssueWebhookSecret(actor(0), IssueWebhookSecret { to, secret })
    };
    vec![
        Command::ActivateKek(ActivateKek {
            key: KekId([3; 8]),
            before: Some(KekId([2; 8])),
        }),
        Command::RewrapSecrets(RewrapSecrets {
            secrets: secrets
                .map(|(place, was)| RewrappedSecret {
                    place,
                    was,
                    now: sealed(3),
                })
                .collect(),
        }),
        issue(create(history::endpoint_id())),
        issue(rotate(history::endpoint_id())),
        Command::ChangeCluster(ChangeCluster {
            change: ClusterChange::KekActivated { key: KekId([3; 8]) },
        }),
    ]
}

/// Changes among a few keys.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let number = || 1..4_u8;
    let issue = prop_oneof![
        webhooks::endpoint().prop_map(create),
        webhooks::endpoint().prop_map(rotate),
    ];
    let place = prop_oneof![
        Just(SecretPlace::SigningKey),
        (who(), webhooks::endpoint(), 1..4_u32).prop_map(|(who, endpoint_id, generation)| {
            SecretPlace::WebhookSecret {
                environment_id: who.environment_id,
                endpoint_id,
                generation: SecretGeneration(generation),
            }
        }),
    ];
    let was = prop_oneof![
        Just(None),
        number().prop_map(|number| Some(sealed(number).digest()))
    ];
    prop_oneof![
        1 => (number(), prop::option::of(number())).prop_map(|(key, before)| {
            Command::ActivateKek(ActivateKek {
                key: KekId([key; 8]),
                before: before.map(|before| KekId([before; 8])),
            })
        }),
        2 => (place, was, number()).prop_map(|(place, was, now)| {
            let now = sealed(now);
            Command::RewrapSecrets(RewrapSecrets {
                secrets: vec![RewrappedSecret { place, was, now }],
            })
        }),
        2 => (who(), issue, number()).prop_map(|(actor, to, secret)| {
            let secret = sealed(secret);
            Command::IssueWebhookSecret(actor, IssueWebhookSecret { to, secret })
        }),
    ]
}
