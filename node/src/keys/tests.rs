//! Keys have their form, and are recognised under the pepper that they were made or moved under.

use domain::id::{EnvironmentId, Seed, WorkspaceId};
use domain::model::Peppering;
use domain::rows::MemoryRows;
use domain::schema::{BOOTSTRAP, BootstrapRecord, PEPPERING};
use domain::time::Timestamp;
use platform::SystemEntropy;

use super::*;

fn ring() -> KeyRing {
    KeyRing::new(&[7; 32]).unwrap()
}

/// Bytes that count up, so that the rejected range comes up as well.
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Contract.
#[test]
fn a_minted_key_parses_as_its_kind_and_hashes_as_stored() {
    for kind in KINDS {
        let (secret, hash) = ring().mint(kind, &SystemEntropy);
        let presented = PresentedKey::parse(secret.reveal()).unwrap();
        assert_eq!(presented.kind(), kind);
        assert_eq!(ring().hash(presented), hash);
        assert_ne!(KeyRing::new(&[8; 32]).unwrap().hash(presented), hash);
    }
}

#[test]
fn a_key_can_be_made_again_from_its_identifier_and_salt_with_the_pepper_alone() {
    let id = |text| ApiKeyId::parse(text).unwrap();
    let salt = KeySalt([1; 16]);
    let of = |ring: KeyRing, text, salt: &KeySalt| {
        let (secret, hash) = ring.active().secret(KeyKind::Restricted, &id(text), salt);
        let presented = PresentedKey::parse(secret.reveal()).unwrap();
        assert_eq!(presented.kind(), KeyKind::Restricted);
        assert_eq!(ring.hash(presented), hash);
        let again = ring.secret(KeyKind::Restricted, (&id(text), salt), &hash);
        assert_eq!(again.unwrap().reveal(), secret.reveal());
        secret.reveal().to_owned()
    };
    let first = of(ring(), "key_00000001", &salt);
    assert_eq!(of(ring(), "key_00000001", &salt), first);
    let others = [
        of(ring(), "key_00000002", &salt),
        of(ring(), "key_00000001", &KeySalt([2; 16])),
        of(KeyRing::new(&[8; 32]).unwrap(), "key_00000001", &salt),
    ];
    assert!(others.iter().all(|other| other[9..] != first[9..]));
}

/// Contract: D-11.
#[test]
fn every_single_character_change_is_noticed() {
    let (secret, _) = ring().mint(KeyKind::Live, &SystemEntropy);
    let text = secret.reveal();
    for position in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(
            PresentedKey::parse(&changed).is_none(),
            "position {position}"
        );
    }
}

#[test]
fn malformed_keys_are_refused_without_a_look_up() {
    let (secret, _) = ring().mint(KeyKind::Live, &SystemEntropy);
    let text = secret.reveal();
    let longer = format!("{text}0");
    let shorter = &text[..text.len() - 1];
    let other_kind = text.replacen("live", "test", 1);
    let spaced = format!(" {text}");
    let non_ascii = format!("{}ü{}", &text[..20], &text[22..]);
    for bad in [
        "",
        "vg_live_sk_v2_",
        "sk_live_1",
        &longer,
        shorter,
        &other_kind,
        &spaced,
        &non_ascii,
    ] {
        assert!(PresentedKey::parse(bad).is_none(), "{bad:?}");
    }
}

/// Contract: R-13.
#[test]
fn the_text_of_a_key_is_fixed_for_fixed_entropy() {
    let (secret, _) = ring().mint(KeyKind::Live, &Counting(240.into()));
    // 240..=247 are kept (54 to 61), 248..=255 drawn again, then 0, 1, 2, …
    assert_eq!(
        &secret.reveal()[..46],
        "vg_live_sk_v2_stuvwxyz0123456789ABCDEFGHIJKLMN"
    );
    assert_eq!(secret.reveal().len(), 52);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let (secret, hash) = ring().mint(KeyKind::Live, &SystemEntropy);
    let presented = PresentedKey::parse(secret.reveal()).unwrap();
    let shown = format!("{secret:?} {presented:?} {hash:?} {:?}", ring());
    assert!(!shown.contains(&secret.reveal()[14..]), "{shown}");
    assert!(
        !shown.contains("07, 07") && !shown.contains("7, 7"),
        "{shown}"
    );
}

