//! An edge serves nothing but what was published: what it holds is a manifest that was current
//! once, and what it answers is a token that a client sent to be published. Once an edge served a
//! path, or holds a manifest with all routes, it answers every request for it: no fault of the control
//! plane reaches its traffic.

use std::collections::BTreeMap;

use super::rotten;
use crate::history::History;
use crate::workload::HOSTNAMES;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for sight in history.sights.iter().filter(|sight| sight.version > 0) {
        match history.manifests.get(&(sight.epoch, sight.version)) {
            Some(root) if *root == sight.root => {}
            Some(_) => found.push(format!(
                "{sight:?} has another root than the manifest of that version"
            )),
            None if sight.version > history.final_manifest.1 => {
                found.push(format!("{sight:?} was never published"));
            }
            // A version that was replaced within one look stands between two that were seen.
            None => {}
        }
    }
    found.extend(unserved(history));
    found
}

/// What edges answered that nobody published, or did not answer although they had served it or held
/// all routes. An edge that begins anew on a disk that rotted may have nothing, until it has again.
fn unserved(history: &History) -> Vec<String> {
    let mut whole: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for sight in &history.sights {
        // The first publications are of one route each.
        if sight.version >= HOSTNAMES.len() as u64 {
            whole.entry(sight.edge).or_default().push(sight.at_us);
        }
    }
    let mut served: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    let mut began: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut found = Vec::new();
    for probe in &history.probes {
        let began = began
            .entry(probe.edge)
            .or_insert_with(|| rotten::began(history, probe.edge));
        let about = (probe.edge, probe.path.as_str());
        let held = whole.get(&probe.edge).and_then(|held| {
            let before = held.partition_point(|at_us| *at_us < probe.sent_us);
            held.get(before.checked_sub(1)?)
        });
        let since = held.max(served.get(&about)).copied();
        let serving = since.is_some_and(|since| !rotten::any_between(began, since, probe.at_us));
        match probe.status {
            Some(200) if history.tokens.contains(&probe.body) => {
                served.insert(about, probe.at_us);
            }
            Some(200) => found.push(format!("{probe:?} answers what nobody published")),
            Some(status) if serving => {
                found.push(format!(
                    "{probe:?} failed with {status} after the edge had served it, or all routes"
                ));
            }
            Some(_) | None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{fault, life};
    use crate::history::{EdgeSight, Effect, History, Host, Probe};

    fn probe(status: u16, body: &str) -> Probe {
        Probe {
            edge: 1,
            status: Some(status),
            body: body.to_owned(),
            ..Probe::default()
        }
    }

    #[test]
    fn unpublished_answers_and_failures_after_the_first_success_are_found() {
        let mut history = History {
            tokens: ["t1".to_owned()].into(),
            ..History::default()
        };
        history.probes = vec![probe(503, ""), probe(200, "t1")];
        assert!(check(&history).is_empty());
        history.probes.extend([probe(200, "other"), probe(503, "")]);
        assert_eq!(check(&history).len(), 2);
    }

    #[test]
    fn an_edge_that_never_serves_what_it_holds_is_found() {
        let sight = EdgeSight {
            edge: 1,
            at_us: 5,
            epoch: 1,
            version: 3,
            root: [4; 32],
        };
        let unserved = |sent_us| Probe {
            sent_us,
            ..probe(404, "")
        };
        let mut history = History {
            sights: vec![sight],
            manifests: [((1, 3), [4; 32])].into(),
            probes: vec![unserved(4)],
            ..History::default()
        };
        assert!(check(&history).is_empty());
        history.probes.push(unserved(6));
        assert_eq!(check(&history).len(), 1);
    }

    #[test]
    fn a_manifest_that_never_was_current_is_found() {
        let sight = EdgeSight {
            edge: 1,
            at_us: 0,
            epoch: 1,
            version: 4,
            root: [4; 32],
        };
        let mut history = History {
            sights: vec![sight],
            ..History::default()
        };
        assert_eq!(check(&history).len(), 1);
        history.manifests.insert((1, 4), [4; 32]);
        assert!(check(&history).is_empty());
    }

    #[test]
    fn one_that_begins_anew_on_a_rotten_disk_may_have_nothing_until_it_serves_again() {
        let at = |at_us, status, body: &str| Probe {
            sent_us: at_us,
            at_us,
            ..probe(status, body)
        };
        let mut history = History {
            tokens: ["t1".to_owned()].into(),
            faults: vec![fault(Effect::Rot(Host::Edge(1)), 20, 30)],
            lives: vec![life(Host::Edge(1), 30, None)],
            probes: vec![at(10, 200, "t1"), at(31, 503, ""), at(40, 200, "t1")],
            ..History::default()
        };
        assert!(check(&history).is_empty());
        history.probes.push(at(50, 503, ""));
        assert_eq!(check(&history).len(), 1);
        history.faults.clear();
        assert_eq!(check(&history).len(), 2);
    }
}
