//! A follower's side of forwarding against a leader that does as it is told.

use std::pin::Pin;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use raft_store::types::NodeId;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::*;
use crate::consensus::peers::{Connection, Dial, DialError};
use crate::control_plane::BoxFuture;
use proto::node_server::{Node, NodeServer};
use proto::{
    AdmitReply, AdmitRequest, AppendReply, AppendRequest, BackupPart, BackupRequest,
    BootstrapReply, BootstrapRequest, CheckpointPart, ClusterMessage, FleetMessage,
    InstallCheckpointReply, Introduction, LeaseMessage, ProposalOutcome, ReadIndexReply,
    ReadIndexRequest, StateHashReply, StateHashRequest, TransferLeaderReply, TransferLeaderRequest,
    VoteReply, VoteRequest,
};

/// By when something that has to happen has happened.
const PATIENCE: Duration = Duration::from_secs(10);

/// The leader's end of a stream.
struct Stage {
    batches: Streaming<ProposalBatch>,
    replies: mpsc::Sender<Result<OutcomeBatch, Status>>,
}

/// Takes streams of proposals and hands them to the test; everything else is refused.
#[derive(Clone)]
struct FakeLeader {
    stages: mpsc::Sender<Stage>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

macro_rules! refused {
    ($($name:ident($request:ty) -> $reply:ty;)*) => {$(
        fn $name<'a, 'b>(
            &'a self,
            _: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<$reply>, Status>> + Send + 'b>>
        where
            'a: 'b,
        {
            Box::pin(std::future::ready(Err(Status::unimplemented("not this leader's part"))))
        }
    )*};
}

#[tonic::async_trait]
impl Node for FakeLeader {
    type AppendStreamStream = Replies<AppendReply>;
    type ForwardStream = Replies<OutcomeBatch>;
    type BackupStream = Replies<BackupPart>;

    async fn forward(
        &self,
        request: Request<Streaming<ProposalBatch>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let (replies, queue) = mpsc::channel(16);
        let stage = Stage {
            batches: request.into_inner(),
            replies,
        };
        self.stages
            .send(stage)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }

    refused! {
        append(AppendRequest) -> AppendReply;
        append_stream(Streaming<AppendRequest>) -> Self::AppendStreamStream;
        vote(VoteRequest) -> VoteReply;
        pre_vote(VoteRequest) -> VoteReply;
        transfer_leader(TransferLeaderRequest) -> TransferLeaderReply;
        install_checkpoint(Streaming<CheckpointPart>) -> InstallCheckpointReply;
        read_index(ReadIndexRequest) -> ReadIndexReply;
        state_hash(StateHashRequest) -> StateHashReply;
        fleet(FleetMessage) -> FleetMessage;
        lease(LeaseMessage) -> LeaseMessage;
        introduce(Introduction) -> Introduction;
        admit(AdmitRequest) -> AdmitReply;
        cluster(ClusterMessage) -> ClusterMessage;
        bootstrap(BootstrapRequest) -> BootstrapReply;
        backup(BackupRequest) -> Self::BackupStream;
    }
}

/// Connects to the fake leader in memory, or to nobody.
struct FakeDialer {
    leader: Option<FakeLeader>,
    servers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Dial for FakeDialer {
    fn dial<'a>(
        &'a self,
        _: NodeId,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Connection, DialError>> {
        Box::pin(async move {
            let refused = |reason: String| DialError::Refused {
                address: address.to_owned(),
                reason,
            };
            let leader = self
                .leader
                .clone()
                .ok_or_else(|| refused("nobody listens".to_owned()))?;
            let (near, far) = tokio::io::duplex(64 * 1024);
            let service = TowerToHyperService::new(NodeServer::new(leader));
            let serving = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(far), service);
            let server = tokio::spawn(async move {
                // However it ends, the client's end is what is looked at.
                let _ = serving.await;
            });
            self.servers.lock().push(server);
            Connection::open(near)
                .await
                .map_err(|error| refused(error.to_string()))
        })
    }
}

struct Scene {
    forwarder: Forwarder,
    leadership: watch::Sender<Leadership>,
    leader: Member,
    stages: mpsc::Receiver<Stage>,
    servers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Scene {
    /// A follower of node 2, which leads in term 5.
    fn new(reachable: bool) -> Self {
        let (opened, stages) = mpsc::channel(4);
        let servers = Arc::default();
        let leader = reachable.then_some(FakeLeader { stages: opened });
        let dialer = FakeDialer {
            leader,
            servers: Arc::clone(&servers),
        };
        let leader = Member {
            id: 2,
            internal: "leader".to_owned(),
            ..Member::default()
        };
        let (leadership, known) = watch::channel(Leadership {
            term: 5,
            leader: Some(leader.clone()),
        });
        let forwarder = Forwarder::new(Peers::new(Arc::new(dialer)), known);
        Self {
            forwarder,
            leadership,
            leader,
            stages,
            servers,
        }
    }

    fn forward(&self, command: &'static [u8], repeatable: bool) -> JoinHandle<Attempt> {
        let (forwarder, leader) = (self.forwarder.clone(), self.leader.clone());
        tokio::spawn(async move {
            forwarder
                .forward(5, &leader, (Bytes::from_static(command), None), repeatable)
                .await
        })
    }

    async fn stage(&mut self) -> Stage {
        within(self.stages.recv()).await.unwrap()
    }

    /// The connection breaks, as when the leader's process dies.
    fn break_connections(&self) {
        for server in self.servers.lock().drain(..) {
            server.abort();
        }
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens in time")
}

impl Stage {
    async fn next(&mut self) -> ProposalBatch {
        within(self.batches.next()).await.unwrap().unwrap()
    }

    async fn answer(&self, number: u64, outcome: Outcome) {
        let outcomes = vec![ProposalOutcome {
            number,
            outcome: Some(outcome),
        }];
        self.replies
            .send(Ok(OutcomeBatch { outcomes }))
            .await
            .unwrap();
    }
}

fn is_unknown(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Unknown(_))
}

fn is_refused(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Refused(_))
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let scene = Scene::new(false);
    let attempt = within(scene.forward(b"a", false)).await.unwrap();
    assert!(is_refused(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn each_answer_reaches_whoever_asked() {
    let mut scene = Scene::new(true);
    let first = scene.forward(b"first", false);
    let mut stage = scene.stage().await;
    let batch = stage.next().await;
    assert_eq!(batch.term, 5);
    let number = batch.proposals[0].number;
    let second = scene.forward(b"second", false);
    let third = scene.forward(b"third", false);
    let mut sent = Vec::new();
    while sent.len() < 2 {
        sent.extend(stage.next().await.proposals);
    }
    let number_of = |command: &[u8]| {
        sent.iter()
            .find(|proposal| proposal.command == command)
            .unwrap()
            .number
    };
    stage
        .answer(
            number_of(b"third"),
            Outcome::Unknown("lost its lead".to_owned()),
        )
        .await;
    stage.answer(number, Outcome::Applied(9)).await;
    stage
        .answer(
            number_of(b"second"),
            Outcome::Refused("does not lead".to_owned()),
        )
        .await;
    assert_eq!(within(first).await.unwrap(), Attempt::Applied(Revision(9)));
    assert_eq!(
        within(second).await.unwrap(),
        Attempt::Refused("does not lead".to_owned())
    );
    assert_eq!(
        within(third).await.unwrap(),
        Attempt::Unknown("lost its lead".to_owned())
    );
}

#[tokio::test]
async fn what_was_sent_and_not_answered_before_the_connection_broke_is_unknown() {
    let mut scene = Scene::new(true);
    let sent = scene.forward(b"sent", true);
    let mut stage = scene.stage().await;
    stage.next().await;
    scene.break_connections();
    let attempt = within(sent).await.unwrap();
    assert!(is_unknown(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn what_was_sent_is_unknown_when_the_leader_ends_the_stream_as_well() {
    let mut scene = Scene::new(true);
    let sent = scene.forward(b"sent", false);
    let mut stage = scene.stage().await;
    stage.next().await;
    drop(stage);
    let attempt = within(sent).await.unwrap();
    assert!(is_unknown(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_unknown() {
    let mut scene = Scene::new(true);
    let sent = scene.forward(b"sent", false);
    let mut stage = scene.stage().await;
    let number = stage.next().await.proposals[0].number;
    stage
        .answer(number + 7, Outcome::Refused("nobody asked".to_owned()))
        .await;
    let outcome = None;
    let outcomes = vec![ProposalOutcome { number, outcome }];
    stage
        .replies
        .send(Ok(OutcomeBatch { outcomes }))
        .await
        .unwrap();
    let attempt = within(sent).await.unwrap();
    assert!(is_unknown(&attempt), "{attempt:?}");
}

#[tokio::test]
async fn a_new_leader_frees_what_may_be_repeated_and_the_old_one_may_still_answer_the_rest() {
    let mut scene = Scene::new(true);
    let plain = scene.forward(b"plain", false);
    let keyed = scene.forward(b"keyed", true);
    let mut stage = scene.stage().await;
    let mut sent = Vec::new();
    while sent.len() < 2 {
        sent.extend(stage.next().await.proposals);
    }
    let next = Member {
        id: 3,
        ..Member::default()
    };
    scene.leadership.send_replace(Leadership {
        term: 6,
        leader: Some(next),
    });
    let attempt = within(keyed).await.unwrap();
    assert!(is_unknown(&attempt), "{attempt:?}");
    let number = sent
        .iter()
        .find(|proposal| proposal.command == b"plain"[..])
        .unwrap()
        .number;
    stage.answer(number, Outcome::Applied(9)).await;
    assert_eq!(within(plain).await.unwrap(), Attempt::Applied(Revision(9)));
}

#[tokio::test]
async fn what_piles_up_while_the_leader_does_not_read_shares_messages() {
    let mut scene = Scene::new(true);
    let first = scene.forward(b"first", false);
    let mut stage = scene.stage().await;
    stage.next().await;
    // More than the windows of the connection hold, so that the rest has to wait.
    const COMMAND: &[u8] = &[0; 8 * 1024];
    let asked: Vec<_> = (0..2000).map(|_| scene.forward(COMMAND, false)).collect();
    tokio::task::yield_now().await;
    let (mut messages, mut proposals) = (0, 0);
    while proposals < asked.len() {
        let batch = stage.next().await;
        messages += 1;
        proposals += batch.proposals.len();
        let bytes: usize = batch
            .proposals
            .iter()
            .map(|proposal| proposal.command.len())
            .sum();
        assert!(bytes <= BATCH_BYTES_SOFT_MAX + COMMAND.len(), "{bytes}");
        for proposal in batch.proposals {
            stage
                .answer(proposal.number, Outcome::Refused(String::new()))
                .await;
        }
    }
    assert!(messages < asked.len() / 4, "{messages} messages");
    for attempt in asked {
        assert!(is_refused(&within(attempt).await.unwrap()));
    }
    drop(first);
}
