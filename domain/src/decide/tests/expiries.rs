//! What is told of the ends of certificates and API keys.

use super::certificates::id as certificate;
use super::world::{World, world};
use crate::command::{Command, CreateApiKey, RevokeApiKey, TellExpiries};
use crate::id::{ApiKeyId, Seed};
use crate::model::NoticeKind::{ApiKeyExpiring, CertificateExpiring};
use crate::model::{Expiring, JournalPlace, KeyHash, KeyKind, KeySalt, NoticeKind};
use crate::outcome::Outcome;
use crate::query::{self, ExpiryPlace};
use crate::time::Timestamp;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn key(number: u64) -> ApiKeyId {
    ApiKeyId::new(Seed {
        unix_ms: 9,
        random: number,
    })
}

impl World {
    /// Makes a key that works for so many days.
    fn create_key(&mut self, number: u8, days: u64) {
        let command = CreateApiKey {
            id: key(number.into()),
            hash: KeyHash([number; 32]),
            salt: KeySalt([number; 16]),
            kind: KeyKind::Restricted,
            name: "spare".to_owned(),
            environments: vec![self.actor.environment_id.clone()],
            routes: Vec::new(),
            methods: Vec::new(),
            resources: Vec::new(),
            ip_allowlist: Vec::new(),
            expires_at: Some(Timestamp(self.now + days * DAY_MS)),
        };
        self.apply(Command::CreateApiKey(self.actor.clone(), command))
            .unwrap();
    }

    /// Makes a certificate that holds for so many days.
    fn create_certificate_for(&mut self, number: u64, days: u64) {
        self.create_certificate(number, &["one.example.net"])
            .unwrap();
        self.renew_for(number, days);
    }

    fn renew_for(&mut self, number: u64, days: u64) {
        let mut material = super::certificates::material(&["one.example.net"]);
        material.not_after = Timestamp(self.now + days * DAY_MS);
        self.renew(number, material).unwrap();
    }

    fn tell(&mut self, of: Vec<Expiring>) {
        let environment_id = self.actor.environment_id.clone();
        let command = Command::TellExpiries(TellExpiries { environment_id, of });
        assert_eq!(self.apply(command), Ok(Outcome::Recorded));
    }

    /// Looks at everything as a node does that has come to lead, and tells what is due.
    fn look(&mut self) {
        let (due, _) = query::expiring(&self.rows, ExpiryPlace::default(), Timestamp(self.now));
        let own = &self.actor.environment_id;
        assert!(due.iter().all(|(environment, _)| environment == own));
        self.tell(due.into_iter().map(|(_, of)| of).collect());
    }

    /// What was told of ends so far: of what, and within how many days they were.
    fn told_of_ends(&self) -> Vec<(NoticeKind, String, String)> {
        let environment = &self.actor.environment_id;
        let rows = query::journal_after(&self.rows, environment, JournalPlace::default(), 1000);
        let notices = rows.iter().flat_map(|row| row.notices_from(0));
        let told = notices.filter_map(|event| {
            let change = event.change?;
            let (_, days) = change.after.as_deref()?.rsplit_once(':')?;
            let days = days.trim_end_matches('}').to_owned();
            Some((event.notice.kind, change.id, days))
        });
        told.collect()
    }
}

#[test]
fn each_end_is_told_thirty_days_seven_days_and_one_day_before_it_and_never_twice() {
    let mut world = world();
    world.create_certificate_for(1, 40);
    world.create_key(7, 31);
    let of = |number| certificate(number).to_string();
    let mut expected = Vec::new();
    let mut days = 0;
    for (day, told) in [
        (0, vec![]),
        (1, vec![(ApiKeyExpiring, key(7).to_string(), "30")]),
        (10, vec![(CertificateExpiring, of(1), "30")]),
        (24, vec![(ApiKeyExpiring, key(7).to_string(), "7")]),
        (30, vec![(ApiKeyExpiring, key(7).to_string(), "1")]),
        (33, vec![(CertificateExpiring, of(1), "7")]),
        (39, vec![(CertificateExpiring, of(1), "1")]),
        (50, vec![]),
    ] {
        world.now += (day - days) * DAY_MS;
        days = day;
        world.look();
        // Another node that leads by now has seen the same, and then none of it.
        world.tell(vec![
            Expiring::Certificate(certificate(1)),
            Expiring::ApiKey(key(7)),
        ]);
        world.look();
        let told = told.into_iter();
        expected.extend(told.map(|(kind, id, days)| (kind, id, days.to_owned())));
        assert_eq!(world.told_of_ends(), expected, "day {day}");
    }
}

#[test]
fn what_is_renewed_or_made_anew_is_told_of_anew_and_what_is_gone_is_not() {
    let mut world = world();
    world.create_certificate_for(1, 5);
    world.create_key(7, 5);
    let revoke = RevokeApiKey { id: key(7) };
    world
        .apply(Command::RevokeApiKeyFor(world.actor.clone(), revoke))
        .unwrap();
    world.look();
    assert_eq!(
        world.told_of_ends().len(),
        1,
        "of several that are due, the last"
    );
    world.renew_for(1, 90);
    world.look();
    assert_eq!(world.told_of_ends().len(), 1);
    world.renew_for(1, 6);
    world.look();
    assert_eq!(world.told_of_ends().len(), 2);
    world.delete_certificate(1).unwrap();
    world.create_certificate_for(1, 6);
    world.tell(vec![Expiring::Certificate(certificate(9))]);
    world.look();
    let days: Vec<_> = world
        .told_of_ends()
        .into_iter()
        .map(|(.., days)| days)
        .collect();
    assert_eq!(days, ["7", "7", "7"]);
}

#[test]
fn a_look_reads_on_where_the_last_one_ended_and_begins_anew_behind_the_last() {
    let mut world = world();
    for number in 1..=40 {
        world.create_certificate_for(number, 5);
    }
    let mut place = ExpiryPlace::default();
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let (due, next) = query::expiring(&world.rows, place, Timestamp(world.now));
        sizes.push(due.len());
        place = next;
    }
    assert_eq!(sizes, [16, 16, 8, 16]);
}
