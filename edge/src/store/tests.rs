//! The store against crashes, damage, full disks, and a plain map.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::id::{ClusterId, EnvironmentId, Seed};
use domain::model::{Epoch, ManifestVersion};
use domain::time::Timestamp;
use domain::tree::{ChunkSource, Edits, Hash, TreeKind, edit, iter};
use edge_protocol::ManifestRef;
use edge_protocol::follower::{Chunks, Held, Holdings};
use edge_protocol::signing::{KeyPair, Proof};
use proptest::prelude::*;

use super::compact::PACKS_MAX;
use super::*;

fn environment_id() -> EnvironmentId {
    EnvironmentId::new(Seed {
        unix_ms: 0,
        random: 0,
    })
}

fn open(directory: &MemoryDirectory) -> Opened {
    Store::open(Box::new(directory.clone()), "production").unwrap()
}

fn opened(directory: &MemoryDirectory) -> Store {
    let mut store = open(directory).store;
    store.settle();
    store
}

/// A tree of `len` items, of which those in `changed` differ from the usual.
fn tree_of(len: u32, changed: &[u32]) -> (Hash, Chunks) {
    let edits: Edits = (0..len)
        .map(|item| {
            let salt = changed.iter().filter(|other| **other == item).count();
            let value =
                Hash::of(&[item.to_be_bytes().as_slice(), &[salt.to_le_bytes()[0]]].concat())
                    .0
                    .repeat(4);
            (format!("key-{item:08}").into_bytes(), Some(value))
        })
        .collect();
    let none: BTreeMap<Hash, Vec<u8>> = BTreeMap::new();
    let edited = edit(&none, TreeKind::Rules, Hash::EMPTY_TREE, &edits).unwrap();
    (
        edited.root,
        edited
            .chunks
            .into_iter()
            .map(|(hash, bytes)| (hash, Bytes::from(bytes)))
            .collect(),
    )
}

fn manifest(version: u64, root: Hash) -> ManifestRef {
    ManifestRef {
        epoch: Epoch(1),
        version: ManifestVersion(version),
        root,
    }
}

/// The store takes it as it is; whoever serves by it verifies.
pub(super) fn signed(manifest: ManifestRef) -> SignedManifest {
    let seed = Seed {
        unix_ms: 0,
        random: 0,
    };
    SignedManifest {
        manifest,
        environment_id: environment_id(),
        proof: Proof {
            cluster_id: ClusterId::new(seed),
            previous: Hash([0; 32]),
            at: Timestamp(0),
            signature: KeyPair::new(&[7; 32]).unwrap().sign(b""),
        },
    }
}

/// Keeps a version of a tree like a publish that changed `changed` does.
pub(super) fn publish(
    store: &mut Store,
    version: u64,
    changed: &[u32],
) -> Result<ManifestRef, StoreError> {
    let (root, chunks) = tree_of(3000, changed);
    let manifest = manifest(version, root);
    store.keep(&signed(manifest), &chunks)?;
    assert!(store.tidy().is_none());
    Ok(manifest)
}

pub(super) fn versions(store: &Store) -> Vec<u64> {
    store
        .kept()
        .map(|pointer| pointer.manifest.version.0)
        .collect()
}

pub(super) fn assert_whole(store: &Store) {
    for pointer in store.kept() {
        let items = iter(store, TreeKind::Rules, pointer.manifest.root).map(|item| item.map(drop));
        assert!(
            items.collect::<Result<Vec<()>, _>>().is_ok(),
            "manifest {}",
            pointer.manifest
        );
    }
}

pub(super) fn files(directory: &MemoryDirectory, prefix: &str) -> Vec<String> {
    directory
        .list()
        .unwrap()
        .into_iter()
        .filter(|name| name.starts_with(prefix))
        .collect()
}

#[test]
fn what_is_kept_is_there_after_a_restart() {
    let directory = MemoryDirectory::default();
    let Opened {
        mut store,
        findings,
    } = open(&directory);
    assert!(
        findings.is_empty(),
        "an empty directory is nothing wrong: {findings:?}"
    );
    let kept = publish(&mut store, 1, &[]).unwrap();
    drop(store);
    directory.crash(u64::MAX);
    let Opened { store, findings } = open(&directory);
    assert!(findings.is_empty(), "{findings:?}");
    let newest = store.kept().next().unwrap();
    assert_eq!(
        (newest.manifest, &newest.environment_id),
        (kept, &environment_id())
    );
    assert_whole(&store);
    assert_eq!(store.held(&kept.root), Held::Tree);
}

