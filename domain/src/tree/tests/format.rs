//! The bytes of chunks: pinned for good, and refused when they are anything else.

use proptest::prelude::*;

use super::*;

/// The hashes are those of a second implementation, in another language. Changing what these
/// tests pin makes every stored and every shipped chunk unreadable: give the format a new
/// version instead.
#[test]
fn a_leaf_has_these_bytes() {
    let tree = Tree::of(&Map::from([
        (b"a".to_vec(), b"1".to_vec()),
        (b"bc".to_vec(), Vec::new()),
    ]));
    let bytes = &tree.chunks[&tree.root()];
    assert_eq!(hex::encode(bytes), "010100020161013102626300");
    assert_eq!(
        tree.root().to_string(),
        "67bbb85dd686682209675388ced8edcc484a3786470a14922b1b4ca2f8bdeba4"
    );
}

#[test]
fn an_inner_chunk_has_these_bytes_and_larger_trees_these_roots() {
    let tree = Tree::of(&even(100));
    let expect = [
        "01010106",
        "040000001421a1e9ffa44eed41f4a3b60673d6aa8178dfce862d9fb86c6fd4cfaeda4a6741430b04",
        "0000002e2104b6c75e0fe9f37c464494a22e56c9dc4f163fbc668e6dd758b6d493979a148b0d0400",
        "00004c216334fdb7a697f933cdfc83867919fd14f3283a964a7e349cafaaf7932256d5230f040000",
        "009821ec9534a777394fb445a6eadacb030d108a84f759bd74afc3783e3405121f63642604000000",
        "b62173e6697b1e207e5d6ec466e69a5767510ac3bd8a43eae301382818badefa94950f04000000c6",
        "218636d613f295bf21748703f6ded3f99e4cbd0dcdcae594b4776ebfbaffd8aa4c08",
    ];
    assert_eq!(hex::encode(&tree.chunks[&tree.root()]), expect.concat());
    let check = |count: u32, height: usize, expect: &str| {
        let tree = Tree::of(&even(count));
        assert_eq!(
            (tree.height(), tree.root().to_string().as_str()),
            (height, expect),
            "{count} items"
        );
    };
    check(
        0,
        0,
        "0000000000000000000000000000000000000000000000000000000000000000",
    );
    check(
        1,
        1,
        "b59d4f3f2f599ba83039ac9eabd4c6d5965a6e59911864aec24ab2798f6f7064",
    );
    check(
        1000,
        3,
        "3f5a0497057a9e6adc0e6e1cd174d28cf413f4f35c0e0ac7b28015d40a93bd87",
    );
    check(
        10_000,
        3,
        "603232d2d3fc3f0050a052778d51d6f829de99dbbd03598bf5611c26a28fae7f",
    );
}

/// A chunk as its address would have it, whatever its bytes.
fn source_of(bytes: &[u8]) -> (Hash, Chunks) {
    let hash = Hash::of(bytes);
    (hash, Chunks::from([(hash, bytes.to_vec())]))
}

fn read_all(chunks: &Chunks, root: Hash) -> Result<Vec<Item>, TreeError> {
    iter(chunks, TreeKind::Rules, root).collect()
}

fn check_refused(bytes: &[u8], fault: ChunkFault) {
    let (hash, chunks) = source_of(bytes);
    assert_eq!(
        read_all(&chunks, hash),
        Err(TreeError::Corrupt { hash, fault }),
        "{}",
        hex::encode(bytes)
    );
}

#[test]
fn bytes_that_encoding_would_not_have_made_are_refused() {
    let golden = hex::decode("010100020161013102626300").unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = golden.clone();
        bytes[at] = byte;
        bytes
    };
    check_refused(&[], ChunkFault::Malformed);
    check_refused(&golden[..2], ChunkFault::Malformed);
    check_refused(&with(0, 2), ChunkFault::Version);
    check_refused(&with(1, 0), ChunkFault::Kind);
    check_refused(&with(1, 4), ChunkFault::Kind);
    check_refused(&with(1, 2), ChunkFault::Kind);
    check_refused(&with(2, 200), ChunkFault::Level);
    check_refused(&with(2, 1), ChunkFault::Malformed);
    check_refused(&golden[..golden.len() - 1], ChunkFault::Malformed);
    check_refused(&[&golden[..], &[0]].concat(), ChunkFault::NotCanonical);
    check_refused(
        &hex::decode("01010082000161013102626300").unwrap(),
        ChunkFault::NotCanonical,
    );
    check_refused(
        &hex::decode("010100020161013101610132").unwrap(),
        ChunkFault::Order,
    );
    check_refused(
        &hex::decode("010100020162013101610132").unwrap(),
        ChunkFault::Order,
    );
    check_refused(&hex::decode("01010000").unwrap(), ChunkFault::Limits);
    check_refused(&hex::decode("010100010000").unwrap(), ChunkFault::Limits);
    check_refused(
        &hex::decode("010100ffffffff0f").unwrap(),
        ChunkFault::Malformed,
    );
    check_refused(
        &vec![1; CHUNK_BYTES_MAX + 1],
        ChunkFault::TooLong(CHUNK_BYTES_MAX + 1),
    );
}

#[test]
fn a_chunk_is_refused_under_another_address_or_when_any_bit_of_it_flips() {
    let tree = Tree::of(&even(100));
    for (hash, bytes) in &tree.chunks {
        for at in 0..bytes.len() {
            let mut chunks = tree.chunks.clone();
            chunks.get_mut(hash).unwrap()[at] ^= 1 << (at % 8);
            let expect = TreeError::Corrupt {
                hash: *hash,
                fault: ChunkFault::Address,
            };
            assert_eq!(read_all(&chunks, tree.root()), Err(expect));
        }
    }
}

