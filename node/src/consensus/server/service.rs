//! What other nodes may ask of this one. A call that carries a vote must come from the node that
//! the vote names: a certificate of ours is not enough to speak for another member.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::query;
use injection::{Mutant, Point, mutant, point};
use openraft::async_runtime::watch::WatchReceiver;
use platform::trace::Tracer;
use raft_store::types::{LogId, Member, NodeId, Raft, Snapshot, Vote};
use raft_store::{Checkpoints, Progress, Reader, StateHashes};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::Caller;
use crate::backup::source::{Part, Source, SourceError};
use crate::bootstrap::Bootstrapper;
use crate::consensus::era::Era;
use crate::consensus::formation::Probation;
use crate::consensus::fullness::Gate;
use crate::consensus::membership::Desk;
use crate::consensus::reads::Confirmations;
use crate::consensus::wire::{self, proto};
use crate::consensus::{checkpoint, propose};
use crate::control_plane::{LocalFleet, LocalLimits};
use crate::keys::KeyRing;
use crate::traces::Traces;
use proto::node_server::Node;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What this node answers other nodes with. Cloning shares it.
#[derive(Clone)]
pub(crate) struct NodeService {
    pub(crate) this: Member,
    pub(crate) raft: Raft,
    pub(crate) gate: Gate,
    pub(crate) reader: Reader,
    pub(crate) confirmations: Confirmations,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) probation: Probation,
    pub(crate) era: Era,
    /// Drawn anew by each process.
    pub(crate) process: u64,
    pub(crate) desk: Desk,
    pub(crate) keys: KeyRing,
    pub(crate) bootstrapper: Bootstrapper,
    pub(crate) backups: Source,
    pub(crate) state_hashes: StateHashes,
    /// Set once the fleet is there, which is after consensus.
    pub(crate) fleet: Arc<OnceLock<Arc<dyn LocalFleet>>>,
    /// Set once the limits are there, which is after consensus.
    pub(crate) limits: Arc<OnceLock<Arc<dyn LocalLimits>>>,
    pub(crate) tracer: Tracer,
    pub(crate) traces: Traces,
}

fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    match request.extensions().get::<Caller>() {
        Some(Caller(id)) => Ok(*id),
        None => Err(Status::unauthenticated("only nodes are answered")),
    }
}

/// Fails unless `vote` names the caller.
fn claims(caller: NodeId, vote: &Vote) -> Result<(), Status> {
    let named = vote.leader_id.node_id;
    if named == caller {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "node {caller} sent a vote of node {named}"
    )))
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

