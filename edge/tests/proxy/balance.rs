//! Ratios as origins see them.

use std::collections::BTreeMap;

use domain::content::Criteria;
use edge::workers::Placement;

use crate::client::{ask, connect, get};
use crate::origin::Origin;
use crate::publish::{Draft, HOST, forward};
use crate::world::{Options, World, run};

/// Contract.
#[test]
fn ratios_are_exact_over_all_threads_connections_and_publishes() {
    run(async {
        let (a, b, c) = (
            Origin::saying("a").await,
            Origin::saying("b").await,
            Origin::saying("c").await,
        );
        let draft = |note: u16| Draft {
            mode: None,
            purges: domain::model::Purges::default(),
            hostname: HOST.to_owned(),
            rules: vec![(Criteria::default(), forward(&[("one", 90), ("two", 10)]))],
            upstreams: vec![
                ("one", vec![(a.address, 3), (b.address, 1)]),
                ("two", vec![(c.address, 1)]),
                // It takes no traffic; it makes the route's content another one.
                ("spare", vec![(a.address, u32::from(note))]),
            ],
            ..Draft::default()
        };
        let mut world = World::start(Options {
            set: vec![("HTTP__WORKERS", "3")],
            placement: Placement::Threads,
            ..Options::default()
        })
        .await;
        for note in 1..=8 {
            world.publish(&[draft(note)]);
            for _ in 0..5 {
                // Each connection is one thread's, and nobody says whose.
                let mut sender = connect(world.address).await;
                for _ in 0..25 {
                    assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
                    sender.ready().await.unwrap();
                }
            }
        }
        assert_eq!((a.count(), b.count(), c.count()), (675, 225, 100));
        world.running.shut_down().await;
    });
}

#[test]
fn wildcards_and_exact_names_lead_to_their_own_routes() {
    run(async {
        let mut world = World::start(Options::default()).await;
        let mut drafts = Vec::new();
        let mut origins = BTreeMap::new();
        for name in ["api.example.net", "*.example.net", "*.api.example.net"] {
            let origin = Origin::saying(name).await;
            drafts.push(Draft {
                hostname: name.to_owned(),
                ..Draft::to(origin.address)
            });
            origins.insert(name, origin);
        }
        world.publish(&drafts);
        for (host, name) in [
            ("api.example.net", "api.example.net"),
            ("API.EXAMPLE.NET.:80", "api.example.net"),
            ("www.example.net", "*.example.net"),
            ("v1.api.example.net", "*.api.example.net"),
        ] {
            let mut request = get("/");
            request.headers_mut().insert("host", host.parse().unwrap());
            assert_eq!(ask(world.address, request).await.text(), name, "{host}");
        }
    });
}
