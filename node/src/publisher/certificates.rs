//! Certificates for one edge, on a stream of their own: what its routes show, now and whenever it
//! changes. Private keys are opened here, for an edge whose certificate says that it is one of this
//! cluster's, and for the environment that it was let in to.

use std::collections::BTreeMap;

use domain::id::{CertificateId, EnvironmentId};
use domain::model::Certificate;
use domain::query;
use edge_protocol::certificates::{Given, Wanted};
use edge_protocol::frame::{Decoder, FrameError, encode};
use quinn::{Connection, RecvStream, SendStream};
use zeroize::Zeroizing;

use super::Shared;

/// What is taken from the stream at once.
const READ_BYTES: usize = 16 * 1024;

/// Why the stream ends before the connection does.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the edge is gone")]
    Gone,
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What an edge shows, and what it has of it.
struct Shown {
    shared: Shared,
    environment: EnvironmentId,
    versions: BTreeMap<CertificateId, u32>,
    decoder: Decoder,
}

/// What is to be said of a certificate.
enum Due {
    Give(Box<Certificate>),
    Gone(CertificateId),
}

/// Serves the stream, if the edge opens it, for as long as the connection lasts.
pub(super) async fn serve(shared: Shared, connection: Connection, environment: EnvironmentId) {
    let Ok((send, receive)) = connection.accept_bi().await else {
        return;
    };
    let shown = Shown {
        shared,
        environment,
        versions: BTreeMap::new(),
        decoder: Decoder::default(),
    };
    if let Err(Ended::Frame(error)) = shown.run(send, receive).await {
        tracing::warn!(%error, "an edge asked for certificates in a way that is not understood");
    }
}

impl Shown {
    async fn run(mut self, mut send: SendStream, mut receive: RecvStream) -> Result<(), Ended> {
        let mut changes = self.shared.feeds.follow_certificates(&self.environment);
        loop {
            self.answer(&mut send).await?;
            tokio::select! {
                read = receive.read_chunk(READ_BYTES, true) => match read {
                    Ok(Some(chunk)) => self.wanted(&chunk.bytes)?,
                    Ok(None) | Err(_) => return Err(Ended::Gone),
                },
                changed = changes.changed() => changed.map_err(|_| Ended::Gone)?,
            }
        }
    }

    /// What the edge has is what it says last.
    fn wanted(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.decoder.push(bytes);
        while let Some(Wanted(wanted)) = self.decoder.next_message()? {
            self.versions = wanted.into_iter().collect();
        }
        Ok(())
    }

    async fn answer(&mut self, send: &mut SendStream) -> Result<(), Ended> {
        for due in self.due() {
            let (id, version, given) = match due {
                Due::Gone(id) => (id.clone(), 0, Given::Gone(id)),
                Due::Give(certificate) => match self.given(&certificate) {
                    Some(given) => (certificate.id, certificate.version, given),
                    None => continue,
                },
            };
            let bytes = Zeroizing::new(encode(&given)?);
            send.write_all(&bytes).await.map_err(|_| Ended::Gone)?;
            self.versions.insert(id, version);
        }
        Ok(())
    }

    fn due(&self) -> Vec<Due> {
        let found = self.shared.control.read_local(|view| {
            let due = self.versions.iter().filter_map(|(id, has)| {
                match query::certificate(view, &self.environment, id) {
                    Some(found) if found.version != *has => Some(Due::Give(Box::new(found))),
                    None if *has > 0 => Some(Due::Gone(id.clone())),
                    _ => None,
                }
            });
            due.collect()
        });
        // Without storage the process is about to end.
        found.map_or_else(|_| Vec::new(), |(due, _)| due)
    }

    fn given(&self, certificate: &Certificate) -> Option<Given> {
        let opened = self.shared.keys.open(certificate);
        let key = opened
            .inspect_err(|error| tracing::error!(certificate = %certificate.id, %error, "an edge does not get a certificate"))
            .ok()?;
        Some(Given::Certificate {
            id: certificate.id.clone(),
            version: certificate.version,
            chain: certificate.material.chain.clone(),
            key: key.as_str().to_owned(),
        })
    }
}
