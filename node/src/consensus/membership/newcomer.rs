//! A node that is to join: who it is, whether it may, and that it is taken up.
//!
//! Its disk must be empty, or its number would stand for two logs. It says so itself, in the name of
//! the process that runs now; what it is then told is meant for that process only:
//!
//! 1. the leader asks the node, whose disk is empty, and learns the process's number
//! 2. the leader makes sure that it leads, and that the node is no member and never was one
//! 3. the leader admits the process: its disk says from then on that it may take part
//! 4. the node becomes a member
//!
//! Were a disk lost after 3, the next process would have another number and a disk that is not
//! admitted; were it lost after 4, it would find itself among the members and refuse to start.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::model::KekId;
use raft_store::types::{Member, NodeId};

use super::refusal::Refusal;
use super::request::NewMember;
use crate::consensus::peers::{Lane, Peers, client};
use crate::consensus::wire::proto;
use crate::keys::KeyRing;

/// How long the node may take for each answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// A node that may join.
pub(super) struct Newcomer {
    new: NewMember,
    /// Where it runs and is reached, as it says.
    pub(super) said: Member,
    process: u64,
    admitted: bool,
}

/// Asks the node at an address who it is, and which keys it has.
pub(super) async fn introduced(
    peers: &Peers,
    this: &Member,
    (id, internal): (NodeId, &str),
) -> Result<proto::Introduction, String> {
    let asking = async {
        let connection = peers
            .connect_to(id, internal, Lane::Control)
            .await
            .map_err(|error| error.to_string())?;
        let introduction = proto::Introduction {
            id: this.id,
            ..proto::Introduction::default()
        };
        let reply = client(connection).introduce(introduction).await;
        reply
            .map(tonic::Response::into_inner)
            .map_err(|status| status.message().to_owned())
    };
    match tokio::time::timeout(DEADLINE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("{internal} did not answer in time")),
    }
}

/// Asks the node at an address who it is, and whether it may join.
pub(super) async fn meet(
    peers: &Peers,
    this: &Member,
    (keys, needs): (&KeyRing, &BTreeSet<KekId>),
    new: &NewMember,
) -> Result<Newcomer, Refusal> {
    let said = introduced(peers, this, (new.id, &new.internal)).await;
    let said = said.map_err(|reason| Refusal::NotReady { reason })?;
    let refuse = |reason: &str| {
        Err(Refusal::NotReady {
            reason: reason.to_owned(),
        })
    };
    if said.initialized {
        return refuse("its disk holds the data of a cluster");
    }
    let pepper = keys.active();
    let has_pepper = said.pepper_check == pepper.check().0[..]
        || said.peppers.iter().any(|id| id[..] == pepper.id().0);
    if !has_pepper {
        return refuse(&format!(
            "its security.pepper_file lacks this cluster's pepper {}",
            pepper.id()
        ));
    }
    let has = |id: &KekId| said.keks.iter().any(|key| key[..] == id.0);
    if let Some(missing) = needs.iter().find(|id| !has(id)) {
        return refuse(&format!(
            "its security.kek_file or security.kek_command lacks the key {missing}, under which the \
             cluster's secrets are sealed"
        ));
    }
    Ok(Newcomer {
        new: new.clone(),
        said: Member {
            id: new.id,
            region: said.region,
            internal: said.internal,
            rest: said.rest,
            publisher: said.publisher,
        },
        process: said.process,
        admitted: said.admitted,
    })
}

impl Newcomer {
    /// Takes it up, unless an earlier attempt did.
    pub(super) async fn admit(&self, peers: &Peers) -> Result<(), Refusal> {
        if self.admitted {
            return Ok(());
        }
        let asking = async {
            let connection = peers
                .connect_to(self.new.id, &self.new.internal, Lane::Control)
                .await
                .map_err(|error| error.to_string())?;
            let request = proto::AdmitRequest {
                process: self.process,
            };
            let reply = client(connection).admit(request).await;
            reply
                .map(drop)
                .map_err(|status| status.message().to_owned())
        };
        let answer = match tokio::time::timeout(DEADLINE, asking).await {
            Ok(answer) => answer,
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        answer.map_err(|reason| Refusal::NotReady { reason })
    }
}
