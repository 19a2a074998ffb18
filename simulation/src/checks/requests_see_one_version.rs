//! One request is answered by one version of the configuration. Two markers of a route are always
//! changed together, each says its mark in its head and in its body, and the edge says by which
//! snapshot it answered: so all that was ever answered by one snapshot has one mark.

use std::collections::BTreeMap;

use crate::history::{History, Probe};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut marks: BTreeMap<&str, &Probe> = BTreeMap::new();
    let mut found = Vec::new();
    for probe in history
        .probes
        .iter()
        .filter(|probe| probe.status == Some(200))
    {
        if probe.mark.as_deref() != Some(probe.body.as_str()) {
            found.push(format!("{probe:?} says two things at once"));
        }
        let Some(snapshot) = &probe.snapshot else {
            found.push(format!("{probe:?} does not say by what it answered"));
            continue;
        };
        let first = marks.entry(snapshot).or_insert(probe);
        if first.body != probe.body {
            found.push(format!("{probe:?} and {first:?} are of one snapshot"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{History, Probe};

    fn probe(path: &str, snapshot: &str, mark: &str, body: &str) -> Probe {
        Probe {
            path: path.to_owned(),
            status: Some(200),
            snapshot: Some(snapshot.to_owned()),
            mark: Some(mark.to_owned()),
            body: body.to_owned(),
            ..Probe::default()
        }
    }

    fn found(probes: Vec<Probe>) -> usize {
        check(&History {
            probes,
            ..History::default()
        })
        .len()
    }

    #[test]
    fn one_mark_for_each_snapshot_is_fine() {
        let probes = vec![
            probe("/1", "snap_1", "a", "a"),
            probe("/2", "snap_1", "a", "a"),
            probe("/1", "snap_2", "b", "b"),
        ];
        assert_eq!(found(probes), 0);
    }

    #[test]
    fn two_versions_in_one_answer_or_in_one_snapshot_are_found() {
        assert_eq!(found(vec![probe("/1", "snap_1", "a", "b")]), 1);
        let probes = vec![
            probe("/1", "snap_1", "a", "a"),
            probe("/2", "snap_1", "b", "b"),
        ];
        assert_eq!(found(probes), 1);
    }
}
