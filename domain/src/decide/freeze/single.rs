//! Freezes one rule alone: the active snapshot with that rule's part edited, and with what of
//! upstreams follows from it. Everything else of the draft stays out.

use std::collections::BTreeSet;

use super::{Freezing, Frozen, FrozenRule};
use crate::content::{RuleContent, action_upstreams, rule_key};
use crate::decide::Context;
use crate::decide::content::{References, references};
use crate::decide::draft::is_wanted;
use crate::id::UpstreamId;
use crate::model::{Route, Rule};
use crate::query::ViewChunks;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{UPSTREAMS, USES};
use crate::table::after as key_after;
use crate::tree::{self, Edits, Hash, TreeKind};

/// Freezes `after`, which was `before`.
pub(in crate::decide) fn freeze_rule<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
    before: &Rule,
    after: Rule,
) -> Result<Frozen, Rejection> {
    let mut freezing = Freezing::begun(context, route)?;
    let live = freezing.live_references(before)?;
    let mut edits = Edits::new();
    let Some(rule) = freezing.rule(after, &mut edits) else {
        return Ok(freezing.frozen(Vec::new(), Vec::new()));
    };
    freezing.check_place_free(&rule)?;
    let root = freezing.content.rules;
    freezing.edit_rules(&edits)?;
    let upstreams = if freezing.content.rules == root {
        Vec::new()
    } else {
        freezing.upstreams_of(before, &live, &rule)?
    };
    Ok(freezing.frozen(vec![rule], upstreams))
}

impl<V: View + ?Sized> Freezing<'_, '_, V> {
    /// The upstreams that the rule's live content names.
    fn live_references(&self, rule: &Rule) -> Result<References, Rejection> {
        let Some(live) = &rule.published else {
            return Ok(References::new());
        };
        let (chunks, key) = (
            ViewChunks(self.context.view),
            rule_key(live.priority, &rule.id),
        );
        let bytes = tree::get(&chunks, TreeKind::Rules, self.content.rules, &key)
            .map_err(|error| self.context.broken(&error))?
            .ok_or_else(|| {
                self.context
                    .broken(&format!("rule {} is published but not live", rule.id))
            })?;
        let content = RuleContent::decode(&bytes).map_err(|error| self.context.broken(&error))?;
        Ok(action_upstreams(&content.action).cloned().collect())
    }

    /// In the draft the rule's priority is its own, but another rule may still be live with it.
    fn check_place_free(&self, frozen: &FrozenRule) -> Result<(), Rejection> {
        if frozen.content.is_none() {
            return Ok(());
        }
        let rule = &frozen.rule;
        let (chunks, place) = (ViewChunks(self.context.view), rule.priority.0.to_be_bytes());
        let mut from = place.to_vec();
        loop {
            let first = tree::first_from(&chunks, TreeKind::Rules, self.content.rules, &from)
                .map_err(|error| self.context.broken(&error))?;
            let Some((key, bytes)) = first.filter(|(key, _)| key.starts_with(&place)) else {
                return Ok(());
            };
            let holder =
                RuleContent::decode(&bytes).map_err(|error| self.context.broken(&error))?;
            if holder.id != rule.id {
                return Err(Rejection::PriorityConflict {
                    priority: rule.priority.0,
                    rule_id: holder.id.to_string(),
                });
            }
            from = key_after(&key);
        }
    }

    /// What the rule needs and is not live is added. What only it needed goes, if that can be
    /// told: while other parts are pending, the draft does not say what else is live by it, and
    /// the upstream stays until they are published.
    fn upstreams_of(
        &mut self,
        before: &Rule,
        live: &References,
        frozen: &FrozenRule,
    ) -> Result<Vec<(UpstreamId, Option<Hash>)>, Rejection> {
        let (view, route) = (self.context.view, self.route);
        let draft = self.context.draft(&route.environment_id, &route.id)?;
        let others = draft.dirty_rules - u64::from(before.pending_changes);
        let alone = others == 0 && !draft.dirty_settings;
        let named_before = references(before);
        let candidates: BTreeSet<_> = [&named_before, live, &frozen.named]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let (mut edits, mut upstreams) = (Edits::new(), Vec::new());
        for id in candidates {
            let uses = USES
                .get(view, (&route.environment_id, &route.id, &id))
                .unwrap_or_default();
            let needed = frozen.content.is_some() && frozen.named.contains(&id);
            let mine = u64::from(is_wanted(before.status) && named_before.contains(&id));
            match (needed, uses.live) {
                (true, None) => {
                    // Without a record there is a complaint about the rule.
                    let record = UPSTREAMS.get(view, (&route.environment_id, &id));
                    upstreams
                        .extend(record.map(|record| self.upstream(id, Some(&record), &mut edits)));
                }
                (false, Some(_)) if alone && uses.wanted == mine => {
                    upstreams.push(self.upstream(id, None, &mut edits));
                }
                _ => {}
            }
        }
        self.edit_upstreams(&edits)?;
        Ok(upstreams)
    }
}
