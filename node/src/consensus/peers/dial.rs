//! How a connection to another node is opened: TCP through the network port, mutual TLS, and the
//! check that whoever answers is the member that was meant, wherever its address leads.

use std::sync::Arc;

use platform::Network;
use platform::tls::{ALPN_H2, Identity, NODE_SERVER_NAME, Peer, TlsError};
use raft_store::types::NodeId;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::Connection;
use crate::control_plane::BoxFuture;

/// Why there is no connection. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody answered, or not as our own process.
    #[error("cannot connect to {address}: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// For people.
        reason: String,
    },
    /// It took too long.
    #[error("cannot connect to {address} in time")]
    Deadline {
        /// Where.
        address: String,
    },
    /// Somebody of ours answered, but not the member that was meant.
    #[error("{address} is {found}, not node {expected}")]
    Stranger {
        /// Where.
        address: String,
        /// Who was meant.
        expected: NodeId,
        /// Who answered.
        found: String,
    },
    /// The runtime is shutting down.
    #[error("the attempt to connect was aborted")]
    Aborted,
}

/// Opens connections to nodes.
pub(crate) trait Dial: Send + Sync + 'static {
    /// Connects to the node `id` at `address`. It has no deadline of its own.
    fn dial<'a>(
        &'a self,
        id: NodeId,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, DialError>>;
}

/// Dials over a network with mutual TLS.
pub(crate) struct TlsDialer<N> {
    network: N,
    connector: TlsConnector,
}

impl<N: Network> TlsDialer<N> {
    pub(crate) fn new(network: N, identity: &Identity) -> Result<Self, TlsError> {
        let config = identity.client(ALPN_H2)?;
        Ok(Self {
            network,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn open(&self, id: NodeId, address: &str) -> Result<Connection, DialError> {
        let refused = |error: &dyn std::fmt::Display| DialError::Refused {
            address: address.to_owned(),
            reason: error.to_string(),
        };
        let tcp = self
            .network
            .connect(address)
            .await
            .map_err(|error| refused(&error))?;
        let name = ServerName::try_from(NODE_SERVER_NAME).map_err(|error| refused(&error))?;
        let stream = self
            .connector
            .connect(name, tcp)
            .await
            .map_err(|error| refused(&error))?;
        let found = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(Peer::of);
        if found != Some(Peer::Node(id)) {
            return Err(DialError::Stranger {
                address: address.to_owned(),
                expected: id,
                found: found
                    .map_or_else(|| "nobody we know".to_owned(), |peer| format!("{peer:?}")),
            });
        }
        Connection::open(stream)
            .await
            .map_err(|error| refused(&error))
    }
}

impl<N: Network> Dial for TlsDialer<N> {
    fn dial<'a>(
        &'a self,
        id: NodeId,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, DialError>> {
        Box::pin(self.open(id, address))
    }
}
