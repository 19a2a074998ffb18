//! Purging what edges keep.

use super::world::{World, furnished, made_route, refused, route};
use crate::command::{Command, PurgeCache};
use crate::content::load_routes;
use crate::model::{Missed, PURGED_BYTES_MAX, PURGED_URLS_MAX, PurgedUrl};
use crate::outcome::Reply;
use crate::query::{ViewChunks, manifest};

fn url(target: &str) -> PurgedUrl {
    PurgedUrl {
        host: "a.example.net".to_owned(),
        target: target.to_owned(),
    }
}

impl World {
    fn purge(&mut self, number: u64, urls: Option<Vec<PurgedUrl>>) -> Reply {
        let command = PurgeCache {
            route_id: route(number),
            urls,
        };
        self.apply(Command::PurgeCache(self.actor.clone(), command))
    }

    /// How often the manifest says that the only route was purged, and of what last.
    fn purges_told(&self) -> (u64, Vec<String>) {
        let root = manifest(&self.rows, &self.actor.environment_id).root;
        let entries: Result<Vec<_>, _> = load_routes(&ViewChunks(&self.rows), root).collect();
        let purges = entries.unwrap().pop().unwrap().purges;
        let last = match purges.since(purges.version.saturating_sub(1)) {
            Missed::Urls(urls) => urls.iter().map(|url| url.target.clone()).collect(),
            Missed::Everything => vec!["*".to_owned()],
            Missed::Nothing => Vec::new(),
        };
        (purges.version, last)
    }
}

/// Contract: D-61.
#[test]
fn a_purge_moves_the_manifest_and_nothing_else() {
    let mut world = furnished();
    world.publish(1).unwrap();
    let (before, version) = (world.route(1), world.manifest_version());
    let (after, draft) = made_route(world.purge(1, Some(vec![url("/a"), url("/b?c")])));
    assert_eq!(
        world.purges_told(),
        (1, vec!["/a".to_owned(), "/b?c".to_owned()])
    );
    assert_eq!(world.manifest_version(), version + 1);
    assert_eq!(after.purges.manifest_version.0, version + 1);
    assert_eq!((after.published, draft), (before.0.published, before.1));
    world.purge(1, None).unwrap();
    assert_eq!(world.purges_told(), (2, vec!["*".to_owned()]));
}

#[test]
fn what_was_purged_outlives_publishes() {
    let mut world = furnished();
    world.publish(1).unwrap();
    world.purge(1, Some(vec![url("/a")])).unwrap();
    world.create_rule(1, 10).unwrap();
    world.publish(1).unwrap();
    assert_eq!(world.purges_told(), (1, vec!["/a".to_owned()]));
}

#[test]
fn of_a_route_that_was_never_published_there_is_nothing() {
    let mut world = furnished();
    let version = world.manifest_version();
    let (route, _) = made_route(world.purge(1, None));
    assert_eq!(
        (route.purges.version, world.manifest_version()),
        (0, version)
    );
}

#[test]
fn what_cannot_be_purged_is_refused() {
    let mut world = furnished();
    world.publish(1).unwrap();
    for (urls, code) in [
        (Vec::new(), "InvalidParameter"),
        (vec![url("/a"); PURGED_URLS_MAX + 1], "InvalidParameter"),
        (vec![url("/a"), url("b")], "InvalidParameter"),
        (vec![url(&"/a".repeat(PURGED_BYTES_MAX))], "LimitExceeded"),
    ] {
        let (found, _) = refused(world.purge(1, Some(urls)));
        assert_eq!(found, code);
    }
    assert_eq!(refused(world.purge(9, None)).0, "NotFound");
    assert_eq!(world.purges_told(), (0, Vec::new()));
}
