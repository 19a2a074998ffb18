//! A backup from rows to files and back: whole, damaged, taken apart, and with other keys.

use std::fs;
use std::path::{Path, PathBuf};

use domain::command::{Command, Origin, Stamped};
use domain::id::{RequestId, Seed};
use domain::machine::{state_hash, step};
use domain::model::{KekId, Sealing};
use domain::query;
use domain::rows::{MemoryRows, Rows as _};
use domain::schema::SEALING;
use domain::time::{Revision, Timestamp};
use edge_protocol::signing::{TrustDocument, TrustSet};
use platform::SystemEntropy;
use raft_store::types::Member;
use tempfile::TempDir;

use super::restore::plan;
use super::rows::tell;
use super::statement::Statement;
use super::writer::{Protection, Writer};
use super::{Backup, BackupError, BackupKey, MANIFEST_FILE, Manifest};
use crate::keys::KeyRing;
use crate::signing;

/// Small, so that a few rows are several objects.
const OBJECT_BYTES: usize = 64 * 1024;

fn keys() -> KeyRing {
    KeyRing::new(&[7; 32]).unwrap()
}

fn key(byte: u8) -> BackupKey {
    BackupKey::new([byte; 32])
}

/// A state that signs, with about that many bytes of chunks.
fn state(bytes: usize) -> MemoryRows {
    let mut rows = MemoryRows::default();
    let seed = |random| Seed { unix_ms: 1, random };
    let command: Command =
        signing::founding((&keys(), None), Timestamp(1), &SystemEntropy).unwrap();
    let stamped = Stamped {
        at: Timestamp(1),
        request_id: RequestId::new(seed(1)),
        idempotency: None,
        command,
        origin: Origin::default(),
        precondition: None,
    };
    assert!(step(&mut rows, Revision(1), &stamped).reply.is_ok());
    for number in 0..(bytes / 10_000) as u64 {
        let key = [&[0x38][..], &number.to_be_bytes()].concat();
        rows.put(key, vec![number as u8; 10_000]);
    }
    rows
}

fn write(state: &MemoryRows, to: &Path, protection: &Protection) -> Result<Manifest, BackupError> {
    let mut writer = Writer::sized(OBJECT_BYTES, to, protection, &SystemEntropy)?;
    let told = tell(state, 100_000, |piece| {
        writer.push(&piece).unwrap();
        true
    });
    let told = told.unwrap();
    let signing = query::signing(state).unwrap();
    let statement = Statement {
        cluster_id: signing.cluster_id.to_string(),
        epoch: signing.epoch.0,
        revision: 1,
        taken_at_ms: 2,
        node: 3,
        rows: told.rows,
        bytes: told.bytes,
        state_sha256: hex::encode(told.state),
    };
    writer.finish(statement.sign(&signing::open(&keys(), &signing).unwrap()))
}

/// A small encrypted backup.
fn small() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    write(&state(30_000), &path, &Protection::Key(key(1))).unwrap();
    (dir, path)
}

fn verify(path: &Path, key: Option<&BackupKey>) -> Result<(), BackupError> {
    Backup::open(path, key)?.verify().map(drop)
}

#[test]
fn a_backup_reads_back_as_the_state_that_it_is_of() {
    let state = state(2 * OBJECT_BYTES + 50_000);
    for protection in [Protection::Key(key(1)), Protection::Plain] {
        let dir = tempfile::tempdir().unwrap();
        let manifest = write(&state, dir.path(), &protection).unwrap();
        assert_eq!(manifest.objects.len(), 3);
        assert_eq!(
            manifest.signed.statement.state_sha256,
            hex::encode(state_hash(&state))
        );
        let key = match &protection {
            Protection::Key(key) => Some(key),
            Protection::Plain => None,
        };
        let backup = Backup::open(dir.path(), key).unwrap();
        let mut rows = MemoryRows::default();
        let essence = backup.read(|some| {
            rows.0.extend(some.iter().cloned());
            Ok(())
        });
        assert_eq!(rows, state);
        assert_eq!(essence.unwrap().signing(), query::signing(&state));
    }
}

#[cfg(unix)]
#[test]
fn nobody_but_the_owner_can_read_it_and_it_tells_nothing_of_what_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = small();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        let bytes = fs::read(&file).unwrap();
        assert!(
            !bytes.windows(64).any(|run| run == [1; 64]),
            "a chunk shows"
        );
    }
}

#[test]
fn any_flipped_byte_is_found_and_its_file_is_named() {
    let (_dir, path) = small();
    let mut positions = 0;
    for name in [MANIFEST_FILE, "rows-000000"] {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        let step = (whole.len() / 400).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, &damaged).unwrap();
            let error = verify(&path, Some(&key(1))).expect_err("a flipped byte goes unnoticed");
            assert!(
                error.to_string().contains(name) && error.exit_code() == 65,
                "byte {at} of {name}: {error}"
            );
            positions += 1;
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(positions >= 500, "{positions}");
    verify(&path, Some(&key(1))).unwrap();
}

#[test]
fn what_is_missing_cut_off_or_too_long_is_named() {
    let (_dir, path) = small();
    let file = path.join("rows-000000");
    let whole = fs::read(&file).unwrap();
    let named = |words: &str| {
        let error = verify(&path, Some(&key(1))).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("rows-000000") && said.contains(words),
            "{said}"
        );
        assert_eq!(error.exit_code(), 65);
    };
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    named("bytes instead of");
    fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    named("more than");
    fs::remove_file(&file).unwrap();
    named("missing");
    fs::write(&file, &whole).unwrap();
    fs::remove_file(path.join(MANIFEST_FILE)).unwrap();
    let error = verify(&path, Some(&key(1))).unwrap_err();
    assert!(error.to_string().contains("never finished"), "{error}");
}