impl NodeService {
    /// Who calls, if this node takes part in consensus at all.
    fn voter<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        self.probation.check()?;
        self.contemporary(request)
    }

    /// Fails unless the caller is a member, as far as this node knows. One that was removed would
    /// otherwise take itself for one for as long as it is answered.
    fn member<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        let caller = self.contemporary(request)?;
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        if membership.get_node(&caller).is_none() {
            return Err(Status::permission_denied(format!(
                "node {caller} is no member of the cluster"
            )));
        }
        Ok(caller)
    }

    /// Who calls, if it is of this node's epoch.
    fn contemporary<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        let caller = caller(request)?;
        self.era.check(caller, request.metadata())?;
        Ok(caller)
    }

    async fn vote_reply(
        &self,
        request: Request<proto::VoteRequest>,
        pre: bool,
    ) -> Result<Response<proto::VoteReply>, Status> {
        let caller = self.voter(&request)?;
        let mut request = wire::vote_request(request.into_inner())?;
        claims(caller, &request.vote)?;
        if mutant::active(Mutant::VoteUnchecked) {
            request.last_log_id = Some(LogId::new(request.vote.leader_id, u64::MAX));
        }
        let _ = point::pass(Point::BeforeRpcReply).await;
        let result = if pre {
            self.raft.pre_vote(request).await
        } else {
            self.raft.vote(request).await
        };
        let _ = point::pass(Point::AfterRpcReply).await;
        Ok(Response::new(result.map_err(stopped)?.into()))
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type AppendStreamStream = Replies<proto::AppendReply>;
    type ForwardStream = Replies<proto::OutcomeBatch>;
    type BackupStream = Replies<proto::BackupPart>;

    async fn append(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendReply>, Status> {
        let caller = self.voter(&request)?;
        let message = request.into_inner();
        wire::note_traces(&message, &self.traces);
        let request = wire::append_request(message)?;
        claims(caller, &request.vote)?;
        let matched = request
            .entries
            .last()
            .map(|entry| entry.log_id)
            .or(request.prev_log_id);
        let prev = request.prev_log_id;
        let _ = point::pass(Point::BeforeRpcReply).await;
        let response = self.raft.append_entries(request).await.map_err(stopped)?;
        if response.is_conflict() && prev.is_none() {
            return Err(Status::internal("a conflict with the beginning of the log"));
        }
        let _ = point::pass(Point::AfterRpcReply).await;
        Ok(Response::new(
            response.into_stream_result(prev, matched).into(),
        ))
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let caller = self.voter(&request)?;
        let traces = self.traces.clone();
        let requests = request.into_inner().map_while(move |message| {
            let admitted = message.and_then(|message| {
                wire::note_traces(&message, &traces);
                let request = wire::append_request(message)?;
                claims(caller, &request.vote)?;
                Ok(request)
            });
            // The leader sees its stream end and opens another one.
            admitted
                .inspect_err(
                    |status| tracing::debug!(%status, node = caller, "an append stream ended"),
                )
                .ok()
        });
        let replies = self.raft.stream_append(requests).then(async |result| {
            let _ = point::pass(Point::AfterRpcReply).await;
            result.map(proto::AppendReply::from).map_err(stopped)
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteReply>, Status> {
        self.vote_reply(request, false).await
    }

    async fn pre_vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteReply>, Status> {
        self.vote_reply(request, true).await
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderReply>, Status> {
        let caller = self.voter(&request)?;
        let request = wire::transfer_request(request.into_inner())?;
        claims(caller, request.from_leader())?;
        let response = self
            .raft
            .handle_transfer_leader(request)
            .await
            .map_err(stopped)?;
        Ok(Response::new(response.into()))
    }

    async fn install_checkpoint(
        &self,
        request: Request<Streaming<proto::CheckpointPart>>,
    ) -> Result<Response<proto::InstallCheckpointReply>, Status> {
        let caller = self.voter(&request)?;
        let admit = |vote: &Vote| claims(caller, vote);
        let (vote, checkpoint) =
            checkpoint::receive(&self.checkpoints, request.into_inner(), admit).await?;
        let mut meta = checkpoint.meta();
        if mutant::active(Mutant::MembershipKept) {
            let metrics = self.raft.server_metrics();
            meta.last_membership = (*metrics.borrow_watched().membership_config).clone();
        }
        let snapshot = Snapshot {
            meta,
            snapshot: checkpoint,
        };
        let response = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(stopped)?;
        Ok(Response::new(proto::InstallCheckpointReply {
            vote: wire::encode_vote(&response.vote),
        }))
    }

    async fn forward(
        &self,
        request: Request<Streaming<proto::ProposalBatch>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        self.member(&request)?;
        let tracing = (self.tracer.clone(), self.traces.clone());
        let replies = propose::serve(
            (self.raft.clone(), self.gate.clone()),
            self.this.id,
            request.into_inner(),
            tracing,
        );
        Ok(Response::new(Box::pin(replies)))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexReply>, Status> {
        self.member(&request)?;
        let index = self
            .confirmations
            .once()
            .await
            .map_err(Status::failed_precondition)?;
        Ok(Response::new(proto::ReadIndexReply { index: index.0 }))
    }

    async fn state_hash(
        &self,
        request: Request<proto::StateHashRequest>,
    ) -> Result<Response<proto::StateHashReply>, Status> {
        self.member(&request)?;
        let position = wire::decode_log_id(&request.into_inner().position)?;
        let (sha256, hashing) = match self.state_hashes.at(position) {
            Progress::Taken(taken) => (Bytes::copy_from_slice(&taken.sha256), false),
            Progress::Taking => (Bytes::new(), true),
            Progress::Unknown => (Bytes::new(), false),
        };
        Ok(Response::new(proto::StateHashReply { sha256, hashing }))
    }

    async fn fleet(
        &self,
        request: Request<proto::FleetMessage>,
    ) -> Result<Response<proto::FleetMessage>, Status> {
        self.contemporary(&request)?;
        let Some(fleet) = self.fleet.get() else {
            return Err(Status::unavailable("the node is starting"));
        };
        let Some(data) = fleet.answer(&request.into_inner().data).await else {
            return Err(Status::invalid_argument("the question is not understood"));
        };
        Ok(Response::new(proto::FleetMessage { data: data.into() }))
    }

    async fn lease(
        &self,
        request: Request<proto::LeaseMessage>,
    ) -> Result<Response<proto::LeaseMessage>, Status> {
        self.contemporary(&request)?;
        let Some(limits) = self.limits.get() else {
            return Err(Status::unavailable("the node is starting"));
        };
        let Some(data) = limits.answer(&request.into_inner().data) else {
            return Err(Status::invalid_argument("the question is not understood"));
        };
        Ok(Response::new(proto::LeaseMessage { data: data.into() }))
    }

    async fn introduce(
        &self,
        request: Request<proto::Introduction>,
    ) -> Result<Response<proto::Introduction>, Status> {
        caller(&request)?;
        if request.into_inner().forming {
            self.probation.end().await.map_err(stopped)?;
        }
        let initialized = self.raft.is_initialized().await.map_err(stopped)?;
        let members = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics
                .membership_config
                .nodes()
                .map(|(id, _)| *id)
                .collect()
        };
        let pepper_check = Bytes::copy_from_slice(&self.keys.pepper_check().0);
        let retired = self.reader.read(|view| query::retired_members(view));
        let retired = retired.map_err(stopped)?;
        let keks = self.keys.keks().ids();
        let keks = keks.map(|id| Bytes::copy_from_slice(&id.0));
        let peppers = self.keys.peppers();
        let peppers = peppers.map(|pepper| Bytes::copy_from_slice(&pepper.id().0));
        let this = self.this.clone();
        Ok(Response::new(proto::Introduction {
            id: this.id,
            initialized,
            pepper_check,
            members,
            forming: false,
            admitted: !self.probation.lasts(),
            process: self.process,
            retired: retired.into_keys().map(|member| member.0).collect(),
            region: this.region,
            internal: this.internal,
            rest: this.rest,
            publisher: this.publisher,
            keks: keks.collect(),
            peppers: peppers.collect(),
        }))
    }

    async fn admit(
        &self,
        request: Request<proto::AdmitRequest>,
    ) -> Result<Response<proto::AdmitReply>, Status> {
        let caller = caller(&request)?;
        if request.into_inner().process != self.process {
            return Err(Status::failed_precondition(
                "the node was started anew since it was asked",
            ));
        }
        self.probation.end().await.map_err(stopped)?;
        tracing::info!(leader = caller, "a cluster takes this node up");
        Ok(Response::new(proto::AdmitReply {}))
    }

    async fn cluster(
        &self,
        request: Request<proto::ClusterMessage>,
    ) -> Result<Response<proto::ClusterMessage>, Status> {
        let caller = caller(&request)?;
        let question = request.into_inner().data;
        let Some(data) = self.desk.answer(caller, &question).await else {
            return Err(Status::invalid_argument("the question is not understood"));
        };
        Ok(Response::new(proto::ClusterMessage { data: data.into() }))
    }

    async fn bootstrap(
        &self,
        request: Request<proto::BootstrapRequest>,
    ) -> Result<Response<proto::BootstrapReply>, Status> {
        caller(&request)?;
        let reply = self
            .bootstrapper
            .bootstrap(request.into_inner().workspace_name)
            .await?;
        Ok(Response::new(reply))
    }

    async fn backup(
        &self,
        request: Request<proto::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        caller(&request)?;
        let parts = self.backups.tell().await.map_err(not_told)?;
        let parts = ReceiverStream::new(parts).map(|part| {
            let part = match part.map_err(not_told)? {
                Part::Rows(rows) => proto::backup_part::Part::Rows(rows),
                Part::Statement(signed) => {
                    let text = serde_json::to_vec(&signed).map_err(stopped)?;
                    proto::backup_part::Part::Statement(text.into())
                }
            };
            Ok(proto::BackupPart { part: Some(part) })
        });
        Ok(Response::new(Box::pin(parts)))
    }
}

fn not_told(error: SourceError) -> Status {
    let reason = error.to_string();
    match error {
        SourceError::Nothing | SourceError::Unsigned(_) => Status::failed_precondition(reason),
        SourceError::Busy
        | SourceError::Unavailable(_)
        | SourceError::Storage
        | SourceError::Stalled => Status::unavailable(reason),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn nobody_votes_or_leads_in_the_name_of_another_member() {
        assert!(claims(2, &Vote::new(7, 2)).is_ok());
        assert!(claims(2, &Vote::new_committed(7, 2)).is_ok());
        let refused = claims(3, &Vote::new_committed(7, 2)).map_err(|status| status.code());
        assert_eq!(refused, Err(Code::PermissionDenied));
    }

    #[test]
    fn a_call_without_a_known_caller_is_refused() {
        let mut request = Request::new(());
        assert_eq!(
            caller(&request).map_err(|status| status.code()),
            Err(Code::Unauthenticated)
        );
        request.extensions_mut().insert(Caller(4));
        assert_eq!(caller(&request).map_err(|status| status.code()), Ok(4));
    }
}
