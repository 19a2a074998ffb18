//! What a crash and a fault do to the simulated disk.

use std::collections::BTreeSet;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{SimDisk, SimMount};
use crate::engine::{Batch, Database, DatabaseKind, Direction, Disk, read_file, replace_file};
use crate::fault::FaultKind;

const SEEDS: u64 = 200;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn database(mount: &SimMount) -> std::sync::Arc<dyn Database> {
    mount
        .open_database(Path::new("db"), DatabaseKind::Log, true)
        .unwrap()
}

fn put(database: &dyn Database, key: u8) {
    let mut batch = Batch::default();
    batch.put([key, 0], [key]);
    batch.put([key, 1], [key]);
    database.write(batch).unwrap();
}

fn rows(database: &dyn Database) -> usize {
    database
        .view()
        .scan(&[], &[255], Direction::Ascending, usize::MAX)
        .unwrap()
        .len()
}

#[test]
fn of_unsynced_batches_any_number_of_the_first_ones_survives_whole() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        let mount = disk.mount();
        let before = database(&mount);
        mount.sync_dir(Path::new("")).unwrap();
        put(&*before, 1);
        before.sync().unwrap();
        (2..6).for_each(|key| put(&*before, key));
        disk.crash(&mut rng(seed));
        let after = database(&disk.mount());
        let survived = rows(&*after);
        assert_eq!(survived % 2, 0, "a batch was torn");
        for key in 0..survived / 2 {
            assert!(
                after
                    .view()
                    .get(&[u8::try_from(key).unwrap() + 1, 0])
                    .unwrap()
                    .is_some(),
                "a gap"
            );
        }
        outcomes.insert(survived / 2);
    }
    assert_eq!(outcomes, (1..=5).collect());
}

#[test]
fn an_unsynced_file_is_a_mixture_of_old_and_new_blocks() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        let mount = disk.mount();
        let file = mount.open_file(Path::new("file"), true).unwrap();
        file.write_at(0, &[1; 1024]).unwrap();
        file.sync().unwrap();
        mount.sync_dir(Path::new("")).unwrap();
        file.write_at(0, &[2; 1024]).unwrap();
        disk.crash(&mut rng(seed));
        let content = read_file(&disk.mount(), Path::new("file"), 2048).unwrap();
        assert!(
            content
                .chunks(512)
                .all(|block| block.iter().all(|byte| *byte == block[0]))
        );
        outcomes.insert((content[0], content[512]));
    }
    assert_eq!(outcomes, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
}

#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one_and_the_new_one_once_its_name_is_synced() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        replace_file(&disk.mount(), Path::new("file"), b"old").unwrap();
        let mount = disk.mount();
        let beside = mount.open_file(Path::new("beside"), true).unwrap();
        beside.write_at(0, b"new").unwrap();
        beside.sync().unwrap();
        mount
            .rename(Path::new("beside"), Path::new("file"))
            .unwrap();
        disk.crash(&mut rng(seed));
        let content = read_file(&disk.mount(), Path::new("file"), 9).unwrap();
        assert!(content == b"old" || content == b"new", "{content:?}");

        replace_file(&disk.mount(), Path::new("file"), b"newest").unwrap();
        disk.crash(&mut rng(seed));
        assert_eq!(
            read_file(&disk.mount(), Path::new("file"), 9).unwrap(),
            b"newest"
        );
    }
}

#[test]
fn what_a_crashed_process_held_is_dead() {
    let disk = SimDisk::new();
    let mount = disk.mount();
    let before = database(&mount);
    let file = mount.open_file(Path::new("file"), true).unwrap();
    mount.sync_dir(Path::new("")).unwrap();
    disk.crash(&mut rng(1));
    let after = database(&disk.mount());
    assert_eq!(
        before.write(Batch::default()).err().unwrap().kind,
        FaultKind::Stopped
    );
    assert_eq!(before.sync().err().unwrap().kind, FaultKind::Stopped);
    assert_eq!(
        before.view().get(b"x").err().unwrap().kind,
        FaultKind::Stopped
    );
    assert_eq!(
        file.write_at(0, b"x").err().unwrap().kind,
        FaultKind::Stopped
    );
    assert_eq!(
        mount.remove(Path::new("db")).err().unwrap().kind,
        FaultKind::Stopped
    );
    drop(before);
    put(&*after, 1);
    assert_eq!(rows(&*after), 2);
}

#[test]
fn a_fault_latches_the_database_and_leaves_the_outcome_open() {
    let mut survived = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        let mount = disk.mount();
        let before = database(&mount);
        mount.sync_dir(Path::new("")).unwrap();
        put(&*before, 1);
        disk.fail_sync_after(0);
        assert!(matches!(
            before.sync().err().unwrap().kind,
            FaultKind::Io(_)
        ));
        assert!(before.sync().is_err(), "the second sync must not succeed");
        assert!(before.write(Batch::default()).is_err());
        disk.crash(&mut rng(seed));
        survived.insert(rows(&*database(&disk.mount())));
    }
    assert_eq!(survived, BTreeSet::from([0, 2]));
}

