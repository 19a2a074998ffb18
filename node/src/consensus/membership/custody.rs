//! Under which key the cluster's secrets are sealed, and that all of them are. The leader sees to it:
//!
//! 1. an operator gives every node another key, before the one that was the first
//! 2. the leader asks all members which keys they have. A key's name is made of the key, so whoever names it has it
//! 3. once all of them want the same one, the log has it: every node seals under it from then on
//! 4. the leader seals anew what is sealed under something else, some secrets an entry, each only if it is still what
//!    was read
//!
//! No member joins between 2 and 3. One that is started again in between with other keys finds at its start, or when it applies 3, what it
//! lacks, and ends. A leader that dies leaves nothing half done: whoever leads next sees what is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::command::{ActivateKek, Command};
use domain::limits::REWRAPS_MAX;
use domain::model::{KekId, PepperId, Sealing, SecretPlace};
use domain::query;
use futures_util::future::join_all;
use raft_store::types::{Member, NodeId};
use tokio::time::{Instant, sleep};

use super::newcomer::introduced;
use super::request::{Asker, ClusterError, Done, MemberKeys, SealedSecrets, SecretsStatus};
use super::steward::{Steward, unavailable};
use crate::keys::Pepper;
use crate::sealing::rewrap::rewrap;
use crate::sealing::{Census, Unopened};

/// How often is looked whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// After how long all secrets are looked at again, when all were in order: nobody seals under another key than the
/// active one, but for a node that is behind.
const SETTLED_FOR: Duration = Duration::from_secs(60);

/// The most entries of one look: what is left is seen at the next.
const ENTRIES_MAX: usize = 1024;

/// Under which key everything was found in order, and when.
type Settled = (Option<KekId>, Instant);

/// Looks for ever, and does nothing while another node leads or this one is leaving.
pub(crate) async fn run(steward: Steward, draining: Arc<AtomicBool>) {
    let mut said = [String::new(), String::new()];
    let mut settled: Option<Settled> = None;
    loop {
        sleep(LOOK_EVERY).await;
        if !steward.leads() || draining.load(Ordering::SeqCst) {
            settled = None;
            continue;
        }
        let secrets = steward.look_after_secrets(settled).await.map(|found| {
            settled = found;
        });
        // After the secrets: what is sealed under the pepper is in its way.
        let pepper = steward.look_after_pepper().await;
        let reasons = [secrets, pepper].map(|done| {
            let error = done.err();
            error.map_or_else(String::new, |error| error.to_string())
        });
        for (reason, said) in reasons.iter().zip(&said) {
            if !reason.is_empty() && reason != said {
                tracing::warn!(
                    reason,
                    "sealing secrets under another key, or hashing keys under another pepper, has to wait"
                );
            }
        }
        said = reasons;
    }
}

fn ready(wanted: KekId, members: &[MemberKeys]) -> Result<(), ClusterError> {
    let waits_for = waits_for(&wanted.to_string(), members, |member| &member.keys);
    if waits_for.is_empty() {
        return Ok(());
    }
    Err(ClusterError::Refused {
        code: "keys_not_ready".to_owned(),
        message: format!(
            "secrets are not sealed under the key {wanted} before all members want that: {}",
            waits_for.join("; ")
        ),
    })
}

/// What keeps a key from being used which all members have to want, in words.
pub(super) fn waits_for(
    wanted: &str,
    members: &[MemberKeys],
    has: impl Fn(&MemberKeys) -> &[String],
) -> Vec<String> {
    let waits_for = members.iter().filter_map(|member| {
        let id = member.id;
        let place = has(member).iter().position(|key| key == wanted);
        match (&member.problem, place) {
            (Some(problem), _) => Some(format!("node {id} does not answer ({problem})")),
            (None, None) => Some(format!("node {id} lacks it")),
            (None, Some(0)) => None,
            (None, Some(_)) => Some(format!("node {id} has another key before it")),
        }
    });
    waits_for.collect()
}