#[test]
fn only_what_is_new_is_written() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    publish(&mut store, 1, &[]).unwrap();
    let whole = directory.bytes_written();
    publish(&mut store, 2, &[1500]).unwrap();
    let change = directory.bytes_written() - whole;
    assert!(change * 5 < whole, "{change} of {whole} bytes for one item");
    let writes = directory.writes();
    publish(&mut store, 3, &[1500]).unwrap();
    assert_eq!(
        directory.writes() - writes,
        1,
        "the same content again is a pointer"
    );
}

#[test]
fn the_last_three_are_kept_and_what_only_older_ones_needed_goes() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    let first = publish(&mut store, 1, &[]).unwrap();
    for version in 2..=10 {
        publish(
            &mut store,
            version,
            &[u32::try_from(version).unwrap() * 100],
        )
        .unwrap();
        assert_whole(&store);
    }
    assert_eq!(versions(&store), [10, 9, 8]);
    assert_eq!(files(&directory, MANIFEST).len(), 3);
    assert_eq!(store.held(&first.root), Held::Nothing);
    let reopened = opened(&directory);
    assert_eq!(versions(&reopened), [10, 9, 8]);
    assert_whole(&reopened);
}

#[test]
fn many_small_changes_leave_few_packs_and_cost_what_they_change() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    publish(&mut store, 1, &[]).unwrap();
    let whole = directory.bytes_written();
    let mut changed = Vec::new();
    for version in 2..=200 {
        changed.push(u32::try_from(version * 37 % 3000).unwrap());
        publish(&mut store, version, &changed).unwrap();
    }
    assert!(
        files(&directory, PACK).len() <= PACKS_MAX + 2,
        "{} packs",
        files(&directory, PACK).len()
    );
    let each = (directory.bytes_written() - whole) / 199;
    assert!(
        each * 3 < whole,
        "{each} bytes for each change, {whole} for the whole"
    );
    assert_whole(&opened(&directory));
}

#[test]
fn a_damaged_newest_gives_way_to_the_one_before() {
    type Change = fn(&mut Vec<u8>);
    let damage: [(&str, Change); 3] = [
        (MANIFEST, |bytes| bytes[5] ^= 1),
        (MANIFEST, |bytes| bytes.truncate(3)),
        (PACK, |bytes| {
            bytes
                .iter_mut()
                .skip(60)
                .step_by(50)
                .for_each(|byte| *byte ^= 1)
        }),
    ];
    for (what, change) in damage {
        let directory = MemoryDirectory::default();
        let mut store = opened(&directory);
        publish(&mut store, 1, &[]).unwrap();
        publish(&mut store, 2, &[7]).unwrap();
        drop(store);
        directory.corrupt(files(&directory, what).last().unwrap(), change);
        let Opened { store, findings } = open(&directory);
        assert_eq!(versions(&store), [1], "{what}");
        assert!(
            findings.iter().any(|finding| finding.contains("not used")),
            "{findings:?}"
        );
        assert_whole(&store);
        assert_eq!(
            files(&directory, MANIFEST).len(),
            1,
            "what cannot be used is gone"
        );
    }
}

#[test]
fn with_everything_damaged_it_starts_empty_says_so_and_works() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    publish(&mut store, 1, &[]).unwrap();
    publish(&mut store, 2, &[7]).unwrap();
    drop(store);
    for name in directory.list().unwrap() {
        directory.corrupt(&name, |bytes| {
            bytes.iter_mut().for_each(|byte| *byte ^= 0x55)
        });
    }
    let Opened {
        mut store,
        findings,
    } = open(&directory);
    assert_eq!(versions(&store), [0; 0]);
    assert!(
        findings.last().unwrap().contains("starting without one"),
        "{findings:?}"
    );
    publish(&mut store, 3, &[]).unwrap();
    assert_eq!(versions(&opened(&directory)), [3]);
    assert_eq!(
        files(&directory, PACK).len(),
        1,
        "the damaged packs are gone"
    );
}

