//! What a rollback does to rules: to those whose live content changes, and, where the draft is
//! reset, to those whose draft differs from the target.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{LiveRule, Way, changed_rules, read_rule};
use crate::command::Actor;
use crate::content::rule_key;
use crate::decide::Context;
use crate::decide::content::{Parsed, references};
use crate::decide::draft::{Drafting, RuleBefore, dirty_rules, is_pending, is_wanted};
use crate::decide::history::{add_version, changed_fields, log, version_published};
use crate::decide::priorities::Priorities;
use crate::decide::publish::set_live;
use crate::decide::verdict;
use crate::id::RuleId;
use crate::model::{Route, Rule, RuleEventKind, RuleStatus};
use crate::query::ViewChunks;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::RULES;
use crate::tree::{self, Hash, TreeKind};

/// Rules in the course of being rewritten.
struct Rewriting<'c, 'v, V: ?Sized> {
    context: &'c Context<'v, V>,
    route: &'c Route,
    way: &'c Way,
    priorities: Priorities<'c, V>,
    rules: BTreeMap<RuleId, Rewritten>,
}

struct Rewritten {
    before: Rule,
    after: Rule,
}

pub(super) fn roll_back<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    drafting: &mut Drafting<'_, '_, V>,
    route: &Route,
    way: &Way,
) -> Result<(), Rejection> {
    let mut rewriting = Rewriting {
        context,
        route,
        way,
        priorities: Priorities::new(context.view, &route.environment_id, &route.id),
        rules: BTreeMap::new(),
    };
    let changed = changed_rules(context, way)?;
    for (id, live) in &changed {
        rewriting.set_live(id, live.as_ref())?;
    }
    if way.reset_draft {
        let targets = rewriting.targets(changed)?;
        rewriting.reset(&targets)?;
    }
    for Rewritten { before, after } in rewriting.rules.into_values() {
        write(context, actor, drafting, way, before, after);
    }
    Ok(())
}

impl<V: View + ?Sized> Rewriting<'_, '_, V> {
    fn rule(&mut self, id: &RuleId) -> Result<&mut Rule, Rejection> {
        match self.rules.entry(id.clone()) {
            Entry::Occupied(entry) => Ok(&mut entry.into_mut().after),
            Entry::Vacant(entry) => {
                let rule = RULES
                    .get(self.context.view, (&self.route.environment_id, id))
                    .ok_or_else(|| {
                        self.context
                            .broken(&format!("rule {id} is published but does not exist"))
                    })?;
                Ok(&mut entry
                    .insert(Rewritten {
                        before: rule.clone(),
                        after: rule,
                    })
                    .after)
            }
        }
    }

    /// Changes what is live of a rule. One that was archived comes back, at its priority or the
    /// next free one.
    fn set_live(&mut self, id: &RuleId, live: Option<&LiveRule>) -> Result<(), Rejection> {
        let (context, way) = (self.context, self.way);
        let rule = self.rule(id)?;
        let restored = live.is_some() && rule.status == RuleStatus::Archived;
        if restored {
            restore(context, rule);
        }
        set_live(
            context,
            rule,
            &way.snapshot_id,
            live.map(|live| (live.content.priority, live.hash)),
        );
        if restored && !way.reset_draft {
            let wanted = rule.priority;
            let free = self.priorities.take_free(wanted, id);
            self.rule(id)?.priority = free;
        }
        Ok(())
    }

    /// The rules whose draft may differ from the target, with what the target has of them: those
    /// that change on the way, and those that differed before.
    fn targets(
        &self,
        mut targets: BTreeMap<RuleId, Option<LiveRule>>,
    ) -> Result<BTreeMap<RuleId, Option<LiveRule>>, Rejection> {
        let view = self.context.view;
        let environment = &self.route.environment_id;
        for id in dirty_rules(view, environment, &self.route.id) {
            let Entry::Vacant(entry) = targets.entry(id) else {
                continue;
            };
            let published = RULES
                .get(view, (environment, entry.key()))
                .and_then(|rule| rule.published);
            let Some(published) = published else {
                entry.insert(None);
                continue;
            };
            let key = rule_key(published.priority, entry.key());
            let bytes = tree::get(
                &ViewChunks(view),
                TreeKind::Rules,
                self.way.target.rules,
                &key,
            )
            .map_err(|error| self.context.broken(&error))?
            .ok_or_else(|| {
                self.context
                    .broken(&format!("rule {} is published but not live", entry.key()))
            })?;
            let content = read_rule(self.context, &bytes)?;
            entry.insert(Some(LiveRule {
                content,
                hash: Hash::of(&bytes),
            }));
        }
        Ok(targets)
    }

