//! That an upstream is out of use in a region is told once, and then that it is back, in turn:
//! whoever leads, however many edges say so. All nodes tell the same.

use std::collections::BTreeMap;

use crate::history::{History, Told};

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut found = Vec::new();
    for (node, state) in &history.finals {
        let mut down: BTreeMap<(&str, &str), bool> = BTreeMap::new();
        for Told {
            upstream,
            region,
            failed,
        } in &state.outages
        {
            let before = down.insert((upstream, region), *failed).unwrap_or(false);
            if before == *failed {
                let what = if *failed { "failed" } else { "recovered" };
                found.push(format!(
                    "node {node} tells that {upstream} {what} in {region} when it had already"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::history::{FinalState, History, Told};

    /// `-eu +eu -us`: an upstream failed in eu, recovered there, and failed in us.
    #[track_caller]
    fn found(told: &str, violations: usize) {
        let outages = told.split_whitespace().map(|word| Told {
            upstream: "up_1".to_owned(),
            region: word[1..].to_owned(),
            failed: word.starts_with('-'),
        });
        let mut history = History::default();
        let state = FinalState {
            outages: outages.collect(),
            ..FinalState::default()
        };
        history.finals.insert(1, state);
        assert_eq!(check(&history).len(), violations, "{told}");
    }

    #[test]
    fn what_is_told_twice_or_out_of_turn_is_found() {
        found("", 0);
        found("-eu +eu -eu", 0);
        found("-eu -us +eu +us", 0);
        found("-eu -eu", 1);
        found("+eu", 1);
        found("-eu +eu +eu -us -us", 2);
    }
}