#[test]
fn armed_faults_strike_once_and_a_full_disk_until_there_is_room() {
    let disk = SimDisk::new();
    let mount = disk.mount();
    disk.fail_write_after(1);
    mount.create_dir(Path::new("a")).unwrap();
    assert!(mount.create_dir(Path::new("b")).is_err());
    mount.create_dir(Path::new("b")).unwrap();
    disk.set_full(true);
    let full = mount.create_dir(Path::new("c")).err().unwrap();
    assert_eq!(full.kind, FaultKind::Io(std::io::ErrorKind::StorageFull));
    disk.set_full(false);
    mount.create_dir(Path::new("c")).unwrap();
    let rows = database(&mount);
    disk.fail_read_after(0);
    assert!(rows.view().get(b"x").is_err());
    assert!(rows.view().get(b"x").is_ok());
}

#[test]
fn blocks_are_as_large_as_the_disk_writes_them() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        disk.set_block_bytes(4096);
        let mount = disk.mount();
        let file = mount.open_file(Path::new("file"), true).unwrap();
        file.write_at(0, &[1; 8192]).unwrap();
        file.sync().unwrap();
        mount.sync_dir(Path::new("")).unwrap();
        file.write_at(0, &[2; 8192]).unwrap();
        assert_eq!(disk.crash(&mut rng(seed)).files, 1);
        let content = read_file(&disk.mount(), Path::new("file"), 9000).unwrap();
        for block in content.chunks(4096) {
            assert!(block.iter().all(|byte| *byte == block[0]));
        }
        outcomes.insert((content[0], content[4096]));
    }
    assert_eq!(outcomes, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
}

#[test]
fn a_crash_says_what_it_took() {
    let disk = SimDisk::new();
    let mount = disk.mount();
    let rows = database(&mount);
    mount.sync_dir(Path::new("")).unwrap();
    put(&*rows, 1);
    rows.sync().unwrap();
    assert!(!disk.crash(&mut rng(1)).any());
    let mut lost = BTreeSet::new();
    for seed in 0..SEEDS {
        let rows = database(&disk.mount());
        put(&*rows, 2);
        lost.insert(disk.crash(&mut rng(seed)).batches);
    }
    assert_eq!(lost, BTreeSet::from([0, 1]));
}

#[test]
fn a_machine_dies_before_the_write_that_is_due() {
    let disk = SimDisk::new();
    let mount = disk.mount();
    let before = database(&mount);
    mount.sync_dir(Path::new("")).unwrap();
    disk.die_after(1);
    put(&*before, 1);
    assert_eq!(before.sync().err().unwrap().kind, FaultKind::Stopped);
    assert!(disk.struck().died);
    assert!(before.write(Batch::default()).is_err());
    let torn = disk.crash(&mut rng(1));
    let after = database(&disk.mount());
    assert_eq!(rows(&*after), 2 * (1 - torn.batches));
    assert!(!disk.struck().died);
    after.sync().unwrap();
}

#[test]
fn a_log_that_rotted_does_not_open_and_a_state_does_not_give_what_rotted() {
    let open = |disk: &SimDisk, kind| disk.mount().open_database(Path::new("db"), kind, true);
    let disk = SimDisk::new();
    let mount = disk.mount();
    let before = database(&mount);
    mount.sync_dir(Path::new("")).unwrap();
    put(&*before, 1);
    before.sync().unwrap();
    drop(before);
    assert_eq!(disk.rot(&mut rng(1)).unwrap(), Path::new("db/DATABASE"));
    let fault = open(&disk, DatabaseKind::Log).err().unwrap();
    assert_eq!(fault.kind, FaultKind::Corrupt);
    let state = open(&disk, DatabaseKind::State).unwrap();
    let keys = [[1, 0], [1, 1]];
    let found = keys.map(|key| state.view().get(&key).map_err(|fault| fault.kind));
    assert!(found.contains(&Err(FaultKind::Corrupt)), "{found:?}");
    assert!(found.iter().any(Result::is_ok), "{found:?}");
    let scanned = state
        .view()
        .scan(&[], &[9], Direction::Ascending, usize::MAX);
    assert_eq!(scanned.err().unwrap().kind, FaultKind::Corrupt);
    assert!(state.export(Path::new("export")).is_err());
    put(&*state, 1);
    assert_eq!(rows(&*state), 2, "what is written again can be read again");
    assert!(disk.struck().rot_found > 0);
}

#[test]
fn a_file_that_rots_has_one_bit_flipped() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new();
        replace_file(&disk.mount(), Path::new("file"), &[0; 64]).unwrap();
        assert_eq!(disk.rot(&mut rng(seed)).unwrap(), Path::new("file"));
        let content = read_file(&disk.mount(), Path::new("file"), 99).unwrap();
        let ones: u32 = content.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones, 1);
    }
}
