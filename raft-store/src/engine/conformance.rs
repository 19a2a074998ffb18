//! What every engine has to do alike, run on both. What only a crash shows is tested where the
//! crash is: on the simulated disk, and by the checks of whole nodes.

use std::path::Path;
use std::sync::Arc;

use super::rocks::RocksDisk;
use super::sim::SimDisk;
use super::{Batch, Database, DatabaseKind, Direction, Disk, file_exists, read_file, replace_file};
use crate::fault::FaultKind;

/// Runs a check on a new disk of each engine.
fn on_both(check: impl Fn(&Arc<dyn Disk>)) {
    let dir = tempfile::tempdir().unwrap();
    let rocks: Arc<dyn Disk> = Arc::new(RocksDisk::new(dir.path().to_owned()).unwrap());
    check(&rocks);
    let sim: Arc<dyn Disk> = Arc::new(SimDisk::new().mount());
    check(&sim);
}

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn open(disk: &Arc<dyn Disk>, name: &str) -> Arc<dyn Database> {
    disk.open_database(path(name), DatabaseKind::State, true)
        .unwrap()
}

fn put(database: &dyn Database, keys: &[&str]) {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(key.as_bytes(), format!("value of {key}"));
    }
    database.write(batch).unwrap();
}

fn keys(database: &dyn Database) -> Vec<String> {
    scan(database, "", "~", Direction::Ascending, usize::MAX)
}

fn scan(
    database: &dyn Database,
    from: &str,
    until: &str,
    direction: Direction,
    limit: usize,
) -> Vec<String> {
    let rows = database
        .view()
        .scan(from.as_bytes(), until.as_bytes(), direction, limit)
        .unwrap();
    rows.into_iter()
        .map(|(key, value)| {
            let key = String::from_utf8(key).unwrap();
            assert_eq!(value, format!("value of {key}").as_bytes());
            key
        })
        .collect()
}

#[test]
fn the_writes_of_a_batch_take_effect_in_order() {
    on_both(|disk| {
        let database = open(disk, "db");
        put(&*database, &["a", "b", "c", "d", "e"]);
        let mut batch = Batch::default();
        batch.delete_range("b", "e");
        batch.put("c", "value of c");
        batch.put("f", "value of f");
        batch.delete("f");
        batch.delete("never there");
        database.write(batch).unwrap();
        assert_eq!(keys(&*database), ["a", "c", "e"]);
        let mut batch = Batch::default();
        batch.delete_range("e", "a");
        database.write(batch).unwrap();
        assert_eq!(
            keys(&*database),
            ["a", "c", "e"],
            "a reversed range is empty"
        );
    });
}

#[test]
fn a_view_shows_what_was_there_when_it_was_taken() {
    on_both(|disk| {
        let database = open(disk, "db");
        put(&*database, &["a", "b"]);
        let view = database.view();
        let mut batch = Batch::default();
        batch.delete("a");
        batch.put("b", "changed");
        batch.put("c", "new");
        database.write(batch).unwrap();
        assert_eq!(view.get(b"a").unwrap().as_deref(), Some(&b"value of a"[..]));
        assert_eq!(view.get(b"b").unwrap().as_deref(), Some(&b"value of b"[..]));
        assert_eq!(view.get(b"c").unwrap(), None);
        assert_eq!(
            view.scan(b"", b"~", Direction::Ascending, 9).unwrap().len(),
            2
        );
        assert_eq!(
            database.view().get(b"c").unwrap().as_deref(),
            Some(&b"new"[..])
        );
    });
}

#[test]
fn scans_respect_bounds_direction_and_limit() {
    on_both(|disk| {
        let database = open(disk, "db");
        put(&*database, &["a", "b", "c", "d"]);
        let check = |from, until, direction, limit, expected: &[&str]| {
            assert_eq!(scan(&*database, from, until, direction, limit), expected);
        };
        check("b", "d", Direction::Ascending, 9, &["b", "c"]);
        check("b", "d", Direction::Descending, 9, &["c", "b"]);
        check("aa", "cc", Direction::Ascending, 1, &["b"]);
        check("aa", "cc", Direction::Descending, 1, &["c"]);
        check("b", "b", Direction::Ascending, 9, &[]);
        check("c", "b", Direction::Descending, 9, &[]);
        check("a", "z", Direction::Ascending, 0, &[]);
        check("x", "z", Direction::Descending, 9, &[]);
    });
}

#[test]
fn what_was_synced_is_there_when_the_database_is_opened_again() {
    on_both(|disk| {
        for kind in [DatabaseKind::Log, DatabaseKind::State] {
            let name = format!("{kind:?}");
            let database = disk.open_database(path(&name), kind, true).unwrap();
            put(&*database, &["a", "b"]);
            database.sync().unwrap();
            drop(database);
            let database = disk.open_database(path(&name), kind, false).unwrap();
            assert_eq!(keys(&*database), ["a", "b"]);
        }
    });
}

#[test]
fn an_absent_database_is_missing_and_an_open_one_is_busy() {
    on_both(|disk| {
        let fault = disk
            .open_database(path("db"), DatabaseKind::Log, false)
            .err()
            .unwrap();
        assert_eq!(fault.kind, FaultKind::Missing);
        let database = open(disk, "db");
        let fault = disk
            .open_database(path("db"), DatabaseKind::State, false)
            .err()
            .unwrap();
        assert!(matches!(fault.kind, FaultKind::Io(_)), "{fault}");
        drop(database);
        open(disk, "db");
    });
}

