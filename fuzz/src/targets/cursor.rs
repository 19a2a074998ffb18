//! Cursors, which clients send back and which must be what a node gave out, to the letter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{EnvironmentId, Seed};
use node::testing::CursorOf;

use crate::Seen;
use crate::choices::Choices;
use crate::mutate::INPUT_BYTES_MAX;

const PEPPER: [u8; 32] = [7; 32];

/// The first byte says whether the rest is a cursor, or what becomes of a good one.
pub(super) fn run(input: &[u8]) -> Seen {
    let mut choices = Choices::of(input);
    let environment = |random| EnvironmentId::new(Seed { unix_ms: 1, random });
    let list = CursorOf::new(&PEPPER, environment(1), "rules", "status=active");
    if choices.byte().is_multiple_of(2) {
        let text = String::from_utf8_lossy(choices.rest()).into_owned();
        return told(&list, &text, None);
    }
    let key = u64::from(choices.byte()) << (8 * choices.below(8));
    // An identifier is at most as long as this.
    let mut id = format!("rule_{}", hex::encode(choices.block()));
    id.truncate(69);
    let good = list.give(&id, key);
    assert_eq!(list.take(&good), Some((id.clone(), key)));
    for other in [
        CursorOf::new(&PEPPER, environment(2), "rules", "status=active"),
        CursorOf::new(&PEPPER, environment(1), "routes", "status=active"),
        CursorOf::new(&PEPPER, environment(1), "rules", "status=draft"),
        CursorOf::new(&[8; 32], environment(1), "rules", "status=active"),
    ] {
        assert_eq!(other.take(&good), None, "it is taken elsewhere");
    }
    // What is inside is edited as a client would who has seen through the base64.
    let inside = URL_SAFE_NO_PAD.decode(good.trim_start_matches("cur_"));
    let mut inside = inside.expect("a cursor is base64");
    for _ in 0..=choices.below(3) {
        let at = choices.below(inside.len() + 1);
        let until = inside.len().min(at + choices.below(4));
        inside.splice(at..until, choices.block().iter().copied());
    }
    inside.truncate(INPUT_BYTES_MAX);
    let edited = format!("cur_{}", URL_SAFE_NO_PAD.encode(&inside));
    told(&list, &edited, Some(&good))
}

/// A text that is taken is the one that is given out for what it names.
fn told(list: &CursorOf, text: &str, good: Option<&str>) -> Seen {
    let Some((id, key)) = list.take(text) else {
        let shape = (text.starts_with("cur_"), text.len() > 320);
        return Seen::of(("refused", shape, good.is_some()));
    };
    assert_eq!(list.give(&id, key), text, "another spelling is taken");
    Seen::of(("taken", good.is_some()))
}
