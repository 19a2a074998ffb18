//! The subcommands with which operators look at a cluster and change it: arguments and output. What
//! they do is the library's.

use clap::{Args, Subcommand};
use node::consensus::membership::command::{
    Operator, OperatorError, changes_text, done_text, member_table, secrets_text,
    signing_keys_text, status_text,
};
use node::consensus::membership::{ClusterRequest, Done, NewMember};
use node::doctor::{self, Severity};
use node::settings::Settings;
use platform::tls::Identity;
use platform::{SystemClock, TokioNetwork};
use serde::Serialize;

use super::Failure;

const EXITS: &str = "Exit codes: 0 done, or so already; 1 refused, and nothing was changed; 2 wrong arguments; \
64 wrong settings; 69 begun, and its end is not known yet: look at the status and run it again; \
75 nobody could decide on it now: run it again later.";

const DOCTOR_EXITS: &str = "Exit codes: 0 nothing is wrong, or worth no more than a note; 1 something should be done; \
64 wrong settings.";

/// How results are shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Shown {
    /// Prints JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// What operators do.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorTask {
    /// Shows who leads, how the members stand, and what may go wrong before writes stop.
    #[command(after_help = EXITS)]
    Status {
        #[command(flatten)]
        shown: Shown,
    },
    /// Looks at all nodes and says in plain words what is wrong, how bad that is and what to do. Changes nothing.
    #[command(after_help = DOCTOR_EXITS)]
    Doctor {
        #[command(flatten)]
        shown: Shown,
    },
    /// Shows the members of the cluster, and changes who they are.
    #[command(subcommand, after_help = EXITS)]
    Members(MembersTask),
    /// Shows the keys that sign what edges follow, and changes them.
    #[command(subcommand, after_help = EXITS)]
    SigningKeys(SigningKeysTask),
    /// Shows under which keys the cluster's secrets are sealed, and has them sealed under another one.
    #[command(subcommand, after_help = EXITS)]
    Secrets(SecretsTask),
    /// Has another voter lead, and waits until it does.
    #[command(after_help = EXITS)]
    TransferLeader {
        /// The voter that is to lead; without it, the best one.
        #[arg(long, value_name = "ID")]
        to: Option<u64>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Says in which region the leader should be. Leadership moves there by itself, when a voter there
    /// has been fit to lead for a while.
    #[command(after_help = EXITS)]
    PreferRegion {
        /// The region; without it, it does not matter any more.
        #[arg(value_name = "REGION")]
        region: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
}

/// What is done with members.
#[derive(Debug, Subcommand)]
pub(crate) enum MembersTask {
    /// Shows the members, their roles, and how far each has come.
    List {
        #[command(flatten)]
        shown: Shown,
    },
    /// Shows what operators asked of the cluster lately.
    Changes {
        #[command(flatten)]
        shown: Shown,
    },
    /// Adds a node as a learner. Start it first, with an empty data directory and `join = true` under
    /// `[cluster]`.
    #[command(after_help = EXITS)]
    Add {
        #[command(flatten)]
        new: NewNode,
        #[command(flatten)]
        shown: Shown,
    },
    /// Gives a learner a vote. It has to answer and to have caught up.
    #[command(after_help = EXITS)]
    Promote {
        /// The learner's number.
        id: u64,
        #[command(flatten)]
        shown: Shown,
    },
    /// Takes a voter's vote; it stays as a learner. A leader hands leadership over first.
    #[command(after_help = EXITS)]
    Demote {
        /// The voter's number.
        id: u64,
        #[command(flatten)]
        shown: Shown,
    },
    /// Removes a member for good: its number is never used again. It need not run.
    #[command(after_help = EXITS)]
    Remove {
        /// The member's number.
        id: u64,
        #[command(flatten)]
        shown: Shown,
    },
    /// Replaces a member, dead or alive, by a new node: adds that, waits until it has caught up, and
    /// gives it the other's vote in one step. Run it again if it was interrupted.
    #[command(after_help = EXITS)]
    Replace {
        /// The number of the member that leaves.
        old: u64,
        #[command(flatten)]
        new: NewNode,
        #[command(flatten)]
        shown: Shown,
    },
}

/// What is done with signing keys.
#[derive(Debug, Subcommand)]
pub(crate) enum SigningKeysTask {
    /// Shows the keys. With `--json` it is what `[trust] file` of an edge's settings takes.
    List {
        #[command(flatten)]
        shown: Shown,
    },
    /// Has a new key sign from now on. The one before is trusted until it is retired.
    #[command(after_help = EXITS)]
    Rotate {
        #[command(flatten)]
        shown: Shown,
    },
    /// Has edges believe nothing more that a key signed. It must not be the one that signs.
    #[command(after_help = EXITS)]
    Retire {
        /// The key's name.
        key: String,
        #[command(flatten)]
        shown: Shown,
    },
}

/// What is done with sealed secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsTask {
    /// Shows how many secrets are sealed under which key, which keys the members have, and what is waited for.
    Status {
        #[command(flatten)]
        shown: Shown,
    },
    /// Seals all secrets under the key that the nodes' settings name first, now: it is done by itself once all
    /// members have it.
    #[command(after_help = EXITS)]
    Rewrap {
        #[command(flatten)]
        shown: Shown,
    },
}

