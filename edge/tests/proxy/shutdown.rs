//! Stopping: nothing new, everything that is under way, and an end in any case.

use http::Response;
use http_body_util::BodyExt;
use platform::{Network, TokioNetwork};

use crate::client::{Raw, ask, connect, get, send, whole};
use crate::origin::{Origin, streaming};
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

#[test]
fn what_is_under_way_is_finished_and_nothing_new_is_taken() {
    run(async {
        let (release, held) = tokio::sync::watch::channel(false);
        let origin = Origin::start(move |_| {
            let mut held = held.clone();
            async move {
                held.wait_for(|released| *released).await.unwrap();
                Response::new(whole("finished"))
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut idle = Raw::connect(world.address).await;
        let asking = tokio::task::spawn_local(ask(world.address, get("/")));
        eventually("the origin is asked", || origin.count() == 1).await;
        let address = world.address;
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        assert_eq!(
            idle.read_to_end().await,
            "",
            "an idle connection is closed at once"
        );
        while TokioNetwork.connect(&address.to_string()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!stopping.is_finished());
        release.send_replace(true);
        let answer = asking.await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "finished"));
        assert_eq!(answer.header("connection"), Some("close"));
        stopping.await.unwrap();
    });
}

#[test]
fn what_is_not_finished_in_time_is_ended() {
    run(async {
        let origin = Origin::start(|_| async {
            let (sender, body) = streaming();
            sender.send("begun".into()).unwrap();
            // It is never dropped, so the body never ends.
            std::mem::forget(sender);
            Response::new(body)
        })
        .await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__DRAIN_MS", "50")],
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(origin.address)]);
        let answer = send(world.address, get("/")).await;
        world.running.shut_down().await;
        assert!(answer.into_body().collect().await.is_err());
    });
}

#[test]
fn a_request_that_is_sent_during_the_drain_is_answered_or_its_connection_ends_cleanly() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut sender = connect(world.address).await;
        assert_eq!(sender.send_request(get("/")).await.unwrap().status(), 200);
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        eventually("the connection ends", || sender.is_closed()).await;
        stopping.await.unwrap();
    });
}

#[test]
fn an_edge_that_is_about_to_stop_says_so_and_goes_on_until_it_does() {
    run(async {
        let origin = Origin::saying("x").await;
        let mut world = World::start(Options {
            set: vec![("TIMEOUTS__UNREADY_MS", "60000")],
            ..Options::default()
        })
        .await;
        world.publish(&[Draft::to(origin.address)]);
        assert_eq!(ask(world.admin, get("/readyz")).await.status, 200);
        let stopping = tokio::task::spawn_local(world.running.shut_down());
        while ask(world.admin, get("/readyz")).await.status != 503 {}
        let told = ask(world.admin, get("/readyz?verbose")).await;
        assert!(told.text().contains("stopping"), "{told:?}");
        // On new connections.
        for _ in 0..3 {
            assert_eq!(ask(world.address, get("/")).await.text(), "x");
        }
        assert!(!stopping.is_finished());
    });
}
