//! What is asked of nodes before anything is concluded.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use platform::Clock;
use raft_store::types::{Member, NodeId};
use tokio::time::sleep;

use crate::consensus::membership::command::Operator;
use crate::consensus::membership::{ClusterStatus, Condition};

/// Between two looks at the nodes: leadership that does not last as long is none.
const LOOKS_APART: Duration = Duration::from_secs(2);

/// What was found out.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How the cluster stands by whoever answered that.
    pub status: Option<ClusterStatus>,
    /// Each node by itself.
    pub examined: Vec<Examined>,
    /// The highest term that a node was in when all were asked once more.
    pub later_term: Option<u64>,
    /// Where the nodes of the settings are.
    pub settings: BTreeMap<NodeId, Member>,
}

/// What a node answered, or why it did not.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Which.
    pub member: Member,
    /// When it was asked, by the clock here, in milliseconds since the Unix epoch.
    pub asked_ms: u64,
    /// When its answer was there.
    pub answered_ms: u64,
    /// The answer, or the reason in words.
    pub answer: Result<Condition, String>,
}

/// Asks all nodes that the settings or the cluster name, all at the same time, and once more a little later. It takes a
/// few seconds.
pub async fn examine(operator: &Operator, clock: &dyn Clock) -> Facts {
    let settings = operator.members();
    let settings: BTreeMap<_, _> = settings.iter().map(|it| (it.id, it.clone())).collect();
    let status = operator.status().await.ok();
    let members = match &status {
        Some(status) => status.members.iter().map(member).collect(),
        None => settings.clone(),
    };
    let examined = ask(operator, clock, members.values()).await;
    sleep(LOOKS_APART).await;
    let answering = examined.iter().filter(|examined| examined.answer.is_ok());
    let again = ask(operator, clock, answering.map(|examined| &examined.member)).await;
    let terms = again
        .into_iter()
        .filter_map(|examined| Some(examined.answer.ok()?.term));
    Facts {
        status,
        later_term: terms.max(),
        examined,
        settings,
    }
}

async fn ask(
    operator: &Operator,
    clock: &dyn Clock,
    members: impl Iterator<Item = &Member>,
) -> Vec<Examined> {
    let asking = members.map(async |member| {
        let asked_ms = clock.now().0;
        let answer = operator.condition(member).await;
        Examined {
            member: member.clone(),
            asked_ms,
            answered_ms: clock.now().0,
            answer: answer.map_err(|error| error.to_string()),
        }
    });
    join_all(asking).await
}

fn member(status: &crate::consensus::membership::MemberStatus) -> (NodeId, Member) {
    let member = Member {
        id: status.id,
        region: status.region.clone(),
        internal: status.internal.clone(),
        rest: status.rest.clone(),
        publisher: status.publisher.clone(),
    };
    (status.id, member)
}
