//! Under which pepper the cluster's keys are hashed. The leader sees to it in the way in which it sees to the key that secrets are
//! [sealed under](super::custody): an operator gives every node another pepper, before the one that was the first; the leader asks
//! all members which they have, and once all of them want the same one, the log has it. Keys move to it one after the other, as they
//! are used.
//!
//! Nothing may be sealed under the pepper, or derived of it, by then: all that has to be under a key-encryption key.

use domain::command::{ActivatePepper, Command};
use domain::model::PepperId;
use domain::query;

use super::custody::{by_itself, waits_for};
use super::request::{Asker, ClusterError, MemberKeys, PepperStatus, PepperedKeys};
use super::steward::{Steward, unavailable};
use crate::sealing::{Census, SealedUnder};

impl Steward {
    /// Has keys be hashed under another pepper, if that is wanted everywhere.
    pub(super) async fn look_after_pepper(&self) -> Result<(), ClusterError> {
        let wanted = self.parts.keys.wanted();
        if self.active_pepper()?.is_none_or(|active| active == wanted) {
            return Ok(());
        }
        // First without the turn: a member that does not answer must not keep operators from removing it.
        ready(
            wanted,
            self.pepper_waits(wanted, &self.ask_members().await?)?,
        )?;
        let _turn = self.take_turn("hashing keys under another pepper".to_owned())?;
        self.confirm().await?;
        let Some(before) = self.active_pepper()?.filter(|active| *active != wanted) else {
            return Ok(());
        };
        ready(
            wanted,
            self.pepper_waits(wanted, &self.ask_members().await?)?,
        )?;
        let activate = ActivatePepper {
            pepper: wanted,
            before,
        };
        let asker = Asker {
            path: "pepper".to_owned(),
            ..by_itself()
        };
        self.write_down(&asker, Command::ActivatePepper(activate))
            .await?;
        tracing::info!(pepper = %wanted, "keys are hashed under another pepper from now on");
        Ok(())
    }

    fn active_pepper(&self) -> Result<Option<PepperId>, ClusterError> {
        let read = self.parts.reader.read(|view| query::active_pepper(view));
        read.map_err(|fault| unavailable(&fault))
    }

    /// What keeps the wanted pepper from being used, in words.
    fn pepper_waits(
        &self,
        wanted: PepperId,
        members: &[MemberKeys],
    ) -> Result<Vec<String>, ClusterError> {
        let census = self.parts.reader.read(|view| Census::of(view));
        let census = census.map_err(|fault| unavailable(&fault))?;
        let under_pepper = census.counts.get(&SealedUnder::Pepper);
        let mut waits = waits_for(&wanted.to_string(), members, |member| &member.peppers);
        if census.active.is_none() || under_pepper.is_some_and(|count| count.total() > 0) {
            waits.push(
                "secrets are sealed under the pepper: give them a key-encryption key first"
                    .to_owned(),
            );
        }
        Ok(waits)
    }

    /// Under which pepper keys are hashed, and what keeps them from being hashed as operators want.
    pub(super) fn pepper_status(
        &self,
        members: &[MemberKeys],
    ) -> Result<Option<PepperStatus>, ClusterError> {
        let read = self.parts.reader.read(|view| {
            let active = query::active_pepper(view)?;
            Some((active, query::peppering(view), query::pepper_uses(view)))
        });
        let Some((active, peppering, mut uses)) = read.map_err(|fault| unavailable(&fault))? else {
            return Ok(None);
        };
        let wanted = self.parts.keys.wanted();
        uses.entry(active).or_default();
        let waits_for = if wanted == active {
            Vec::new()
        } else {
            self.pepper_waits(wanted, members)?
        };
        let keys = uses.into_iter().map(|(pepper, uses)| PepperedKeys {
            pepper: pepper.to_string(),
            api_keys: uses.api_keys,
            join_tokens: uses.join_tokens,
        });
        Ok(Some(PepperStatus {
            active: active.to_string(),
            active_since: peppering.map(|peppering| peppering.since.unix_seconds()),
            wanted: wanted.to_string(),
            waits_for,
            keys: keys.collect(),
        }))
    }
}

fn ready(wanted: PepperId, waits_for: Vec<String>) -> Result<(), ClusterError> {
    if waits_for.is_empty() {
        return Ok(());
    }
    Err(ClusterError::Refused {
        code: "pepper_not_ready".to_owned(),
        message: format!(
            "keys are not hashed under the pepper {wanted} before all members want that: {}",
            waits_for.join("; ")
        ),
    })
}
