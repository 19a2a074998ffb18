//! The subcommands for operators: they ask one node of the settings after the other, in the name of this
//! one, until one answers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::signing::TrustDocument;
use platform::Network;
use platform::tls::{Identity, TlsError};
use raft_store::types::{Member, NodeId};
use tokio::time::{Instant, timeout};

use super::condition::Condition;
use super::desk;
use super::request::{
    Asker, ChangeRecord, ClusterError, ClusterReply, ClusterRequest, ClusterStatus, Done,
    MemberKeys, MemberStatus, NewMember, PepperStatus, SecretsStatus,
};
use crate::consensus::peers::{Peers, TlsDialer};
use crate::settings::Settings;

/// How long a node may take to say how it stands: a round trip to the other end of the world, and a lost packet.
const CONDITION_WITHIN: Duration = Duration::from_secs(3);

/// How long [`Operator::replace`] waits for the new node to catch up.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(600);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many entries may be missing where a node counts as caught up.
const CAUGHT_UP: u64 = super::plan::LAG_MAX / 2;

/// Why a subcommand did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No node answered, or the cluster said no.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The new node takes too long.
    #[error(
        "node {0} has not caught up in time; it is a learner and goes on: look at the status, and run \
         the same command again"
    )]
    Slow(NodeId),
}

impl OperatorError {
    /// The exit code: 1 where the cluster refused, 64 for the settings, 69 where a change may be half
    /// done, 75 where trying again is sensible.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Cluster(ClusterError::Refused { .. }) => 1,
            Self::Cluster(ClusterError::Unfinished { .. }) => 69,
            Self::Cluster(ClusterError::Unavailable { .. } | ClusterError::Moved { .. })
            | Self::Slow(_) => 75,
            Self::Tls(_) => 64,
        }
    }
}