/// A node that is to join.
#[derive(Debug, Args)]
pub(crate) struct NewNode {
    /// The new node's number, which no node has ever had.
    #[arg(long)]
    id: u64,
    /// Where the other nodes reach it.
    #[arg(long, value_name = "HOST:PORT")]
    internal: String,
    /// The region it runs in; without it, what its settings say.
    #[arg(long)]
    region: Option<String>,
    /// The base URL of its REST API; without it, what its settings say.
    #[arg(long, value_name = "URL")]
    rest: Option<String>,
    /// Where edges reach it; without it, what its settings say.
    #[arg(long, value_name = "HOST:PORT")]
    publisher: Option<String>,
}

impl From<NewNode> for NewMember {
    fn from(new: NewNode) -> Self {
        Self {
            id: new.id,
            internal: new.internal,
            region: new.region,
            rest: new.rest,
            publisher: new.publisher,
        }
    }
}

impl OperatorTask {
    fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Doctor { .. } => "doctor",
            Self::TransferLeader { .. } => "transfer-leader",
            Self::PreferRegion { .. } => "prefer-region",
            Self::SigningKeys(task) => match task {
                SigningKeysTask::List { .. } => "signing-keys list",
                SigningKeysTask::Rotate { .. } => "signing-keys rotate",
                SigningKeysTask::Retire { .. } => "signing-keys retire",
            },
            Self::Secrets(task) => match task {
                SecretsTask::Status { .. } => "secrets status",
                SecretsTask::Rewrap { .. } => "secrets rewrap",
            },
            Self::Members(task) => match task {
                MembersTask::List { .. } => "members list",
                MembersTask::Changes { .. } => "members changes",
                MembersTask::Add { .. } => "members add",
                MembersTask::Promote { .. } => "members promote",
                MembersTask::Demote { .. } => "members demote",
                MembersTask::Remove { .. } => "members remove",
                MembersTask::Replace { .. } => "members replace",
            },
        }
    }
}

/// Does it, and gives what is to be printed.
pub(crate) async fn run(
    task: OperatorTask,
    identity: &Identity,
    settings: &Settings,
) -> Result<String, Failure> {
    let operator = Operator::new(TokioNetwork, identity, settings, task.name())?;
    let change = |request, shown: Shown| {
        let operator = &operator;
        async move {
            let done = operator.change(&request).await;
            done_as(done, shown)
        }
    };
    match task {
        OperatorTask::Status { shown } => {
            let status = operator.status().await?;
            show(shown, &status, status_text)
        }
        OperatorTask::Doctor { shown } => {
            let facts = doctor::examine(&operator, &SystemClock).await;
            let findings = doctor::diagnose(&facts);
            let text = show(shown, &findings, |findings| {
                doctor::report(&facts, findings)
            })?;
            match findings.first().map(|worst| worst.severity) {
                Some(Severity::Critical | Severity::Warning) => Err(Failure::Unwell(text)),
                Some(Severity::Note) | None => Ok(text),
            }
        }
        OperatorTask::TransferLeader { to, shown } => {
            change(ClusterRequest::TransferLeader(to), shown).await
        }
        OperatorTask::PreferRegion { region, shown } => {
            change(ClusterRequest::PreferRegion(region), shown).await
        }
        OperatorTask::SigningKeys(task) => match task {
            SigningKeysTask::List { shown } => {
                let keys = operator.signing_keys().await?;
                show(shown, &keys, signing_keys_text)
            }
            SigningKeysTask::Rotate { shown } => {
                change(ClusterRequest::RotateSigningKey, shown).await
            }
            SigningKeysTask::Retire { key, shown } => {
                change(ClusterRequest::RetireSigningKey(key), shown).await
            }
        },
        OperatorTask::Secrets(task) => match task {
            SecretsTask::Status { shown } => {
                let status = operator.secrets().await?;
                show(shown, &status, secrets_text)
            }
            SecretsTask::Rewrap { shown } => change(ClusterRequest::RewrapSecrets, shown).await,
        },
        OperatorTask::Members(task) => match task {
            MembersTask::List { shown } => {
                let status = operator.status().await?;
                if shown.json {
                    return json(&status.members);
                }
                Ok(member_table(&status))
            }
            MembersTask::Changes { shown } => {
                let changes = operator.changes().await?;
                show(shown, &changes, |changes| changes_text(changes))
            }
            MembersTask::Add { new, shown } => change(ClusterRequest::Add(new.into()), shown).await,
            MembersTask::Promote { id, shown } => change(ClusterRequest::Promote(id), shown).await,
            MembersTask::Demote { id, shown } => change(ClusterRequest::Demote(id), shown).await,
            MembersTask::Remove { id, shown } => change(ClusterRequest::Remove(id), shown).await,
            MembersTask::Replace { old, new, shown } => {
                let said = |step: &str| tracing::info!("{step}");
                done_as(operator.replace(old, new.into(), said).await, shown)
            }
        },
    }
}

fn done_as(done: Result<Done, OperatorError>, shown: Shown) -> Result<String, Failure> {
    show(shown, &done?, done_text)
}

pub(crate) fn show<T: Serialize>(
    shown: Shown,
    what: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<String, Failure> {
    if shown.json {
        return json(what);
    }
    Ok(text(what))
}

fn json(what: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(what).map_err(|error| Failure::Output(error.into()))
}
