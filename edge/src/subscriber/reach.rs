//! Reaches one of several nodes: in turn, each a little after the one before, without waiting for the
//! end of it. So a node that is dead, or behind a link that swallows packets, costs half a second and not
//! its whole time-out; the first that answers is taken. The idea is that of Happy Eyeballs
//! (RFC 8305), with nodes in the place of addresses.
//!
//! In which order nodes are tried, and how long to wait when none was reached, is
//! [`edge_protocol::backoff`]'s matter.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use edge_protocol::backoff::Rotation;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// How long a node is given before the next one is tried beside it: two round trips, which a handshake with a
/// retry takes, over any link between two places on Earth.
const STAGGER: Duration = Duration::from_millis(500);

/// So many nodes at most are tried at the same time.
const BESIDE_MAX: usize = 4;

/// Tries every node once, until one is reached. Gives its address and what `connect` gave; or why
/// each of them was not reached.
pub(crate) async fn reach<T, E: fmt::Display, F: Future<Output = Result<T, E>>>(
    rotation: &mut Rotation,
    connect: impl Fn(String) -> F,
) -> Result<(String, T), Vec<(String, E)>> {
    let mut left = rotation.len();
    let mut trying = FuturesUnordered::new();
    let mut failed = Vec::new();
    loop {
        if left > 0
            && trying.len() < BESIDE_MAX
            && let Some(node) = rotation.take()
        {
            left -= 1;
            let connecting = connect(node.clone());
            trying.push(async move { (node, connecting.await) });
        }
        let may_try_more = left > 0 && trying.len() < BESIDE_MAX;
        tokio::select! {
            biased;
            ended = trying.next() => match ended {
                Some((node, Ok(reached))) => return Ok((node, reached)),
                Some((node, Err(error))) => {
                    tracing::info!(node, %error, "a node is not reached; trying others");
                    failed.push((node, error));
                }
                None => return Err(failed),
            },
            () = sleep(STAGGER), if may_try_more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// What becomes of connecting to a node: `a` answers at once, `b` is refused at once, and a number
    /// says after how many milliseconds it answers; `dead…` is given up after three seconds.
    async fn connect(node: String) -> Result<u64, &'static str> {
        match node.as_str() {
            "a" => Ok(0),
            "b" => Err("refused"),
            dead if dead.starts_with("dead") => {
                sleep(Duration::from_secs(3)).await;
                Err("no answer")
            }
            late => {
                let late_ms = late.parse().unwrap();
                sleep(Duration::from_millis(late_ms)).await;
                Ok(late_ms)
            }
        }
    }

    async fn reached(nodes: &str) -> (Option<String>, u128) {
        let mut rotation = Rotation::new(nodes.split_whitespace().map(str::to_owned), 0);
        let began = Instant::now();
        let reached = reach(&mut rotation, connect).await;
        (
            reached.ok().map(|(node, _)| node),
            began.elapsed().as_millis(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_node_costs_half_a_second_and_a_refusal_nothing() {
        for (nodes, node, took_ms) in [
            ("a", Some("a"), 0),
            ("b a", Some("a"), 0),
            ("dead1 a", Some("a"), 500),
            ("dead1 dead2 b a", Some("a"), 1000),
            ("400 a", Some("400"), 400),
            ("900 700", Some("900"), 900),
            ("1900 700", Some("700"), 1200),
            // The fifth waits for the first to be given up.
            ("dead1 dead2 dead3 dead4 a", Some("a"), 3000),
        ] {
            let (got, took) = reached(nodes).await;
            assert_eq!(got.as_deref(), node, "{nodes}");
            assert_eq!(took, took_ms, "{nodes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_is_reached_all_say_why() {
        let mut rotation = Rotation::new(["b", "dead"].map(str::to_owned), 1);
        let failed = reach(&mut rotation, connect).await.unwrap_err();
        let expected = [("b", "refused"), ("dead", "no answer")];
        assert_eq!(
            failed,
            expected.map(|(node, why)| (node.to_owned(), why)).to_vec()
        );
        assert_eq!(
            reach(&mut Rotation::new([], 0), connect).await,
            Err(Vec::new())
        );
    }
}
