//! A manifest that an edge cannot trust or use changes nothing: it is refused with a reason, the
//! edge never serves by it, and what was made bad on purpose is served by no edge.

use std::collections::BTreeSet;

use crate::history::{EdgeWord, History, Host};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    let refused: Vec<(&EdgeWord, &str)> = history
        .words
        .iter()
        .filter_map(|word| Some((word, word.refused.as_deref()?)))
        .collect();
    for (word, reason) in &refused {
        if reason.trim().is_empty() {
            found.push(format!("{word:?} gives no reason"));
        }
    }
    let bad: BTreeSet<[u8; 32]> = history
        .bad_manifests
        .iter()
        .filter_map(|bad| bad.root)
        .collect();
    for sight in &history.sights {
        if bad.contains(&sight.root) {
            found.push(format!("{sight:?} serves by what was made bad"));
        }
        let it_refused = refused.iter().find(|(word, _)| {
            word.edge == sight.edge && word.root == sight.root && word.at_us <= sight.at_us
        });
        if let Some((word, reason)) = it_refused
            && !taken_since(history, word, sight.at_us)
            && !(is_of_the_disk(reason) && died_since(history, word, sight.at_us))
        {
            found.push(format!("{sight:?} serves by what it had refused: {word:?}"));
        }
    }
    found
}

/// Whether the edge took into use later what it had refused: when what it lacked had come.
fn taken_since(history: &History, refused: &EdgeWord, until_us: u64) -> bool {
    history.words.iter().any(|word| {
        word.edge == refused.edge
            && word.root == refused.root
            && word.refused.is_none()
            && (refused.at_us..=until_us).contains(&word.at_us)
    })
}

/// Whether the edge would have taken it, had its own disk. It tries that again by itself.
fn is_of_the_disk(reason: &str) -> bool {
    [
        "the configuration cannot be stored",
        "the disk gave something else",
    ]
    .iter()
    .any(|begins| reason.starts_with(begins))
}

/// Whether the edge died since: what it had taken into use by then it may not have had the time to say.
fn died_since(history: &History, refused: &EdgeWord, until_us: u64) -> bool {
    history.lives.iter().any(|life| {
        let ended = life.ended_us;
        life.host == Host::Edge(refused.edge)
            && ended.is_some_and(|ended| (refused.at_us..=until_us).contains(&ended))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::checks::made_up::{edge_sight, life};
    use crate::history::{BadManifest, EdgeWord, History, Host};

    fn word(at_us: u64, version: u64, refused: Option<&str>) -> EdgeWord {
        EdgeWord {
            edge: 0,
            at_us,
            manifest: (1, version),
            root: edge_sight(0, 0, version).root,
            refused: refused.map(str::to_owned),
        }
    }

    fn history(words: Vec<EdgeWord>) -> History {
        History {
            sights: vec![edge_sight(0, 10, 3), edge_sight(0, 30, 4)],
            words,
            ..History::default()
        }
    }

    #[test]
    fn a_refusal_with_a_reason_that_changes_nothing_is_fine() {
        assert!(check(&history(vec![word(20, 9, Some("no such chunk"))])).is_empty());
        assert_eq!(check(&history(vec![word(20, 9, Some(" "))])).len(), 1);
    }

    #[test]
    fn serving_by_what_was_refused_is_found_unless_it_was_taken_later() {
        let refused = || word(20, 4, Some("truncated"));
        assert_eq!(check(&history(vec![refused()])).len(), 1);
        assert!(check(&history(vec![refused(), word(29, 4, None)])).is_empty());
    }

    #[test]
    fn an_edge_that_died_may_have_taken_what_its_disk_had_refused_and_not_what_was_bad() {
        let full = "the configuration cannot be stored: no storage space";
        for (reason, died, violations) in [
            (full, None, 1),
            (full, Some(25), 0),
            (full, Some(19), 1),
            ("truncated", Some(25), 1),
        ] {
            let mut history = history(vec![word(20, 4, Some(reason))]);
            history.lives = vec![
                life(Host::Edge(0), 1, died),
                life(Host::Edge(1), 1, Some(25)),
            ];
            assert_eq!(check(&history).len(), violations, "{reason} {died:?}");
        }
    }

    #[test]
    fn serving_by_what_was_made_bad_is_found() {
        let mut history = history(vec![]);
        history.bad_manifests.push(BadManifest {
            edge: 0,
            at_us: 25,
            how: "another root",
            manifest: (1, 4),
            root: Some(edge_sight(0, 0, 4).root),
        });
        assert_eq!(check(&history).len(), 1);
    }
}
