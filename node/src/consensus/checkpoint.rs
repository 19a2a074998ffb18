//! Checkpoints from one node to another: a header with the manifest, then each file in order, in
//! chunks that both sides hold one at a time. What a checkpoint is belongs to `raft-store`.

use bytes::Bytes;
use raft_store::types::Vote;
use raft_store::{
    Checkpoint, CheckpointManifest, CheckpointReceiver, Checkpoints, ReceiveError, StorageFault,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::peers::Client;
use super::wire::{self, WireError, proto};
use proto::checkpoint_part::Part;
use proto::{CheckpointChunk, CheckpointHeader, CheckpointPart};

/// How much of a file goes into one message. Big enough that the per-message cost vanishes,
/// small enough that a heartbeat on the same machine's disk and network is not held up.
const CHUNK_BYTES: usize = 512 * 1024;

/// How many chunks are read ahead of the network: with the sockets' own buffers enough to keep
/// both the disk and the wire busy, and 2 MiB in memory.
const CHUNKS_AHEAD: usize = 4;

/// Why a checkpoint did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It cannot be read here.
    #[error(transparent)]
    Storage(#[from] StorageFault),
    /// The other node refused it, or the connection broke.
    #[error("the checkpoint was not taken: {0}")]
    Refused(String),
}

/// Sends a checkpoint and waits until it is installed there. The answer is the receiver's vote.
pub(crate) async fn send(
    mut client: Client,
    vote: &Vote,
    checkpoint: Checkpoint,
) -> Result<Bytes, SendError> {
    let header = CheckpointHeader {
        vote: wire::encode_vote(vote),
        manifest: checkpoint.manifest().encode().into(),
    };
    let (parts, queue) = mpsc::channel(CHUNKS_AHEAD);
    let reading = read_parts(header, checkpoint, parts);
    let installing = client.install_checkpoint(ReceiverStream::new(queue));
    let (read, installed) = tokio::join!(reading, installing);
    // A fault here ends the stream early, which the receiver refuses; the fault is the cause.
    read?;
    let reply = installed.map_err(|status| SendError::Refused(status.message().to_owned()))?;
    Ok(reply.into_inner().vote)
}

/// Puts the parts into the queue, as fast as the network takes them.
async fn read_parts(
    header: CheckpointHeader,
    checkpoint: Checkpoint,
    parts: mpsc::Sender<CheckpointPart>,
) -> Result<(), StorageFault> {
    if parts
        .send(CheckpointPart {
            part: Some(Part::Header(header)),
        })
        .await
        .is_err()
    {
        return Ok(());
    }
    let files = u32::try_from(checkpoint.manifest().files().len()).unwrap_or(u32::MAX);
    for file in 0..files {
        let mut offset = 0;
        loop {
            let data = checkpoint.read_chunk(file as usize, offset, CHUNK_BYTES)?;
            if data.is_empty() {
                break;
            }
            let next = offset + data.len() as u64;
            let chunk = CheckpointChunk {
                file,
                offset,
                data: data.into(),
            };
            if parts
                .send(CheckpointPart {
                    part: Some(Part::Chunk(chunk)),
                })
                .await
                .is_err()
            {
                // The other side ended the call; its answer says why.
                return Ok(());
            }
            offset = next;
        }
    }
    Ok(())
}

/// Receives a checkpoint whole. What was received of one that breaks off is removed.
pub(crate) async fn receive(
    checkpoints: &Checkpoints,
    mut parts: Streaming<CheckpointPart>,
    admit: impl FnOnce(&Vote) -> Result<(), Status>,
) -> Result<(Vote, Checkpoint), Status> {
    let Some(Part::Header(header)) = next(&mut parts).await? else {
        return Err(WireError::Missing("header").into());
    };
    let vote = wire::decode_vote(&header.vote)?;
    admit(&vote)?;
    let manifest = CheckpointManifest::decode(&header.manifest).map_err(|error| {
        Status::invalid_argument(format!("the manifest does not decode: {error}"))
    })?;
    let mut receiver = checkpoints
        .begin(manifest)
        .map_err(|error| refusal(&error))?;
    while let Some(part) = next(&mut parts).await? {
        write(&mut receiver, part)?;
    }
    let checkpoint = receiver.finish().await.map_err(|error| refusal(&error))?;
    Ok((vote, checkpoint))
}

async fn next(parts: &mut Streaming<CheckpointPart>) -> Result<Option<Part>, Status> {
    let Some(part) = parts.next().await else {
        return Ok(None);
    };
    let part = part?.part.ok_or(WireError::Missing("part"))?;
    Ok(Some(part))
}

fn write(receiver: &mut CheckpointReceiver, part: Part) -> Result<(), Status> {
    let Part::Chunk(chunk) = part else {
        return Err(Status::invalid_argument("a second header"));
    };
    receiver
        .write_chunk(chunk.file as usize, chunk.offset, &chunk.data)
        .map_err(|error| refusal(&error))
}

fn refusal(error: &ReceiveError) -> Status {
    match error {
        ReceiveError::Protocol(reason) => Status::invalid_argument(reason.clone()),
        ReceiveError::Storage(fault) => Status::internal(fault.to_string()),
    }
}
