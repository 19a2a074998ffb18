//! What a node that serves what is bad offers an edge: one manifest after another, each bad in another
//! way, of chunks that it made up or was given by honest nodes before.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::content::{RouteContent, RouteEntry, route_key};
use domain::id::{ClusterId, EnvironmentId, Seed};
use domain::model::{Epoch, Manifest, ManifestVersion};
use domain::query;
use domain::rows::View;
use domain::time::{Revision, Timestamp};
use domain::tree::{self, Chunks, Edits, Hash, TreeKind, edit};
use edge_protocol::limits::CHUNK_BYTES_MAX;
use edge_protocol::signing::{KeyPair, SignedTrust};
use edge_protocol::{Hello, ManifestRef, SignedManifest};
use node::keys::KeyRing;
use node::signing::Signer;

use super::Fleet;
use super::nodes::PEPPER;
use crate::options::Badness;

/// So many of the newest manifests are stocked: nodes keep a few more.
const STOCKED: usize = 6;

/// Manifests that were published, with all their chunks, and the key that the cluster signs with: whoever has
/// broken into a node has that as well.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    published: BTreeMap<(u64, u64), (Hash, Chunks)>,
    pub(super) signs: Option<Signs>,
}

/// With what is signed.
#[derive(Clone, Debug)]
pub(super) struct Signs {
    pub(super) trust: SignedTrust,
    key: Arc<KeyPair>,
}

impl Signs {
    /// A manifest, signed as is done of this badness.
    fn sign(
        signs: Option<&Self>,
        environment: &EnvironmentId,
        offer: &Offer,
    ) -> Option<SignedManifest> {
        let manifest = Manifest {
            environment_id: environment.clone(),
            epoch: offer.manifest.epoch,
            version: offer.manifest.version,
            root: offer.manifest.root,
            updated_at: Timestamp(1),
            revision: Revision(1),
            previous: Hash([0; 32]),
        };
        let stranger = KeyPair::new(&[0x66; 32]).ok()?;
        let nobody = ClusterId::new(Seed {
            unix_ms: 0,
            random: 0,
        });
        let cluster = signs.map_or(&nobody, |signs| &signs.trust.set.cluster_id);
        let key = match signs {
            Some(signs) if offer.badness != Badness::Stranger => &*signs.key,
            _ => &stranger,
        };
        let mut signed = SignedManifest::sign(cluster, &manifest, key);
        if offer.badness == Badness::Forged {
            signed.proof.at.0 += 1;
        }
        Some(signed)
    }
}

impl Stock {
    fn newest(&self) -> Option<&(Hash, Chunks)> {
        self.published
            .last_key_value()
            .map(|(_, published)| published)
    }

    fn before(&self, held: &ManifestRef) -> Option<(ManifestRef, &Chunks)> {
        let held = (held.epoch.0, held.version.0);
        let ((epoch, version), (root, chunks)) = self.published.range(..held).next_back()?;
        let older = ManifestRef {
            epoch: Epoch(*epoch),
            version: ManifestVersion(*version),
            root: *root,
        };
        Some((older, chunks))
    }
}

/// What an edge is offered.
pub(super) struct Offer {
    pub(super) badness: Badness,
    pub(super) manifest: ManifestRef,
    /// Its root, where no good manifest has it.
    pub(super) bad_root: Option<Hash>,
    chunks: Chunks,
    /// What comes for any other chunk; `None` says that it is not kept any more.
    other: Option<Bytes>,
}

impl Offer {
    /// As it is sent: signed, by whom and of what its badness says.
    pub(super) fn signed(
        &self,
        stock: &Stock,
        environment: &EnvironmentId,
    ) -> Option<SignedManifest> {
        Signs::sign(stock.signs.as_ref(), environment, self)
    }

    /// What comes for a chunk that is asked for.
    pub(super) fn chunk(&self, hash: &Hash) -> Option<Bytes> {
        let chunk = self.chunks.get(hash).cloned().map(Bytes::from);
        chunk.or_else(|| self.other.clone())
    }
}

