//! Certificates: samples of their bytes, and commands about them at random.

use domain::command::{
    Command, CreateCertificate, DeleteCertificate, Stamped, TellExpiries, UpdateCertificate,
};
use domain::id::CertificateId;
use domain::model::{Certificate, CertificateMaterial, Expiring, ExpiryNotice, SealedKey};
use domain::outcome::Outcome;
use domain::time::{Revision, Timestamp};
use proptest::prelude::*;

use crate::commands::{actor, who};
use crate::samples::{api_key_id, environment_id, seed, workspace_id};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) fn id() -> CertificateId {
    CertificateId::new(seed(31))
}

fn material(host: &str) -> CertificateMaterial {
    material_until(host, u64::MAX)
}

fn material_until(host: &str, not_after: u64) -> CertificateMaterial {
    CertificateMaterial {
        chain: "-----BEGIN CERTIFICATE-----".to_owned(),
        names: vec![host.to_owned(), "*.example.net".to_owned()],
        not_before: Timestamp(1_714_320_000_000),
        not_after: Timestamp(not_after),
        fingerprint: "ab".repeat(32),
        key: SealedKey {
            nonce: [7; 12],
            sealed: vec![1, 2, 3],
        },
    }
}

pub(crate) fn certificate() -> Certificate {
    Certificate {
        id: id(),
        workspace_id: workspace_id(),
        environment_id: environment_id(),
        name: "wildcard".to_owned(),
        material: material("api.example.net"),
        version: 2,
        created_by: api_key_id(),
        created_at: Timestamp(1_714_320_000_123),
        updated_at: Some(Timestamp(1_714_320_000_124)),
        revision: Revision(7),
    }
}

/// One of each command.
pub(crate) fn commands() -> Vec<Command> {
    vec![
        Command::CreateCertificate(
            actor(0),
            CreateCertificate {
                id: id(),
                name: "wildcard".to_owned(),
                material: material("api.example.net"),
            },
        ),
        Command::UpdateCertificate(
            actor(0),
            UpdateCertificate {
                id: id(),
                name: Some("renewed".to_owned()),
                material: Some(material("api.example.net")),
            },
        ),
        Command::DeleteCertificate(actor(0), DeleteCertificate { id: id() }),
        Command::TellExpiries(TellExpiries {
            environment_id: environment_id(),
            of: vec![Expiring::Certificate(id()), Expiring::ApiKey(api_key_id())],
        }),
    ]
}

pub(crate) fn expiry_notice() -> ExpiryNotice {
    ExpiryNotice {
        expires_at: Timestamp(1_714_320_000_123),
        days: 7,
    }
}

pub(crate) fn outcomes() -> Vec<(&'static str, Outcome)> {
    vec![
        ("certificate", Outcome::Certificate(certificate())),
        (
            "certificate_deleted",
            Outcome::CertificateDeleted {
                id: id(),
                at: Timestamp(1),
            },
        ),
    ]
}

/// Commands about a few certificates.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let which = || (0..2_u64).prop_map(|number| CertificateId::new(seed(40 + number)));
    let whom = who;
    let end = || prop_oneof![Just(u64::MAX), (50..200_u64).prop_map(|days| days * DAY_MS)];
    prop_oneof![
        6 => (whom(), which(), end()).prop_map(|(actor, id, end)| Command::CreateCertificate(
            actor,
            CreateCertificate { id, name: "some".to_owned(), material: material_until("api.example.net", end) },
        )),
        5 => (whom(), which(), any::<bool>()).prop_map(|(actor, id, renew)| Command::UpdateCertificate(
            actor,
            UpdateCertificate {
                id,
                name: (!renew).then(|| "other".to_owned()),
                material: renew.then(|| material("www.example.net")),
            },
        )),
        4 => (whom(), which()).prop_map(|(actor, id)| Command::DeleteCertificate(actor, DeleteCertificate { id })),
        3 => (whom(), which()).prop_map(|(actor, id)| Command::TellExpiries(TellExpiries {
            environment_id: actor.environment_id,
            of: vec![Expiring::Certificate(id)],
        })),
    ]
}

/// Has what ends a log, if it tells of ends, be about the latest certificate that the log may have, some
/// days before its end.
pub(crate) fn aim(log: &mut [Stamped]) {
    let Some((last, earlier)) = log.split_last_mut() else {
        return;
    };
    let Command::TellExpiries(tell) = &mut last.command else {
        return;
    };
    let latest = earlier
        .iter()
        .rev()
        .find_map(|stamped| match &stamped.command {
            Command::CreateCertificate(actor, create) => Some((actor, create)),
            _ => None,
        });
    let Some((actor, create)) = latest else {
        return;
    };
    tell.environment_id = actor.environment_id.clone();
    tell.of = vec![Expiring::Certificate(create.id.clone())];
    let end = create.material.not_after.0;
    if end < u64::MAX {
        last.at = Timestamp(end - 5 * DAY_MS);
    }
}