    /// Makes drafts what the target has: first every priority in question is freed, then the
    /// target's rules take theirs, then those who lost theirs by it get the next free ones.
    fn reset(&mut self, targets: &BTreeMap<RuleId, Option<LiveRule>>) -> Result<(), Rejection> {
        for (id, target) in targets {
            let priority = self.rule(id)?.priority;
            if target.is_some() && self.held_priority(id) {
                self.priorities.release(priority);
            }
        }
        let mut displaced = Vec::new();
        for (id, target) in targets {
            let context = self.context;
            match target {
                Some(live) => {
                    reset_to(context, self.rule(id)?, live);
                    displaced.extend(self.priorities.take(live.content.priority, id));
                }
                None => take_out(context, self.rule(id)?),
            }
        }
        for id in displaced {
            let wanted = self.rule(&id)?.priority;
            let free = self.priorities.take_free(wanted, &id);
            self.rule(&id)?.priority = free;
        }
        Ok(())
    }

    /// Whether a rule being rewritten held its priority before, which archived ones do not.
    fn held_priority(&self, id: &RuleId) -> bool {
        self.rules
            .get(id)
            .is_some_and(|rule| rule.before.status != RuleStatus::Archived)
    }
}

fn restore<V: View + ?Sized>(context: &Context<'_, V>, rule: &mut Rule) {
    rule.status = RuleStatus::Active;
    rule.archived_at = None;
    log(rule, RuleEventKind::Restored, context.at);
}

/// Gives a rule's draft what is live of it. JSON that means the same already stays as it was sent.
fn reset_to<V: View + ?Sized>(context: &Context<'_, V>, rule: &mut Rule, live: &LiveRule) {
    let content = &live.content;
    let parsed = Parsed::of(rule).ok();
    if parsed
        .as_ref()
        .is_none_or(|parsed| parsed.criteria != content.criteria)
    {
        rule.criteria = content.criteria.to_json().to_string();
    }
    if parsed
        .as_ref()
        .is_none_or(|parsed| parsed.action != content.action)
    {
        rule.action = content.action.to_json().to_string();
    }
    rule.name.clone_from(&content.name);
    rule.priority = content.priority;
    rule.metadata.clone_from(&content.metadata);
    if rule.status == RuleStatus::Paused {
        log(rule, RuleEventKind::Resumed, context.at);
    }
    rule.status = RuleStatus::Active;
}

/// Keeps a rule out of the next snapshot.
fn take_out<V: View + ?Sized>(context: &Context<'_, V>, rule: &mut Rule) {
    if is_wanted(rule.status) {
        rule.status = RuleStatus::Paused;
        log(rule, RuleEventKind::Paused, context.at);
    }
}

/// Whether what a rule's draft says is not what it was last judged by. What an archived rule names
/// may have been removed meanwhile.
fn says_otherwise(before: &Rule, after: &Rule) -> bool {
    before.status == RuleStatus::Archived
        || (&before.criteria, &before.action) != (&after.criteria, &after.action)
}

fn write<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    drafting: &mut Drafting<'_, '_, V>,
    way: &Way,
    before: Rule,
    mut after: Rule,
) {
    let parsed = Parsed::of(&after).ok();
    if says_otherwise(&before, &after) {
        verdict::judge_again(context, &mut after, parsed.as_ref());
    }
    after.pending_changes =
        is_pending(&after, || parsed.as_ref().map(|parsed| parsed.hash(&after)));
    if !changed_fields(&before, &after).is_empty() {
        add_version(context, drafting, actor, Some(&before), &mut after);
        let live = after.published.as_ref();
        if let (true, false, Some(live_in)) = (
            way.reset_draft,
            after.pending_changes,
            live.map(|live| live.snapshot_id.clone()),
        ) {
            version_published(drafting, &mut after, &live_in);
        }
        after.updated_at = Some(context.at);
    }
    if after == before {
        return;
    }
    after.revision = context.revision;
    let named = parsed.map(|parsed| parsed.references()).unwrap_or_default();
    drafting.rule_changed(RuleBefore::of(&before, references(&before)), after, &named);
}
