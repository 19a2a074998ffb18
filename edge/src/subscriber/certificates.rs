//! Certificates from the node that is followed: what the routes in use show is asked for, and what is
//! given is kept and taken into use. Whatever goes wrong here leaves the rest of the connection alone;
//! it is tried again with the next.

use std::sync::Arc;

use bytes::Bytes;
use edge_protocol::certificates::Given;
use edge_protocol::frame::{Decoder, FrameError, encode};
use parking_lot::Mutex;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, WriteError};
use tokio::sync::watch;

use crate::certificates::{Named, Vault};

/// What is taken from the stream at once.
const READ_BYTES: usize = 64 * 1024;

/// The certificates that the routes in use show.
pub type Shown = watch::Receiver<Arc<Named>>;

/// How an edge comes to its certificates.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// Where they are kept.
    pub vault: Arc<Mutex<Vault>>,
    /// Which are shown.
    pub shown: Shown,
}

/// Why no more certificates come.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the stream cannot be opened")]
    Open(#[from] ConnectionError),
    #[error("the stream broke off")]
    Write(#[from] WriteError),
    #[error("the node has ended the stream")]
    Closed,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Certificates {
    /// Asks and takes for as long as the connection lasts.
    pub(super) async fn follow(mut self, connection: Connection) -> Ended {
        // Until a route shows any, there is nothing to ask for.
        if let Err(ended) = self.until_shown().await {
            return ended;
        }
        match connection.open_bi().await {
            Ok((send, receive)) => match self.converse(send, receive).await {
                Ok(never) => match never {},
                Err(ended) => ended,
            },
            Err(error) => error.into(),
        }
    }

    async fn until_shown(&mut self) -> Result<(), Ended> {
        let some = self.shown.wait_for(|shown| !shown.is_empty()).await;
        some.map(|_| ()).map_err(|_| Ended::Closed)
    }

    async fn converse(
        &mut self,
        mut send: SendStream,
        mut receive: RecvStream,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut decoder = Decoder::default();
        self.ask(&mut send).await?;
        loop {
            tokio::select! {
                read = receive.read_chunk(READ_BYTES, true) => match read {
                    Ok(Some(chunk)) => self.given(&mut decoder, &chunk.bytes)?,
                    Ok(None) | Err(_) => return Err(Ended::Closed),
                },
                changed = self.shown.changed() => {
                    changed.map_err(|_| Ended::Closed)?;
                    self.ask(&mut send).await?;
                }
            }
        }
    }

    async fn ask(&mut self, send: &mut SendStream) -> Result<(), Ended> {
        let shown = Arc::clone(&self.shown.borrow_and_update());
        let wanted = {
            let mut vault = self.vault.lock();
            drop_others(&mut vault, &shown);
            vault.wanted(&shown)
        };
        send.write_all(&encode(&wanted)?).await?;
        Ok(())
    }

    fn given(&self, decoder: &mut Decoder, bytes: &Bytes) -> Result<(), Ended> {
        decoder.push(bytes);
        while let Some(given) = decoder.next_message::<Given>()? {
            let told = format!("{given:?}");
            match self.vault.lock().take(given) {
                Ok(()) => tracing::info!(given = told, "certificates have changed"),
                Err(error) => tracing::error!(given = told, %error, "a certificate was not taken"),
            }
            // What stood in for it has done so.
            let shown = Arc::clone(&self.shown.borrow());
            drop_others(&mut self.vault.lock(), &shown);
        }
        Ok(())
    }
}

fn drop_others(vault: &mut Vault, shown: &Named) {
    if let Err(error) = vault.drop_others(shown) {
        tracing::warn!(%error, "certificates that are not shown any more could not be removed");
    }
}
