//! Proposals on their way to a leader elsewhere: one stream per leadership, many proposals in a
//! message, many messages under way. What waits while a message is being written shares the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::time::Revision;
use parking_lot::Mutex;
use platform::trace::TraceContext;
use raft_store::types::Member;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Attempt;
use crate::consensus::leadership::Leadership;
use crate::consensus::peers::{Lane, Peers, client};
use crate::consensus::wire::proto;
use proto::proposal_outcome::Outcome;
use proto::{OutcomeBatch, Proposal, ProposalBatch};

/// How many proposals wait to be sent: more than a node serves requests at a time.
const QUEUE_MAX: usize = 4096;

/// How many proposals may be under way. Beyond it, new ones wait in the queue.
const IN_FLIGHT_MAX: usize = 8192;

/// How many proposals go into one message.
const BATCH_ITEMS_MAX: usize = 512;

/// A message ends with the proposal that takes it over this: large enough that the cost per
/// message vanishes, small enough that the first proposal in it does not wait for the last.
const BATCH_BYTES_SOFT_MAX: usize = 256 * 1024;

/// How many messages wait for the connection. With more, proposals would be *sent* that could
/// still have been held back.
const MESSAGES_AHEAD: usize = 4;

/// How long it may take to connect and have the stream accepted: within the patience of those
/// who wait for it, so that they hear why.
const OPEN_DEADLINE: Duration = Duration::from_millis(1_500);

/// Streams to leaders. Cloning shares them.
#[derive(Clone)]
pub(super) struct Forwarder {
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
    streams: Arc<Mutex<BTreeMap<u64, mpsc::Sender<Outgoing>>>>,
}

struct Outgoing {
    command: Bytes,
    repeatable: bool,
    trace: Option<TraceContext>,
    answer: oneshot::Sender<Attempt>,
}

impl Forwarder {
    pub(super) fn new(peers: Peers, leadership: watch::Receiver<Leadership>) -> Self {
        Self {
            peers,
            leadership,
            streams: Arc::default(),
        }
    }

    /// Sends a command to the leader of `term`, which is told of the place in a trace that it is sent for. It has no deadline
    /// of its own.
    pub(super) async fn forward(
        &self,
        term: u64,
        leader: &Member,
        (command, trace): (Bytes, Option<TraceContext>),
        repeatable: bool,
    ) -> Attempt {
        let (answer, outcome) = oneshot::channel();
        let stream = self.stream(term, leader);
        if stream
            .send(Outgoing {
                command,
                repeatable,
                trace,
                answer,
            })
            .await
            .is_err()
        {
            return Attempt::Refused("the stream to the leader has ended".to_owned());
        }
        outcome
            .await
            .unwrap_or_else(|_| Attempt::Unknown("the stream to the leader was aborted".to_owned()))
    }

    fn stream(&self, term: u64, leader: &Member) -> mpsc::Sender<Outgoing> {
        let mut streams = self.streams.lock();
        if let Some(open) = streams.get(&term).filter(|open| !open.is_closed()) {
            return open.clone();
        }
        streams.retain(|_, open| !open.is_closed());
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        streams.insert(term, sender.clone());
        let stream = OutStream {
            term,
            leader: leader.clone(),
            leadership: self.leadership.clone(),
            queue,
            unsent: Vec::new(),
            in_flight: BTreeMap::new(),
            next_number: 0,
        };
        tokio::spawn(stream.run(self.peers.clone()));
        sender
    }
}

/// One stream, driven by one task.
struct OutStream {
    term: u64,
    leader: Member,
    leadership: watch::Receiver<Leadership>,
    queue: mpsc::Receiver<Outgoing>,
    /// Taken from the queue and not sent.
    unsent: Vec<Outgoing>,
    /// Sent and not answered, by number.
    in_flight: BTreeMap<u64, InFlight>,
    next_number: u64,
}

struct InFlight {
    repeatable: bool,
    answer: oneshot::Sender<Attempt>,
}

impl OutStream {
    async fn run(mut self, peers: Peers) {
        let reason = match tokio::time::timeout(OPEN_DEADLINE, open(&peers, &self.leader)).await {
            Ok(Ok((messages, replies))) => self.pump(messages, replies).await,
            Ok(Err(reason)) => reason,
            Err(_) => format!("node {} did not accept the stream in time", self.leader.id),
        };
        self.refuse_unsent(&reason).await;
        for sent in std::mem::take(&mut self.in_flight).into_values() {
            let _ = sent.answer.send(Attempt::Unknown(reason.clone()));
        }
    }

