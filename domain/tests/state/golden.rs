//! The bytes that are on disks and wires, pinned. A difference here means that a running cluster
//! could not read what it wrote: give the format a new version, keep reading the old one, and
//! add new golden bytes beside these. Run with `VECTORGATE_BLESS=1` to write them.

use std::fmt::Write as _;
use std::path::PathBuf;

use domain::model::{
    ManifestVersion, MemberId, Priority, RuleStatus, RuleVersionNumber, SecretGeneration,
    SnapshotVersion,
};
use domain::schema;
use domain::table::{Key, Table};
use domain::time::{Revision, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    certificates, cluster, edges, history, pepper, replies, samples, sealing, several, shifts,
    signing,
};

/// Compares lines of `name hex` with those on file.
fn check(file: &str, lines: &[(String, Vec<u8>)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    let mut text = String::new();
    for (name, bytes) in lines {
        writeln!(text, "{name} {}", hex::encode(bytes)).unwrap();
    }
    if std::env::var_os("VECTORGATE_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (golden, now) in golden.lines().zip(text.lines()) {
        assert_eq!(now, golden, "{file}");
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "{file}");
}

/// A table's name with a sample key and value, each of which must read back as it was.
fn row<K, V>(table: &Table<K, V>, key: K::Ref<'_>, value: V) -> (String, Vec<u8>)
where
    K: Key,
    V: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let (key, bytes) = (table.key(key), table.encode(&value));
    assert!(
        K::read(&key[1..]).is_some(),
        "{}: the key reads back",
        table.name()
    );
    assert_eq!(table.read(&bytes), Some(value), "{}", table.name());
    (format!("{} {}", table.name(), hex::encode(key)), bytes)
}

#[test]
fn rows_have_their_bytes() {
    let (workspace, environment) = (samples::workspace_id(), samples::environment_id());
    let (route, rule, upstream) = (
        samples::route_id(),
        samples::rule_id(),
        samples::upstream_id(),
    );
    let (snapshot, api_key) = (samples::snapshot_id(), samples::api_key_id());
    let (hash, key_hash, request) = (
        samples::hash(),
        samples::key_hash(),
        samples::idempotency_key(),
    );
    let (name, hostname) = ("sandbox".to_owned(), "api.example.net".to_owned());
    let (at, priority) = (Timestamp(1_714_320_000_123), Priority(40));
    let (version, manifest) = (SnapshotVersion(3), ManifestVersion(26));
    let status = RuleStatus::Paused;
    let rule_version = RuleVersionNumber(3);
    let (endpoint, delivery) = (history::endpoint_id(), history::delivery_id());
    check(
        "rows.txt",
        &[
            row(&schema::CLOCK, (), samples::clock()),
            row(&schema::BOOTSTRAP, (), samples::bootstrap_record()),
            row(&schema::WORKSPACES, (&workspace,), samples::workspace()),
            row(
                &schema::ENVIRONMENTS,
                (&environment,),
                samples::environment(),
            ),
            row(
                &schema::ENVIRONMENT_NAMES,
                (&workspace, &name),
                environment.clone(),
            ),
            row(&schema::API_KEYS, (&api_key,), samples::api_key()),
            row(&schema::API_KEY_HASHES, (&key_hash,), api_key.clone()),
            row(&schema::API_KEYS_BY_TIME, (&workspace, &at, &api_key), ()),
            row(
                &schema::OBJECT_COUNTS,
                (&environment,),
                samples::object_counts(),
            ),
            row(
                &schema::UPSTREAMS,
                (&environment, &upstream),
                samples::upstream(),
            ),
            row(
                &schema::UPSTREAMS_BY_TIME,
                (&environment, &at, &upstream),
                (),
            ),
            row(
                &schema::UPSTREAM_ROUTES,
                (&environment, &upstream, &route),
                (),
            ),
            row(
                &schema::UPSTREAM_OUTAGES,
                (&environment, &upstream, &name),
                domain::model::Outage {
                    since: at,
                    edges_down: 2,
                    edges: 3,
                },
            ),
            row(&schema::ROUTES, (&environment, &route), samples::route()),
            row(&schema::DRAFTS, (&environment, &route), samples::draft()),
            row(
                &schema::ROUTES_BY_TIME,
                (&environment, &true, &at, &route),
                (),
            ),
            row(&schema::HOSTNAMES, (&environment, &hostname), route.clone()),
            row(
                &schema::LIVE_HOSTNAMES,
                (&environment, &hostname),
                route.clone(),
            ),
            row(&schema::ROUTE_COUNTS, (&environment,), 300),
            row(
                &schema::USES,
                (&environment, &route, &upstream),
                samples::uses(),
            ),
            row(
                &schema::DIRTY_UPSTREAMS,
                (&environment, &route, &upstream),
                (),
            ),
            row(&schema::RULES, (&environment, &rule), samples::rule()),
            row(
                &schema::RULE_PRIORITIES,
                (&environment, &route, &priority),
                rule.clone(),
            ),
            row(
                &schema::RULES_BY_STATUS,
                (&environment, &status, &priority, &rule),
                (),
            ),
            row(
                &schema::ROUTE_RULES_BY_STATUS,
                (&environment, &route, &status, &priority, &rule),
                (),
            ),
            row(&schema::DIRTY_RULES, (&environment, &route, &rule), ()),
            row(
                &schema::RULE_VERSIONS,
                (&environment, &rule, &rule_version),
                several::rule_version(),
            ),
            row(
                &schema::RULE_VERSION_SNAPSHOTS,
                (&environment, &rule, &rule_version),
                snapshot.clone(),
            ),
            row(
                &schema::SNAPSHOTS,
                (&environment, &snapshot),
                samples::snapshot(),
            ),
            row(
                &schema::SNAPSHOT_VERSIONS,
                (&environment, &route, &version),
                snapshot.clone(),
            ),
            row(
                &schema::SNAPSHOTS_BY_TIME,
                (&environment, &at, &snapshot),
                (),
            ),
            row(
                &schema::ROUTE_SNAPSHOTS,
                (&environment, &route, &at, &snapshot),
                (),
            ),
            row(&schema::MANIFESTS, (&environment,), samples::manifest()),
            row(&schema::MANIFEST_ROOTS, (&environment, &manifest), hash),
            row(&schema::CHUNKS, (&hash,), ()),
            row(&schema::CHUNK_COUNTS, (&hash,), 300),
            row(
                &schema::ANSWERS,
                (&environment, &request),
                samples::answer(),
            ),
            row(&schema::ANSWER_EXPIRIES, (&at, &environment, &request), ()),
            row(
                &schema::JOURNAL,
                (&environment, &at, &Revision(7)),
                history::journal_entry(),
            ),
            row(&schema::HISTORIES, (&environment,), history::history()),
            row(
                &schema::WEBHOOK_ENDPOINTS,
                (&environment, &endpoint),
                history::webhook_endpoint(),
            ),
            row(
                &schema::WEBHOOK_DELIVERIES,
                (&environment, &delivery),
                history::webhook_delivery(),
            ),
            row(
                &schema::DELIVERIES_DUE,
                (&environment, &endpoint, &at, &delivery),
                (),
            ),
            row(
                &schema::DELIVERY_ENDS,
                (&environment, &true, &at, &delivery),
                (),
            ),
            row(
                &schema::CERTIFICATES,
                (&environment, &certificates::id()),
                certificates::certificate(),
            ),
            row(&schema::CERTIFICATE_CHANGES, (&environment,), Revision(7)),
            row(
                &schema::UPSTREAM_SHIFTS,
                (&environment, &upstream),
                shifts::shift(),
            ),
            row(&schema::RUNNING_SHIFTS, (&environment, &upstream), ()),
            row(
                &schema::EXPIRY_NOTICES,
                (&environment, &certificates::id().to_string()),
                certificates::expiry_notice(),
            ),
            row(&schema::CLUSTER, (), cluster::settings()),
            row(
                &schema::RETIRED_MEMBERS,
                (&MemberId(4),),
                cluster::retired(),
            ),
            row(
                &schema::CLUSTER_CHANGES,
                (&Revision(300),),
                cluster::record(),
            ),
            row(&schema::SIGNING, (), signing::signing()),
            row(
                &schema::SIGNING_KEYS,
                (&signing::signing_key().public.id(),),
                signing::signing_key(),
            ),
            row(
                &schema::EDGE_TOKENS,
                (&environment, &edges::id()),
                edges::token(),
            ),
            row(
                &schema::EDGE_TOKEN_HASHES,
                (&samples::key_hash(),),
                samples::environment_id(),
            ),
            row(
                &schema::EDGE_RECORDS,
                (&environment, &"edge-1".to_owned()),
                edges::record(),
            ),
            row(&schema::EDGE_CHANGES, (&environment,), Revision(7)),
            row(
                &schema::WEBHOOK_SECRETS,
                (&environment, &endpoint, &SecretGeneration(2)),
                sealing::sealed(4),
            ),
            row(&schema::SEALING, (), sealing::sealing()),
            row(&schema::PEPPERING, (), pepper::peppering()),
            row(&schema::HASH_PEPPERS, (&key_hash,), pepper::id(4)),
        ],
    );
}

/// The bytes of a record in an earlier format, which are on disks and never change.
fn earlier(golden: &str, table: &str) -> Vec<u8> {
    let line = golden.lines().find_map(|line| line.strip_prefix(table));
    hex::decode(line.unwrap().trim()).unwrap()
}

#[test]
fn golden_rows_of_earlier_versions_are_still_read() {
    let golden = include_str!("../golden/rows_1.txt");
    assert_eq!(
        schema::JOURNAL.read(&earlier(golden, "journal")),
        Some(domain::model::JournalEntry {
            link: None,
            ..history::journal_entry()
        })
    );
    assert_eq!(
        schema::HISTORIES.read(&earlier(golden, "histories")),
        Some(domain::schema::History {
            audit: domain::model::AuditChain::START,
            ..history::history()
        })
    );
    assert_eq!(
        schema::MANIFESTS.read(&earlier(golden, "manifests")),
        Some(domain::model::Manifest {
            previous: domain::tree::Hash([0; 32]),
            ..samples::manifest()
        })
    );
}

#[test]
fn commands_have_their_bytes() {
    let lines: Vec<_> = samples::commands()
        .into_iter()
        .map(|command| {
            let name = command.name().to_owned();
            let stamped = samples::stamped(command);
            let bytes = postcard::to_stdvec(&stamped).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(stamped));
            (name, bytes)
        })
        .collect();
    check("commands.txt", &lines);
}

#[test]
fn replies_have_their_bytes() {
    let lines: Vec<_> = replies::replies()
        .into_iter()
        .map(|(name, applied)| {
            let bytes = postcard::to_stdvec(&applied).unwrap();
            assert_eq!(postcard::from_bytes(&bytes), Ok(applied));
            (name, bytes)
        })
        .collect();
    check("replies.txt", &lines);
}
