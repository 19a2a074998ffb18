//! A node that stops: what is under way is ended and recorded, as far as that takes no longer than it
//! may.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_begins_no_attempt_and_leaves_what_it_did_not_make_to_the_next() {
    let world = World::new();
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    endpoint(&world, body).await;
    let gate = Arc::new(Semaphore::new(0));
    world
        .receivers
        .script(URL, [Behaviour::Wait(Arc::clone(&gate), 500)]);
    for number in 0..8 {
        world.route(&format!("{number}.example.net")).await;
    }
    let dispatcher = dispatch(&world);
    gate.add_permits(8);
    settled(&world, "pending", 8).await;
    // Eight retries and eight new events are one round, of which eight are under way at a time.
    dispatcher.shut_down().await;
    for number in 8..16 {
        world.route(&format!("{number}.example.net")).await;
    }
    world.advance_ms(2_000);
    let dispatcher = dispatch(&world);
    posted(&world, URL, 16).await;
    let stopping = tokio::spawn(dispatcher.shut_down());
    sleep(Duration::from_secs(1)).await;
    gate.add_permits(100);
    stopping.await.unwrap();
    assert_eq!(world.receivers.posted(URL).len(), 16);
    world.receivers.script(URL, [Behaviour::Say(200)]);
    let _dispatcher = dispatch(&world);
    world.advance_ms(60_000);
    let all = settled(&world, "succeeded", 16).await;
    assert_eq!(all.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_ends_what_is_under_way_but_does_not_wait_for_ever() {
    let world = World::new();
    let gate = Arc::new(Semaphore::new(0));
    world
        .receivers
        .script(URL, [Behaviour::Wait(Arc::clone(&gate), 200)]);
    let body = json!({"url": URL, "enabled_events": ["route.created"]});
    endpoint(&world, body).await;
    let dispatcher = dispatch(&world);
    world.route("one.example.net").await;
    posted(&world, URL, 1).await;
    let stopping = tokio::spawn(dispatcher.shut_down());
    sleep(Duration::from_secs(1)).await;
    assert!(!stopping.is_finished());
    gate.add_permits(1);
    stopping.await.unwrap();
    assert_eq!(with_status(&deliveries(&world).await, "succeeded"), 1);
    let dispatcher = dispatch(&world);
    world.route("two.example.net").await;
    posted(&world, URL, 2).await;
    timeout(A_WHILE, dispatcher.shut_down())
        .await
        .expect("it gives up");
    gate.add_permits(1);
    sleep(A_WHILE).await;
    assert_eq!(deliveries(&world).await.len(), 1);
}