/// Whoever can write manifests, but has no key.
fn rewrite(path: &Path, change: impl FnOnce(&mut Manifest)) {
    let file = path.join(MANIFEST_FILE);
    let mut manifest = Manifest::decode(&file, &fs::read(&file).unwrap()).unwrap();
    change(&mut manifest);
    let Manifest {
        backup_id,
        signed,
        encryption,
        objects,
        ..
    } = manifest;
    let manifest = Manifest::new(backup_id, signed, encryption, objects);
    fs::write(file, manifest.encode()).unwrap();
}

#[test]
fn objects_that_are_swapped_left_out_or_of_another_backup_do_not_pass() {
    let dir = tempfile::tempdir().unwrap();
    let [path, other] = ["one", "other"].map(|name| dir.path().join(name));
    let state = state(2 * OBJECT_BYTES + 50_000);
    for path in [&path, &other] {
        write(&state, path, &Protection::Key(key(1))).unwrap();
    }
    let manifest = fs::read(path.join(MANIFEST_FILE)).unwrap();
    let refused = |what: &str| {
        let error = verify(&path, Some(&key(1))).expect_err(what);
        assert_eq!(error.exit_code(), 65, "{what}: {error}");
        fs::write(path.join(MANIFEST_FILE), &manifest).unwrap();
    };
    rewrite(&path, |manifest| {
        let second = manifest.objects[1].sha256.clone();
        manifest.objects[1].sha256 = manifest.objects[0].sha256.clone();
        manifest.objects[0].sha256 = second;
    });
    let [first, second] = ["rows-000000", "rows-000001"].map(|name| path.join(name));
    let kept = dir.path().join("kept");
    fs::rename(&first, &kept).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&kept, &second).unwrap();
    refused("swapped objects");
    fs::rename(&first, &kept).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&kept, &second).unwrap();
    verify(&path, Some(&key(1))).unwrap();
    rewrite(&path, |manifest| {
        manifest.objects.pop();
    });
    refused("the last object is left out");
    let foreign = fs::read(other.join("rows-000000")).unwrap();
    let own = fs::read(&first).unwrap();
    fs::write(&first, &foreign).unwrap();
    rewrite(&path, |manifest| {
        use sha2::{Digest, Sha256};
        manifest.objects[0].sha256 = hex::encode(Sha256::digest(&foreign));
    });
    refused("an object of another backup");
    fs::write(&first, own).unwrap();
    rewrite(&path, |manifest| {
        let mut forged = manifest.signed.statement.clone();
        forged.revision += 1;
        manifest.signed = forged.sign(&edge_protocol::signing::KeyPair::new(&[9; 32]).unwrap());
    });
    refused("a statement that another key signed");
    rewrite(&path, |manifest| manifest.signed.statement.revision += 1);
    refused("a statement that nobody signed");
}

#[test]
fn keys_that_do_not_fit_are_said_to_be_the_reason() {
    let (dir, path) = small();
    let refused = |path: &Path, key: Option<&BackupKey>| {
        let error = verify(path, key).unwrap_err();
        assert_eq!(error.exit_code(), 64, "{error}");
        error
    };
    let wrong = refused(&path, Some(&key(2)));
    assert!(matches!(wrong, BackupError::WrongKey), "{wrong}");
    let none = refused(&path, None);
    assert!(matches!(none, BackupError::KeyMissing), "{none}");
    let plain = dir.path().join("plain");
    write(&state(0), &plain, &Protection::Plain).unwrap();
    let replaced = refused(&plain, Some(&key(1)));
    assert!(matches!(replaced, BackupError::NotEncrypted), "{replaced}");
}

#[test]
fn a_backup_is_written_into_a_folder_of_its_own_and_what_broke_off_is_removed() {
    let (dir, path) = small();
    let full = write(&state(0), &path, &Protection::Plain).unwrap_err();
    assert!(matches!(full, BackupError::Refused(_)), "{full}");
    let broken = dir.path().join("broken");
    let mut writer =
        Writer::sized(OBJECT_BYTES, &broken, &Protection::Plain, &SystemEntropy).unwrap();
    writer.push(&vec![0; OBJECT_BYTES + 1]).unwrap_err();
    writer.discard();
    assert!(!broken.exists());
}

#[test]
fn a_node_without_the_key_that_secrets_are_sealed_under_restores_nothing() {
    let (dir, mut state) = (tempfile::tempdir().unwrap(), state(0));
    let active = KekId([1; 8]);
    let since = Timestamp(1);
    SEALING.put(&mut state, (), &Sealing { active, since });
    write(&state, dir.path(), &Protection::Plain).unwrap();
    let backup = Backup::open(dir.path(), None).unwrap();
    let error = plan(&backup, &Member::default(), None, &keys()).unwrap_err();
    assert!(error.to_string().contains(&active.to_string()), "{error}");
    assert_eq!(error.exit_code(), 64);
}

#[test]
fn whom_the_operator_trusts_has_to_have_signed_it() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = [state(0), state(0)];
    write(&one, dir.path(), &Protection::Plain).unwrap();
    let backup = Backup::open(dir.path(), None).unwrap();
    let trusted = |state: &MemoryRows| {
        let signing = query::signing(state).unwrap();
        let set = TrustSet::of(&signing, &query::signing_keys(state));
        TrustDocument::of(&set, Some(signing.active))
    };
    backup.believe(&trusted(&one)).unwrap();
    let mut retired = trusted(&one);
    retired.keys[0].state = "retired".to_owned();
    for distrusted in [trusted(&other), retired] {
        let error = backup.believe(&distrusted).unwrap_err();
        assert!(matches!(error, BackupError::Untrusted { .. }), "{error}");
        assert_eq!(error.exit_code(), 65);
    }
}
