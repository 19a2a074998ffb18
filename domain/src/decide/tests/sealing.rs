//! Under which key secrets are sealed, and the same secrets under another one.

use super::certificates::id;
use super::webhooks::endpoint_id;
use super::world::{World, furnished, refused, world};
use crate::command::{
    ActivateKek, ChangeSigningKeys, Command, CreateWebhookEndpoint, DeleteWebhookEndpoint,
    IssueWebhookSecret, NewSigningKey, RewrapSecrets, RewrappedSecret, RotateWebhookSecret,
    SecretIssue, SigningChange,
};
use crate::decide::REWRAPS_MAX;
use crate::id::{ClusterId, Seed};
use crate::model::{
    ClusterChange, Envelope, KekId, SEALED_DATA_KEY_BYTES, SealedKey, SecretGeneration,
    SecretPlace, SigningPublicKey,
};
use crate::outcome::{Outcome, Reply};
use crate::query;
use crate::tree::Hash;

fn sealed(kek: u8, secret: u8) -> SealedKey {
    SealedKey::enveloped(
        [kek; 12],
        Envelope {
            kek: KekId([kek; 8]),
            data_key: &[kek; SEALED_DATA_KEY_BYTES],
            secret: &[secret; 40],
        },
    )
}

impl World {
    fn activate(&mut self, key: u8, before: Option<u8>) -> Reply {
        self.apply(Command::ActivateKek(ActivateKek {
            key: KekId([key; 8]),
            before: before.map(|before| KekId([before; 8])),
        }))
    }

    fn rewrap(&mut self, place: SecretPlace, was: Option<Hash>, now: SealedKey) {
        let secrets = vec![RewrappedSecret { place, was, now }];
        let reply = self.apply(Command::RewrapSecrets(RewrapSecrets { secrets }));
        assert_eq!(reply, Ok(Outcome::Recorded));
    }

    fn issue(&mut self, to: SecretIssue, secret: SealedKey) -> Reply {
        let issue = IssueWebhookSecret { to, secret };
        self.apply(Command::IssueWebhookSecret(self.actor.clone(), issue))
    }

    fn secrets(&self) -> Vec<(SecretPlace, Option<SealedKey>)> {
        let mut secrets = Vec::new();
        query::each_secret(&self.rows, |place, sealed| {
            secrets.push((place, sealed.cloned()));
        });
        secrets
    }

    fn webhook_secret(&self, generation: u32) -> SecretPlace {
        SecretPlace::WebhookSecret {
            environment_id: self.actor.environment_id.clone(),
            endpoint_id: endpoint_id(),
            generation: SecretGeneration(generation),
        }
    }
}

fn create() -> SecretIssue {
    SecretIssue::Create(CreateWebhookEndpoint {
        id: endpoint_id(),
        url: "https://hooks.example.net/".to_owned(),
        events: Vec::new(),
        description: None,
        api_version: None,
    })
}

fn rotate() -> SecretIssue {
    SecretIssue::Rotate(RotateWebhookSecret {
        id: endpoint_id(),
        grace_ms: 60_000,
    })
}

#[test]
fn a_key_is_activated_once_and_by_whoever_has_seen_the_one_before() {
    let mut world = world();
    assert_eq!(query::sealing(&world.rows), None);
    assert_eq!(world.activate(1, None), Ok(Outcome::Recorded));
    assert_eq!(world.activate(1, None), Ok(Outcome::Recorded));
    let (name, _) = refused(world.activate(2, None));
    assert_eq!(name, "PreconditionFailed");
    assert_eq!(world.activate(2, Some(1)), Ok(Outcome::Recorded));
    let active = query::sealing(&world.rows).map(|sealing| sealing.active);
    assert_eq!(active, Some(KekId([2; 8])));
    let changes = query::cluster_changes(&world.rows, 10);
    let told: Vec<_> = changes
        .into_iter()
        .map(|(_, record)| record.change)
        .collect();
    let activated = |key| ClusterChange::KekActivated {
        key: KekId([key; 8]),
    };
    assert_eq!(told, [activated(2), activated(1)]);
}

