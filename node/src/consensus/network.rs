//! openraft's network: which call goes over which lane, with which deadline, and what openraft is
//! told when it fails.
//!
//! openraft waits out its back-off inside the stream of requests that it hands over, so the
//! first request is awaited *before* a connection is opened: connecting first would make a
//! refused peer a hot loop. A failure is always reported as *unreachable*, which starts that
//! back-off; *network error* would be retried at once.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use injection::{Point, point};
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use raft_store::Checkpoint;
use raft_store::types::{Member, NodeId, Snapshot, TypeConfig, Vote};

use super::checkpoint;
use super::peers::{Client, Lane, Peers, client};
use super::wire::{self, proto};
use crate::traces::Traces;

/// How long to wait before a peer that was unreachable is tried again: soon, because a node that
/// comes back should catch up within a second; ever later, because most of them do not.
const BACKOFF_MS: [u64; 4] = [50, 100, 200, 400];

type C = TypeConfig;
type Appended = Result<StreamAppendResult<C>, RPCError<C>>;

/// Makes the [`Link`]s that openraft asks for.
#[derive(Clone)]
pub(crate) struct Links {
    peers: Peers,
    traces: Traces,
}

impl Links {
    pub(crate) fn new(peers: Peers, traces: Traces) -> Self {
        Self { peers, traces }
    }

    fn link(&self, target: NodeId, node: &Member, kind: Kind) -> Link {
        Link {
            peers: self.peers.clone(),
            target,
            address: node.internal.clone(),
            kind,
            traces: self.traces.clone(),
        }
    }
}

impl RaftNetworkFactory<C> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> Link {
        self.link(target, node, Kind::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &Member) -> Link {
        self.link(target, node, Kind::Heartbeat)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Replication,
    Heartbeat,
}

/// Calls to one node.
pub(crate) struct Link {
    peers: Peers,
    target: NodeId,
    address: String,
    kind: Kind,
    traces: Traces,
}

fn unreachable(reason: &(impl std::fmt::Display + ?Sized)) -> Unreachable<C> {
    Unreachable::from_string(reason)
}

impl Link {
    async fn client(&self, lane: Lane) -> Result<Client, RPCError<C>> {
        match self
            .peers
            .connect_to(self.target, &self.address, lane)
            .await
        {
            Ok(connection) => Ok(client(connection)),
            Err(error) => Err(unreachable(&error).into()),
        }
    }

    /// Runs a call on the control lane within `deadline`, connecting included.
    async fn call<T, F>(
        &self,
        deadline: Duration,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, RPCError<C>>
    where
        F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let answer = tokio::time::timeout(deadline, async {
            let client = self.client(Lane::Control).await?;
            let _ = point::pass(Point::BeforeRpcSend).await;
            let answered = call(client).await;
            let _ = point::pass(Point::AfterRpcSend).await;
            answered.map_err(|status| unreachable(status.message()).into())
        });
        match answer.await {
            Ok(result) => result.map(tonic::Response::into_inner),
            Err(_) => Err(unreachable("no answer in time").into()),
        }
    }

    /// Sends one append as a call of its own.
    async fn append(&self, request: AppendEntriesRequest<C>, deadline: Duration) -> Appended {
        let message = wire::traced_append(request, &self.traces);
        let reply = self
            .call(deadline, |mut client| async move {
                client.append(message).await
            })
            .await?;
        wire::append_result(reply).map_err(|error| unreachable(&error).into())
    }

    /// Sends appends over one stream, as they come.
    async fn append_stream<S>(
        &self,
        first: AppendEntriesRequest<C>,
        rest: S,
    ) -> Result<BoxStream<'static, Appended>, RPCError<C>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + Send + 'static,
    {
        let mut client = self.client(Lane::Log).await?;
        let first = futures_util::stream::once(async move { first });
        let traces = self.traces.clone();
        let requests = first.chain(rest).then(move |request| {
            let traces = traces.clone();
            async move {
                let _ = point::pass(Point::BeforeRpcSend).await;
                wire::traced_append(request, &traces)
            }
        });
        let replies = client
            .append_stream(requests)
            .await
            .map_err(|status| unreachable(status.message()))?;
        let results = replies.into_inner().map(|reply| {
            let reply = reply.map_err(|status| unreachable(status.message()))?;
            Ok(wire::append_result(reply).map_err(|error| unreachable(&error))?)
        });
        Ok(Box::pin(results))
    }
}

impl NetStreamAppend<C> for Link {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let Some(first) = input.next().await else {
                let nothing: BoxStream<'s, Appended> = Box::pin(futures_util::stream::empty());
                return Ok(nothing);
            };
            if self.kind == Kind::Replication {
                return self.append_stream(first, input).await;
            }
            let link = &*self;
            let requests = futures_util::stream::once(async move { first }).chain(input);
            let results = requests.then(move |request| link.append(request, option.hard_ttl()));
            let results: BoxStream<'s, Appended> = Box::pin(results);
            Ok(results)
        })
    }
}

impl NetVote<C> for Link {
    async fn vote(
        &mut self,
        rpc: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        let message = proto::VoteRequest::from(rpc);
        let reply = self
            .call(option.hard_ttl(), |mut client| async move {
                client.vote(message).await
            })
            .await?;
        wire::vote_response(reply).map_err(|error| unreachable(&error).into())
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        let message = proto::VoteRequest::from(rpc);
        let reply = self
            .call(option.hard_ttl(), |mut client| async move {
                client.pre_vote(message).await
            })
            .await?;
        wire::vote_response(reply).map_err(|error| unreachable(&error).into())
    }
}

impl NetTransferLeader<C> for Link {
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let message = proto::TransferLeaderRequest::from(req);
        let reply = self
            .call(option.hard_ttl(), |mut client| async move {
                client.transfer_leader(message).await
            })
            .await?;
        wire::transfer_response(reply).map_err(|error| unreachable(&error).into())
    }
}

impl NetSnapshot<C> for Link {
    type SnapshotData = Checkpoint;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let sending = async {
            let client = match self
                .peers
                .connect_to(self.target, &self.address, Lane::Checkpoint)
                .await
            {
                Ok(connection) => client(connection),
                Err(error) => return Err(StreamingError::Unreachable(unreachable(&error))),
            };
            let reply: Bytes = checkpoint::send(client, &vote, snapshot.snapshot)
                .await
                .map_err(|error| StreamingError::Unreachable(unreachable(&error)))?;
            let vote = wire::decode_vote(&reply)
                .map_err(|error| StreamingError::Unreachable(unreachable(&error)))?;
            Ok(SnapshotResponse::new(vote))
        };
        tokio::select! {
            result = sending => result,
            closed = cancel => Err(closed.into()),
        }
    }
}

impl NetBackoff<C> for Link {
    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MS[BACKOFF_MS.len() - 1];
        let delays = BACKOFF_MS
            .into_iter()
            .chain(std::iter::repeat(last))
            .map(Duration::from_millis);
        Some(Backoff::new(delays))
    }
}
