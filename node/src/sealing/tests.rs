//! Secrets that are sealed in either way open where they belong, and nowhere else.

use domain::id::{
    ApiKeyId, CertificateId, ClusterId, EnvironmentId, Seed, WebhookEndpointId, WorkspaceId,
};
use domain::model::{
    ApiVersion, CertificateMaterial, EndpointStatus, Epoch, NoticePlace, SecretPlace,
};
use domain::rows::MemoryRows;
use domain::schema::{CERTIFICATES, SEALING, SIGNING, WEBHOOK_ENDPOINTS, WEBHOOK_SECRETS};
use domain::time::{Revision, Timestamp};
use platform::SystemEntropy;

use super::rewrap::rewrap;
use super::*;

/// A node with two key-encryption keys.
fn ring() -> KeyRing {
    let keks = format!("{}\n{}", "01".repeat(32), "02".repeat(32));
    pepper(7).with_keks(KekRing::parse(&keks).unwrap())
}

fn pepper(byte: u8) -> KeyRing {
    KeyRing::new(&[byte; 32]).unwrap()
}

fn keks() -> [KekId; 2] {
    let ids: Vec<_> = ring().keks().ids().collect();
    ids.try_into().unwrap()
}

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

fn certificate(number: u64, under: Option<KekId>, key: &str) -> Certificate {
    let mut certificate = Certificate {
        id: CertificateId::new(seed(number)),
        workspace_id: WorkspaceId::new(seed(1)),
        environment_id: EnvironmentId::new(seed(1)),
        name: String::new(),
        material: CertificateMaterial {
            chain: String::new(),
            names: Vec::new(),
            not_before: Timestamp(0),
            not_after: Timestamp(0),
            fingerprint: "ab".to_owned(),
            key: SealedKey {
                nonce: [0; 12],
                sealed: Vec::new(),
            },
        },
        version: 1,
        created_by: ApiKeyId::new(seed(1)),
        created_at: Timestamp(0),
        updated_at: None,
        revision: Revision(0),
    };
    let sealed = ring().seal(under, Belongs::of(&certificate), key, &SystemEntropy);
    certificate.material.key = sealed.unwrap();
    certificate
}

fn signing(under: Option<KekId>) -> Signing {
    let (cluster_id, public) = (ClusterId::new(seed(1)), SigningPublicKey([3; 32]));
    let private = ring()
        .seal_signing_key(under, &cluster_id, (&public, &[9; 32]), &SystemEntropy)
        .unwrap();
    Signing {
        cluster_id,
        epoch: Epoch(1),
        serial: 1,
        active: public.id(),
        private,
    }
}

fn endpoint(number: u64, secret_generation: u32) -> WebhookEndpoint {
    WebhookEndpoint {
        id: WebhookEndpointId::new(seed(number)),
        workspace_id: WorkspaceId::new(seed(1)),
        environment_id: EnvironmentId::new(seed(1)),
        url: String::new(),
        events: Vec::new(),
        description: None,
        api_version: ApiVersion("2026-01-14".to_owned()),
        status: EndpointStatus::Enabled,
        secret_generation,
        previous_secret_until: None,
        failing_since: None,
        failed_at: None,
        delivered: NoticePlace::default(),
        disabled_at: None,
        gaps: Vec::new(),
        created_by: ApiKeyId::new(seed(1)),
        created_at: Timestamp(0),
        updated_at: None,
        revision: Revision(0),
    }
}

#[test]
fn a_key_opens_where_it_belongs_and_nowhere_else() {
    for under in [None, Some(keks()[0]), Some(keks()[1])] {
        let (one, other) = (
            certificate(1, under, "the first key"),
            certificate(2, under, "the other key"),
        );
        assert_eq!(one.material.key.kek(), under);
        assert_eq!(*ring().open(&one).unwrap(), "the first key");
        let swapped = Certificate {
            material: other.material.clone(),
            ..one.clone()
        };
        assert_eq!(ring().open(&swapped), Err(Unopened::Refused));
        let mut renamed = one.clone();
        renamed.material.fingerprint = "cd".to_owned();
        assert_eq!(ring().open(&renamed), Err(Unopened::Refused));
        let moved = Certificate {
            environment_id: EnvironmentId::new(seed(2)),
            ..one.clone()
        };
        assert_eq!(ring().open(&moved), Err(Unopened::Refused));
        for place in 0..one.material.key.sealed.len() {
            let mut damaged = one.clone();
            damaged.material.key.sealed[place] ^= 1;
            assert!(ring().open(&damaged).is_err(), "byte {place}");
        }
        let mut damaged = one.clone();
        damaged.material.key.nonce[3] ^= 1;
        assert!(ring().open(&damaged).is_err());
    }
    let elsewhere = Certificate {
        workspace_id: WorkspaceId::new(seed(2)),
        ..certificate(1, Some(keks()[0]), "the first key")
    };
    assert_eq!(ring().open(&elsewhere), Err(Unopened::Refused));
}