#[test]
fn what_is_still_what_was_read_is_replaced_and_nothing_else_of_it_changes() {
    let mut world = furnished();
    world.create_certificate(1, &["one.example.net"]).unwrap();
    let environment = world.actor.environment_id.clone();
    let before = query::certificate(&world.rows, &environment, &id(1)).unwrap();
    let changed = query::certificates_changed(&world.rows, &environment);
    let place = SecretPlace::Certificate {
        environment_id: environment.clone(),
        certificate_id: id(1),
    };
    let was = Some(before.material.key.digest());
    for other in [None, Some(sealed(1, 9).digest())] {
        world.rewrap(place.clone(), other, sealed(1, 1));
        let untouched = query::certificate(&world.rows, &environment, &id(1));
        assert_eq!(untouched, Some(before.clone()));
    }
    world.rewrap(place.clone(), was, sealed(1, 1));
    // A repetition finds something else there.
    world.rewrap(place, was, sealed(2, 2));
    let mut after = before;
    after.material.key = sealed(1, 1);
    let found = query::certificate(&world.rows, &environment, &id(1));
    assert_eq!(found, Some(after));
    assert_eq!(
        query::certificates_changed(&world.rows, &environment),
        changed
    );
    let gone = SecretPlace::Certificate {
        environment_id: environment,
        certificate_id: id(7),
    };
    world.rewrap(gone, None, sealed(1, 1));
    assert_eq!(world.secrets().len(), 1);
}

#[test]
fn the_signing_key_goes_on_as_it_was_under_another_key() {
    let mut world = world();
    let public = SigningPublicKey([1; 32]);
    let found = SigningChange::Found {
        cluster_id: ClusterId::new(Seed {
            unix_ms: 1,
            random: 1,
        }),
        key: NewSigningKey {
            public,
            private: sealed(1, 1),
        },
    };
    world
        .apply(Command::ChangeSigningKeys(ChangeSigningKeys {
            change: found,
        }))
        .unwrap();
    let before = query::signing(&world.rows).unwrap();
    let was = Some(before.private.digest());
    world.rewrap(SecretPlace::SigningKey, was, sealed(2, 1));
    let after = query::signing(&world.rows).unwrap();
    assert_eq!(after.private, sealed(2, 1));
    assert_eq!((after.serial, after.active), (before.serial, before.active));
}

#[test]
fn a_webhook_secret_is_kept_as_long_as_it_may_sign() {
    let mut world = furnished();
    world.issue(create(), sealed(1, 1)).unwrap();
    let of = |world: &World, generation| {
        let secrets = world.secrets().into_iter();
        let place = world.webhook_secret(generation);
        secrets.into_iter().find(|(found, _)| *found == place)
    };
    assert_eq!(of(&world, 1).unwrap().1, Some(sealed(1, 1)));
    for generation in 2..5 {
        world.issue(rotate(), sealed(1, generation as u8)).unwrap();
        let newest = of(&world, generation).unwrap().1;
        assert_eq!(newest, Some(sealed(1, generation as u8)));
        let before = of(&world, generation - 1).unwrap().1;
        assert_eq!(before, Some(sealed(1, generation as u8 - 1)));
        assert_eq!(world.secrets().len(), 2);
    }
    let delete = DeleteWebhookEndpoint { id: endpoint_id() };
    world
        .apply(Command::DeleteWebhookEndpoint(world.actor.clone(), delete))
        .unwrap();
    assert_eq!(world.secrets(), []);
}

#[test]
fn a_derived_webhook_secret_is_kept_once_it_was_sealed() {
    let mut world = furnished();
    world.create_endpoint().unwrap();
    let place = world.webhook_secret(1);
    assert_eq!(world.secrets(), [(place.clone(), None)]);
    world.rewrap(place.clone(), None, sealed(1, 1));
    // Somebody else was first.
    world.rewrap(place.clone(), None, sealed(1, 2));
    // What never signed is not kept.
    world.rewrap(world.webhook_secret(2), None, sealed(1, 3));
    assert_eq!(world.secrets(), [(place, Some(sealed(1, 1)))]);
}

#[test]
fn an_entry_has_so_many_secrets_and_a_secret_so_many_bytes() {
    let mut world = furnished();
    let one = RewrappedSecret {
        place: SecretPlace::SigningKey,
        was: None,
        now: sealed(1, 1),
    };
    let secrets = vec![one; REWRAPS_MAX + 1];
    let reply = world.apply(Command::RewrapSecrets(RewrapSecrets { secrets }));
    assert_eq!(refused(reply), ("LimitExceeded", "secrets".to_owned()));
    for length in [0, 2_000] {
        let secret = SealedKey {
            nonce: [1; 12],
            sealed: vec![1; length],
        };
        let reply = world.issue(create(), secret);
        assert_eq!(refused(reply), ("InvalidParameter", "secret".to_owned()));
    }
}
