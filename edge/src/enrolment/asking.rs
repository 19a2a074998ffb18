//! Asks nodes, one after the other, until one gives a certificate.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::enrolment::{Answered, Asked, Papers, encode};
use edge_protocol::frame::Decoder;
use platform::{Entropy, Network};
use quinn::{Connection, VarInt};
use tokio::time::timeout;

use crate::subscriber::Dialer;

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

/// Asks the nodes, in their order.
pub(super) async fn ask<N: Network>(
    (network, entropy): (N, Arc<dyn Entropy>),
    config: rustls::ClientConfig,
    nodes: &[String],
    asked: &Asked,
) -> Result<Papers, AskError> {
    let unavailable = |error: &dyn std::fmt::Display| AskError::Unavailable(error.to_string());
    let dialer = Dialer::with(network, config, entropy).map_err(|error| unavailable(&error))?;
    let mut last = unavailable(&"no node is known");
    for node in nodes {
        let outcome = match dialer.connect(node).await {
            Ok(connection) => converse(&connection, asked).await,
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(Answered::Papers(papers)) => {
                dialer.close().await;
                return Ok(papers);
            }
            Ok(Answered::Refused(reason)) => {
                last = AskError::Refused(reason);
                break;
            }
            Ok(Answered::Unavailable(reason)) | Err(reason) => {
                last = AskError::Unavailable(format!("{node}: {reason}"));
            }
        }
    }
    dialer.close().await;
    Err(last)
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
