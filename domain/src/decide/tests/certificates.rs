//! Certificates, and the routes that show them.

use super::world::{World, furnished, refused, route};
use crate::command::{
    Command, CreateCertificate, DeleteCertificate, RollbackTo, UpdateCertificate,
};
use crate::id::{CertificateId, Seed};
use crate::model::{Certificate, CertificateMaterial, SealedKey};
use crate::outcome::{Outcome, Reply};
use crate::query;
use crate::time::Timestamp;

pub(super) fn id(number: u64) -> CertificateId {
    CertificateId::new(Seed {
        unix_ms: 1,
        random: number,
    })
}

pub(super) fn material(names: &[&str]) -> CertificateMaterial {
    CertificateMaterial {
        chain: "PEM".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        not_before: Timestamp(0),
        not_after: Timestamp(10_000_000_000),
        fingerprint: "ab".repeat(32),
        key: SealedKey {
            nonce: [1; 12],
            sealed: vec![42; 40],
        },
    }
}

impl World {
    pub(super) fn create_certificate(&mut self, number: u64, names: &[&str]) -> Reply {
        let command = CreateCertificate {
            id: id(number),
            name: "mine".to_owned(),
            material: material(names),
        };
        self.apply(Command::CreateCertificate(self.actor.clone(), command))
    }

    pub(super) fn renew(&mut self, number: u64, material: CertificateMaterial) -> Reply {
        let command = UpdateCertificate {
            id: id(number),
            name: None,
            material: Some(material),
        };
        self.apply(Command::UpdateCertificate(self.actor.clone(), command))
    }

    pub(super) fn delete_certificate(&mut self, number: u64) -> Reply {
        let command = DeleteCertificate { id: id(number) };
        self.apply(Command::DeleteCertificate(self.actor.clone(), command))
    }

    fn show(&mut self, number: u64, shown: Option<u64>) -> Reply {
        let patch = match shown {
            Some(shown) => format!(
                r#"{{"tls":{{"policy":"strict","certificate_id":"{}"}}}}"#,
                id(shown)
            ),
            None => r#"{"tls":null}"#.to_owned(),
        };
        self.update_route(number, |route| route.config_patch = Some(patch))
    }
}