#[test]
fn it_takes_the_pepper_or_the_key_that_it_was_sealed_under() {
    let before = certificate(1, None, "a key");
    assert_eq!(*pepper(7).open(&before).unwrap(), "a key");
    assert_eq!(pepper(8).open(&before), Err(Unopened::Refused));
    let [first, _] = keks();
    let after = certificate(1, Some(first), "a key");
    assert_eq!(pepper(7).open(&after), Err(Unopened::Lacks(first)));
    let with = |line: String| pepper(8).with_keks(KekRing::parse(&line).unwrap());
    assert_eq!(*with("01".repeat(32)).open(&after).unwrap(), "a key");
    let lacking = with("02".repeat(32));
    assert_eq!(lacking.open(&after), Err(Unopened::Lacks(first)));
    let belongs = Belongs::of(&after);
    let unsealed = lacking.seal(Some(first), belongs, "a key", &SystemEntropy);
    assert_eq!(unsealed, Err(Unopened::Lacks(first)));
}

#[test]
fn what_is_sealed_does_not_show_and_is_never_sealed_alike() {
    for under in [None, Some(keks()[0])] {
        let (one, again) = (
            certificate(1, under, "the first key"),
            certificate(1, under, "the first key"),
        );
        let holds = |bytes: &[u8]| bytes.windows(5).any(|window| window == b"first");
        assert!(!holds(&one.material.key.sealed));
        assert_ne!(one.material.key, again.material.key);
    }
}

#[test]
fn a_signing_key_opens_for_its_cluster_and_name_alone() {
    for under in [None, Some(keks()[0])] {
        let signing = signing(under);
        assert_eq!(ring().open_signing_key(&signing).unwrap()[..], [9; 32]);
        let other = Signing {
            cluster_id: ClusterId::new(seed(2)),
            ..signing.clone()
        };
        assert!(ring().open_signing_key(&other).is_err());
        let other = Signing {
            active: SigningPublicKey([4; 32]).id(),
            ..signing.clone()
        };
        assert!(ring().open_signing_key(&other).is_err());
    }
    let stranger = pepper(8);
    assert!(stranger.open_signing_key(&signing(None)).is_err());
}

#[test]
fn a_webhook_secret_opens_for_its_endpoint_alone_and_is_derived_where_none_is_kept() {
    let (one, other) = (endpoint(1, 2), endpoint(2, 2));
    let secret = KeyRing::draw_webhook_secret(&SystemEntropy);
    let slot = WebhookSlot::of(&one);
    let sealed = ring()
        .seal_webhook_secret(keks()[0], slot, &secret, &SystemEntropy)
        .unwrap();
    let mut rows = MemoryRows::default();
    for endpoint in [&one, &other] {
        let key = (&endpoint.environment_id, &endpoint.id, &SecretGeneration(2));
        WEBHOOK_SECRETS.put(&mut rows, key, &sealed);
    }
    let read = |endpoint, generation| {
        let secret = ring().webhook_secret(&rows, endpoint, SecretGeneration(generation));
        secret.map(|secret| secret.reveal().to_owned())
    };
    assert_eq!(read(&one, 2).as_deref(), Ok(secret.reveal()));
    assert_eq!(read(&other, 2), Err(Unopened::Refused));
    let derived = pepper(7).derived_webhook_secret(one.id.as_str(), 1);
    assert_eq!(read(&one, 1).as_deref(), Ok(derived.reveal()));
    assert!(secret.reveal().starts_with("whsec_") && secret.reveal().len() == 50);
}

/// Applies what was made, as the log does.
fn apply(rows: &mut MemoryRows, command: Option<domain::command::Command>) {
    let Some(domain::command::Command::RewrapSecrets(made)) = command else {
        panic!("nothing was made");
    };
    for secret in made.secrets {
        match secret.place {
            SecretPlace::SigningKey => {
                let mut signing = query::signing(rows).unwrap();
                assert_eq!(Some(signing.private.digest()), secret.was);
                signing.private = secret.now;
                SIGNING.put(rows, (), &signing);
            }
            SecretPlace::Certificate {
                environment_id,
                certificate_id,
            } => {
                let found = query::certificate(rows, &environment_id, &certificate_id);
                let mut certificate = found.unwrap();
                assert_eq!(Some(certificate.material.key.digest()), secret.was);
                certificate.material.key = secret.now;
                CERTIFICATES.put(rows, (&environment_id, &certificate_id), &certificate);
            }
            SecretPlace::WebhookSecret {
                environment_id,
                endpoint_id,
                generation,
            } => WEBHOOK_SECRETS.put(
                rows,
                (&environment_id, &endpoint_id, &generation),
                &secret.now,
            ),
        }
    }
}

