//! Proposals from other nodes, at the leader: appended as they come, answered in that order, as
//! many in a message as are known when it is written.

use platform::trace::{Kind, Span, TraceContext, Tracer};
use raft_store::types::{NodeId, Raft};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::{Attempt, Written, append, outcome};
use crate::consensus::fullness::Gate;
use crate::consensus::wire::{self, proto};
use crate::traces::Traces;
use proto::proposal_outcome::Outcome;
use proto::{OutcomeBatch, Proposal, ProposalBatch, ProposalOutcome};

/// How many proposals of one stream may wait for their outcome. Beyond it the stream is not
/// read, and the sender's queue holds the rest.
const PENDING_MAX: usize = 8192;

/// How many outcomes are looked at together.
const BATCH_ITEMS_MAX: usize = 512;

/// How many messages of outcomes wait for the connection.
const MESSAGES_AHEAD: usize = 4;

struct Pending {
    number: u64,
    written: Result<Written, Attempt>,
    span: Span,
}

impl Pending {
    /// Whether the outcome is there without waiting.
    fn is_known(&self) -> bool {
        match &self.written {
            Ok(written) => !written.is_empty(),
            Err(_) => true,
        }
    }
}

/// Serves one stream of proposals.
pub(in crate::consensus) fn serve(
    (raft, gate): (Raft, Gate),
    this: NodeId,
    batches: Streaming<ProposalBatch>,
    tracing: (Tracer, Traces),
) -> impl Stream<Item = Result<OutcomeBatch, Status>> + Send + 'static {
    let (pending, appended) = mpsc::channel(PENDING_MAX);
    let (messages, replies) = mpsc::channel(MESSAGES_AHEAD);
    tokio::spawn(append_all(
        (raft.clone(), gate),
        this,
        batches,
        pending,
        tracing,
    ));
    tokio::spawn(answer_all(raft, appended, messages));
    ReceiverStream::new(replies)
}

async fn append_all(
    (raft, gate): (Raft, Gate),
    this: NodeId,
    mut batches: Streaming<ProposalBatch>,
    pending: mpsc::Sender<Pending>,
    (tracer, traces): (Tracer, Traces),
) {
    while let Some(Ok(batch)) = batches.next().await {
        for Proposal {
            number,
            command,
            traceparent,
        } in batch.proposals
        {
            let place = TraceContext::parse(traceparent.as_bytes());
            let mut span = tracer.follow("append", Kind::Server, place);
            span.set("rpc.system", || "grpc");
            span.set("rpc.method", || "vectorgate.internal.v1.Node/Forward");
            let written = match wire::decode_command(&command) {
                Ok(proposal) => {
                    // A leader that records nothing passes on what it was told.
                    traces.note(&proposal.stamped().request_id, span.recorded().or(place));
                    append((&raft, &gate), this, batch.term, proposal).await
                }
                Err(error) => Err(Attempt::Refused(format!(
                    "the command does not decode: {error}"
                ))),
            };
            let waiting = Pending {
                number,
                written,
                span,
            };
            if pending.send(waiting).await.is_err() {
                return;
            }
        }
    }
}

async fn answer_all(
    raft: Raft,
    mut appended: mpsc::Receiver<Pending>,
    messages: mpsc::Sender<Result<OutcomeBatch, Status>>,
) {
    let mut pending = Vec::with_capacity(BATCH_ITEMS_MAX);
    while appended.recv_many(&mut pending, BATCH_ITEMS_MAX).await > 0 {
        let mut outcomes = Vec::with_capacity(pending.len());
        let mut waiting = pending.drain(..).peekable();
        while let Some(Pending {
            number,
            written,
            mut span,
        }) = waiting.next()
        {
            let attempt = match written {
                Ok(written) => outcome(&raft, written).await,
                Err(attempt) => attempt,
            };
            attempt.tell(&mut span);
            drop(span);
            outcomes.push(ProposalOutcome {
                number,
                outcome: Some(message(attempt)),
            });
            if waiting.peek().is_some_and(Pending::is_known) {
                continue;
            }
            let batch = OutcomeBatch {
                outcomes: std::mem::take(&mut outcomes),
            };
            if messages.send(Ok(batch)).await.is_err() {
                return;
            }
        }
    }
}

fn message(attempt: Attempt) -> Outcome {
    match attempt {
        Attempt::Applied(revision) => Outcome::Applied(revision.0),
        Attempt::Refused(reason) => Outcome::Refused(reason),
        Attempt::Full(reason) => Outcome::StorageFull(reason),
        Attempt::Unknown(reason) => Outcome::Unknown(reason),
    }
}
