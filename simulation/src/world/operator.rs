//! The operators, who change who belongs to the cluster, and what it signs with, where faults want that: as people do, with the product's own
//! subcommands, and again when they were not told how it ended. Several changes can be under way at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use node::consensus::membership::command::{Operator, OperatorError};
use node::consensus::membership::{ClusterError, ClusterRequest, NewMember};
use parking_lot::Mutex;

use super::Fleet;
use super::nodes::{member, member_id};
use crate::network::SimNetwork;

/// Pause between two looks for something to do, or two attempts.
const PAUSE: Duration = Duration::from_millis(300);

/// How long one attempt may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long one attempt may take that waits until a new node has caught up.
const REPLACED_WITHIN: Duration = Duration::from_secs(30);

/// How often a change is asked for again that was refused and takes a vote. What gives one is tried until it is done.
const ATTEMPTS: usize = 4;

/// What the operators are asked for, of nodes by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A node joins, and votes after so long.
    Join(usize, Duration),
    /// The second takes the place of the first.
    Replace(usize, usize),
    /// A node leaves for good.
    Remove(usize),
    /// Another key signs; the one before is retired after so long, if at all.
    Rotate(Option<Duration>),
}

/// What is asked for and under way.
#[derive(Default)]
pub(super) struct Desk {
    /// Votes to be given or taken, in order.
    votes: VecDeque<(usize, bool)>,
    wanted: VecDeque<Wanted>,
    under_way: usize,
    /// Nodes that are to be started, which were not there before.
    starts: Vec<usize>,
    /// Nodes that are to leave, or have left.
    leaving: Vec<usize>,
    counts: Counts,
}

/// How many changes came through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of any kind.
    pub all: u64,
    /// Nodes that were added and vote.
    pub joined: u64,
    /// Nodes whose place was taken.
    pub replaced: u64,
    /// Nodes that were removed.
    pub removed: u64,
    /// Changes that were begun while another one was under way.
    pub at_once: u64,
    /// Keys that have signed, and were followed by another one.
    pub rotated: u64,
    /// Keys that were retired.
    pub retired: u64,
}

impl Fleet {
    /// Has an operator take a node's vote, and give it back when that is asked for.
    pub fn ask_for_vote(&self, index: usize, votes: bool) {
        self.desk.lock().votes.push_back((index, votes));
    }

    /// Has an operator change who belongs to the cluster.
    pub fn ask_for(&self, wanted: Wanted) {
        let mut desk = self.desk.lock();
        match wanted {
            Wanted::Join(new, _) => desk.starts.push(new),
            Wanted::Replace(old, new) => {
                desk.starts.push(new);
                desk.leaving.push(old);
            }
            Wanted::Remove(index) => desk.leaving.push(index),
            Wanted::Rotate(_) => {}
        }
        desk.wanted.push_back(wanted);
    }

    /// Has a node started that was not there before.
    pub fn start_new(&self, index: usize) {
        self.desk.lock().starts.push(index);
    }

    /// The nodes that are to be started since the last call.
    #[must_use]
    pub fn starts(&self) -> Vec<usize> {
        std::mem::take(&mut self.desk.lock().starts)
    }

    /// Whether an operator wants a node to leave.
    #[must_use]
    pub fn is_leaving(&self, index: usize) -> bool {
        self.desk.lock().leaving.contains(&index)
    }

    /// Has clients ask a node no more that has left, whatever the operator was told of that: asked while it is removed
    /// already, he is only refused.
    pub fn forget(&self, index: usize) {
        self.members_known.lock().retain(|known| *known != index);
    }

