//! One edge's connection to the desk: a question, an answer, and the end.

use std::time::Duration;

use edge_protocol::enrolment::{Answered, Asked, encode};
use edge_protocol::frame::{Decoder, FrameError};
use platform::tls::EdgeCertificate;
use quinn::{Connection, RecvStream, VarInt};
use tokio::time::timeout;

use super::Desk;

/// How long an edge may take to ask, and an answer to arrive.
const STEP_MAX: Duration = Duration::from_secs(5);

/// The same for somebody who shows no certificate: it has a place that others wait for, and its question fits in the first packet that it
/// sends after the handshake.
const STRANGERS_STEP_MAX: Duration = Duration::from_secs(2);

/// What is taken from the stream at once.
const READ_BYTES: usize = 4 * 1024;

/// The close code of a connection on which nothing was asked.
const CLOSE_SILENT: VarInt = VarInt::from_u32(1);

/// Serves a connection to its end. `shown` is the certificate of the handshake, if there was one.
pub(crate) async fn serve(desk: Desk, connection: Connection, shown: Option<EdgeCertificate>) {
    let from = connection.remote_address().ip();
    let step_max = match shown {
        Some(_) => STEP_MAX,
        None => STRANGERS_STEP_MAX,
    };
    let asked = timeout(step_max, async {
        let (send, mut receive) = connection.accept_bi().await.ok()?;
        Some((send, ask(&mut receive).await?))
    });
    let Ok(Some((mut send, asked))) = asked.await else {
        return connection.close(CLOSE_SILENT, b"nothing was asked");
    };
    let answered = match asked {
        Ok(asked) => {
            tracing::debug!(?asked, %from, "an edge asks for a certificate");
            desk.answer(asked, shown, from).await
        }
        Err(error) => Answered::Refused(error.to_string()),
    };
    if let Answered::Refused(reason) = &answered {
        tracing::warn!(%from, reason, "an edge got no certificate");
    }
    let bytes = match encode(&answered) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an edge gets no certificate: what it would get is too large");
            return connection.close(CLOSE_SILENT, b"the answer is too long");
        }
    };
    let _ = timeout(step_max, async {
        send.write_all(&bytes).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok()
    })
    .await;
    connection.close(VarInt::from_u32(0), b"");
}

/// What is asked; nothing, if the edge is gone.
async fn ask(receive: &mut RecvStream) -> Option<Result<Asked, FrameError>> {
    let mut decoder = Decoder::default();
    loop {
        match decoder.next_message() {
            Ok(Some(asked)) => return Some(Ok(asked)),
            Ok(None) => {}
            Err(error) => return Some(Err(error)),
        }
        let chunk = receive.read_chunk(READ_BYTES, true).await.ok()??;
        decoder.push(&chunk.bytes);
    }
}
