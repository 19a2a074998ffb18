//! The work follows the change: how many chunks are read and made, counted.

use super::*;

const ITEMS: u32 = 10_000;

#[test]
fn one_edit_among_ten_thousand_items_reads_and_makes_a_few_chunks_a_level() {
    let map = even(ITEMS);
    let tree = Tree::of(&map);
    assert_eq!(tree.height(), 3);
    let (mut made_max, mut asked_max, mut made_all) = (0, 0, 0);
    for number in (0..ITEMS * 2).step_by(61) {
        let new = (number % 2 == 1).then(|| b"new".to_vec());
        let replaced = (number % 4 == 0).then(|| b"replaced".to_vec());
        // Odd numbers are added, multiples of four replaced, other even ones removed.
        let edits = Edits::from([(key(number), new.or(replaced))]);
        let source = Recording::of(&tree.chunks);
        let edited = edit(&source, TreeKind::Rules, tree.root(), &edits).unwrap();
        made_max = made_max.max(edited.chunks.len());
        made_all += edited.chunks.len();
        asked_max = asked_max.max(source.asked());
    }
    let edits = (ITEMS * 2).div_ceil(61) as usize;
    assert!(
        made_max <= 3 * tree.height(),
        "an edit made {made_max} chunks"
    );
    assert!(
        made_all <= edits * (tree.height() + 1),
        "{edits} edits made {made_all} chunks"
    );
    assert!(
        asked_max <= 4 * tree.height(),
        "an edit read {asked_max} chunks"
    );
}

#[test]
fn replacing_a_value_makes_one_chunk_a_level() {
    let map = even(ITEMS);
    let tree = Tree::of(&map);
    for number in (0..ITEMS * 2).step_by(122) {
        let edits = Edits::from([(key(number), Some(b"other".to_vec()))]);
        let edited = edit(&tree.chunks, TreeKind::Rules, tree.root(), &edits).unwrap();
        assert_eq!(edited.chunks.len(), tree.height(), "edit of {number}");
    }
}

#[test]
fn a_diff_opens_what_differs_and_nothing_else() {
    let map = even(ITEMS);
    let tree = Tree::of(&map);
    for number in (0..ITEMS * 2).step_by(997) {
        let mut other = tree.clone();
        other.edit(&Edits::from([(key(number), Some(b"other".to_vec()))]));
        let source = Recording::of(&other.chunks);
        let changes = diff(&source, TreeKind::Rules, tree.root(), other.root()).unwrap();
        assert_eq!(changes.len(), 1);
        assert!(
            source.asked() <= 6 * tree.height(),
            "opened {} of {} chunks",
            source.asked(),
            other.chunks.len()
        );
    }
    let source = Recording::of(&tree.chunks);
    assert_eq!(
        diff(&source, TreeKind::Rules, tree.root(), tree.root()),
        Ok(Vec::new())
    );
    assert_eq!(source.asked(), 0);
}

#[test]
fn reading_opens_one_chunk_a_level_and_iterating_opens_as_it_goes() {
    let map = even(ITEMS);
    let tree = Tree::of(&map);
    let source = Recording::of(&tree.chunks);
    assert_eq!(
        get(&source, TreeKind::Rules, tree.root(), &key(7000)),
        Ok(Some(value(3500)))
    );
    assert_eq!(source.asked(), tree.height());

    let source = Recording::of(&tree.chunks);
    assert_eq!(
        iter(&source, TreeKind::Rules, tree.root())
            .take(5)
            .filter(Result::is_ok)
            .count(),
        5
    );
    assert_eq!(source.asked(), tree.height());
}

#[test]
fn many_edits_at_once_cost_less_than_one_by_one() {
    let map = even(ITEMS);
    let tree = Tree::of(&map);
    let edits: Edits = (0..200)
        .map(|number| (key(8001 + number * 2), Some(value(number))))
        .collect();
    let source = Recording::of(&tree.chunks);
    let edited = edit(&source, TreeKind::Rules, tree.root(), &edits).unwrap();
    assert_eq!(edited.len, u64::from(ITEMS) + 200);
    assert!(edited.chunks.len() <= 30, "made {}", edited.chunks.len());
}
