//! An edge whose process starts anew serves by what its disk has within two seconds, whether it
//! finds a node or not. What its disk lost on purpose it cannot serve by.

use crate::history::{Effect, FaultSpan, History, Host, Life};

/// How long it may take, in microseconds.
const SERVES_US: u64 = 2_000_000;
/// What it served by for so long before is on its disk.
const STORED_US: u64 = 1_000_000;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    history
        .lives
        .iter()
        .filter_map(|life| match life.host {
            Host::Edge(edge) => Some((edge, life)),
            _ => None,
        })
        .filter(|(edge, life)| served_before(history, *edge, life))
        .filter(|(_, life)| life.ended_us.unwrap_or(history.ended_us) > life.began_us + SERVES_US)
        .filter(|(edge, life)| !serves(history, *edge, life))
        .map(|(edge, life)| {
            format!(
                "edge {edge}, which had a configuration, served nothing two seconds after {life:?}"
            )
        })
        .collect()
}

/// Whether the life before had served long enough, on a disk that is whole.
fn served_before(history: &History, edge: usize, life: &Life) -> bool {
    let before = history
        .lives
        .iter()
        .filter(|it| it.host == life.host)
        .filter_map(|it| Some((it.began_us, it.ended_us?)))
        .rfind(|(_, ended)| *ended <= life.began_us);
    let Some((began, ended)) = before else {
        return false;
    };
    let whole = !history
        .faults
        .iter()
        .any(|fault| spoils(fault, edge, began, life.began_us));
    whole
        && history.sights.iter().any(|sight| {
            sight.edge == edge
                && sight.version > 0
                && (began..=ended.saturating_sub(STORED_US)).contains(&sight.at_us)
        })
}

/// Whether a fault touched the edge's disk.
fn spoils(fault: &FaultSpan, edge: usize, from_us: u64, until_us: u64) -> bool {
    let touches = match &fault.effect {
        Effect::Disk(hosts) | Effect::Bad(hosts) => hosts.contains(&Host::Edge(edge)),
        // What rotted stays so, and may be read for the first time much later.
        Effect::Rot(host) => return *host == Host::Edge(edge) && fault.began_us <= until_us,
        _ => false,
    };
    touches && fault.overlaps(from_us, until_us)
}

fn serves(history: &History, edge: usize, life: &Life) -> bool {
    history.sights.iter().any(|sight| {
        sight.edge == edge
            && sight.version > 0
            && (life.began_us..=life.began_us + SERVES_US).contains(&sight.at_us)
    })
}

#[cfg(test)]
mod tests {
    use super::{SERVES_US, check};
    use crate::checks::made_up::{edge_sight, fault, life};
    use crate::history::{Effect, FaultSpan, History, Host};

    #[track_caller]
    fn found(serves_at: u64, faults: Vec<FaultSpan>, violations: usize) {
        let history = History {
            lives: vec![
                life(Host::Edge(0), 0, Some(5_000_000)),
                life(Host::Edge(0), 6_000_000, None),
            ],
            sights: vec![
                edge_sight(0, 1_000, 3),
                edge_sight(0, 6_000_000 + serves_at, 3),
            ],
            faults,
            ended_us: 20_000_000,
            ..History::default()
        };
        assert_eq!(check(&history).len(), violations);
    }

    #[test]
    fn an_edge_that_takes_longer_is_found() {
        found(SERVES_US, vec![], 0);
        found(SERVES_US + 1, vec![], 1);
    }

    #[test]
    fn a_disk_that_was_spoilt_excuses_it() {
        let spoilt = fault(Effect::Disk(vec![Host::Edge(0)]), 5_000_000, 5_500_000);
        found(SERVES_US + 1, vec![spoilt], 0);
    }
}