/// Asks the cluster in an operator's name.
pub struct Operator {
    peers: Peers,
    members: Vec<Member>,
    command: String,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// Who asks by `command`, for the record; the nodes of the settings are asked, this one first.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new<N: Network>(
        network: N,
        identity: &Identity,
        settings: &Settings,
        command: &str,
    ) -> Result<Self, OperatorError> {
        let dialer = TlsDialer::new(network, identity)?;
        Ok(Self {
            peers: Peers::new(Arc::new(dialer)),
            members: settings.members_to_ask(),
            command: command.to_owned(),
        })
    }

    /// Asks.
    ///
    /// # Errors
    /// When the cluster refuses, or no node can answer.
    pub async fn ask(&self, request: &ClusterRequest) -> Result<ClusterReply, OperatorError> {
        let asker = self.asker();
        let mut reasons = Vec::new();
        for member in &self.members {
            match desk::put(&self.peers, member, &asker, request, false).await {
                Err(ClusterError::Unavailable { reason }) => reasons.push(reason),
                answer => return Ok(answer?),
            }
        }
        let reason = format!(
            "no node of cluster.members could answer: {}",
            reasons.join("; ")
        );
        Err(ClusterError::Unavailable { reason }.into())
    }

    fn asker(&self) -> Asker {
        Asker {
            method: "CLI".to_owned(),
            path: self.command.clone(),
            address: None,
        }
    }

    /// The nodes of the settings, this one first.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How a node stands, as it says itself.
    ///
    /// # Errors
    /// When it does not answer within a few seconds.
    pub async fn condition(&self, member: &Member) -> Result<Condition, OperatorError> {
        let asker = self.asker();
        let asking = desk::put(&self.peers, member, &asker, &ClusterRequest::Examine, false);
        match timeout(CONDITION_WITHIN, asking).await {
            Ok(Ok(ClusterReply::Condition(condition))) => Ok(*condition),
            Ok(Ok(other)) => Err(strange(&other)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let reason = format!("node {}: it did not answer in time", member.id);
                Err(ClusterError::Unavailable { reason }.into())
            }
        }
    }

    /// Asks for a change.
    ///
    /// # Errors
    /// When it is refused, or no node can answer.
    pub async fn change(&self, request: &ClusterRequest) -> Result<Done, OperatorError> {
        match self.ask(request).await? {
            ClusterReply::Done(done) => Ok(done),
            other => Err(strange(&other)),
        }
    }

    /// Asks how the cluster stands.
    ///
    /// # Errors
    /// When no node can answer.
    pub async fn status(&self) -> Result<ClusterStatus, OperatorError> {
        match self.ask(&ClusterRequest::Status).await? {
            ClusterReply::Status(status) => Ok(*status),
            other => Err(strange(&other)),
        }
    }

    /// Asks what operators asked for lately.
    ///
    /// # Errors
    /// When no node can answer.
    pub async fn changes(&self) -> Result<Vec<ChangeRecord>, OperatorError> {
        match self.ask(&ClusterRequest::Changes).await? {
            ClusterReply::Changes(changes) => Ok(changes),
            other => Err(strange(&other)),
        }
    }

    /// Asks for the keys that sign what edges follow.
    ///
    /// # Errors
    /// When no node can answer.
    pub async fn signing_keys(&self) -> Result<TrustDocument, OperatorError> {
        match self.ask(&ClusterRequest::SigningKeys).await? {
            ClusterReply::SigningKeys(keys) => Ok(*keys),
            other => Err(strange(&other)),
        }
    }

    /// Asks how secrets are sealed.
    ///
    /// # Errors
    /// When no node can answer.
    pub async fn secrets(&self) -> Result<SecretsStatus, OperatorError> {
        match self.ask(&ClusterRequest::Secrets).await? {
            ClusterReply::Secrets(status) => Ok(*status),
            other => Err(strange(&other)),
        }
    }

    /// Replaces a member: adds the new one, waits until it has caught up, and has it take the other's
    /// place. It goes on where it was when it is run again.
    ///
    /// # Errors
    /// When a step is refused, or no node can answer.
    pub async fn replace(
        &self,
        id: NodeId,
        new: NewMember,
        said: impl Fn(&str),
    ) -> Result<Done, OperatorError> {
        let with = new.id;
        said(&self.change(&ClusterRequest::Add(new)).await?.message);
        let deadline = Instant::now() + CATCH_UP_DEADLINE;
        loop {
            let status = self.status().await?;
            let known = status.members.iter().find(|member| member.id == with);
            let caught_up = |member: &MemberStatus| {
                member.alive == Some(true) && member.lag.is_some_and(|lag| lag <= CAUGHT_UP)
            };
            if known.is_some_and(caught_up) {
                break;
            }
            if Instant::now() > deadline {
                return Err(OperatorError::Slow(with));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.change(&ClusterRequest::Replace { id, with }).await
    }
}

fn strange(reply: &ClusterReply) -> OperatorError {
    let reason = format!("an answer to something else: {reply:?}");
    ClusterError::Unavailable { reason }.into()
}

/// The members as a table for people.
#[must_use]
pub fn member_table(status: &ClusterStatus) -> String {
    let mut text = format!(
        "{:>4}  {:<8} {:<16} {:<9} {:>8}  ADDRESS\n",
        "ID", "ROLE", "REGION", "ANSWERS", "LAG"
    );
    for member in &status.members {
        let answers = match member.alive {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let lag = member
            .lag
            .map_or_else(|| "-".to_owned(), |lag| lag.to_string());
        let leaving = if member.leaving {
            "  (being removed)"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>4}  {:<8} {:<16} {:<9} {:>8}  {}{leaving}",
            member.id, member.role, member.region, answers, lag, member.internal
        );
    }
    text
}

/// The status for people.
#[must_use]
pub fn status_text(status: &ClusterStatus) -> String {
    let leader = status.leader.map_or_else(
        || format!("none that node {} knows of", status.answered_by),
        |leader| format!("node {leader}"),
    );
    let preferred = status.preferred_region.as_deref().unwrap_or("none");
    let under_way = status.under_way.as_deref().unwrap_or("nothing");
    let mut text = format!(
        "leader            {leader}, term {}\n\
         committed         {}, applied by node {} up to {}\n\
         preferred region  {preferred}\n\
         under way         {under_way}\n\
         quorum            {} voters have to agree\n",
        status.term, status.committed, status.answered_by, status.applied, status.quorum
    );
    if let Some(check) = &status.state_check {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "states            {}", check.words());
    }
    if status.risks.is_empty() {
        text.push_str("risks             none: any one region and any one voter may be lost\n");
    }
    for risk in &status.risks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "risk              {risk}");
    }
    text.push('\n');
    text.push_str(&member_table(status));
    text
}

