//! What a new configuration makes of what is kept: purges that it tells of, and routes that keep
//! answers by other rules now.

use domain::model::{Missed, PurgedUrl};

use super::Cache;
use super::key::{is_of_route, is_of_url, target};
use crate::configuration::{Configuration, Served};

/// Gives up what `next` has purged that `previous` had not, and what the routes whose `cache`
/// changed had kept. What is asked for before that and comes after it is not kept either.
pub fn purge(cache: &Cache, previous: &Configuration, next: &Configuration) {
    for served in next.routes() {
        let before = previous.served(&served.entry.route_id);
        let seen = before.map_or(0, |before| before.entry.purges.version);
        let caching = &served.route.compiled().caching;
        if before.is_some_and(|before| before.route.compiled().caching != *caching) {
            purge_route(cache, served);
            continue;
        }
        match served.entry.purges.since(seen) {
            Missed::Nothing => {}
            Missed::Everything => purge_route(cache, served),
            Missed::Urls(urls) => purge_urls(cache, served, &urls),
        }
    }
}

fn purge_route(cache: &Cache, served: &Served) {
    let route = served.entry.route_id.as_str();
    cache.purge(&|key| is_of_route(key, route));
}

fn purge_urls(cache: &Cache, served: &Served, urls: &[&PurgedUrl]) {
    let route = served.entry.route_id.as_str();
    let key = &served.route.compiled().caching.key;
    let targets: Vec<_> = urls
        .iter()
        .map(|url| {
            let (path, query) = match url.target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (url.target.as_str(), None),
            };
            (url.host.as_str(), target(path, query, key))
        })
        .collect();
    cache.purge(&|found| {
        targets
            .iter()
            .any(|(host, target)| is_of_url(found, route, host, target))
    });
}