#[test]
fn an_export_holds_what_was_visible_and_lives_apart() {
    on_both(|disk| {
        disk.create_dir(path("exports")).unwrap();
        let database = open(disk, "db");
        let numbered: Vec<_> = (10..60).map(|number| format!("n{number}")).collect();
        put(
            &*database,
            &numbered.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        database.prepare_export().unwrap();
        put(&*database, &["last"]);
        database.export(path("exports/one")).unwrap();
        put(&*database, &["later"]);

        disk.adopt(path("exports/one"), path("copy")).unwrap();
        let copy = disk
            .open_database(path("copy"), DatabaseKind::State, false)
            .unwrap();
        assert_eq!(keys(&*copy).len(), 51);
        assert!(!keys(&*copy).contains(&"later".to_owned()));
        put(&*copy, &["only in the copy"]);
        copy.sync().unwrap();
        drop(copy);
        let copy = disk
            .open_database(path("copy"), DatabaseKind::State, false)
            .unwrap();
        assert_eq!(
            keys(&*copy).len(),
            52,
            "what is written after adopting is kept"
        );
        assert_eq!(keys(&*database).len(), 52);
        assert!(!keys(&*database).contains(&"only in the copy".to_owned()));

        drop((database, copy));
        disk.remove(path("db")).unwrap();
        disk.remove(path("copy")).unwrap();
        disk.adopt(path("exports/one"), path("again")).unwrap();
        assert_eq!(
            keys(&*open(disk, "again")).len(),
            51,
            "the export depends on neither"
        );
    });
}

#[test]
fn an_empty_database_can_be_exported() {
    on_both(|disk| {
        open(disk, "db").export(path("export")).unwrap();
        disk.adopt(path("export"), path("copy")).unwrap();
        let copy = disk
            .open_database(path("copy"), DatabaseKind::State, false)
            .unwrap();
        assert_eq!(keys(&*copy), [""; 0]);
    });
}

#[test]
fn exported_files_are_plain_files_with_names_a_manifest_allows() {
    on_both(|disk| {
        let database = open(disk, "db");
        put(&*database, &["a"]);
        database.export(path("export")).unwrap();
        let names = disk.list(path("export")).unwrap();
        assert!(!names.is_empty());
        for name in names {
            let file = disk.open_file(&path("export").join(&name), false).unwrap();
            let len = file.len().unwrap();
            assert_eq!(file.read_at(0, usize::MAX).unwrap().len() as u64, len);
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
                "{name}"
            );
        }
    });
}

#[test]
fn files_are_read_and_written_at_offsets() {
    on_both(|disk| {
        let missing = disk.open_file(path("file"), false).err().unwrap();
        assert_eq!(missing.kind, FaultKind::Missing);
        let file = disk.open_file(path("file"), true).unwrap();
        file.write_at(2, b"cd").unwrap();
        file.write_at(0, b"ab").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len().unwrap(), 4);
        assert_eq!(file.read_at(1, 2).unwrap(), b"bc");
        assert_eq!(file.read_at(3, 9).unwrap(), b"d");
        assert_eq!(file.read_at(4, 9).unwrap(), b"");
        assert_eq!(file.read_at(99, 9).unwrap(), b"");
        file.write_at(6, b"g").unwrap();
        assert_eq!(file.read_at(0, 9).unwrap(), b"abcd\0\0g");
        let again = disk.open_file(path("file"), true).unwrap();
        assert_eq!(again.len().unwrap(), 7, "opening keeps what is there");
    });
}

#[test]
fn names_are_listed_in_order_renamed_and_removed_with_what_is_below() {
    on_both(|disk| {
        assert_eq!(disk.list(path("absent")).unwrap(), [""; 0]);
        disk.create_dir(path("dir")).unwrap();
        disk.create_dir(path("dir")).unwrap();
        disk.create_dir(path("dir/sub")).unwrap();
        assert_eq!(
            disk.create_dir(path("no/parent")).err().unwrap().kind,
            FaultKind::Missing
        );
        replace_file(&**disk, path("dir/b"), b"first").unwrap();
        replace_file(&**disk, path("dir/a"), b"second").unwrap();
        assert_eq!(disk.list(path("dir")).unwrap(), ["a", "b", "sub"]);
        replace_file(&**disk, path("dir/a"), b"2nd").unwrap();
        assert_eq!(read_file(&**disk, path("dir/a"), 9).unwrap(), b"2nd");
        assert_eq!(
            read_file(&**disk, path("dir/a"), 2).err().unwrap().kind,
            FaultKind::Corrupt
        );
        disk.rename(path("dir/a"), path("dir/b")).unwrap();
        assert_eq!(read_file(&**disk, path("dir/b"), 9).unwrap(), b"2nd");
        disk.rename(path("dir"), path("moved")).unwrap();
        disk.sync_dir(path("")).unwrap();
        assert!(file_exists(&**disk, path("moved/b")).unwrap());
        assert!(!file_exists(&**disk, path("dir/b")).unwrap());
        disk.remove(path("moved")).unwrap();
        disk.remove(path("moved")).unwrap();
        assert_eq!(disk.list(path("")).unwrap(), [""; 0]);
    });
}

#[test]
fn writes_and_syncs_are_counted() {
    on_both(|disk| {
        let database = open(disk, "db");
        let before = database.statistics();
        put(&*database, &["a"]);
        put(&*database, &["b"]);
        database.sync().unwrap();
        let after = database.statistics();
        assert_eq!(
            (after.writes - before.writes, after.syncs - before.syncs),
            (2, 1)
        );
    });
}
