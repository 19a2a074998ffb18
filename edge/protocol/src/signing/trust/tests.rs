//! What an edge believes and what it does not.

use domain::id::Seed;
use domain::model::{Manifest, ManifestVersion};
use domain::time::{Revision, Timestamp};
use domain::tree::Hash;

use super::*;
use crate::signing::{KeyPair, Scope, Statement};

fn key(number: u8) -> KeyPair {
    KeyPair::new(&[number; 32]).unwrap()
}

fn seed(random: u64) -> Seed {
    Seed { unix_ms: 1, random }
}

fn cluster(number: u64) -> ClusterId {
    ClusterId::new(seed(number))
}

fn environment(number: u64) -> EnvironmentId {
    EnvironmentId::new(seed(number))
}

fn manifest(epoch: u64, version: u64) -> Manifest {
    Manifest {
        environment_id: environment(1),
        epoch: Epoch(epoch),
        version: ManifestVersion(version),
        root: Hash([0xab; 32]),
        updated_at: Timestamp(300),
        revision: Revision(4),
        previous: Hash([0xcd; 32]),
    }
}

fn signed(epoch: u64, version: u64, by: u8) -> SignedManifest {
    SignedManifest::sign(&cluster(1), &manifest(epoch, version), &key(by))
}

fn trusted(number: u8, before: Option<u8>, retired: bool) -> TrustedKey {
    let public = key(number).public();
    TrustedKey {
        public,
        voucher: before.map(|before| key(before).vouch(&cluster(1), &public)),
        retired,
    }
}

fn set(serial: u64, epoch: u64, keys: Vec<TrustedKey>) -> TrustSet {
    TrustSet {
        cluster_id: cluster(1),
        epoch: Epoch(epoch),
        serial,
        keys,
    }
}

/// Key 1 signs and is alone.
fn first() -> TrustSet {
    set(1, 2, vec![trusted(1, None, false)])
}

/// Key 2 signs, key 1 is trusted.
fn second() -> TrustSet {
    set(
        2,
        2,
        vec![trusted(1, None, false), trusted(2, Some(1), false)],
    )
}

/// Key 3 signs, key 1 is retired.
fn third() -> TrustSet {
    let keys = vec![
        trusted(1, None, true),
        trusted(2, Some(1), false),
        trusted(3, Some(2), false),
    ];
    set(4, 2, keys)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_signed_by_a_trusted_key_is_believed() {
    let trust = Trust::kept(third());
    let applied = ManifestRef::from(&manifest(2, 7));
    for (offered, applied) in [
        (signed(2, 8, 3), Some(&applied)),
        (signed(2, 7, 3), Some(&applied)),
        (signed(2, 8, 2), Some(&applied)),
        (signed(3, 1, 3), Some(&applied)),
        (signed(2, 0, 3), None),
    ] {
        assert_eq!(trust.verify(&environment(1), applied, &offered), Ok(()));
    }
}

type Change = fn(&mut SignedManifest);

#[test]
fn what_is_not_is_refused_for_its_reason() {
    let trust = Trust::kept(third());
    let applied = ManifestRef::from(&manifest(2, 7));
    let changed = |change: Change| {
        let mut signed = signed(2, 8, 3);
        change(&mut signed);
        signed
    };
    let unsigned: [(&str, Change, &str); 11] = [
        (
            "another environment",
            |it| it.environment_id = environment(2),
            "foreign_environment",
        ),
        (
            "another cluster",
            |it| it.proof.cluster_id = cluster(2),
            "foreign_cluster",
        ),
        (
            "a swapped content root",
            |it| it.manifest.root = Hash([0xac; 32]),
            "bad_signature",
        ),
        (
            "a later version",
            |it| it.manifest.version.0 += 1,
            "bad_signature",
        ),
        (
            "a later epoch",
            |it| it.manifest.epoch.0 += 1,
            "bad_signature",
        ),
        (
            "another one before",
            |it| it.proof.previous = Hash([0; 32]),
            "bad_signature",
        ),
        ("another time", |it| it.proof.at.0 += 1, "bad_signature"),
        (
            "a wrong key's name",
            |it| it.proof.signature.key = key(2).id(),
            "bad_signature",
        ),
        (
            "an unknown key's name",
            |it| it.proof.signature.key = key(9).id(),
            "unknown_key",
        ),
        (
            "an empty signature",
            |it| it.proof.signature.bytes = SignatureBytes::read(&[0; 64]).unwrap(),
            "bad_signature",
        ),
        (
            "a signature of another version",
            |it| it.proof.signature = signed(2, 9, 3).proof.signature,
            "bad_signature",
        ),
    ];
    for (what, change, word) in unsigned {
        let refused = trust.verify(&environment(1), Some(&applied), &changed(change));
        assert_eq!(refused.unwrap_err().word(), word, "{what}");
    }
    let foreign = SignedManifest::sign(&cluster(2), &manifest(2, 8), &key(3));
    let elsewhere = Manifest {
        environment_id: environment(2),
        ..manifest(2, 8)
    };
    let elsewhere = SignedManifest::sign(&cluster(1), &elsewhere, &key(3));
    for (what, offered, word) in [
        ("signed for another cluster", foreign, "foreign_cluster"),
        (
            "signed for another environment",
            elsewhere,
            "foreign_environment",
        ),
        (
            "signed by nobody who is known",
            signed(2, 8, 9),
            "unknown_key",
        ),
        ("signed by a retired key", signed(2, 8, 1), "retired_key"),
        ("an older version", signed(2, 6, 3), "older_version"),
        (
            "an older epoch with a newer version",
            signed(1, 99, 3),
            "older_epoch",
        ),
    ] {
        let refused = trust.verify(&environment(1), Some(&applied), &offered);
        assert_eq!(refused.unwrap_err().word(), word, "{what}");
    }
}

#[test]
fn no_bit_of_what_is_signed_or_of_the_signature_can_be_another() {
    let offered = signed(2, 8, 1);
    let (bytes, signature) = (offered.statement().bytes(), offered.proof.signature.bytes);
    let public = key(1).public();
    assert!(is_by(&public, &bytes, signature));
    for place in 0..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[place / 8] ^= 1 << (place % 8);
        assert!(!is_by(&public, &other, signature), "bit {place}");
    }
    for place in 0..64 * 8 {
        let mut other = signature.bytes();
        other[place / 8] ^= 1 << (place % 8);
        let other = SignatureBytes::read(&other).unwrap();
        assert!(
            !is_by(&public, &bytes, other),
            "bit {place} of the signature"
        );
    }
    for length in 0..bytes.len() {
        assert!(
            !is_by(&public, &bytes[..length], signature),
            "{length} bytes"
        );
    }
}

