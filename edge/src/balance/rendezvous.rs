//! Weighted rendezvous hashing: the same key leads to the same entry, and when entries come, go or
//! change their weights, only as many keys move as must.
//!
//! Every entry gets a score from the key and its own seed, `-weight / ln(hash)` with the hash taken
//! as a number between 0 and 1, and the highest score wins (Thaler and Ravishankar, "Using
//! name-based mappings to increase hit rates", 1998; the weights are those of Schindelhauer and
//! Schomaker, "Weighted distributed hash tables", 2005). A table in the manner of Maglev or a ring
//! in that of Ketama would answer without looking at every entry, but would have to be built again
//! for each change of health, and keeps weights only roughly; an upstream has few targets.

/// A number for a text, the same everywhere and always: FNV-1a, and the finalizer of SplitMix64
/// over it, because FNV's high bits mix badly.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// The place of the entry that a key leads to, of entries with a seed and a weight; none where all
/// weights are 0.
pub fn choose(key: u64, entries: impl Iterator<Item = (u64, u64)>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, (seed, weight)) in entries.enumerate() {
        if weight == 0 {
            continue;
        }
        let score = score(mix(key ^ seed), weight);
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((place, score));
        }
    }
    best.map(|(place, _)| place)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "53 bits of the hash are exact in a double, and weights are small"
)]
fn score(hash: u64, weight: u64) -> f64 {
    /// 2^53, half a step away from both ends, so that the logarithm is neither 0 nor infinite.
    const STEPS: f64 = 9_007_199_254_740_992.0;
    let unit = ((hash >> 11) as f64 + 0.5) / STEPS;
    -(weight as f64) / unit.ln()
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: u64 = 20_000;

    fn seeds(count: usize) -> Vec<u64> {
        (0..count)
            .map(|number| hash(format!("tgt_{number:08}").as_bytes()))
            .collect()
    }

    fn choices(entries: &[(u64, u64)]) -> Vec<Option<usize>> {
        (0..KEYS)
            .map(|key| choose(hash(&key.to_le_bytes()), entries.iter().copied()))
            .collect()
    }

    /// Pinned: edges of different versions must send a client to the same target.
    #[test]
    fn hashes_never_change() {
        for (text, expect) in [
            ("", mix(0xcbf2_9ce4_8422_2325)),
            ("a", mix(0xaf63_dc4c_8601_ec8c)),
            ("foobar", mix(0x8594_4171_f739_67e8)),
        ] {
            assert_eq!(hash(text.as_bytes()), expect, "{text}");
        }
        assert_eq!(mix(0), 0);
        // The first output of SplitMix64 with the seed 0.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let weights = [1, 2, 0, 5];
        let entries: Vec<_> = seeds(4).into_iter().zip(weights).collect();
        let choices = choices(&entries);
        for (place, weight) in weights.into_iter().enumerate() {
            let count = choices
                .iter()
                .filter(|choice| **choice == Some(place))
                .count();
            let expected = usize::try_from(KEYS * weight / 8).unwrap();
            assert!(
                count.abs_diff(expected) <= expected / 20,
                "{place}: {count}"
            );
        }
        assert_eq!(choose(1, [(1, 0), (2, 0)].into_iter()), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn an_entry_that_goes_moves_only_its_own_keys(
            weights in proptest::collection::vec(1_u64..1000, 2..8),
            gone in any::<proptest::sample::Index>(),
        ) {
            let entries: Vec<_> = seeds(weights.len()).into_iter().zip(weights).collect();
            let gone = gone.index(entries.len());
            let mut without = entries.clone();
            without[gone].1 = 0;
            for (before, after) in choices(&entries).into_iter().zip(choices(&without)) {
                prop_assert!(before == after || before == Some(gone));
                prop_assert_ne!(after, Some(gone));
            }
        }

        #[test]
        fn an_entry_that_gains_weight_takes_keys_and_gives_none(
            weights in proptest::collection::vec(1_u64..1000, 2..8),
            gains in any::<proptest::sample::Index>(),
        ) {
            let entries: Vec<_> = seeds(weights.len()).into_iter().zip(weights).collect();
            let gains = gains.index(entries.len());
            let mut heavier = entries.clone();
            heavier[gains].1 *= 2;
            for (before, after) in choices(&entries).into_iter().zip(choices(&heavier)) {
                prop_assert!(before == after || after == Some(gains));
            }
        }
    }
}