#[test]
fn another_environment_starts_empty_and_says_so() {
    let directory = MemoryDirectory::default();
    publish(&mut opened(&directory), 1, &[]).unwrap();
    let Opened { store, findings } = Store::open(Box::new(directory), "sandbox").unwrap();
    assert_eq!(versions(&store), [0; 0]);
    assert!(
        findings[0].contains("environment production"),
        "{findings:?}"
    );
}

#[test]
fn a_manifest_that_is_withdrawn_leaves_the_one_before() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    publish(&mut store, 1, &[]).unwrap();
    let (root, chunks) = tree_of(3000, &[9]);
    let bad = manifest(2, root);
    store.keep(&signed(bad), &chunks).unwrap();
    assert!(store.withdraw(&bad).is_none());
    assert!(store.withdraw(&bad).is_none(), "once is enough");
    assert_eq!(versions(&store), [1]);
    assert_eq!(store.held(&root), Held::Nothing);
    directory.crash(u64::MAX);
    assert_eq!(versions(&opened(&directory)), [1]);
}

#[test]
fn whatever_step_the_machine_dies_at_the_manifest_before_or_the_new_one_is_there() {
    for (step, random) in (0..).zip(0..) {
        let directory = MemoryDirectory::default();
        let mut store = opened(&directory);
        publish(&mut store, 1, &[]).unwrap();
        publish(&mut store, 2, &[3]).unwrap();
        directory.die_after(step);
        let (root, chunks) = tree_of(3000, &[3, 700]);
        let kept = store.keep(&signed(manifest(3, root)), &chunks).is_ok();
        drop(store);
        if !directory.is_dead() {
            assert!(kept && step > 3, "it died at none of {step} steps");
            return;
        }
        assert!(!kept);
        let fallen_back = |random: u64| {
            directory.crash(random);
            let store = opened(&directory);
            assert_whole(&store);
            versions(&store)[0]
        };
        let newest = fallen_back(u64::MAX / 7 * random);
        assert!([2, 3].contains(&newest), "step {step}: {newest}");
    }
}

#[test]
fn whatever_rots_something_older_is_served_or_nothing_and_never_what_is_damaged() {
    for random in 0..64_u64 {
        let directory = MemoryDirectory::default();
        let mut store = opened(&directory);
        publish(&mut store, 1, &[]).unwrap();
        publish(&mut store, 2, &[3]).unwrap();
        drop(store);
        let random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert!(directory.rot(random).is_some());
        assert_whole(&opened(&directory));
    }
}

#[test]
fn what_is_incomplete_is_not_kept() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    let (root, mut chunks) = tree_of(3000, &[]);
    let lost = *chunks.keys().find(|hash| **hash != root).unwrap();
    chunks.remove(&lost);
    let error = store.keep(&signed(manifest(1, root)), &chunks).unwrap_err();
    assert!(
        matches!(error, StoreError::Missing(hash) if hash == lost),
        "{error}"
    );
    assert_eq!(versions(&store), [0; 0]);
    assert_eq!(files(&directory, ""), [""; 0]);
}

#[test]
fn a_full_disk_keeps_what_was_kept_and_works_again_with_room() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    publish(&mut store, 1, &[]).unwrap();
    let used: usize = files(&directory, "")
        .iter()
        .map(|name| directory.read(name, 0, usize::MAX).unwrap().len())
        .sum();
    let (root, chunks) = tree_of(3000, &[100, 900, 2000]);
    for spare in [0, 1, 100, 3000, 100_000] {
        directory.set_bytes_max(Some(used + spare));
        let result = store.keep(&signed(manifest(2, root)), &chunks);
        if let Err(error) = result {
            assert!(matches!(error, StoreError::Write { .. }), "{error}");
            assert_eq!(versions(&store), [1]);
            assert_whole(&store);
            assert_eq!(
                files(&directory, "").len(),
                2,
                "nothing half-written is left"
            );
            assert_eq!(versions(&opened(&directory)), [1]);
        }
    }
    assert_eq!(versions(&store), [2, 1]);
    assert_whole(&opened(&directory));
}

