//! What nodes say to each other, as bytes: between openraft's and the domain's types and the
//! messages of `proto/internal.proto`. Nothing here sends anything.

use bytes::Bytes;
use domain::id::RequestId;
use injection::{Mutant, mutant};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use platform::trace::TraceContext;
use raft_store::Proposal;
use raft_store::codec::{self, CodecError};
use raft_store::types::{LogId, TypeConfig, Vote};

use crate::traces::Traces;

/// The generated messages and service.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub(crate) mod proto {
    tonic::include_proto!("vectorgate.internal.v1");
}

/// The largest message that is read or written. An entry is at most about a mebibyte (a REST
/// body), and a batch ends with the entry that takes it over its soft limit, so four times the
/// largest entry is room enough; what is larger is broken or hostile.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The version byte before a command.
const VERSION: u8 = 1;

/// Why a message from another node cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// A record in it does not decode.
    #[error(transparent)]
    Record(#[from] CodecError),
    /// A part that has to be there is not.
    #[error("the message has no {0}")]
    Missing(&'static str),
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// Writes a command.
pub(crate) fn encode_command(proposal: &Proposal) -> Bytes {
    [&[VERSION], &proposal.bytes()[..]].concat().into()
}

/// Reads a command.
pub(crate) fn decode_command(bytes: &[u8]) -> Result<Proposal, WireError> {
    let error = match bytes {
        [] => CodecError::Empty,
        [VERSION, command @ ..] => return Ok(Proposal::read(command)?),
        [version, ..] => CodecError::Version(*version),
    };
    Err(error.into())
}

fn vote(vote: &Vote) -> Bytes {
    codec::encode_vote(vote).into()
}

fn log_id(log_id: Option<LogId>) -> Bytes {
    codec::encode_log_id(log_id).into()
}

fn some_log_id(bytes: &[u8], what: &'static str) -> Result<LogId, WireError> {
    codec::decode_log_id(bytes)?.ok_or(WireError::Missing(what))
}

/// Writes a log id.
pub(crate) fn encode_log_id(it: LogId) -> Bytes {
    log_id(Some(it))
}

/// Reads a log id.
pub(crate) fn decode_log_id(bytes: &[u8]) -> Result<LogId, WireError> {
    some_log_id(bytes, "position")
}

/// Writes a vote.
pub(crate) fn encode_vote(it: &Vote) -> Bytes {
    vote(it)
}

/// Reads a vote.
pub(crate) fn decode_vote(bytes: &[u8]) -> Result<Vote, WireError> {
    Ok(codec::decode_vote(bytes)?)
}

impl From<AppendEntriesRequest<TypeConfig>> for proto::AppendRequest {
    fn from(request: AppendEntriesRequest<TypeConfig>) -> Self {
        Self {
            vote: vote(&request.vote),
            prev_log_id: log_id(request.prev_log_id),
            leader_commit: log_id(request.leader_commit),
            entries: request
                .entries
                .iter()
                .map(|entry| codec::encode_entry(entry).into())
                .collect(),
            traces: Vec::new(),
        }
    }
}

/// Writes an append, and beside its entries in which traces their requests are recorded.
pub(crate) fn traced_append(
    request: AppendEntriesRequest<TypeConfig>,
    traces: &Traces,
) -> proto::AppendRequest {
    let known = traces.of_entries(&request.entries).into_iter();
    let known = known.map(|(request_id, place)| proto::Traced {
        request_id: request_id.as_str().to_owned(),
        traceparent: place.to_string(),
    });
    proto::AppendRequest {
        traces: known.collect(),
        ..proto::AppendRequest::from(request)
    }
}

/// Takes note of what an append says of traces; what does not read is left out.
pub(crate) fn note_traces(message: &proto::AppendRequest, traces: &Traces) {
    for traced in &message.traces {
        if let Ok(request_id) = RequestId::parse(&traced.request_id) {
            let place = TraceContext::parse(traced.traceparent.as_bytes());
            traces.note(&request_id, place);
        }
    }
}

/// Reads an append.
pub(crate) fn append_request(
    message: proto::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, WireError> {
    Ok(AppendEntriesRequest {
        vote: codec::decode_vote(&message.vote)?,
        prev_log_id: codec::decode_log_id(&message.prev_log_id)?,
        leader_commit: codec::decode_log_id(&message.leader_commit)?,
        entries: message
            .entries
            .iter()
            .map(|entry| codec::decode_entry(entry))
            .collect::<Result<_, _>>()?,
    })
}

impl From<StreamAppendResult<TypeConfig>> for proto::AppendReply {
    fn from(result: StreamAppendResult<TypeConfig>) -> Self {
        use proto::append_reply::Result;
        let result = match result {
            Ok(matched) => Result::Matched(log_id(matched)),
            Err(StreamAppendError::Conflict(at)) if mutant::active(Mutant::AppendUnchecked) => {
                Result::Matched(log_id(Some(at)))
            }
            Err(StreamAppendError::Conflict(at)) => Result::Conflict(log_id(Some(at))),
            Err(StreamAppendError::HigherVote(higher)) => Result::HigherVote(vote(&higher)),
        };
        Self {
            result: Some(result),
        }
    }
}

/// Reads the answer to one append.
pub(crate) fn append_result(
    message: proto::AppendReply,
) -> Result<StreamAppendResult<TypeConfig>, WireError> {
    use proto::append_reply::Result;
    Ok(match message.result.ok_or(WireError::Missing("result"))? {
        Result::Matched(bytes) => Ok(codec::decode_log_id(&bytes)?),
        Result::Conflict(bytes) => Err(StreamAppendError::Conflict(some_log_id(
            &bytes, "conflict",
        )?)),
        Result::HigherVote(bytes) => {
            Err(StreamAppendError::HigherVote(codec::decode_vote(&bytes)?))
        }
    })
}

impl From<VoteRequest<TypeConfig>> for proto::VoteRequest {
    fn from(request: VoteRequest<TypeConfig>) -> Self {
        Self {
            vote: vote(&request.vote),
            last_log_id: log_id(request.last_log_id),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

/// Reads a request for a vote.
pub(crate) fn vote_request(
    message: proto::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, WireError> {
    let mut request = VoteRequest::new(
        codec::decode_vote(&message.vote)?,
        codec::decode_log_id(&message.last_log_id)?,
    );
    request.leadership_transfer = message.leadership_transfer;
    Ok(request)
}

impl From<VoteResponse<TypeConfig>> for proto::VoteReply {
    fn from(response: VoteResponse<TypeConfig>) -> Self {
        Self {
            vote: vote(&response.vote),
            granted: response.vote_granted,
            last_log_id: log_id(response.last_log_id),
        }
    }
}

/// Reads the answer to a request for a vote.
pub(crate) fn vote_response(
    message: proto::VoteReply,
) -> Result<VoteResponse<TypeConfig>, WireError> {
    let vote = codec::decode_vote(&message.vote)?;
    Ok(VoteResponse::new(
        vote,
        codec::decode_log_id(&message.last_log_id)?,
        message.granted,
    ))
}

impl From<TransferLeaderRequest<TypeConfig>> for proto::TransferLeaderRequest {
    fn from(request: TransferLeaderRequest<TypeConfig>) -> Self {
        Self {
            from_leader: vote(request.from_leader()),
            to: *request.to_node_id(),
            last_log_id: log_id(request.last_log_id().copied()),
        }
    }
}

/// Reads a transfer of leadership.
pub(crate) fn transfer_request(
    message: proto::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, WireError> {
    let from_leader = codec::decode_vote(&message.from_leader)?;
    Ok(TransferLeaderRequest::new(
        from_leader,
        message.to,
        codec::decode_log_id(&message.last_log_id)?,
    ))
}

impl From<TransferLeaderResponse<TypeConfig>> for proto::TransferLeaderReply {
    fn from(response: TransferLeaderResponse<TypeConfig>) -> Self {
        use proto::transfer_leader_reply::{LogNotFlushed, Refusal, VoteChanged};
        let refusal = response.err().map(|error| match error {
            TransferLeaderError::VoteChanged { expected, actual } => {
                Refusal::VoteChanged(VoteChanged {
                    expected: vote(&expected),
                    actual: vote(&actual),
                })
            }
            TransferLeaderError::LogNotFlushed { expected, actual } => {
                Refusal::LogNotFlushed(LogNotFlushed {
                    expected: log_id(expected),
                    actual: log_id(actual),
                })
            }
        });
        Self { refusal }
    }
}

/// Reads the answer to a transfer of leadership.
pub(crate) fn transfer_response(
    message: proto::TransferLeaderReply,
) -> Result<TransferLeaderResponse<TypeConfig>, WireError> {
    use proto::transfer_leader_reply::Refusal;
    Ok(match message.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(votes)) => Err(TransferLeaderError::VoteChanged {
            expected: codec::decode_vote(&votes.expected)?,
            actual: codec::decode_vote(&votes.actual)?,
        }),
        Some(Refusal::LogNotFlushed(ids)) => Err(TransferLeaderError::LogNotFlushed {
            expected: codec::decode_log_id(&ids.expected)?,
            actual: codec::decode_log_id(&ids.actual)?,
        }),
    })
}

#[cfg(test)]
mod tests {
    use domain::command::{Command, Origin, RevokeApiKey, Stamped};
    use domain::id::{ApiKeyId, Seed};
    use domain::time::Timestamp;
    use openraft::vote::RaftLeaderId;
    use raft_store::types::{Entry, LeaderId, Payload};

    use super::*;

    fn id(index: u64) -> LogId {
        LogId::new(LeaderId::new(3, 2).to_committed(), index)
    }

    #[test]
    fn appends_survive_the_wire() {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 2),
            prev_log_id: Some(id(7)),
            entries: vec![Entry {
                log_id: id(8),
                payload: Payload::Blank,
            }],
            leader_commit: None,
        };
        let shown = format!("{request:?}");
        let back = append_request(proto::AppendRequest::from(request)).unwrap();
        assert_eq!(format!("{back:?}"), shown);
    }

    #[test]
    fn where_the_requests_of_entries_are_recorded_goes_with_them() {
        let request_id = |random| RequestId::new(Seed { unix_ms: 1, random });
        let entry = |index, random| Entry {
            log_id: id(index),
            payload: Payload::Normal(Proposal::new(Stamped {
                at: Timestamp(1),
                request_id: request_id(random),
                idempotency: None,
                command: Command::RevokeApiKey(RevokeApiKey {
                    id: ApiKeyId::new(Seed {
                        unix_ms: 1,
                        random: 1,
                    }),
                }),
                origin: Origin::default(),
                precondition: None,
            })),
        };
        let request = || AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 2),
            prev_log_id: Some(id(7)),
            entries: vec![entry(8, 8), entry(9, 9)],
            leader_commit: None,
        };
        let (leader, follower) = (Traces::default(), Traces::default());
        let plain = proto::AppendRequest::from(request());
        assert_eq!(traced_append(request(), &leader), plain);
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let place = TraceContext::parse(text.as_bytes());
        leader.note(&request_id(9), place);
        let mut message = traced_append(request(), &leader);
        let strange = proto::Traced {
            request_id: "nobody".to_owned(),
            traceparent: "nothing".to_owned(),
        };
        message.traces.push(strange);
        note_traces(&message, &follower);
        assert_eq!(follower.of(&request_id(9)), place);
        assert_eq!(follower.of(&request_id(8)), None);
        // A node that does not know of traces reads the same entries.
        message.traces.clear();
        assert_eq!(message, plain);
    }

    #[test]
    fn every_answer_to_an_append_survives_the_wire() {
        for result in [
            Ok(None),
            Ok(Some(id(1))),
            Err(StreamAppendError::Conflict(id(2))),
            Err(StreamAppendError::HigherVote(Vote::new(9, 1))),
        ] {
            let back = append_result(proto::AppendReply::from(result.clone())).unwrap();
            assert_eq!(back, result);
        }
    }

    #[test]
    fn votes_and_transfers_survive_the_wire() {
        let mut request = VoteRequest::<TypeConfig>::new(Vote::new(4, 1), Some(id(5)));
        request.leadership_transfer = true;
        assert_eq!(
            vote_request(proto::VoteRequest::from(request.clone())).unwrap(),
            request
        );
        let response = VoteResponse::<TypeConfig>::new(Vote::new(4, 1), None, true);
        assert_eq!(
            vote_response(proto::VoteReply::from(response.clone())).unwrap(),
            response
        );
        let transfer =
            TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(4, 1), 3, Some(id(6)));
        assert_eq!(
            transfer_request(proto::TransferLeaderRequest::from(transfer.clone())).unwrap(),
            transfer
        );
        for response in [
            Ok(()),
            Err(TransferLeaderError::VoteChanged {
                expected: Vote::new(1, 1),
                actual: Vote::new(2, 2),
            }),
            Err(TransferLeaderError::LogNotFlushed {
                expected: Some(id(1)),
                actual: None,
            }),
        ] {
            let back =
                transfer_response(proto::TransferLeaderReply::from(response.clone())).unwrap();
            assert_eq!(back, response);
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        for bytes in [&[][..], &[9, 0], &[1], &[1, 255, 255]] {
            assert!(decode_command(bytes).is_err(), "{bytes:?}");
        }
        assert!(append_result(proto::AppendReply::default()).is_err());
        assert!(append_request(proto::AppendRequest::default()).is_err());
        assert!(vote_request(proto::VoteRequest::default()).is_err());
    }
}