/// The signing keys for people.
#[must_use]
pub fn signing_keys_text(keys: &TrustDocument) -> String {
    let mut text = format!(
        "cluster {}, epoch {}\n{:<32}  {:<8}  PUBLIC KEY\n",
        keys.cluster_id, keys.epoch, "KEY", "STATE"
    );
    for key in &keys.keys {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<32}  {:<8}  {}",
            key.key_id, key.state, key.public_key
        );
    }
    text
}

/// How secrets are sealed, for people.
#[must_use]
pub fn secrets_text(status: &SecretsStatus) -> String {
    let key = |key: &Option<String>, none: &str| key.clone().unwrap_or_else(|| none.to_owned());
    let mut text = format!(
        "sealed under  {}\nwanted        {}\nleft          {} secrets are not sealed under it yet\n",
        key(&status.active, "the pepper"),
        key(
            &status.wanted,
            "no key is given: security.kek_file, security.kek_command"
        ),
        status.left
    );
    for waits_for in &status.waits_for {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "waits         {waits_for}");
    }
    for unopened in &status.unopened {
        let _ = writeln!(text, "unopened      {unopened}");
    }
    let _ = writeln!(
        text,
        "\n{:<16}  {:>12}  {:>12}  {:>15}",
        "KEY", "SIGNING KEYS", "CERTIFICATES", "WEBHOOK SECRETS"
    );
    for sealed in &status.secrets {
        let _ = writeln!(
            text,
            "{:<16}  {:>12}  {:>12}  {:>15}",
            sealed.key, sealed.signing_keys, sealed.certificates, sealed.webhook_secrets
        );
    }
    table_of(&mut text, "KEYS", &status.members, |member| &member.keys);
    if let Some(pepper) = &status.pepper {
        pepper_text(&mut text, pepper);
        table_of(&mut text, "PEPPERS", &status.members, |member| {
            &member.peppers
        });
    }
    text
}

/// What each member has.
fn table_of(
    text: &mut String,
    what: &str,
    members: &[MemberKeys],
    has: impl Fn(&MemberKeys) -> &[String],
) {
    let _ = writeln!(text, "\n{:>4}  {what}", "NODE");
    for member in members {
        let keys = match (&member.problem, has(member)) {
            (Some(problem), _) => format!("unknown: {problem}"),
            (None, []) => "none".to_owned(),
            (None, keys) => keys.join(" "),
        };
        let _ = writeln!(text, "{:>4}  {keys}", member.id);
    }
}

/// Under which pepper keys are hashed, for people.
fn pepper_text(text: &mut String, pepper: &PepperStatus) {
    let _ = writeln!(
        text,
        "\nhashed under  {}\nwanted        {}",
        pepper.active, pepper.wanted
    );
    for waits_for in &pepper.waits_for {
        let _ = writeln!(text, "waits         {waits_for}");
    }
    let _ = writeln!(
        text,
        "\n{:<16}  {:>12}  {:>12}",
        "PEPPER", "API KEYS", "JOIN TOKENS"
    );
    for keys in &pepper.keys {
        let _ = writeln!(
            text,
            "{:<16}  {:>12}  {:>12}",
            keys.pepper, keys.api_keys, keys.join_tokens
        );
    }
}

/// What was done, for people.
#[must_use]
pub fn done_text(done: &Done) -> String {
    let mut text = format!("{}\n", done.message);
    for risk in &done.risks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "risk: {risk}");
    }
    text
}

/// What operators asked for, for people.
#[must_use]
pub fn changes_text(changes: &[ChangeRecord]) -> String {
    let mut text = String::new();
    for change in changes {
        let by = change.by.address.as_deref().unwrap_or("-");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  revision {}  {}  ({} {} by {by})",
            change.at, change.revision, change.change, change.by.method, change.by.path
        );
    }
    if text.is_empty() {
        text.push_str("nothing was asked of this cluster yet\n");
    }
    text
}