#[test]
fn what_was_read_at_the_start_needs_no_disk_until_the_store_settles() {
    let directory = MemoryDirectory::default();
    let kept = publish(&mut opened(&directory), 1, &[]).unwrap();
    let mut store = open(&directory).store;
    for pack in files(&directory, PACK) {
        directory.remove(&pack).unwrap();
    }
    assert!(iter(&store, TreeKind::Rules, kept.root).all(|item| item.is_ok()));
    assert!(!store.is_damaged());
    store.settle();
    assert_eq!(ChunkSource::chunk(&store, &kept.root), None);
    assert!(store.is_damaged());
}

#[test]
fn damage_found_while_running_is_healed_by_fetching_again() {
    let directory = MemoryDirectory::default();
    let mut store = opened(&directory);
    let kept = publish(&mut store, 1, &[]).unwrap();
    let pack = files(&directory, PACK)[0].clone();
    directory.corrupt(&pack, |bytes| {
        bytes
            .iter_mut()
            .skip(50_000)
            .take(4000)
            .for_each(|byte| *byte ^= 1)
    });
    let (_, chunks) = tree_of(3000, &[]);
    let unreadable: Chunks = chunks
        .iter()
        .filter(|(hash, _)| ChunkSource::chunk(&store, hash).is_none())
        .map(|(hash, chunk)| (*hash, chunk.clone()))
        .collect();
    assert!(!unreadable.is_empty() && unreadable.len() < chunks.len());
    assert!(store.is_damaged());
    for hash in unreadable.keys() {
        assert_eq!(store.held(hash), Held::Nothing);
    }
    assert!(
        matches!(store.held(&kept.root), Held::Chunk(_)),
        "whether all under it is held must be asked"
    );
    let (root, changed) = tree_of(3000, &[0]);
    let fetched = unreadable.into_iter().chain(changed).collect();
    store.keep(&signed(manifest(2, root)), &fetched).unwrap();
    assert_whole(&store);
    assert_whole(&opened(&directory));
}

#[test]
fn a_real_directory_is_private_belongs_to_one_process_and_survives() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("edge");
    let mut store = Store::open(Box::new(DiskDirectory::open(&path).unwrap()), "production")
        .unwrap()
        .store;
    publish(&mut store, 1, &[]).unwrap();
    publish(&mut store, 2, &[1]).unwrap();
    assert_eq!(
        DiskDirectory::open(&path).unwrap_err().kind(),
        std::io::ErrorKind::ResourceBusy
    );
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            entry.path()
        );
    }
    drop(store);
    let reopened =
        Store::open(Box::new(DiskDirectory::open(&path).unwrap()), "production").unwrap();
    assert!(reopened.findings.is_empty(), "{:?}", reopened.findings);
    assert_eq!(versions(&reopened.store), [2, 1]);
    assert_whole(&reopened.store);
}

#[derive(Clone, Debug)]
enum Step {
    Publish { item: u8, tidy: bool, serve: bool },
    Crash(u64),
    Restart,
    Fill(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(item, tidy, serve)| Step::Publish { item, tidy, serve }),
        2 => any::<u64>().prop_map(Step::Crash),
        1 => Just(Step::Restart),
        1 => any::<u16>().prop_map(Step::Fill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn no_crash_or_full_disk_takes_back_what_was_served(steps in prop::collection::vec(step(), 1..25)) {
        let directory = MemoryDirectory::default();
        let mut store = opened(&directory);
        let mut served = None;
        for (version, step) in steps.into_iter().enumerate() {
            match step {
                Step::Publish { item, tidy, serve } => {
                    let (root, chunks) = tree_of(300, &[u32::from(item)]);
                    let offered = manifest(version as u64, root);
                    let missing = chunks.into_iter().filter(|(hash, _)| store.held(hash) != Held::Tree).collect();
                    match store.keep(&signed(offered), &missing) {
                        Ok(()) if serve => served = Some(offered),
                        Ok(()) => prop_assert!(store.withdraw(&offered).is_none()),
                        Err(error) => prop_assert!(matches!(error, StoreError::Write { .. }), "{}", error),
                    }
                    if tidy {
                        store.tidy();
                    }
                }
                Step::Crash(random) => {
                    directory.crash(random);
                    directory.set_bytes_max(None);
                    store = opened(&directory);
                }
                Step::Restart => store = opened(&directory),
                Step::Fill(bytes) => directory.set_bytes_max(Some(usize::from(bytes))),
            }
            prop_assert_eq!(store.kept().next().map(|newest| newest.manifest), served);
            assert_whole(&store);
        }
    }
}
