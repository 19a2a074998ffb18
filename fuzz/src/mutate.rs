//! Makes an input of another one: a few changes, each at a random place. All randomness comes from the
//! generator that is passed in, so the same seed makes the same inputs.

use rand::{Rng, RngExt};

/// Longer inputs are cut: the largest thing that is read whole, a frame, repeats itself long before that.
pub const INPUT_BYTES_MAX: usize = 8 * 1024;

/// Numbers at which readers of lengths, counts and versions turn.
const TURNS: [&[u8]; 14] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0x80, 0x01],
    &[0xff, 0x7f],
    &[0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
];

/// `input` with some changes. `other` is what pieces are taken from, `words` what means something to who
/// reads it.
#[must_use]
pub fn mutated(random: &mut impl Rng, input: &[u8], other: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    // Mostly one change or two, at times many.
    let changes = 1 << random.random_range(0..5_u32).saturating_sub(1);
    for _ in 0..random.random_range(1..=changes) {
        change(random, &mut bytes, other, words);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn change(random: &mut impl Rng, bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]]) {
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..10) {
        0 => flip(random, bytes),
        1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.random();
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte
                    .wrapping_add(random.random_range(1..=8))
                    .wrapping_sub(4);
            }
        }
        3 => bytes.insert(at, random.random()),
        4 => {
            let cut = piece(random, bytes.len());
            bytes.drain(cut);
        }
        5 => {
            let again = bytes[piece(random, bytes.len())].to_vec();
            put(bytes, at, &again, 0);
        }
        6 => {
            let turn = TURNS[random.random_range(0..TURNS.len())];
            let over = if random.random() { turn.len() } else { 0 };
            put(bytes, at, turn, over);
        }
        7 if !words.is_empty() => {
            let word = words[random.random_range(0..words.len())];
            let over = if random.random() { word.len() } else { 0 };
            put(bytes, at, word, over);
        }
        8 => {
            let taken = &other[piece(random, other.len())];
            let over = if random.random() { taken.len() } else { 0 };
            put(bytes, at, taken, over);
        }
        9 => bytes.truncate(at),
        _ => flip(random, bytes),
    }
}

fn flip(random: &mut impl Rng, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
    }
}

/// A short piece of something that has so many bytes.
fn piece(random: &mut impl Rng, length: usize) -> std::ops::Range<usize> {
    let from = random.random_range(0..=length);
    let longest = (length - from).min(1 << random.random_range(0..8));
    from..from + random.random_range(0..=longest)
}

/// Puts `new` at a place, over as many bytes as `over` says.
fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8], over: usize) {
    let until = bytes.len().min(at + over);
    bytes.splice(at..until, new.iter().copied());
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn made(seed: u64) -> Vec<Vec<u8>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let make = |_| mutated(&mut random, b"an input", b"another one", &[b"word"]);
        (0..200).map(make).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_one_others() {
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }

    #[test]
    fn inputs_are_changed_in_all_ways_and_stay_within_their_bound() {
        let all = made(3);
        let any = |test: &dyn Fn(&[u8]) -> bool| all.iter().any(|input| test(input));
        assert!(any(&|input| input.len() > 8) && any(&|input| input.len() < 8));
        assert!(any(&|input| input.windows(4).any(|at| at == b"word")));
        assert!(any(&|input| input.windows(4).any(|at| at == b"othe")));
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let long = vec![7; INPUT_BYTES_MAX];
        for _ in 0..200 {
            assert!(mutated(&mut random, &long, &long, &[]).len() <= INPUT_BYTES_MAX);
            assert!(mutated(&mut random, b"", b"", &[]).len() <= INPUT_BYTES_MAX);
        }
    }
}
