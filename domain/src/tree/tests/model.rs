//! Any sequence of edits against a map.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One thing to do to a tree of numbers.
#[derive(Clone, Debug)]
enum Move {
    Set { number: u32, value: u8 },
    SetLarge { number: u32, kib: usize },
    Remove { number: u32 },
    RemoveRange { from: u32, count: u32 },
    AddRange { from: u32, count: u32 },
}

const NUMBERS: u32 = 6000;

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..NUMBERS, any::<u8>()).prop_map(|(number, value)| Move::Set { number, value }),
        1 => (0..NUMBERS, 1..100_usize).prop_map(|(number, kib)| Move::SetLarge { number, kib }),
        4 => (0..NUMBERS).prop_map(|number| Move::Remove { number }),
        1 => (0..NUMBERS, 0..2000_u32).prop_map(|(from, count)| Move::RemoveRange { from, count }),
        1 => (0..NUMBERS, 0..1000_u32).prop_map(|(from, count)| Move::AddRange { from, count }),
    ]
}

fn edits_of(moves: &[Move]) -> Edits {
    let mut edits = Edits::new();
    for one in moves {
        match *one {
            Move::Set { number, value } => drop(edits.insert(key(number), Some(vec![value]))),
            Move::SetLarge { number, kib } => {
                drop(edits.insert(key(number), Some(vec![7; kib * 1024])))
            }
            Move::Remove { number } => drop(edits.insert(key(number), None)),
            Move::RemoveRange { from, count } => {
                edits.extend((from..from + count).map(|number| (key(number), None)))
            }
            Move::AddRange { from, count } => {
                edits.extend((from..from + count).map(|number| (key(number), Some(value(number)))));
            }
        }
    }
    edits
}

fn map_diff(before: &Map, after: &Map) -> Vec<Change> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key));
    changed
        .map(|key| Change {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

fn check_against_map(tree: &Tree, map: &Map) {
    assert_eq!(
        tree.root(),
        plain_root(map),
        "the root depends on how the tree came about"
    );
    assert_eq!(tree.len, map.len() as u64);
    assert_eq!(&tree.items(), map);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sequence_of_edits_gives_the_tree_that_is_built_at_once(
        start in 0..3000_u32,
        batches in vec(vec(moves(), 1..12), 1..6),
    ) {
        let mut map = even(start);
        let mut tree = Tree::of(&map);
        check_against_map(&tree, &map);
        for batch in batches {
            let edits = edits_of(&batch);
            let (tree_before, map_before) = (tree.clone(), map.clone());
            let edited = tree.edit(&edits);
            apply(&mut map, &edits);
            check_against_map(&tree, &map);

            let old = tree_before.reachable();
            let new = tree.reachable();
            let made: BTreeSet<_> = edited.chunks.keys().copied().collect();
            prop_assert_eq!(made, new.difference(&old).copied().collect(), "chunks are exactly the new ones");

            let changes = diff(&tree.chunks, TreeKind::Rules, tree_before.root(), tree.root()).unwrap();
            prop_assert_eq!(changes, map_diff(&map_before, &map));
            for (key, _) in edits.iter().take(50) {
                let found = get(&tree.chunks, TreeKind::Rules, tree.root(), key).unwrap();
                prop_assert_eq!(found.as_ref(), map.get(key));
            }
        }
    }

    #[test]
    fn unrelated_trees_of_any_height_differ_by_what_their_maps_do(a in 0..2500_u32, b in 0..2500_u32, shift in 0..3_u32) {
        let before = even(a);
        let after: Map = even(b).into_iter().map(|(key, value)| {
            let number = u32::from_be_bytes(key.as_slice().try_into().unwrap());
            (super::key(number + shift), value)
        }).collect();
        let (one, other) = (Tree::of(&before), Tree::of(&after));
        let source = Layered(&one.chunks, &other.chunks);
        let changes = diff(&source, TreeKind::Rules, one.root(), other.root()).unwrap();
        prop_assert_eq!(changes, map_diff(&before, &after));
    }
}

#[test]
fn removing_everything_leaves_the_empty_tree_and_nothing_to_store() {
    let map = even(5000);
    let mut tree = Tree::of(&map);
    let edited = tree.edit(&map.keys().map(|key| (key.clone(), None)).collect());
    assert_eq!(
        edited,
        Edited {
            root: Hash::EMPTY_TREE,
            chunks: Chunks::new(),
            len: 0
        }
    );
    assert_eq!(tree.items(), Map::new());
}

#[test]
fn edits_that_change_nothing_make_no_chunk() {
    let map = even(5000);
    let mut tree = Tree::of(&map);
    let root = tree.root();
    for edits in [
        Edits::new(),
        Edits::from([(key(1), None), (key(99_999_999), None)]),
        map.iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect(),
    ] {
        assert_eq!(
            tree.edit(&edits),
            Edited {
                root,
                chunks: Chunks::new(),
                len: 5000
            }
        );
    }
}

#[test]
fn items_outside_the_limits_are_refused_and_the_largest_ones_fit() {
    let largest = vec![1; ITEM_BYTES_MAX - KEY_BYTES_MAX];
    let map: Map = (0..40_u8)
        .map(|number| (vec![number; KEY_BYTES_MAX], largest.clone()))
        .collect();
    let tree = Tree::of(&map);
    assert_eq!(tree.items(), map);
    assert!(
        tree.chunks
            .values()
            .all(|bytes| bytes.len() <= CHUNK_BYTES_MAX)
    );

    let refused = |key: Vec<u8>, value: Vec<u8>| {
        let (key_bytes, value_bytes) = (key.len(), value.len());
        let edits = Edits::from([(key, Some(value))]);
        let found = edit(&Chunks::new(), TreeKind::Rules, Hash::EMPTY_TREE, &edits);
        assert_eq!(
            found,
            Err(TreeError::ItemSize {
                key_bytes,
                value_bytes
            })
        );
    };
    refused(Vec::new(), Vec::new());
    refused(vec![1; KEY_BYTES_MAX + 1], Vec::new());
    refused(vec![1], vec![1; ITEM_BYTES_MAX]);
}
