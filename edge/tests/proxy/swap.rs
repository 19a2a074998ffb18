//! A request keeps the configuration that it began with.

use domain::content::Criteria;
use http::Response;
use http_body_util::BodyExt;

use crate::client::{ask, connect, get, post, send};
use crate::origin::{Origin, streaming};
use crate::publish::{Draft, HOST, forward};
use crate::world::{World, eventually, run};

#[test]
fn a_request_under_way_is_answered_by_the_configuration_it_began_with() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let old = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                let (sender, body) = streaming();
                sender.send("old ".into()).unwrap();
                tokio::task::spawn_local(async move {
                    held.wait_for(|released| *released).await.unwrap();
                    sender.send("to the end".into()).unwrap();
                });
                Response::new(body)
            }
        })
        .await;
        let new = Origin::saying("new").await;
        let mut world = World::with(Draft::to(old.address)).await;
        let mut answer = send(world.address, get("/")).await.into_body();
        assert!(answer.frame().await.unwrap().unwrap().is_data());
        world.publish(&[Draft::to(new.address)]);
        assert_eq!(ask(world.address, get("/")).await.text(), "new");
        // Even a configuration without the route does not reach it any more.
        world.publish(&[]);
        assert_eq!(ask(world.address, get("/")).await.code(), "unknown_host");
        release.send_replace(true);
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "to the end");
    });
}

#[test]
fn a_request_whose_body_is_being_sent_goes_where_it_was_going() {
    run(async {
        let origin = |name: &'static str| {
            Origin::start(move |request| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Response::new(crate::client::whole([name.as_bytes(), &body].concat()))
            })
        };
        let (old, new) = (origin("old:").await, origin("new:").await);
        let mut world = World::with(Draft::to(old.address)).await;
        let (sender, body) = streaming();
        sender.send("a".into()).unwrap();
        let asking = tokio::task::spawn_local(ask(world.address, post("/", body)));
        eventually("the old origin is asked", || old.count() == 1).await;
        world.publish(&[Draft::to(new.address)]);
        sender.send("b".into()).unwrap();
        drop(sender);
        assert_eq!(asking.await.unwrap().text(), "old:ab");
        assert_eq!(ask(world.address, get("/")).await.text(), "new:");
    });
}

#[test]
fn a_kept_connection_sees_the_next_configuration_at_its_next_request() {
    run(async {
        let (old, new) = (Origin::saying("old").await, Origin::saying("new").await);
        let draft = |shares: &[(&str, u32)]| Draft {
            mode: None,
            purges: domain::model::Purges::default(),
            hostname: HOST.to_owned(),
            rules: vec![(Criteria::default(), forward(shares))],
            upstreams: vec![
                ("old", vec![(old.address, 1)]),
                ("new", vec![(new.address, 1)]),
            ],
            ..Draft::default()
        };
        let mut world = World::with(draft(&[("old", 1)])).await;
        let mut sender = connect(world.address).await;
        for (shares, text) in [
            ([("old", 1)], "old"),
            ([("new", 1)], "new"),
            ([("old", 1)], "old"),
        ] {
            world.publish(&[draft(&shares)]);
            let answer = sender.send_request(get("/")).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text);
        }
    });
}
