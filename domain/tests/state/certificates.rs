//! Certificates: samples of their bytes, and commands about them at random.

use domain::command::{Command, CreateCertificate, DeleteCertificate, UpdateCertificate};
use domain::id::CertificateId;
use domain::model::{Certificate, CertificateMaterial, SealedKey};
use domain::outcome::Outcome;
use domain::time::{Revision, Timestamp};
use proptest::prelude::*;

use crate::commands::{actor, who};
use crate::samples::{api_key_id, environment_id, seed, workspace_id};

pub(crate) fn id() -> CertificateId {
    CertificateId::new(seed(31))
}

fn material(host: &str) -> CertificateMaterial {
    CertificateMaterial {
        chain: "-----BEGIN CERTIFICATE-----".to_owned(),
        names: vec![host.to_owned(), "*.example.net".to_owned()],
        not_before: Timestamp(1_714_320_000_000),
        not_after: Timestamp(u64::MAX),
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
    ]
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
    prop_oneof![
        4 => (whom(), which()).prop_map(|(actor, id)| Command::CreateCertificate(
            actor,
            CreateCertificate { id, name: "some".to_owned(), material: material("api.example.net") },
        )),
        5 => (whom(), which(), any::<bool>()).prop_map(|(actor, id, renew)| Command::UpdateCertificate(
            actor,
            UpdateCertificate {
                id,
                name: (!renew).then(|| "other".to_owned()),
                material: renew.then(|| material("www.example.net")),
            },
        )),
        3 => (whom(), which()).prop_map(|(actor, id)| Command::DeleteCertificate(actor, DeleteCertificate { id })),
    ]
}