impl Steward {
    /// Does what is due. When everything was in order lately, not all secrets are looked at.
    async fn look_after_secrets(
        &self,
        settled: Option<Settled>,
    ) -> Result<Option<Settled>, ClusterError> {
        let active = self.active()?;
        let wanted = self.parts.keys.keks().wanted();
        let waits = match wanted {
            Some(wanted) if active != Some(wanted) => self.activate_if_ready(wanted).await.err(),
            _ => None,
        };
        let active = self.active()?;
        let is_settled = settled.is_some_and(|(of, at)| of == active && at.elapsed() < SETTLED_FOR);
        let mut found = settled;
        if active.is_some() && !is_settled {
            let (anew, failed) = self.rewrap(&by_itself()).await?;
            if anew > 0 {
                tracing::info!(secrets = anew, "sealed secrets under the active key");
            }
            for (place, error) in failed {
                tracing::error!(%place, %error, "a secret cannot be sealed anew");
            }
            found = Some((active, Instant::now()));
        }
        match waits {
            Some(reason) => Err(reason),
            None => Ok(found),
        }
    }

    fn active(&self) -> Result<Option<KekId>, ClusterError> {
        Ok(self.sealing()?.map(|sealing| sealing.active))
    }

    fn sealing(&self) -> Result<Option<Sealing>, ClusterError> {
        let read = self.parts.reader.read(|view| query::sealing(view));
        read.map_err(|fault| unavailable(&fault))
    }

    /// Asks first without the turn: a member that does not answer must not keep operators from removing it.
    async fn activate_if_ready(&self, wanted: KekId) -> Result<(), ClusterError> {
        ready(wanted, &self.ask_members().await?)?;
        let _turn = self.take_turn("sealing secrets under another key".to_owned())?;
        self.activate(&by_itself(), wanted).await
    }

    /// Has secrets be sealed under `wanted` from now on, if all members have it and want it. The caller has the turn.
    async fn activate(&self, asker: &Asker, wanted: KekId) -> Result<(), ClusterError> {
        self.confirm().await?;
        let before = self.active()?;
        ready(wanted, &self.ask_members().await?)?;
        let activate = ActivateKek {
            key: wanted,
            before,
        };
        self.write_down(asker, Command::ActivateKek(activate))
            .await?;
        tracing::info!(key = %wanted, "secrets are sealed under another key from now on");
        Ok(())
    }

    /// Seals under the active key what is not, and says how many that were, and what could not be opened.
    async fn rewrap(
        &self,
        asker: &Asker,
    ) -> Result<(u64, BTreeMap<SecretPlace, Unopened>), ClusterError> {
        let mut anew = 0;
        let mut failed = BTreeMap::new();
        for _ in 0..ENTRIES_MAX {
            let parts = &self.parts;
            let read = parts.reader.read(|view| {
                let active = query::sealing(view)?.active;
                let entropy = &*parts.entropy;
                Some(rewrap(&parts.keys, view, active, REWRAPS_MAX, entropy))
            });
            let Some(mut made) = read.map_err(|fault| unavailable(&fault))? else {
                break;
            };
            failed = std::mem::take(&mut made.failed);
            anew += made.len() as u64;
            let Some(command) = made.command() else {
                break;
            };
            if !self.leads() {
                return Err(self.moved());
            }
            self.write_down(asker, command).await?;
        }
        Ok((anew, failed))
    }

    /// Which keys and peppers members have.
    pub(super) async fn ask_members(&self) -> Result<Vec<MemberKeys>, ClusterError> {
        let (view, _) = self.view()?;
        let known = view.members.into_values().map(|known| known.member);
        Ok(join_all(known.map(|member| self.keys_of(member))).await)
    }