#[track_caller]
fn made(reply: Reply) -> Certificate {
    match reply.unwrap() {
        Outcome::Certificate(certificate) => certificate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_is_made_renewed_and_removed() {
    let mut world = furnished();
    let environment = world.actor.environment_id.clone();
    let changed = |world: &World| query::certificates_changed(&world.rows, &environment);
    assert_eq!(changed(&world), None);
    let first = made(world.create_certificate(1, &["one.example.net"]));
    assert_eq!((first.version, first.updated_at), (1, None));
    assert_eq!(changed(&world), Some(first.revision));
    assert_eq!(
        refused(world.create_certificate(1, &["one.example.net"])).0,
        "IdTaken"
    );
    let second = made(world.renew(1, material(&["*.example.net"])));
    assert_eq!((second.version, second.created_at), (2, first.created_at));
    assert_eq!(changed(&world), Some(second.revision));
    assert_eq!(
        query::certificate(&world.rows, &environment, &id(1)),
        Some(second.clone())
    );
    // The same once more changes nothing but its version, which edges go by.
    assert_eq!(
        made(world.renew(1, material(&["*.example.net"]))).version,
        3
    );
    world.delete_certificate(1).unwrap();
    assert!(changed(&world) > Some(second.revision));
    assert_eq!(
        refused(world.delete_certificate(1)),
        ("NotFound", "certificate".to_owned())
    );
}

#[test]
fn a_route_shows_a_certificate_that_is_there_and_for_its_hostname() {
    let mut world = furnished();
    assert_eq!(refused(world.show(1, Some(1))).0, "NotFound");
    world.create_certificate(1, &["other.example.net"]).unwrap();
    assert_eq!(
        refused(world.show(1, Some(1))),
        ("InvalidConfig", "config.tls.certificate_id".to_owned())
    );
    world.create_certificate(2, &["*.example.net"]).unwrap();
    world.show(1, Some(2)).unwrap();
    let moved = world.update_route(1, |route| {
        route.hostname = Some("one.example.org".to_owned());
    });
    assert_eq!(refused(moved).0, "InvalidConfig");
    let narrowed = world.renew(2, material(&["two.example.net"]));
    assert_eq!(refused(narrowed), ("InvalidConfig", "chain".to_owned()));
    world.renew(2, material(&["one.example.net"])).unwrap();
}

#[test]
fn a_certificate_that_is_shown_in_a_draft_or_live_stays() {
    let mut world = furnished();
    world.create_certificate(1, &["one.example.net"]).unwrap();
    world.show(1, Some(1)).unwrap();
    assert_eq!(refused(world.delete_certificate(1)).0, "CertificateInUse");
    world.publish(1).unwrap();
    world.show(1, None).unwrap();
    assert_eq!(
        refused(world.delete_certificate(1)).0,
        "CertificateInUse",
        "it is live"
    );
    let uses = query::certificate_uses(&world.rows, &world.actor.environment_id, &id(1));
    assert_eq!(uses.len(), 1);
    assert_eq!(uses[0].route_id, route(1));
    world.publish(1).unwrap();
    world.delete_certificate(1).unwrap();
}

#[test]
fn a_rollback_does_not_bring_back_what_shows_a_certificate_that_is_gone() {
    let mut world = furnished();
    world.create_certificate(1, &["one.example.net"]).unwrap();
    world.show(1, Some(1)).unwrap();
    world.publish(1).unwrap();
    world.show(1, None).unwrap();
    world.publish(1).unwrap();
    world.roll_back(1, RollbackTo::Steps(1), true).unwrap();
    world.show(1, None).unwrap();
    world.publish(1).unwrap();
    world.delete_certificate(1).unwrap();
    assert_eq!(
        refused(world.roll_back(1, RollbackTo::Steps(1), false)).0,
        "SnapshotNotPublishable"
    );
}

#[test]
fn what_is_no_certificate_is_refused() {
    let mut world = furnished();
    type Spoil = fn(&mut CertificateMaterial);
    let cases: [(&str, Spoil); 7] = [
        ("chain", |material| material.chain.clear()),
        ("chain", |material| {
            material.chain = "x".repeat(64 * 1024 + 1)
        }),
        ("chain", |material| material.names.clear()),
        ("chain", |material| {
            material.names = vec!["API.example.net".to_owned()]
        }),
        ("chain", |material| {
            material.names = vec!["a.example.net".to_owned(); 101]
        }),
        ("chain", |material| material.not_after = Timestamp(1)),
        ("private_key", |material| material.key.sealed.clear()),
    ];
    for (param, spoil) in cases {
        let mut material = material(&["one.example.net"]);
        spoil(&mut material);
        let command = CreateCertificate {
            id: id(1),
            name: "mine".to_owned(),
            material,
        };
        let reply = world.apply(Command::CreateCertificate(world.actor.clone(), command));
        assert_eq!(refused(reply), ("InvalidParameter", param.to_owned()));
    }
}

#[test]
fn the_audit_log_tells_of_a_certificate_and_not_of_its_key() {
    let mut world = furnished();
    world.create_certificate(1, &["one.example.net"]).unwrap();
    world.renew(1, material(&["*.example.net"])).unwrap();
    world.delete_certificate(1).unwrap();
    let entries = format!(
        "{:?}",
        query::journal_page(&world.rows, &world.actor.environment_id, None, 100,)
    );
    assert!(entries.contains("fingerprint") && entries.contains("*.example.net"));
    assert!(
        !entries.contains("42, 42") && !entries.contains("sealed"),
        "{entries}"
    );
}