#[test]
fn a_missing_chunk_is_named_by_every_operation_that_needs_it() {
    let tree = Tree::of(&even(1000));
    for hash in tree.reachable() {
        let mut chunks = tree.chunks.clone();
        chunks.remove(&hash);
        assert_eq!(
            read_all(&chunks, tree.root()),
            Err(TreeError::Missing(hash))
        );
        let removed = diff(&chunks, TreeKind::Rules, tree.root(), Hash::EMPTY_TREE);
        assert_eq!(removed, Err(TreeError::Missing(hash)));
        let all: Edits = even(1000).into_keys().map(|key| (key, None)).collect();
        assert_eq!(
            edit(&chunks, TreeKind::Rules, tree.root(), &all),
            Err(TreeError::Missing(hash))
        );
    }
}

/// Puts `child` under a new root in the place of the first of two children.
fn graft(
    level: u8,
    child: &Chunk,
    change: impl Fn(&mut Vec<u8>, &mut Link),
) -> (Hash, Chunks, Hash) {
    let other = Chunk {
        kind: TreeKind::Rules,
        level: 0,
        items: vec![(b"z".to_vec(), Vec::new())],
    };
    let mut chunks = Chunks::new();
    let mut items = Vec::new();
    for (at, chunk) in [child, &other].into_iter().enumerate() {
        let bytes = chunk.encode();
        let mut link = Link {
            hash: Hash::of(&bytes),
            count: chunk.count(),
        };
        let mut last = chunk.last_key().to_vec();
        if at == 0 {
            change(&mut last, &mut link);
        }
        chunks.insert(Hash::of(&bytes), bytes);
        items.push((last, link.encode()));
    }
    let root = Chunk {
        kind: TreeKind::Rules,
        level,
        items,
    }
    .encode();
    chunks.insert(Hash::of(&root), root.clone());
    (Hash::of(&root), chunks, Hash::of(&child.encode()))
}

#[test]
fn a_child_that_its_parent_describes_wrongly_is_refused() {
    let leaf = |kind, level, keys: &[&str]| Chunk {
        kind,
        level,
        items: keys
            .iter()
            .map(|key| (key.as_bytes().to_vec(), Vec::new()))
            .collect(),
    };
    let good = leaf(TreeKind::Rules, 0, &["a", "b"]);
    let (root, chunks, _) = graft(1, &good, |_, _| {});
    assert_eq!(read_all(&chunks, root).map(|items| items.len()), Ok(3));

    let check = |level, child: &Chunk, change: fn(&mut Vec<u8>, &mut Link), fault| {
        let (root, chunks, hash) = graft(level, child, change);
        assert_eq!(
            read_all(&chunks, root),
            Err(TreeError::Corrupt { hash, fault })
        );
    };
    check(
        1,
        &good,
        |last, _| *last = b"c".to_vec(),
        ChunkFault::Parent,
    );
    check(1, &good, |_, link| link.count += 1, ChunkFault::Parent);
    check(2, &good, |_, _| {}, ChunkFault::Level);
    check(
        1,
        &leaf(TreeKind::Upstreams, 0, &["a"]),
        |_, _| {},
        ChunkFault::Kind,
    );
}

#[test]
fn neighbours_with_overlapping_keys_and_a_root_with_one_child_are_refused() {
    let leaf = |keys: [&str; 2]| Chunk {
        kind: TreeKind::Rules,
        level: 0,
        items: keys
            .iter()
            .map(|key| (key.as_bytes().to_vec(), Vec::new()))
            .collect(),
    };
    let link = |chunk: &Chunk| {
        (
            chunk.last_key().to_vec(),
            Link {
                hash: Hash::of(&chunk.encode()),
                count: chunk.count(),
            }
            .encode(),
        )
    };
    let (first, second) = (leaf(["a", "d"]), leaf(["c", "e"]));
    let mut chunks: Chunks = [&first, &second]
        .map(|chunk| (Hash::of(&chunk.encode()), chunk.encode()))
        .into();
    let root = Chunk {
        kind: TreeKind::Rules,
        level: 1,
        items: vec![link(&first), link(&second)],
    };
    let alone = Chunk {
        kind: TreeKind::Rules,
        level: 1,
        items: vec![link(&first)],
    };
    for chunk in [&root, &alone] {
        chunks.insert(Hash::of(&chunk.encode()), chunk.encode());
    }
    let corrupt = |chunk: &Chunk, fault| {
        Err(TreeError::Corrupt {
            hash: Hash::of(&chunk.encode()),
            fault,
        })
    };
    assert_eq!(
        read_all(&chunks, Hash::of(&root.encode())),
        corrupt(&second, ChunkFault::Order)
    );
    assert_eq!(
        read_all(&chunks, Hash::of(&alone.encode())),
        corrupt(&alone, ChunkFault::NotCanonical)
    );
}

proptest! {
    #[test]
    fn whatever_is_read_as_a_chunk_is_refused_or_has_exactly_these_bytes(
        header in prop::sample::select(vec![[1_u8, 1, 0], [1, 1, 1], [1, 3, 0], HEAD_HEADER]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let noise = [&header[..], &body].concat();
        let _ = children(&noise);
        if let Ok(chunk) = Chunk::decode(&noise) {
            prop_assert_eq!(chunk.encode(), noise);
        }
        let tree = Tree::of(&even(100));
        let mut bent = tree.chunks[&tree.root()].clone();
        let at = at.index(bent.len());
        bent[at] = byte;
        if let Ok(chunk) = Chunk::decode(&bent) {
            prop_assert_eq!(chunk.encode(), bent);
        }
    }
}