    /// Moves proposals out and answers in until the stream is of no more use, and says why.
    async fn pump(
        &mut self,
        messages: mpsc::Sender<ProposalBatch>,
        mut replies: Streaming<OutcomeBatch>,
    ) -> String {
        let mut superseded = false;
        loop {
            let wants_more =
                !superseded && self.unsent.is_empty() && self.in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                reply = replies.next() => match reply {
                    Some(Ok(batch)) => self.settle(batch),
                    Some(Err(status)) => return format!("node {}: {}", self.leader.id, status.message()),
                    None => return format!("node {} ended the stream", self.leader.id),
                },
                // A permit first, so that a message that cannot be written never keeps answers
                // from being read: both sides waiting to write would wait forever.
                permit = messages.reserve(), if !self.unsent.is_empty() => match permit {
                    Ok(permit) => permit.send(self.next_message()),
                    Err(_) => return format!("the stream to node {} broke", self.leader.id),
                },
                taken = self.queue.recv_many(&mut self.unsent, BATCH_ITEMS_MAX), if wants_more => {
                    if taken == 0 {
                        return "the node is shutting down".to_owned();
                    }
                }
                changed = self.leadership.changed(), if !superseded => {
                    superseded = changed.is_err() || !self.leads();
                    if superseded {
                        self.supersede().await;
                    }
                }
            }
            if superseded && self.in_flight.is_empty() {
                return "the leader changed".to_owned();
            }
        }
    }

    fn leads(&self) -> bool {
        let known = self.leadership.borrow();
        known.term == self.term && known.leader_id() == Some(self.leader.id)
    }

    fn next_message(&mut self) -> ProposalBatch {
        let mut proposals = Vec::with_capacity(self.unsent.len());
        let mut bytes = 0;
        let mut taken = 0;
        while taken < self.unsent.len() && bytes < BATCH_BYTES_SOFT_MAX {
            bytes += self.unsent[taken].command.len();
            taken += 1;
        }
        for Outgoing {
            command,
            repeatable,
            trace,
            answer,
        } in self.unsent.drain(..taken)
        {
            let number = self.next_number;
            self.next_number += 1;
            self.in_flight
                .insert(number, InFlight { repeatable, answer });
            proposals.push(Proposal {
                number,
                command,
                traceparent: trace.map(|place| place.to_string()).unwrap_or_default(),
            });
        }
        ProposalBatch {
            term: self.term,
            proposals,
        }
    }

    fn settle(&mut self, batch: OutcomeBatch) {
        for outcome in batch.outcomes {
            let Some(sent) = self.in_flight.remove(&outcome.number) else {
                continue;
            };
            let attempt = match outcome.outcome {
                Some(Outcome::Applied(revision)) => Attempt::Applied(Revision(revision)),
                Some(Outcome::Refused(reason)) => Attempt::Refused(reason),
                Some(Outcome::StorageFull(reason)) => Attempt::Full(reason),
                Some(Outcome::Unknown(reason)) => Attempt::Unknown(reason),
                None => Attempt::Unknown("the leader's answer is empty".to_owned()),
            };
            let _ = sent.answer.send(attempt);
        }
    }

    /// Another leader is known. Nothing more goes out here; what can safely be repeated is
    /// repeated through the new leader at once. The rest waits for the old one, which may well
    /// be alive and about to answer.
    async fn supersede(&mut self) {
        let reason = "the leader changed";
        self.refuse_unsent(reason).await;
        let (repeatable, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.in_flight)
                .into_iter()
                .partition(|(_, sent)| sent.repeatable);
        self.in_flight = others;
        for sent in repeatable.into_values() {
            let _ = sent.answer.send(Attempt::Unknown(reason.to_owned()));
        }
    }

    async fn refuse_unsent(&mut self, reason: &str) {
        self.queue.close();
        let mut unsent = std::mem::take(&mut self.unsent);
        while let Some(outgoing) = self.queue.recv().await {
            unsent.push(outgoing);
        }
        for outgoing in unsent {
            let _ = outgoing.answer.send(Attempt::Refused(reason.to_owned()));
        }
    }
}

/// Opens the stream; nothing has been sent on it when this fails.
async fn open(
    peers: &Peers,
    leader: &Member,
) -> Result<(mpsc::Sender<ProposalBatch>, Streaming<OutcomeBatch>), String> {
    let connection = peers
        .connect(leader, Lane::Forward)
        .await
        .map_err(|error| error.to_string())?;
    let (messages, queue) = mpsc::channel(MESSAGES_AHEAD);
    let replies = client(connection)
        .forward(ReceiverStream::new(queue))
        .await
        .map_err(|status| format!("node {}: {}", leader.id, status.message()))?;
    Ok((messages, replies.into_inner()))
}

#[cfg(test)]
mod tests;
