//! What snapshots and manifests are made of: chunks of trees, heads, the values in them, and manifests of
//! Raft's checkpoints. All but the last are addressed by the hash of their bytes, so each content must have
//! one encoding, and nothing else may be taken for it.

use std::collections::BTreeMap;

use domain::content::{
    Action, Criteria, RouteContent, RouteEntry, RuleContent, UpstreamContent, load_head,
    load_routes, load_rules, load_upstreams,
};
use domain::tree::{self, Chunks, Edits, Hash, TreeKind};
use raft_store::CheckpointManifest;

use crate::Seen;
use crate::seen::size;

/// The first byte says what the rest is read as.
pub(super) fn run(input: &[u8]) -> Seen {
    let Some((kind, bytes)) = input.split_first() else {
        return Seen::of("nothing");
    };
    match kind % 7 {
        0 => chunk(bytes),
        1 => head(bytes),
        2 => rule(bytes),
        3 => upstream(bytes),
        4 => entry(bytes),
        5 => checkpoint(bytes),
        _ => manifest_of(bytes),
    }
    .and(Seen::of(kind % 7))
}

/// Opened as the root of each kind of tree, though only one of them may take it.
fn chunk(bytes: &[u8]) -> Seen {
    let hash = Hash::of(bytes);
    let chunks = Chunks::from([(hash, bytes.to_vec())]);
    let kinds = [TreeKind::Rules, TreeKind::Upstreams, TreeKind::Routes];
    let taken: Vec<_> = kinds
        .into_iter()
        .filter(|kind| items(&chunks, *kind, hash).is_some())
        .collect();
    assert!(taken.len() <= 1, "it stands in trees of {taken:?}");
    if let [kind] = taken[..] {
        let items = items(&chunks, kind, hash).unwrap_or_default();
        let keys = items.iter().map(|(key, _)| key);
        assert!(keys.is_sorted(), "its keys are out of order");
        made_again(kind, hash, bytes, &items);
    }
    let contents = [
        load_rules(&chunks, hash).all(|rule| rule.is_ok()),
        load_upstreams(&chunks, hash).all(|upstream| upstream.is_ok()),
        load_routes(&chunks, hash).all(|route| route.is_ok()),
    ];
    match tree::children(bytes) {
        Ok(children) => Seen::of((children.is_empty(), contents, taken)),
        Err(error) => {
            assert!(
                !contents[2],
                "a leaf of routes was read whose heads were not"
            );
            Seen::refused(&error)
        }
    }
}

/// The items of a tree that this chunk alone is.
fn items(chunks: &Chunks, kind: TreeKind, root: Hash) -> Option<Vec<tree::Item>> {
    tree::iter(chunks, kind, root)
        .collect::<Result<_, _>>()
        .ok()
}

/// A tree of the same items has the same chunk, unless it would have been cut.
fn made_again(kind: TreeKind, hash: Hash, bytes: &[u8], items: &[tree::Item]) {
    let edits: Edits = items
        .iter()
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    assert_eq!(edits.len(), items.len(), "a key comes twice");
    let edited = tree::edit(&Chunks::new(), kind, Hash::EMPTY_TREE, &edits)
        .expect("items of a chunk stand in a tree");
    if let [(root, made)] = &edited.chunks.iter().collect::<Vec<_>>()[..] {
        assert_eq!((**root, made.as_slice()), (hash, bytes));
    }
    assert_eq!(edited.len, items.len() as u64);
}

fn head(bytes: &[u8]) -> Seen {
    let hash = Hash::of(bytes);
    let loaded = load_head(&Chunks::from([(hash, bytes.to_vec())]), hash);
    match RouteContent::decode(bytes) {
        Ok(head) => {
            assert_eq!(head.encode(), bytes);
            assert_eq!(loaded.as_ref(), Ok(&head));
            let children = tree::children(bytes).expect("a head has its trees");
            assert!(
                children
                    .iter()
                    .all(|it| [head.rules, head.upstreams].contains(it))
            );
            Seen::of((
                head.mode.as_str(),
                head.enabled,
                size(head.default_upstreams.len()),
            ))
        }
        Err(error) => {
            assert!(loaded.is_err());
            Seen::refused(&error)
        }
    }
}

fn rule(bytes: &[u8]) -> Seen {
    match RuleContent::decode(bytes) {
        Ok(rule) => {
            assert_eq!(rule.encode(), bytes);
            assert!(rule.key().ends_with(rule.id.as_str().as_bytes()));
            // Edges take what nodes wrote. Whether nodes would write this is told by the input's kind alone.
            let again = (
                Criteria::from_json(&rule.criteria.to_json()),
                Action::from_json(&rule.action.to_json()),
            );
            Seen::of((again.0.is_ok(), again.1.is_ok(), parts(&rule.criteria)))
        }
        Err(error) => Seen::refused(&error),
    }
}

fn parts(criteria: &Criteria) -> [bool; 7] {
    [
        criteria.path.is_empty(),
        criteria.method.is_empty(),
        criteria.region.is_empty(),
        criteria.header.is_empty(),
        criteria.query.is_empty(),
        criteria.host.is_empty(),
        criteria.ip_cidr.is_empty(),
    ]
}

fn upstream(bytes: &[u8]) -> Seen {
    match UpstreamContent::decode(bytes) {
        Ok(upstream) => {
            assert_eq!(upstream.encode(), bytes);
            Seen::of((upstream.algorithm.as_str(), size(upstream.targets.len())))
        }
        Err(error) => Seen::refused(&error),
    }
}

fn entry(bytes: &[u8]) -> Seen {
    match RouteEntry::decode(bytes) {
        Ok(entry) => {
            assert_eq!(entry.encode(), bytes);
            Seen::of((entry.enabled, size(entry.purges.recent.len())))
        }
        Err(error) => Seen::refused(&error),
    }
}

fn checkpoint(bytes: &[u8]) -> Seen {
    match CheckpointManifest::decode(bytes) {
        Ok(manifest) => {
            let again = CheckpointManifest::decode(&manifest.encode());
            assert_eq!(again.as_ref(), Ok(&manifest));
            // Names become paths of files.
            let names = manifest.files().iter().map(|file| file.name.as_str());
            for name in names {
                assert!(!name.contains('/') && !name.starts_with('.') && !name.is_empty());
            }
            let longest = manifest.files().iter().map(|file| file.len).max();
            assert!(manifest.total_bytes() >= longest.unwrap_or_default());
            Seen::of(size(manifest.files().len()))
        }
        Err(error) => Seen::refused(&error),
    }
}

/// A manifest's root, whose routes are whatever the input cuts into: reading it back gives the same entries.
fn manifest_of(bytes: &[u8]) -> Seen {
    let mut entries = BTreeMap::new();
    let mut left = bytes;
    while let [length, rest @ ..] = left {
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        left = rest;
        if let Ok(entry) = RouteEntry::decode(bytes) {
            entries.insert(domain::content::route_key(&entry.route_id), entry);
        }
    }
    let edits: Edits = entries
        .iter()
        .map(|(key, entry)| (key.clone(), Some(entry.encode())))
        .collect();
    let made = tree::edit(&Chunks::new(), TreeKind::Routes, Hash::EMPTY_TREE, &edits)
        .expect("entries stand in a tree");
    let read: Result<Vec<_>, _> = load_routes(&made.chunks, made.root).collect();
    let entries: Vec<_> = entries.into_values().collect();
    assert_eq!(read.as_ref(), Ok(&entries));
    Seen::of(size(entries.len()))
}
