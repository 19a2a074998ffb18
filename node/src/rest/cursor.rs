//! Cursors: where a list goes on. To clients they are opaque; inside they are `cur_` and the
//! base64url of a small JSON object: the identifier and sort key of the last item, which are veiled, a
//! digest of the filters, and a MAC.
//!
//! A cursor names a position, not a row, so it survives the deletion of the row. The MAC binds it
//! to the environment, the list and the filters: nobody can craft a scan or carry a cursor from
//! one list to another, and a refused cursor tells nothing about why.
//!
//! A list that filters may stop at a row that the caller must not know of, so what a cursor names
//! is not readable. It is veiled as in SIV modes: by a key stream that the MAC of the plain text
//! begins, so that the same position always gives the same cursor and no other has its stream.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::EnvironmentId;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{ApiError, Code};
use crate::keys::Purposed;

const PREFIX: &str = "cur_";

/// Longer texts are not cursors of ours: an identifier of at most 69 characters and a number, veiled,
/// and two short digests.
const LENGTH_MAX: usize = 320;

/// Makes and checks cursors.
#[derive(Clone)]
pub(crate) struct Cursors {
    keys: Purposed,
}

/// The same with one key.
struct Keyed<'a>(&'a Hmac<Sha256>);

/// A list with its filters: what a cursor belongs to.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// Whose objects are listed.
    pub(crate) environment_id: &'a EnvironmentId,
    /// Which list.
    pub(crate) list: &'a str,
    /// Everything that decides what is in the list, without cursor and limit.
    pub(crate) filter: String,
}

/// The position after an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The item's identifier.
    pub(crate) id: String,
    /// The number that the list is sorted by, before the identifier.
    pub(crate) key: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    /// The sort key's eight bytes and the identifier, veiled.
    id: String,
    f: String,
    m: String,
}

/// How long a MAC is.
const MAC_BYTES: usize = 16;

/// What the key stream's blocks begin with. A MAC's text begins with a length, which is no letter.
const VEIL: &[u8] = b"veil";

impl Cursors {
    /// Takes the MAC's keys, which only the nodes of one cluster share.
    pub(crate) fn new(keys: Purposed) -> Self {
        Self { keys }
    }

    pub(crate) fn encode(&self, scope: &Scope<'_>, position: &Position) -> String {
        Keyed(self.keys.active()).encode(scope, position)
    }

    /// # Errors
    /// `invalid_cursor` for whatever [`Self::encode`] did not make for this scope, under any of the keys.
    pub(crate) fn decode(&self, scope: &Scope<'_>, text: &str) -> Result<Position, ApiError> {
        let mut read = self.keys.all().map(|keyed| Keyed(keyed).read(scope, text));
        read.find_map(|position| position).ok_or_else(|| {
            let message = "The cursor is not one that this list gave out with these filters.";
            ApiError::new(Code::InvalidCursor, message).at("cursor")
        })
    }
}

impl Keyed<'_> {
    fn encode(&self, scope: &Scope<'_>, position: &Position) -> String {
        let mac = self.mac(scope, position);
        let mut place = position.key.to_be_bytes().to_vec();
        place.extend_from_slice(position.id.as_bytes());
        self.veil(&mac, &mut place);
        let inner = Inner {
            id: URL_SAFE_NO_PAD.encode(place),
            f: digest(scope),
            m: URL_SAFE_NO_PAD.encode(mac),
        };
        format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(super::render::to_bytes(&inner))
        )
    }

    fn read(&self, scope: &Scope<'_>, text: &str) -> Option<Position> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let inner: Inner = serde_json::from_slice(&bytes).ok()?;
        // That length is what we give out; a shorter one would verify as well.
        let mac: [u8; MAC_BYTES] = URL_SAFE_NO_PAD.decode(&inner.m).ok()?.try_into().ok()?;
        let mut place = URL_SAFE_NO_PAD.decode(&inner.id).ok()?;
        self.veil(&mac, &mut place);
        let (key, id) = place.split_first_chunk()?;
        let position = Position {
            id: String::from_utf8(id.to_vec()).ok()?,
            key: u64::from_be_bytes(*key),
        };
        self.keyed_to(scope, &position)
            .verify_truncated_left(&mac)
            .ok()?;
        // The JSON and its encoding could be written otherwise and say the same; nobody was given that.
        (self.encode(scope, &position) == text).then_some(position)
    }

    fn mac(&self, scope: &Scope<'_>, position: &Position) -> [u8; MAC_BYTES] {
        let whole = self.keyed_to(scope, position).finalize().into_bytes();
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&whole[..MAC_BYTES]);
        mac
    }

    /// Puts the veil of a MAC on bytes, or takes it off.
    fn veil(&self, mac: &[u8; MAC_BYTES], bytes: &mut [u8]) {
        for (number, block) in (0_u32..).zip(bytes.chunks_mut(32)) {
            let mut keyed = self.0.clone();
            keyed.update(VEIL);
            keyed.update(mac);
            keyed.update(&number.to_be_bytes());
            let stream = keyed.finalize().into_bytes();
            for (byte, veil) in block.iter_mut().zip(stream) {
                *byte ^= veil;
            }
        }
    }

    fn keyed_to(&self, scope: &Scope<'_>, position: &Position) -> Hmac<Sha256> {
        let mut keyed = self.0.clone();
        for part in [
            scope.environment_id.as_str(),
            scope.list,
            &scope.filter,
            &position.id,
        ] {
            keyed.update(&(part.len() as u64).to_be_bytes());
            keyed.update(part.as_bytes());
        }
        keyed.update(&position.key.to_be_bytes());
        keyed
    }
}

