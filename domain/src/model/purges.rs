//! What was purged from the caches of the edges that serve a route: a counter, and the latest URLs.
//! It travels with the route's entry in the manifest, so a purge reaches every edge as any change
//! does, is acknowledged like one, and is lost by none: an edge that knows an earlier count purges
//! what lies between, or everything if that is not told any more.

use serde::{Deserialize, Serialize};

use crate::model::ManifestVersion;

/// The most URLs of one purge.
pub const PURGED_URLS_MAX: usize = 30;

/// The longest URLs that are remembered together, in bytes, and so the longest of one purge: a
/// manifest's entries are read by every edge.
pub const PURGED_BYTES_MAX: usize = 8 * 1024;

/// The longest URL that is purged, in bytes.
pub const PURGED_URL_BYTES_MAX: usize = 2048;

/// What was purged of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purges {
    /// How often something was.
    pub version: u64,
    /// The manifest that tells of the last one; 0 where there was none.
    pub manifest_version: ManifestVersion,
    /// The latest purges, the last of which is that of `version`. Everything was purged before them,
    /// or it does not matter any more what.
    pub recent: Vec<Vec<PurgedUrl>>,
}

/// A URL as caches know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PurgedUrl {
    /// The hostname, in normal form and without a port, since those of all ports and schemes are meant;
    /// empty for all hosts of the route.
    pub host: String,
    /// Path and query.
    pub target: String,
}

/// What somebody who knows an earlier count has to purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed<'a> {
    /// Nothing.
    Nothing,
    /// These URLs.
    Urls(Vec<&'a PurgedUrl>),
    /// Everything.
    Everything,
}

impl Purges {
    /// After one more purge: of these URLs, or of everything.
    #[must_use]
    pub fn next(&self, urls: Option<&[PurgedUrl]>, manifest_version: ManifestVersion) -> Self {
        let mut recent = Vec::new();
        if let Some(urls) = urls {
            recent.clone_from(&self.recent);
            recent.push(urls.to_vec());
            while bytes(&recent) > PURGED_BYTES_MAX && recent.len() > 1 {
                recent.remove(0);
            }
        }
        Self {
            version: self.version + 1,
            manifest_version,
            recent,
        }
    }

    /// What somebody has to purge who has purged as of `seen`. A count that goes back is another
    /// count, so everything.
    #[must_use]
    pub fn since(&self, seen: u64) -> Missed<'_> {
        let Some(missed) = self.version.checked_sub(seen) else {
            return Missed::Everything;
        };
        let told = self.recent.len() as u64;
        match told.checked_sub(missed) {
            _ if missed == 0 => Missed::Nothing,
            Some(known) => {
                let known = usize::try_from(known).unwrap_or(0);
                Missed::Urls(self.recent[known..].iter().flatten().collect())
            }
            None => Missed::Everything,
        }
    }
}

fn bytes(recent: &[Vec<PurgedUrl>]) -> usize {
    recent.iter().map(|urls| purged_bytes(urls)).sum()
}

/// How long URLs are together.
#[must_use]
pub fn purged_bytes(urls: &[PurgedUrl]) -> usize {
    urls.iter()
        .map(|url| url.host.len() + url.target.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(number: usize) -> PurgedUrl {
        PurgedUrl {
            host: "a.example".to_owned(),
            target: format!("/{number}"),
        }
    }

    fn after(purges: &[Option<usize>]) -> Purges {
        let next = |purges: Purges, purge: &Option<usize>| {
            let urls = purge.map(|number| vec![url(number)]);
            purges.next(urls.as_deref(), ManifestVersion(7))
        };
        purges.iter().fold(Purges::default(), next)
    }

    #[test]
    fn who_knows_an_earlier_count_purges_what_lies_between() {
        let purges = after(&[Some(1), None, Some(2), Some(3)]);
        assert_eq!((purges.version, purges.manifest_version.0), (4, 7));
        let (two, three) = (url(2), url(3));
        for (seen, missed) in [
            (4, Missed::Nothing),
            (3, Missed::Urls(vec![&three])),
            (2, Missed::Urls(vec![&two, &three])),
            (1, Missed::Everything),
            (0, Missed::Everything),
            (5, Missed::Everything),
        ] {
            assert_eq!(purges.since(seen), missed, "{seen}");
        }
        assert_eq!(Purges::default().since(0), Missed::Nothing);
    }

    #[test]
    fn only_so_much_is_remembered_and_the_newest_always() {
        let long = PurgedUrl {
            host: "a.example".to_owned(),
            target: "x".repeat(PURGED_BYTES_MAX - 100),
        };
        let purges = after(&[Some(1), Some(2)]).next(Some(&[long]), ManifestVersion(8));
        assert!(bytes(&purges.recent) <= PURGED_BYTES_MAX);
        assert!(matches!(purges.since(2), Missed::Urls(_)));
        let purges = purges.next(Some(&vec![url(3); 20]), ManifestVersion(9));
        assert!(matches!(purges.since(3), Missed::Urls(urls) if urls.len() == 20));
        assert_eq!(purges.since(2), Missed::Everything);
    }

    proptest! {
        /// Whatever was purged since is among what is missed.
        #[test]
        fn nothing_is_lost(purges in prop::collection::vec(prop::option::of(0..50_usize), 1..40), seen in 0..40_usize) {
            let seen = seen.min(purges.len());
            let all = after(&purges);
            match all.since(seen as u64) {
                Missed::Nothing => prop_assert_eq!(seen, purges.len()),
                Missed::Everything => prop_assert!(purges[seen..].contains(&None)),
                Missed::Urls(urls) => {
                    let expect: Vec<_> = purges[seen..].iter().map(|purge| url(purge.unwrap())).collect();
                    prop_assert_eq!(urls, expect.iter().collect::<Vec<_>>());
                }
            }
        }
    }
}
