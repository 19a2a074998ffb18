//! Whom an edge believes of those whom its node names, and what the node hears of that.

mod pair;

use std::time::Duration;

use domain::tree::Hash;
use edge_protocol::signing::{KeyPair, TrustSet, TrustedKey};
use edge_protocol::{Follower, Moment, SignedTrust, TRUST_REPORTS_SINCE, ToEdge, ToNode, Welcome};
use pair::{Pair, hello, manifest, tree};

#[test]
fn a_node_hears_whom_of_those_that_it_names_an_edge_does_not_trust() {
    let newest = manifest(1, 0, Hash::EMPTY_TREE);
    let mut pair = Pair::new(newest, tree(0, &[]).1);
    pair.settle();
    assert_eq!(pair.trust_reports, [], "all of them, without a word");
    let problems = |pair: &Pair| {
        let reports = pair.trust_reports.iter();
        let words = reports.map(|report| {
            let problem = report.problem.as_deref();
            problem.map_or("", |problem| problem.split(':').next().unwrap())
        });
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let (stranger, mut set) = (KeyPair::new(&[9; 32]).unwrap(), pair::trust().set);
    set.serial += 1;
    set.keys.push(TrustedKey {
        public: stranger.public(),
        voucher: None,
        retired: false,
    });
    let tell = |pair: &mut Pair, set: &TrustSet, by: &KeyPair| {
        let signed = SignedTrust::sign(set.clone(), by);
        pair.to_edge.push_back(ToEdge::Trust(signed));
        pair.settle();
    };
    // A set that is refused as a whole, and one without a key that nobody vouches for.
    tell(&mut pair, &set, &stranger);
    assert_eq!(
        (problems(&pair), pair.trusts.len()),
        (vec!["unvouched_key".to_owned()], 1)
    );
    tell(&mut pair, &set, &pair::key());
    assert_eq!((problems(&pair).len(), pair.trusts.len()), (2, 2));
    let kept = pair.trusts.last().unwrap();
    assert_eq!((kept.serial, kept.keys.len()), (set.serial, 1));
    let said = pair.trust_reports.last().unwrap().problem.clone().unwrap();
    assert!(said.contains(&stranger.id().to_string()), "{said}");
    tell(&mut pair, &set, &pair::key());
    assert_eq!(problems(&pair).len(), 2, "it is said once");
    // On the next connection it is said again, once it is the case again.
    pair.reconnect();
    pair.settle();
    assert_eq!(problems(&pair).len(), 2);
    tell(&mut pair, &set, &pair::key());
    assert_eq!(problems(&pair).len(), 3);
    set.serial += 1;
    set.keys.pop();
    tell(&mut pair, &set, &pair::key());
    assert_eq!(problems(&pair).last().map(String::as_str), Some(""));
    assert_eq!(pair.edge_closed, None);
}

#[test]
fn a_node_of_before_hears_nothing_of_trust() {
    let mut follower = Follower::new(hello(), None, None);
    let now = Moment::after_start(Duration::from_secs(1));
    follower.handle_connected(now);
    let before = Welcome {
        protocol: TRUST_REPORTS_SINCE - 1,
        ..pair::welcome()
    };
    follower.handle_frame(now, ToEdge::Welcome(before));
    let mut set = pair::trust().set;
    set.keys.clear();
    let nobody = SignedTrust::sign(set, &pair::key());
    follower.handle_frame(now, ToEdge::Trust(nobody));
    let sent = std::iter::from_fn(|| follower.poll_transmit());
    let sent: Vec<_> = sent.collect();
    assert!(matches!(sent[..], [ToNode::Hello(_)]), "{sent:?}");
}
