//! Look-ups that take their time. Time is virtual.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::super::resolver::{LOOK_UPS_MAX, Resolver};
use super::world::{Answer, Scripted};

#[tokio::test(start_paused = true)]
async fn those_who_ask_for_one_name_at_a_time_share_a_look_up() {
    let network = Scripted::new((0..2).map(|_| Scripted::addresses(["127.0.0.1"])));
    let resolver = Resolver::new(network.clone());
    for left in [1, 0] {
        let asking = (0..8).map(|_| resolver.resolve("receiver.test:443".to_owned()));
        for addresses in join_all(asking).await {
            assert_eq!(addresses.unwrap().len(), 1);
        }
        assert_eq!(network.left(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_nobody_waits_for_any_more_hold_no_more_threads_than_there_may_be() {
    let network = Scripted::new((0..2 * LOOK_UPS_MAX).map(|_| Answer::Never));
    let resolver = Resolver::new(network.clone());
    for number in 0..2 * LOOK_UPS_MAX {
        let asking = resolver.resolve(format!("{number}.test:443"));
        let given_up = timeout(Duration::from_millis(10), asking).await;
        assert!(given_up.is_err());
    }
    assert_eq!(network.left(), LOOK_UPS_MAX);
}