    /// Whether operators have something left to do.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        let desk = self.desk.lock();
        desk.under_way > 0 || !desk.votes.is_empty() || !desk.wanted.is_empty()
    }

    /// How many changes came through.
    #[must_use]
    pub fn changes(&self) -> Counts {
        self.desk.lock().counts
    }

    /// Makes changes as they are asked for, until none is left and `over`.
    pub async fn change_members(&self, over: impl Fn() -> bool) {
        let votes = async {
            while let Some((index, votes)) = self.next(|desk| desk.votes.pop_front(), &over).await {
                self.change_vote(index, votes).await;
                self.desk.lock().under_way -= 1;
            }
        };
        let others = async {
            while let Some(wanted) = self.next(|desk| desk.wanted.pop_front(), &over).await {
                let this = self.clone();
                tokio::task::spawn_local(async move {
                    this.change(wanted).await;
                    this.desk.lock().under_way -= 1;
                });
            }
        };
        tokio::join!(votes, others);
        while self.is_changing() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is asked for next, and counts as under way from then on; nothing once it is `over`.
    async fn next<T>(
        &self,
        take: impl Fn(&mut Desk) -> Option<T>,
        over: &impl Fn() -> bool,
    ) -> Option<T> {
        loop {
            {
                let mut desk = self.desk.lock();
                if let Some(next) = take(&mut desk) {
                    desk.counts.at_once += u64::from(desk.under_way > 0);
                    desk.under_way += 1;
                    return Some(next);
                }
            }
            if over() {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn change_vote(&self, index: usize, votes: bool) {
        let id = member_id(index);
        if votes {
            // Refused only where it has left meanwhile.
            self.until_done(&ClusterRequest::Promote(id), usize::MAX)
                .await;
        } else {
            self.until_done(&ClusterRequest::Demote(id), ATTEMPTS).await;
        }
    }

    async fn change(&self, wanted: Wanted) {
        match wanted {
            Wanted::Join(new, learns) => {
                self.until_done(&ClusterRequest::Add(newcomer(new)), usize::MAX)
                    .await;
                self.members_known.lock().push(new);
                tokio::time::sleep(learns).await;
                let promoted = ClusterRequest::Promote(member_id(new));
                if self.until_done(&promoted, usize::MAX).await {
                    self.desk.lock().counts.joined += 1;
                }
            }
            Wanted::Replace(old, new) => self.replace(old, new).await,
            Wanted::Remove(index) => {
                let removed = ClusterRequest::Remove(member_id(index));
                if self.until_done(&removed, ATTEMPTS).await {
                    self.forget(index);
                    self.desk.lock().counts.removed += 1;
                }
            }
            Wanted::Rotate(retires) => self.rotate(retires).await,
        }
    }

    /// As `signing-keys rotate` and `retire` do it. Who is not told how a rotation ended looks which key signs.
    async fn rotate(&self, retires: Option<Duration>) {
        let before = self.signing_key().await;
        while self.signing_key().await == before {
            // A rotation that was not done is asked for again, after a look.
            let asked = self.ask(&ClusterRequest::RotateSigningKey);
            let _ = tokio::time::timeout(DEADLINE, asked).await;
            tokio::time::sleep(PAUSE).await;
        }
        self.desk.lock().counts.rotated += 1;
        let Some(after) = retires else { return };
        tokio::time::sleep(after).await;
        let retired = ClusterRequest::RetireSigningKey(before);
        if self.until_done(&retired, ATTEMPTS).await {
            self.desk.lock().counts.retired += 1;
        }
    }

    /// The key that signs, as soon as a node says which.
    async fn signing_key(&self) -> String {
        loop {
            let all: Vec<usize> = (0..self.options.nodes()).collect();
            let asking = async { self.operator(&all)?.signing_keys().await };
            if let Ok(Ok(document)) = tokio::time::timeout(DEADLINE, asking).await
                && let Some(active) = document.keys.iter().find(|key| key.state == "active")
            {
                return active.key_id.clone();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// As `members replace` does it, again and again. Who was to be replaced may have left for another reason: then the new
    /// one votes beside the others.
    async fn replace(&self, old: usize, new: usize) {
        let (id, with) = (member_id(old), member_id(new));
        loop {
            let replacing = async {
                let all: Vec<usize> = (0..self.options.nodes()).collect();
                let operator = self.operator(&all)?;
                operator.replace(id, newcomer(new), |_| ()).await
            };
            match tokio::time::timeout(REPLACED_WITHIN, replacing).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => match for_good(&error) {
                    Some("votes_already") => {
                        self.until_done(&ClusterRequest::Remove(id), ATTEMPTS).await;
                        break;
                    }
                    Some(_) => {
                        self.until_done(&ClusterRequest::Promote(with), usize::MAX)
                            .await;
                        break;
                    }
                    None => {}
                },
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        let mut known = self.members_known.lock();
        known.retain(|one| *one != old);
        known.push(new);
        let mut desk = self.desk.lock();
        desk.counts.replaced += 1;
        desk.counts.all += 1;
    }

    /// Asks until it is done, is refused for good, or was refused so often. Says whether it is done.
    async fn until_done(&self, request: &ClusterRequest, refusals_max: usize) -> bool {
        let mut refusals = 0;
        loop {
            match tokio::time::timeout(DEADLINE, self.ask(request)).await {
                Ok(Ok(changed)) => {
                    self.desk.lock().counts.all += u64::from(changed);
                    return true;
                }
                Ok(Err(error)) => {
                    let refused =
                        matches!(error, OperatorError::Cluster(ClusterError::Refused { .. }));
                    refusals += usize::from(refused);
                    if for_good(&error).is_some() || refusals >= refusals_max {
                        return false;
                    }
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks the cluster once, in an operator's name, and says whether anything was changed.
    ///
    /// # Errors
    /// When it is refused, or no node can answer.
    pub async fn ask(&self, request: &ClusterRequest) -> Result<bool, OperatorError> {
        let all: Vec<usize> = (0..self.options.nodes()).collect();
        self.ask_of(&all, request).await
    }

    /// The same of an operator who knows these nodes alone.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_of(
        &self,
        nodes: &[usize],
        request: &ClusterRequest,
    ) -> Result<bool, OperatorError> {
        let done = self.operator(nodes)?.change(request).await?;
        Ok(done.changed)
    }

    /// An operator, who knows these nodes.
    fn operator(&self, nodes: &[usize]) -> Result<Operator, OperatorError> {
        let network = SimNetwork::new(self.entropy("operator"));
        let identity = self.authority.node(member_id(0)).identity();
        let mut settings = self.node_settings(0);
        settings.cluster.members = nodes.iter().copied().map(member).collect();
        Operator::new(network, &identity, &settings, "simulation")
    }
}

fn newcomer(index: usize) -> NewMember {
    let member = member(index);
    NewMember {
        id: member.id,
        internal: member.internal,
        region: None,
        rest: None,
        publisher: None,
    }
}

/// The code of a refusal that asking again does not change.
fn for_good(error: &OperatorError) -> Option<&str> {
    let OperatorError::Cluster(ClusterError::Refused { code, .. }) = error else {
        return None;
    };
    let code = code.as_str();
    let final_ones = [
        "unknown_member",
        "being_removed",
        "votes_already",
        "id_used_before",
    ];
    final_ones.contains(&code).then_some(code)
}

/// The nodes that clients know.
pub(super) type Known = Arc<Mutex<Vec<usize>>>;
