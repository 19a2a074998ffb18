//! A client of etcd over gRPC.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest as _, Request};
use tonic_prost::ProstCodec;

use super::messages::{PutRequest, PutResponse, RangeRequest, RangeResponse};

/// A client. Clones share its connection.
#[derive(Clone)]
pub struct EtcdClient {
    grpc: Grpc<Channel>,
}

impl EtcdClient {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: &str) -> Result<Self> {
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).context("an address of etcd")?;
        let channel = endpoint
            .tcp_nodelay(true)
            .connect()
            .await
            .with_context(|| format!("etcd at {address}"))?;
        Ok(Self {
            grpc: Grpc::new(channel),
        })
    }

    /// Stores a value, durably and on a majority.
    ///
    /// # Errors
    /// When etcd does not.
    pub async fn put(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        let response: PutResponse = self
            .call("/etcdserverpb.KV/Put", PutRequest { key, value })
            .await?;
        response
            .header
            .context("an answer of etcd without a header")?;
        Ok(())
    }

    /// Reads a value, linearizably.
    ///
    /// # Errors
    /// When etcd does not answer, or has no such key.
    pub async fn get(&mut self, key: Bytes) -> Result<Bytes> {
        let response: RangeResponse = self
            .call("/etcdserverpb.KV/Range", RangeRequest { key })
            .await?;
        let Some(found) = response.kvs.into_iter().next() else {
            bail!("etcd lacks a key that it stored");
        };
        Ok(found.value)
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await.context("etcd's connection")?;
        let request: Request<Q> = request.into_request();
        let answer = self
            .grpc
            .unary(
                request,
                PathAndQuery::from_static(path),
                ProstCodec::<Q, A>::default(),
            )
            .await;
        Ok(answer
            .with_context(|| format!("etcd's answer to {path}"))?
            .into_inner())
    }
}