/// Eight bytes are enough to see that filters changed; the MAC is what is relied on.
fn digest(scope: &Scope<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(scope.list);
    hash.update([0]);
    hash.update(&scope.filter);
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;
    use crate::keys::KeyRing;

    fn cursors(key: u8) -> Cursors {
        let keys = KeyRing::new(&[key; 32]).unwrap();
        Cursors::new(keys.purposed("a test"))
    }

    fn environment(random: u64) -> EnvironmentId {
        EnvironmentId::new(Seed {
            unix_ms: 1_714_320_000_000,
            random,
        })
    }

    fn rules_of<'a>(environment_id: &'a EnvironmentId, filter: &str) -> Scope<'a> {
        Scope {
            environment_id,
            list: "rules",
            filter: filter.to_owned(),
        }
    }

    fn position() -> Position {
        Position {
            id: "rule_01HX9K3M7PQ6RSTV2W4N8A".to_owned(),
            key: 40,
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_out_and_does_not_tell_what_it_names() {
        let environment_id = environment(1);
        let scope = rules_of(&environment_id, "status=active");
        let text = cursors(1).encode(&scope, &position());
        assert!(text.starts_with("cur_eyJpZCI6"), "{text}");
        assert_eq!(cursors(1).decode(&scope, &text).unwrap(), position());
        assert_eq!(cursors(1).encode(&scope, &position()), text);
        // Neither the text nor what differs between neighbours can be read from it.
        let veiled = |text: &str| {
            let inner = URL_SAFE_NO_PAD.decode(&text[4..]).unwrap();
            let inner: Inner = serde_json::from_slice(&inner).unwrap();
            URL_SAFE_NO_PAD.decode(inner.id).unwrap()
        };
        let next = Position {
            key: 41,
            ..position()
        };
        let other = veiled(&cursors(1).encode(&scope, &next));
        let plain = [&40_u64.to_be_bytes()[..], position().id.as_bytes()].concat();
        for other in [other, plain] {
            let same = veiled(&text).into_iter().zip(other);
            assert!(same.filter(|(a, b)| a == b).count() < 4);
        }
    }

    /// Contract: D-02.
    #[test]
    fn a_cursor_of_another_list_filter_environment_or_cluster_is_refused() {
        let (mine, other) = (environment(1), environment(2));
        let scope = |environment_id, list, filter: &str| Scope {
            environment_id,
            list,
            filter: filter.to_owned(),
        };
        let text = cursors(1).encode(&scope(&mine, "rules", "a"), &position());
        for (ring, scope) in [
            (1, scope(&mine, "rules", "b")),
            (1, scope(&mine, "routes", "a")),
            (1, scope(&other, "rules", "a")),
            (2, scope(&mine, "rules", "a")),
        ] {
            assert_eq!(
                cursors(ring).decode(&scope, &text).unwrap_err().code,
                Code::InvalidCursor
            );
        }
    }

    #[test]
    fn a_cursor_is_taken_whichever_pepper_is_active() {
        let environment_id = environment(1);
        let scope = rules_of(&environment_id, "");
        let text = cursors(1).encode(&scope, &position());
        let both = format!("{}\n{}", "02".repeat(32), "01".repeat(32));
        let both = KeyRing::parse(&both).unwrap().purposed("a test");
        let both = Cursors::new(both);
        assert_eq!(both.decode(&scope, &text).unwrap(), position());
        let later = both.encode(&scope, &position());
        assert_eq!(later, cursors(2).encode(&scope, &position()));
        assert!(cursors(1).decode(&scope, &later).is_err());
    }

    #[test]
    fn another_spelling_of_a_cursor_is_refused() {
        let environment_id = environment(1);
        let scope = rules_of(&environment_id, "");
        let text = cursors(1).encode(&scope, &position());
        let inner = String::from_utf8(URL_SAFE_NO_PAD.decode(&text[4..]).unwrap()).unwrap();
        let fields: Vec<_> = inner[1..inner.len() - 1].split(',').collect();
        for other in [
            inner.replace(',', ", "),
            format!(" {inner}\n"),
            format!("{{{},{},{}}}", fields[2], fields[0], fields[1]),
            inner.replace("\"id\"", "\"\\u0069d\""),
        ] {
            assert_ne!(other, inner);
            let other = format!("cur_{}", URL_SAFE_NO_PAD.encode(other));
            assert!(cursors(1).decode(&scope, &other).is_err(), "{other}");
        }
    }

    #[test]
    fn an_edited_cursor_is_refused() {
        let environment_id = environment(1);
        let scope = rules_of(&environment_id, "");
        let text = cursors(1).encode(&scope, &position());
        let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(&text[4..]).unwrap()).unwrap();
        let edits = [
            decoded.replace("\"id\":\"", "\"id\":\"A"),
            decoded.replace("\",\"f\"", "A\",\"f\""),
            decoded.replace("\"f\":\"", "\"x\":1,\"f\":\""),
            decoded.replace("\"m\":\"", "\"m\":\"A"),
            decoded.split("\"m\"").next().unwrap().to_owned() + "\"m\":\"\"}",
        ];
        for edit in edits {
            assert_ne!(edit, decoded);
            let edited = format!("cur_{}", URL_SAFE_NO_PAD.encode(edit));
            assert!(cursors(1).decode(&scope, &edited).is_err(), "{edited}");
        }
        for bad in [
            "",
            "cur_",
            "cur_!!",
            "cur_e30",
            &text[4..],
            &format!("{text}A"),
            &"cur_A".repeat(100),
        ] {
            assert!(cursors(1).decode(&scope, bad).is_err(), "{bad}");
        }
    }
}