    async fn keys_of(&self, member: Member) -> MemberKeys {
        let parts = &self.parts;
        let id: NodeId = member.id;
        if id == parts.this.id {
            return MemberKeys {
                id,
                keys: texts(parts.keys.keks().ids()),
                peppers: texts(parts.keys.peppers().map(Pepper::id)),
                problem: None,
            };
        }
        match introduced(&parts.peers, &parts.this, (id, &member.internal)).await {
            Ok(said) => MemberKeys {
                id,
                keys: texts(said.keks.iter().filter_map(|key| KekId::read(key))),
                peppers: texts(said.peppers.iter().filter_map(|id| PepperId::read(id))),
                problem: None,
            },
            Err(problem) => MemberKeys {
                id,
                keys: Vec::new(),
                peppers: Vec::new(),
                problem: Some(problem),
            },
        }
    }

    /// How secrets are sealed, and what keeps them from being sealed as operators want.
    pub(super) async fn secrets_status(&self) -> Result<SecretsStatus, ClusterError> {
        self.confirm().await?;
        let parts = &self.parts;
        let read = parts.reader.read(|view| {
            let sealing = query::sealing(view);
            let failed = sealing.map(|sealing| {
                let all = usize::MAX;
                rewrap(&parts.keys, view, sealing.active, all, &*parts.entropy).failed
            });
            (sealing, Census::of(view), failed.unwrap_or_default())
        });
        let (sealing, census, failed) = read.map_err(|fault| unavailable(&fault))?;
        let wanted = parts.keys.keks().wanted();
        let members = self.ask_members().await?;
        let due = wanted.filter(|wanted| Some(*wanted) != census.active);
        let waits_for = due.map(|wanted| waits_for(&wanted.to_string(), &members, |one| &one.keys));
        let secrets = census.counts.iter().map(|(under, count)| SealedSecrets {
            key: under.name(),
            signing_keys: count.signing_keys,
            certificates: count.certificates,
            webhook_secrets: count.webhook_secrets,
        });
        Ok(SecretsStatus {
            answered_by: parts.this.id,
            active: census.active.map(|id| id.to_string()),
            active_since: sealing.map(|sealing| sealing.since.unix_seconds()),
            wanted: wanted.map(|id| id.to_string()),
            waits_for: waits_for.unwrap_or_default(),
            pepper: self.pepper_status(&members)?,
            members,
            secrets: secrets.collect(),
            left: if census.active.is_some() {
                census.stale()
            } else {
                0
            },
            unopened: failed
                .iter()
                .map(|(place, error)| format!("{place}: {error}"))
                .collect(),
        })
    }

    /// Does now what is done by itself otherwise. The caller has the turn.
    pub(super) async fn rewrap_secrets(&self, asker: &Asker) -> Result<Done, ClusterError> {
        let Some(wanted) = self.parts.keys.keks().wanted() else {
            return Err(ClusterError::Refused {
                code: "no_key".to_owned(),
                message:
                    "the leader has no key-encryption key: give every node the same ones with \
                          security.kek_file or security.kek_command"
                        .to_owned(),
            });
        };
        let is_new = self.active()? != Some(wanted);
        if is_new {
            self.activate(asker, wanted).await?;
        } else {
            self.confirm().await?;
        }
        let (anew, failed) = self.rewrap(asker).await?;
        let left = match failed.len() {
            0 => String::new(),
            count => format!("; {count} do not open, see secrets status"),
        };
        Ok(Done {
            changed: is_new || anew > 0,
            message: format!("{anew} secrets were sealed anew under the key {wanted}{left}"),
            risks: Vec::new(),
        })
    }
}

fn texts(keys: impl Iterator<Item = impl ToString>) -> Vec<String> {
    keys.map(|key| key.to_string()).collect()
}

/// Nobody asked.
pub(super) fn by_itself() -> Asker {
    Asker {
        method: "NODE".to_owned(),
        path: "secrets rewrap".to_owned(),
        address: None,
    }
}
