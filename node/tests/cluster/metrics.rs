//! What a node shows to whoever watches it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{PATIENCE, World};

/// What a scraper gets.
#[allow(
    clippy::disallowed_methods,
    reason = "a client of the API is outside the node"
)]
async fn scrape(world: &World, node: u64) -> String {
    let address = world.settings(node).rest.listen;
    let asking = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: vectorgate\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

/// Dashboards and alerts name metrics; this list is what they are held to.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_in_the_golden_list() {
    let mut world = World::new(1);
    world.start(1).await;
    world.leader().await;
    // Requests are shown once there was one, which is this.
    scrape(&world, 1).await;
    let text = world.metrics(1);
    platform::testing::assert_metrics_are_documented("node", &text);
    // Whoever computes a rate from the first failure on needs the zero before it.
    for line in [
        "vectorgate_proposals_total{outcome=\"unknown\"} 0",
        "vectorgate_edge_reports_total{state=\"rejected\"} 0",
        "vectorgate_webhook_attempts_total{result=\"no_answer\"} 0",
        "vectorgate_raft_voters 1",
        "vectorgate_storage_writes_stopped{database=\"state\"} 0",
        "vectorgate_http_requests_total{operation=\"metrics\",status=\"200\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
