//! What is purged is gone, whatever was on its way.

use super::*;

fn purged(draft: &Draft, urls: Option<&[(&str, &str)]>) -> Draft {
    let url = |(host, target): &(&str, &str)| PurgedUrl {
        host: (*host).to_owned(),
        target: (*target).to_owned(),
    };
    let urls: Option<Vec<_>> = urls.map(|urls| urls.iter().map(url).collect());
    Draft {
        purges: draft.purges.next(urls.as_deref(), ManifestVersion(1)),
        ..draft.clone()
    }
}

#[test]
fn a_purge_takes_the_urls_that_it_names_or_everything_of_its_route() {
    run(async {
        let origin = Shelf::new("x", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let mut other = Draft::to(origin.address);
        other.hostname = "other.example.net".to_owned();
        let elsewhere = || {
            Request::get("/a")
                .header("host", "other.example.net")
                .body(empty())
                .unwrap()
        };
        let mut draft = Draft::to(origin.address);
        let mut world = World::start(Options::default()).await;
        world.publish(&[draft.clone(), other.clone()]);
        let urls = ["/a", "/a?b=1", "/c"];
        let mut expect = 0;
        for (purge, asked_again) in [
            (Some(&[(HOST, "/a?b=1")][..]), 1),
            (Some(&[(HOST, "/a"), (HOST, "/c"), (HOST, "/never")]), 2),
            (Some(&[("other.example.net", "/a")]), 0),
            (None, 3),
        ] {
            for path in urls {
                asked(&world, get(path)).await;
            }
            asked(&world, elsewhere()).await;
            expect = expect.max(4);
            assert_eq!(origin.count(), expect);
            draft = purged(&draft, purge);
            world.publish(&[draft.clone(), other.clone()]);
            for path in urls {
                asked(&world, get(path)).await;
            }
            asked(&world, elsewhere()).await;
            expect += asked_again;
            assert_eq!(origin.count(), expect, "{purge:?}");
        }
    });
}

#[test]
fn an_edge_that_was_away_purges_what_it_missed() {
    run(async {
        let origin = Shelf::new("x", &[("cache-control", "max-age=60")])
            .origin()
            .await;
        let mut draft = Draft::to(origin.address);
        let mut world = World::with(draft.clone()).await;
        for path in ["/a", "/b", "/c"] {
            asked(&world, get(path)).await;
        }
        // Of these three manifests it sees the last one alone.
        for path in ["/a", "/b", "/z"] {
            draft = purged(&draft, Some(&[(HOST, path)]));
        }
        world.publish(&[draft.clone()]);
        for (path, count) in [("/c", 3), ("/a", 4), ("/b", 5)] {
            asked(&world, get(path)).await;
            assert_eq!(origin.count(), count, "{path}");
        }
    });
}

#[test]
fn an_answer_that_was_on_its_way_when_it_was_purged_is_not_kept() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                let answer = Response::builder().header("cache-control", "max-age=60");
                answer.body(whole("x")).unwrap()
            }
        })
        .await;
        let draft = Draft::to(origin.address);
        let mut world = World::with(draft.clone()).await;
        let asking = tokio::task::spawn_local(ask(world.address, get("/")));
        eventually("it is on its way", || origin.count() == 1).await;
        world.publish(&[purged(&draft, Some(&[(HOST, "/")]))]);
        release.send_replace(true);
        assert_eq!(asking.await.unwrap().text(), "x");
        for count in [2, 2] {
            assert_eq!(asked(&world, get("/")).await.text(), "x");
            assert_eq!(origin.count(), count);
        }
    });
}