/// Peppers of so many equal bytes.
fn ring_of(peppers: &[u8]) -> KeyRing {
    let lines = peppers.iter().map(|byte| format!("{byte:02x}").repeat(32));
    KeyRing::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

/// A state whose keys were hashed under the first of two peppers, and are now under the second.
fn state(first: u8, then: Option<u8>) -> MemoryRows {
    let id = |random| EnvironmentId::new(Seed { unix_ms: 1, random });
    let mut rows = MemoryRows::default();
    let record = BootstrapRecord {
        workspace_id: WorkspaceId::new(Seed {
            unix_ms: 1,
            random: 1,
        }),
        production_id: id(1),
        sandbox_id: id(2),
        pepper_check: ring_of(&[first]).pepper_check(),
    };
    BOOTSTRAP.put(&mut rows, (), &record);
    if let Some(then) = then {
        let peppering = Peppering {
            active: ring_of(&[then]).wanted(),
            since: Timestamp(1),
        };
        PEPPERING.put(&mut rows, (), &peppering);
    }
    rows
}

#[test]
fn peppers_are_named_after_themselves_and_the_state_says_which_one_is_used() {
    let [seven, eight] = [7, 8].map(|byte| ring_of(&[byte]).wanted());
    // What members agree by does not change from release to release.
    assert_eq!(seven.to_string(), "5e71bbac25e5a690");
    let ring = ring_of(&[8, 7]);
    assert_eq!((ring.wanted(), ring.active().id()), (eight, eight));
    assert!(ring.has_pepper(seven) && !ring.has_pepper(PepperId([0; 8])));
    assert_eq!(ring.follow(&MemoryRows::default()), Ok(None));
    for (state, active, other) in [
        (state(7, None), seven, eight),
        (state(7, Some(8)), eight, seven),
        (state(8, Some(7)), seven, eight),
    ] {
        assert_eq!(ring.follow(&state), Ok(Some(active)));
        assert_eq!((ring.wanted(), ring.active().id()), (eight, active));
        let others: Vec<_> = ring.other_peppers().map(Pepper::id).collect();
        assert_eq!(others, [other]);
        assert_eq!(ring.pepper_check(), ring.active().check());
    }
    let lacking = ring_of(&[7]).follow(&state(7, Some(8)));
    assert_eq!(lacking, Err(LacksPepper(eight)));
}

#[test]
fn what_was_made_under_one_pepper_is_made_again_whichever_is_active() {
    let (id, salt) = (ApiKeyId::parse("key_00000001").unwrap(), KeySalt([1; 16]));
    let (secret, hash) = ring_of(&[7]).active().secret(KeyKind::Live, &id, &salt);
    let of = |peppers: &[u8]| {
        let made = ring_of(peppers).secret(KeyKind::Live, (&id, &salt), &hash);
        made.map(|made| made.reveal() == secret.reveal())
    };
    assert_eq!(of(&[8, 7]), Some(true));
    assert_eq!(of(&[8]), None);
    let purposed = ring_of(&[8, 7]).purposed("a purpose");
    let mac = |keyed: &Hmac<Sha256>| keyed.clone().finalize().into_bytes();
    let alone = ring_of(&[8]).purposed("a purpose");
    assert_eq!(mac(purposed.active()), mac(alone.active()));
    assert_eq!(purposed.all().count(), 2);
}

#[test]
fn bad_peppers_are_refused() {
    for (bad, line) in [
        ("00", 1),
        ("zz", 1),
        (&"0".repeat(63), 1),
        (&"0".repeat(62), 1),
        (&"00".repeat(1025), 1),
        (&format!("#\n{}\n00", "ab".repeat(32)), 3),
    ] {
        let refused = KeyRing::parse(bad);
        assert!(
            matches!(refused, Err(PepperError::Malformed { line: found }) if found == line),
            "{bad}"
        );
    }
    let twice = format!("{0}\n{0}", "ab".repeat(32));
    for bad in ["", "# none", &twice] {
        assert!(
            matches!(KeyRing::parse(bad), Err(PepperError::Count)),
            "{bad}"
        );
    }
    assert!(KeyRing::parse(&format!("  {}\n", "ab".repeat(32))).is_ok());
    let longest: String = (1..=4)
        .map(|byte| format!("# one\n{}\n", format!("{byte:02x}").repeat(1024)))
        .collect();
    assert!(KeyRing::parse(&longest).is_ok());
}
