//! Asks nodes until one gives a certificate: those that can be reached, one after the other.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::backoff::Rotation;
use edge_protocol::enrolment::{Answered, Asked, Papers, encode};
use edge_protocol::frame::Decoder;
use platform::{Entropy, Network};
use quinn::{Connection, VarInt};
use tokio::time::timeout;

use crate::subscriber::{Dialer, reach};

/// How long a node may take to answer: it waits for an entry of the log.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What is taken from the stream at once.
const READ_BYTES: usize = 16 * 1024;

/// Why no node gave a certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// One says no, for all of them.
    #[error("{0}")]
    Refused(String),
    /// None could now.
    #[error("{0}")]
    Unavailable(String),
}

/// Asks the nodes, in their order; one that cannot be reached holds the next up for half a second.
pub(super) async fn ask<N: Network>(
    (network, entropy): (N, Arc<dyn Entropy>),
    config: rustls::ClientConfig,
    nodes: &[String],
    asked: &Asked,
) -> Result<Papers, AskError> {
    let unavailable = |error: &dyn std::fmt::Display| AskError::Unavailable(error.to_string());
    let dialer = Dialer::with(network, config, entropy).map_err(|error| unavailable(&error))?;
    let mut rotation = Rotation::new(nodes.iter().cloned(), 0);
    let outcome = in_turn(&dialer, &mut rotation, asked).await;
    dialer.close().await;
    outcome
}

async fn in_turn<N: Network>(
    dialer: &Dialer<N>,
    rotation: &mut Rotation,
    asked: &Asked,
) -> Result<Papers, AskError> {
    let connect = |node: String| async move { dialer.connect(&node).await };
    let mut reasons = Vec::new();
    for _ in 0..rotation.len() {
        let (node, connection) = match reach(rotation, connect).await {
            Ok(reached) => reached,
            Err(failed) => {
                reasons.extend(
                    failed
                        .iter()
                        .map(|(node, error)| format!("{node}: {error}")),
                );
                break;
            }
        };
        match converse(&connection, asked).await {
            Ok(Answered::Papers(papers)) => return Ok(papers),
            Ok(Answered::Refused(reason)) => return Err(AskError::Refused(reason)),
            Ok(Answered::Unavailable(reason)) | Err(reason) => {
                reasons.push(format!("{node}: {reason}"));
            }
        }
    }
    if reasons.is_empty() {
        reasons.push("no node is known".to_owned());
    }
    Err(AskError::Unavailable(reasons.join("; ")))
}

/// One question, one answer.
async fn converse(connection: &Connection, asked: &Asked) -> Result<Answered, String> {
    let answered = timeout(ANSWER_MAX, async {
        let (mut send, mut receive) = connection.open_bi().await.map_err(told)?;
        let bytes = encode(asked).map_err(told)?;
        send.write_all(&bytes).await.map_err(told)?;
        send.finish().map_err(told)?;
        let mut decoder = Decoder::default();
        loop {
            if let Some(answered) = decoder.next_message().map_err(told)? {
                return Ok(answered);
            }
            let read = receive.read_chunk(READ_BYTES, true).await.map_err(told)?;
            let chunk = read.ok_or_else(|| told("it ended without an answer"))?;
            decoder.push(&chunk.bytes);
        }
    });
    let outcome = answered.await;
    connection.close(VarInt::from_u32(0), b"");
    outcome.unwrap_or_else(|_| Err(told("it did not answer in time")))
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
