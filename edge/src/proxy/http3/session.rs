//! A connection of HTTP/3, from the end of its handshake to its own: requests are taken and served
//! side by side, and orders are obeyed as on every connection.
//!
//! It is finished in this order: what has come is taken; GOAWAY says up to where that was, and what
//! comes after it is refused, so that the client knows what it may ask for elsewhere; what was taken
//! is answered and acknowledged; the connection is closed. Whoever sends no more meanwhile loses
//! nothing.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use h3::error::{Code, ConnectionError};
use h3::server::{Connection as Http3, builder};
use platform::Network;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::debug;

use super::HEAD_BYTES_MAX;
use super::exchange::Exchange;
use super::transport::{Line, Transport};
use crate::proxy::connection::Connection;
use crate::proxy::service::Worker;

/// How many requests h3 is told may still come when it says GOAWAY. It names the last that it has
/// taken and so many more; the standard names the first that is refused.
const ONE_MORE: usize = 1;

/// A connection with its requests.
struct Session<N> {
    worker: Rc<Worker<N>>,
    connection: Rc<Connection>,
    line: Rc<Line>,
    finish: Notify,
    finishes: Cell<bool>,
}

/// Serves a connection to its end.
pub(super) async fn serve<N: Network>(
    worker: &Rc<Worker<N>>,
    connection: &Rc<Connection>,
    quic: quinn::Connection,
) {
    let session = Session {
        worker: Rc::clone(worker),
        connection: Rc::clone(connection),
        line: Rc::new(Line::new(Rc::clone(connection), quic)),
        finish: Notify::new(),
        finishes: Cell::new(false),
    };
    let mut serving = std::pin::pin!(session.run());
    let ended = connection
        .drive(serving.as_mut(), |_| session.finish.notify_one())
        .await;
    // Before what serves is dropped, which would close the connection in its own way.
    if connection.was_flooding() {
        debug!(peer = %connection.peer, "a client was ended for its flood");
        worker.tally.connection_flooding();
        session.line.close(Code::H3_EXCESSIVE_LOAD);
        return;
    }
    match ended {
        Some(Ok(())) => session.line.close(Code::H3_NO_ERROR),
        Some(Err(error)) if error.is_h3_no_error() => {}
        Some(Err(error)) => {
            debug!(peer = %connection.peer, %error, "a client's connection broke off");
        }
        None => session.line.close(Code::H3_NO_ERROR),
    }
}

impl<N: Network> Session<N> {
    async fn run(&self) -> Result<(), ConnectionError> {
        let transport = Transport::new(Rc::clone(&self.line));
        let mut http3 = builder()
            .max_field_section_size(HEAD_BYTES_MAX)
            .send_grease(false)
            .build(transport)
            .await?;
        // What is under way ends with the connection, however that ends.
        let mut requests = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                accepted = http3.accept() => {
                    // The client has said that it is done, and has all its answers.
                    let Some(resolver) = accepted? else { break };
                    if let Some(course) = self.line.take_latest() {
                        let exchange = Exchange::new(Rc::clone(&self.worker), Rc::clone(&self.connection));
                        requests.spawn_local(exchange.serve(resolver, course));
                    }
                }
                Some(_) = requests.join_next() => {}
                () = self.finish.notified(), if !self.finishes.get() => {
                    self.say_goodbye(&mut http3).await?;
                }
            }
            if self.finishes.get() && requests.is_empty() {
                break;
            }
        }
        while requests.join_next().await.is_some() {}
        Ok(())
    }

    async fn say_goodbye(
        &self,
        http3: &mut Http3<Transport, Bytes>,
    ) -> Result<(), ConnectionError> {
        self.finishes.set(true);
        self.line.refuse();
        http3.shutdown(ONE_MORE).await
    }
}
