//! Random conversations: whatever is published, lost, tampered with or fails, what an edge applies
//! never goes back and is complete, and it arrives at the newest manifest once the trouble ends.

mod pair;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use domain::tree::{self, Hash};
use edge_protocol::follower::Chunks;
use pair::{Outcome, Pair, manifest, tree as make};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Publish { changed: u8 },
    Lose,
    Deliver(u8),
    Sleep(u16),
    FailLocally,
    Tamper,
    ForgetOld,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(|changed| Step::Publish { changed }),
        1 => Just(Step::Lose),
        6 => (1_u8..20).prop_map(Step::Deliver),
        1 => (1_u16..20_000).prop_map(Step::Sleep),
        1 => Just(Step::FailLocally),
        1 => Just(Step::Tamper),
        1 => Just(Step::ForgetOld),
    ]
}

fn reachable(chunks: &Chunks, root: Hash) -> Option<Chunks> {
    let mut found = Chunks::new();
    let mut frontier = vec![root];
    while let Some(hash) = frontier.pop() {
        if hash == Hash::EMPTY_TREE {
            continue;
        }
        let chunk = chunks.get(&hash)?;
        frontier.extend(tree::children(chunk).unwrap());
        found.insert(hash, chunk.clone());
    }
    Some(found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_edge_never_goes_back_and_always_arrives(steps in prop::collection::vec(step(), 1..40)) {
        let (root, chunks) = make(600, &[]);
        let mut version = 1;
        let mut pair = Pair::new(manifest(1, version, root), chunks);
        let mut published = BTreeSet::from([(version, root)]);
        for step in steps {
            match step {
                Step::Publish { changed } => {
                    version += 1;
                    let (root, chunks) = make(600, &[u32::from(changed) * 2]);
                    published.insert((version, root));
                    pair.publish(manifest(1, version, root), chunks);
                }
                Step::Lose => pair.reconnect(),
                Step::Deliver(count) => (0..count).for_each(|_| { pair.step(); }),
                Step::Sleep(ms) => pair.sleep(Duration::from_millis(u64::from(ms))),
                Step::FailLocally => pair.failures.push_back(Outcome::Local),
                Step::Tamper => {
                    let victim = pair.shelf.chunks.keys().next().copied().unwrap();
                    pair.shelf.garbage = Some((victim, Bytes::from_static(b"garbage")));
                }
                Step::ForgetOld => {
                    pair.shelf.chunks = reachable(&pair.shelf.chunks, pair.newest.root).unwrap();
                }
            }
            if pair.edge_closed.is_some() || pair.node_closed.is_some() {
                pair.reconnect();
            }
        }
        pair.shelf.garbage = None;
        pair.failures.clear();
        for _ in 0..3 {
            pair.reconnect();
            pair.settle();
            pair.sleep(edge_protocol::limits::RETRY_INTERVAL);
            pair.settle();
        }
        prop_assert_eq!(pair.follower.current(), Some(&pair.newest));
        prop_assert!(pair.applied.windows(2).all(|two| two[0].version < two[1].version), "{:?}", pair.applied);
        for applied in &pair.applied {
            prop_assert!(published.contains(&(applied.version.0, applied.root)));
            prop_assert!(reachable(&pair.disk.0, applied.root).is_some(), "all of it was there");
        }
    }
}