#[test]
fn everything_is_sealed_anew_some_at_a_time_and_says_the_same() {
    let [first, second] = keks();
    let mut rows = MemoryRows::default();
    SIGNING.put(&mut rows, (), &signing(None));
    for number in 1..=3 {
        let certificate = certificate(number, None, &format!("key {number}"));
        let key = (&certificate.environment_id, &certificate.id);
        CERTIFICATES.put(&mut rows, key, &certificate);
    }
    let endpoint = endpoint(1, 3);
    let key = (&endpoint.environment_id, &endpoint.id);
    WEBHOOK_ENDPOINTS.put(&mut rows, key, &endpoint);
    assert_eq!(Census::of(&rows).needs(), [].into());

    for (active, batches) in [(first, vec![4, 2, 0]), (second, vec![4, 2, 0])] {
        let sealing = domain::model::Sealing {
            active,
            since: Timestamp(1),
        };
        SEALING.put(&mut rows, (), &sealing);
        assert_eq!(Census::of(&rows).stale(), 6);
        for batch in batches {
            let made = rewrap(&ring(), &rows, active, 4, &SystemEntropy);
            assert_eq!((made.len(), made.failed.len()), (batch, 0));
            if batch > 0 {
                apply(&mut rows, made.command());
            }
        }
        let census = Census::of(&rows);
        assert_eq!((census.stale(), census.needs()), (0, [active].into()));
        let count = SealedCount {
            signing_keys: 1,
            certificates: 3,
            webhook_secrets: 2,
        };
        assert_eq!(census.counts, [(SealedUnder::Kek(active), count)].into());
    }

    let later = pepper(9).with_keks(KekRing::parse(&"02".repeat(32)).unwrap());
    let opened = later.open_signing_key(&query::signing(&rows).unwrap());
    assert_eq!(opened.unwrap()[..], [9; 32]);
    let certificates = query::certificates(&rows, &endpoint.environment_id);
    let opened = certificates.iter().map(|one| later.open(one).unwrap());
    let opened: Vec<_> = opened.map(|key| (*key).clone()).collect();
    assert_eq!(opened, ["key 1", "key 2", "key 3"]);
    for generation in [2, 3] {
        let kept = later.webhook_secret(&rows, &endpoint, SecretGeneration(generation));
        let derived = ring().derived_webhook_secret(endpoint.id.as_str(), generation);
        assert_eq!(kept.unwrap().reveal(), derived.reveal());
    }
}

#[test]
fn what_does_not_open_is_told_and_holds_nothing_else_up() {
    let [first, second] = keks();
    let mut rows = MemoryRows::default();
    let mut broken = certificate(1, Some(first), "broken");
    broken.material.key.nonce[0] ^= 1;
    let whole = certificate(2, Some(first), "whole");
    for certificate in [&broken, &whole] {
        let key = (&certificate.environment_id, &certificate.id);
        CERTIFICATES.put(&mut rows, key, certificate);
    }
    let made = rewrap(&ring(), &rows, second, 1, &SystemEntropy);
    let place = SecretPlace::Certificate {
        environment_id: broken.environment_id,
        certificate_id: broken.id,
    };
    assert_eq!(made.failed, [(place, Unopened::Refused)].into());
    apply(&mut rows, made.command());
    let again = rewrap(&ring(), &rows, second, 1, &SystemEntropy);
    assert_eq!((again.len(), again.failed.len()), (0, 1));
}

/// Bytes that count up.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Both formats as they are on disks. The bytes were computed by another implementation, Python's `cryptography`.
#[test]
fn the_bytes_of_both_formats_are_fixed_and_open() {
    let golden = |under, sealed: &str| {
        let mut signing = signing(None);
        let private = ring().seal_signing_key(
            under,
            &signing.cluster_id,
            (&SigningPublicKey([3; 32]), &[9; 32]),
            &Counting::default(),
        );
        signing.private = private.unwrap();
        assert_eq!(hex::encode(&signing.private.sealed), sealed);
        assert_eq!(ring().open_signing_key(&signing).unwrap()[..], [9; 32]);
    };
    golden(
        None,
        "b19fe5a391c69d76399ca0d5b27a00f09a8f250e01624969cf0e403c99060f2046d48bf38500cd7cb1b544afa41f2fbd",
    );
    golden(
        Some(keks()[0]),
        "56477365616c00018bab75fc4c1e38acd9fec784b1ea5197011cebbb6f31f4d99287190743dfb8c440db5ee6e81c3dce824f91f07f75a445f4bfa8728251531d8ad3839e32ee8863b4461d29105c7ed5e871a4614da14d0133b5abb70b5e3814aba5914cc9d89c4ade42ec3eacd55ecd",
    );
}