/// Everything that one edge is offered, one after another: first what it refuses and goes on, then
/// what it breaks off over.
pub(super) struct Offers {
    stock: Stock,
    held: ManifestRef,
    course: Vec<Badness>,
    given: usize,
}

impl Offers {
    /// Offers to an edge. Of its kind this badness is the first one; of what edges break off over, each conversation
    /// begins with another, for it hears of no second one.
    pub(super) fn new(first: Badness, conversation: usize, hello: &Hello, stock: Stock) -> Self {
        let held = hello.have.unwrap_or(ManifestRef {
            epoch: Epoch(1),
            version: ManifestVersion(0),
            root: Hash::EMPTY_TREE,
        });
        let mut course = Badness::ALL.to_vec();
        course.sort_by_key(|badness| (badness.breaks_off(), *badness != first));
        let goes_on = course.partition_point(|badness| !badness.breaks_off());
        let breaks_off = &mut course[goes_on..];
        breaks_off.rotate_left(conversation % breaks_off.len());
        Self {
            stock,
            held,
            course,
            given: 0,
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Offer {
        let badness = self.course[self.given % self.course.len()];
        self.given += 1;
        let version = self.held.version.0 + self.given as u64;
        self.offer(badness, ManifestVersion(version))
    }

    fn offer(&self, badness: Badness, newer: ManifestVersion) -> Offer {
        let garbage = Bytes::from_static(b"this is no chunk of any tree, whatever its hash says");
        let (root, chunks, other) = match badness {
            Badness::Older => match self.stock.before(&self.held) {
                Some((manifest, chunks)) => {
                    return Offer {
                        badness,
                        manifest,
                        bad_root: None,
                        chunks: chunks.clone(),
                        other: None,
                    };
                }
                None => (Hash::of(b"older"), Chunks::new(), Some(garbage)),
            },
            Badness::Undecodable => (Hash::of(&garbage), Chunks::new(), Some(garbage)),
            Badness::Meaningless | Badness::Truncated => match meaningless() {
                Some((root, chunk)) if badness == Badness::Truncated => {
                    (root, Chunks::new(), Some(chunk.slice(..chunk.len() / 2)))
                }
                Some((root, chunk)) => (root, Chunks::new(), Some(chunk)),
                None => (Hash::of(&garbage), Chunks::new(), None),
            },
            Badness::Spoilt => match self.stock.newest().and_then(spoilt) {
                Some((root, chunks)) => (root, chunks, None),
                None => (Hash::of(b"spoilt"), Chunks::new(), Some(garbage)),
            },
            Badness::Oversize => {
                let large = Bytes::from(vec![0; CHUNK_BYTES_MAX + 1]);
                (Hash::of(&large), Chunks::new(), Some(large))
            }
            Badness::Forged | Badness::Stranger => match self.stock.newest().and_then(altered) {
                Some((root, chunks)) => (root, chunks, None),
                None => (Hash::of(b"forged"), Chunks::new(), Some(garbage)),
            },
            Badness::Missing => (Hash::of(b"missing"), Chunks::new(), None),
            Badness::WrongHash | Badness::Conflicting | Badness::Garbage => {
                (Hash::of(b"another"), Chunks::new(), Some(garbage))
            }
        };
        let version = match badness {
            Badness::Older => ManifestVersion(self.held.version.0.saturating_sub(1)),
            Badness::Conflicting => self.held.version,
            _ => newer,
        };
        Offer {
            badness,
            manifest: ManifestRef {
                epoch: self.held.epoch,
                version,
                root,
            },
            bad_root: Some(root),
            chunks,
            other,
        }
    }
}

/// A tree of one route that is none.
fn meaningless() -> Option<(Hash, Bytes)> {
    let edits: Edits = [(b"route".to_vec(), Some(vec![0xff; 40]))].into();
    let edited = edit(&Chunks::new(), TreeKind::Routes, Hash::EMPTY_TREE, &edits).ok()?;
    let chunk = edited.chunks.get(&edited.root)?.clone();
    Some((edited.root, Bytes::from(chunk)))
}

/// What was published, but for the settings of one route, which mean nothing any more.
fn spoilt(published: &(Hash, Chunks)) -> Option<(Hash, Chunks)> {
    rewritten(published, |content| content.config = "{".to_owned())
}

/// What was published, but for one route's name: good, and of nobody's doing.
fn altered(published: &(Hash, Chunks)) -> Option<(Hash, Chunks)> {
    rewritten(published, |content| content.name.push_str(", altered"))
}

/// What was published, but for what is done to one route.
fn rewritten(
    (root, chunks): &(Hash, Chunks),
    change: impl FnOnce(&mut RouteContent),
) -> Option<(Hash, Chunks)> {
    let (_, value) = tree::iter(chunks, TreeKind::Routes, *root).last()?.ok()?;
    let mut entry = RouteEntry::decode(&value).ok()?;
    let mut content = RouteContent::decode(chunks.get(&entry.head)?).ok()?;
    change(&mut content);
    let head = content.encode();
    entry.head = Hash::of(&head);
    let mut chunks = chunks.clone();
    chunks.insert(entry.head, head);
    let edits: Edits = [(route_key(&entry.route_id), Some(entry.encode()))].into();
    let edited = edit(&chunks, TreeKind::Routes, *root, &edits).ok()?;
    chunks.extend(edited.chunks);
    Some((edited.root, chunks))
}

impl Fleet {
    /// The newest of these manifests, with their chunks, as far as a node that runs has them.
    #[must_use]
    pub fn stock(&self, manifests: &BTreeMap<(u64, u64), [u8; 32]>) -> Stock {
        let newest = manifests.iter().rev().take(STOCKED);
        let whole = newest.filter_map(|(place, root)| {
            let root = Hash(*root);
            let found = self.each_node(|view| whole(view, root));
            let chunks = found.into_iter().find_map(|(_, _, chunks)| chunks)?;
            Some((*place, (root, chunks)))
        });
        let signer = KeyRing::new(&PEPPER).ok().map(Signer::new);
        let signs = signer.and_then(|signer| {
            let found = self.each_node(|view| {
                let trust = signer.trust(view).ok()?;
                let (_, key) = signer.sign(view, |_| Vec::new()).ok()?;
                Some(Signs { trust, key })
            });
            found.into_iter().find_map(|(_, _, signs)| signs)
        });
        Stock {
            published: whole.collect(),
            signs,
        }
    }
}

/// All chunks under a root, if none is missing.
fn whole(view: &dyn View, root: Hash) -> Option<Chunks> {
    let mut chunks = Chunks::new();
    let mut open = vec![root];
    while let Some(hash) = open.pop() {
        if hash == Hash::EMPTY_TREE || chunks.contains_key(&hash) {
            continue;
        }
        let chunk = query::chunk(&view, &hash)?;
        open.extend(tree::children(&chunk).ok()?);
        chunks.insert(hash, chunk);
    }
    Some(chunks)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_way_to_be_left_comes_first_in_some_conversation_after_all_that_is_only_refused() {
        let hello = Hello {
            protocol: 1,
            edge_id: "edge-1".to_owned(),
            environment: "production".to_owned(),
            region: "eu".to_owned(),
            labels: BTreeMap::new(),
            software: "test".to_owned(),
            have: None,
        };
        let ways = Badness::ALL.iter().filter(|it| it.breaks_off()).count();
        let left_first: BTreeSet<&str> = (0..ways)
            .map(|conversation| {
                let first = Badness::Garbage;
                let offers = Offers::new(first, conversation, &hello, Stock::default());
                assert_eq!(offers.course.len(), Badness::ALL.len());
                let found = offers.course.iter().find(|it| it.breaks_off()).unwrap();
                assert!(conversation > 0 || *found == first);
                assert!(offers.course.is_sorted_by_key(|it| it.breaks_off()));
                found.name()
            })
            .collect();
        assert_eq!(left_first.len(), ways);
    }
}