/// The group's order, which added to a signature's second half gives another way to write the same number.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn there_is_one_way_to_write_a_signature() {
    let signature = key(1).sign(b"what").bytes;
    let mut other = signature.bytes();
    let mut carry = 0_u16;
    for (byte, order) in other[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry.to_be_bytes()[1];
        carry >>= 8;
    }
    assert!(is_by(&key(1).public(), b"what", signature));
    let other = SignatureBytes::read(&other).unwrap();
    assert!(!is_by(&key(1).public(), b"what", other));
}

#[test]
fn signatures_are_those_of_rfc_8032() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let bytes: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&seed[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let pair = KeyPair::new(&bytes).unwrap();
    assert_eq!(
        hex(&pair.public().0),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(
        hex(&pair.sign(b"").bytes.bytes()),
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    );
    assert!(KeyPair::new(&bytes[1..]).is_err());
    assert!(!format!("{pair:?}").contains("9d61"));
}

#[test]
fn what_is_kept_holds_though_its_key_was_retired_since() {
    let trust = Trust::kept(third());
    let kept = signed(2, 7, 1);
    assert_eq!(trust.verify_kept(&environment(1), &kept), Ok(()));
    let mut changed = kept.clone();
    changed.manifest.root = Hash([0; 32]);
    let refused = trust.verify_kept(&environment(1), &changed).unwrap_err();
    assert_eq!(refused.word(), "bad_signature");
    let unknown = trust.verify_kept(&environment(1), &signed(2, 7, 9));
    assert_eq!(unknown.unwrap_err().word(), "unknown_key");
}

#[test]
fn an_edge_that_was_away_follows_the_keys_one_after_another() {
    let mut trust = Trust::first(&SignedTrust::sign(first(), &key(1))).unwrap();
    assert_eq!(
        trust.follow(&SignedTrust::sign(third(), &key(3))),
        Ok(anew(&[]))
    );
    assert_eq!(trust.set(), &third());
    // A node that is behind says what was: nothing changes, and what is retired stays so.
    assert_eq!(
        trust.follow(&SignedTrust::sign(second(), &key(2))),
        Ok(Followed::Not)
    );
    assert_eq!(
        trust.follow(&SignedTrust::sign(third(), &key(3))),
        Ok(already(&[]))
    );
    let mut back = third();
    back.serial = 9;
    back.keys[0].retired = false;
    assert_eq!(
        trust.follow(&SignedTrust::sign(back, &key(3))),
        Ok(anew(&[]))
    );
    assert!(trust.set().keys[0].retired);
}

#[test]
fn a_cluster_that_was_restored_counts_on_from_less() {
    let mut trust = Trust::kept(set(9, 1, vec![trusted(1, None, false)]));
    let keys = vec![trusted(1, None, false), trusted(2, Some(1), false)];
    let restored = SignedTrust::sign(set(3, 2, keys), &key(2));
    assert_eq!(trust.follow(&restored), Ok(anew(&[])));
    assert_eq!(trust.follow(&restored), Ok(already(&[])));
}

#[test]
fn a_set_that_does_not_follow_from_what_is_trusted_changes_nothing() {
    let newer = |keys| set(9, 2, keys);
    let forged = TrustedKey {
        voucher: trusted(3, Some(9), false).voucher.map(|voucher| Voucher {
            by: key(1).id(),
            ..voucher
        }),
        ..trusted(3, None, false)
    };
    let mut foreign = second();
    foreign.cluster_id = cluster(2);
    let too_many = vec![trusted(1, None, false); SIGNING_KEYS_MAX + 1];
    for (what, given, by, word) in [
        (
            "nobody vouches",
            newer(vec![trusted(3, None, false)]),
            3,
            "unvouched_key",
        ),
        (
            "a stranger vouches",
            newer(vec![trusted(3, Some(9), false)]),
            3,
            "unvouched_key",
        ),
        (
            "a forged voucher",
            newer(vec![trusted(1, None, false), forged]),
            3,
            "unvouched_key",
        ),
        (
            "a stranger has signed",
            newer(vec![trusted(1, None, false)]),
            9,
            "unknown_key",
        ),
        (
            "a retired key has signed",
            newer(vec![trusted(1, None, true), trusted(2, Some(1), false)]),
            1,
            "retired_key",
        ),
        ("too many keys", newer(too_many), 1, "too_many_keys"),
        ("another cluster", foreign, 2, "foreign_cluster"),
        (
            "an older epoch",
            set(9, 1, vec![trusted(1, None, false)]),
            1,
            "older_epoch",
        ),
    ] {
        let mut trust = Trust::kept(first());
        let refused = trust.follow(&SignedTrust::sign(given, &key(by)));
        assert_eq!(refused.unwrap_err().word(), word, "{what}");
        assert_eq!(trust, Trust::kept(first()), "{what}");
    }
    let mut changed = SignedTrust::sign(second(), &key(2));
    changed.set.serial = 7;
    let mut trust = Trust::kept(first());
    assert_eq!(trust.follow(&changed).unwrap_err().word(), "bad_signature");
}

fn ids(numbers: &[u8]) -> Vec<SigningKeyId> {
    numbers.iter().map(|number| key(*number).id()).collect()
}

fn anew(without: &[u8]) -> Followed {
    let without = ids(without);
    Followed::Anew { without }
}

fn already(without: &[u8]) -> Followed {
    let without = ids(without);
    Followed::Already { without }
}

/// Each set is signed by a trusted key, and has some keys that nobody vouches for.
#[test]
fn what_is_vouched_for_is_followed_and_what_is_not_stays_out() {
    let forged = TrustedKey {
        voucher: trusted(5, Some(9), false).voucher.map(|voucher| Voucher {
            by: key(1).id(),
            ..voucher
        }),
        ..trusted(5, None, false)
    };
    let of_another_cluster = {
        let public = key(5).public();
        TrustedKey {
            public,
            voucher: Some(key(3).vouch(&cluster(2), &public)),
            retired: false,
        }
    };
    for (what, more, by, without, stays) in [
        (
            "nobody vouches",
            vec![trusted(5, None, false), trusted(4, Some(3), false)],
            4,
            vec![5],
            vec![4],
        ),
        (
            "a stranger vouches",
            vec![trusted(5, Some(9), false)],
            3,
            vec![5],
            vec![],
        ),
        ("a forged voucher", vec![forged], 3, vec![5], vec![]),
        (
            "another cluster's voucher",
            vec![of_another_cluster],
            3,
            vec![5],
            vec![],
        ),
        (
            "a key vouches that was retired before",
            vec![trusted(4, Some(1), false), trusted(5, Some(3), false)],
            5,
            vec![4],
            vec![5],
        ),
        (
            "one vouches that stays out itself",
            vec![trusted(5, None, false), trusted(6, Some(5), false)],
            3,
            vec![5, 6],
            vec![],
        ),
        (
            "its voucher comes later",
            vec![trusted(5, Some(4), false), trusted(4, Some(3), false)],
            3,
            vec![5],
            vec![4],
        ),
    ] {
        let mut trust = Trust::kept(third());
        let given = set(9, 2, [third().keys, more].concat());
        let given = SignedTrust::sign(given, &key(by));
        assert_eq!(trust.follow(&given), Ok(anew(&without)), "{what}");
        let trusted: Vec<_> = trust.set().keys.iter().map(|key| key.public.id()).collect();
        assert_eq!(trusted, ids(&[vec![1, 2, 3], stays].concat()), "{what}");
        assert_eq!(trust.follow(&given), Ok(already(&without)), "{what}");
        for out in without {
            let offered = signed(2, 8, out);
            let refused = trust.verify(&environment(1), None, &offered).unwrap_err();
            assert_eq!(refused.word(), "unknown_key", "{what}");
            let next = set(10, 2, trust.set().keys.clone());
            let refused = trust.follow(&SignedTrust::sign(next, &key(out)));
            assert_eq!(refused.unwrap_err().word(), "unknown_key", "{what}");
        }
    }
    // Once somebody who is trusted vouches for it, it is in.
    let mut trust = Trust::kept(third());
    let unvouched = [third().keys, vec![trusted(5, None, false)]].concat();
    let given = SignedTrust::sign(set(9, 2, unvouched), &key(3));
    assert_eq!(trust.follow(&given), Ok(anew(&[5])));
    let vouched = [third().keys, vec![trusted(5, Some(2), false)]].concat();
    let given = SignedTrust::sign(set(10, 2, vouched), &key(5));
    assert_eq!(trust.follow(&given), Ok(anew(&[])));
}

#[test]
fn what_the_operator_says_rules() {
    let mut trust = Trust::fixed(first());
    assert_eq!(
        trust.follow(&SignedTrust::sign(second(), &key(2))),
        Ok(Followed::Not)
    );
    assert_eq!(trust.set(), &first());
    let mut foreign = second();
    foreign.cluster_id = cluster(2);
    let refused = trust.follow(&SignedTrust::sign(foreign, &key(2)));
    assert_eq!(refused.unwrap_err().word(), "foreign_cluster");
}

#[test]
fn the_first_set_has_to_be_whole() {
    assert!(Trust::first(&SignedTrust::sign(second(), &key(1))).is_ok());
    let refused = Trust::first(&SignedTrust::sign(second(), &key(3)));
    assert_eq!(refused.unwrap_err().word(), "unknown_key");
}

#[test]
fn what_is_signed_keeps_its_bytes() {
    let statement = signed(2, 7, 1).statement();
    let text = |text: &str| format!("{:08x}{}", text.len(), hex(text.as_bytes()));
    let expect = [
        text("vectorgate signed configuration"),
        "0000000101".to_owned(),
        text(cluster(1).as_str()),
        text(environment(1).as_str()),
        text("environment"),
        text(""),
        text(""),
        format!("00000008{:016x}", 2),
        format!("00000008{:016x}", 7),
        format!("00000020{}", "cd".repeat(32)),
        format!("00000020{}", "ab".repeat(32)),
        format!("00000008{:016x}", 300),
    ];
    assert_eq!(hex(&statement.bytes()), expect.concat());
    assert_eq!(cluster(1).as_str(), "cl_0000000001000000000001");
    let route = Statement {
        scope: Scope::Route {
            route_id: domain::id::RouteId::new(seed(5)),
            snapshot_id: domain::id::SnapshotId::new(seed(6)),
        },
        ..statement.clone()
    };
    let expect = [
        text("route"),
        text("rt_0000000001000000000005"),
        text("snap_0000000001000000000006"),
    ];
    assert!(hex(&route.bytes()).contains(&expect.concat()));
    // Where a byte belongs to is known of each.
    let bytes = route.bytes();
    let places: Vec<_> = (0..bytes.len()).map(|place| route.part_at(place)).collect();
    assert!(places.iter().all(Option::is_some));
    assert_eq!(places.first(), Some(&Some("purpose")));
    assert_eq!(places.last(), Some(&Some("at")));
    assert_eq!(route.part_at(bytes.len()), None);
}

#[test]
fn trust_sets_and_vouchers_keep_their_bytes() {
    let second = second();
    let voucher = second.keys[1].voucher.unwrap();
    let text = |text: &str| format!("{:08x}{}", text.len(), hex(text.as_bytes()));
    let keys = [
        hex(&key(1).public().0),
        "0000".to_owned(),
        hex(&key(2).public().0),
        "0001".to_owned(),
        hex(&voucher.by.0),
        hex(&voucher.signature.bytes()),
    ]
    .concat();
    let expect = [
        text("vectorgate trust set"),
        text(cluster(1).as_str()),
        format!("00000008{:016x}", 2),
        format!("00000008{:016x}", 2),
        format!("{:08x}{keys}", keys.len() / 2),
    ];
    assert_eq!(hex(&second.bytes()), expect.concat());
    let expect = [
        text("vectorgate signing key"),
        text(cluster(1).as_str()),
        format!("00000010{}", key(1).id()),
        format!("00000020{}", hex(&key(2).public().0)),
    ];
    let bytes = voucher_bytes(&cluster(1), &key(1).id(), &key(2).public());
    assert_eq!(hex(&bytes), expect.concat());
}
