//! Follows what one command does to one route's draft: how many rules it has, which parts of the
//! snapshot the next publish would change, and which upstreams are used in what way.
//!
//! A part is *dirty* if and only if publishing now would change it:
//!
//! | part | dirty when |
//! |---|---|
//! | rule | in exactly one of draft and live snapshot, or in both with different content |
//! | upstream | the same, by the content that its record would give now |
//! | settings | never published, or different from the live head |
//!
//! So a route without dirty parts is published as it is drafted, to the last bit.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::content::{References, upstream_content};
use crate::event::{Event, RulePlace};
use crate::id::{EnvironmentId, RouteId, RuleId, SnapshotId, UpstreamId};
use crate::model::{Rule, RuleStatus, SnapshotVersion, Upstream};
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{DIRTY_RULES, Draft, ROUTE_RULES_BY_STATUS, UPSTREAMS, USES, Uses};
use crate::tree::Hash;

/// A route's draft, while a command changes it.
pub(super) struct Drafting<'c, 'v, V: ?Sized> {
    context: &'c Context<'v, V>,
    environment_id: EnvironmentId,
    route_id: RouteId,
    /// The draft as it is so far.
    pub(super) draft: Draft,
    uses: BTreeMap<UpstreamId, Use>,
    events: Vec<Event>,
}

/// How the route used an upstream before, and uses it so far.
#[derive(Clone, Copy, Debug)]
struct Use {
    before: Uses,
    now: Uses,
    /// What the upstream's record gives now, where the command changed it.
    content: Option<Hash>,
}

/// What a rule was before a command, as far as its route's draft is concerned.
pub(super) struct RuleBefore {
    place: RulePlace,
    references: References,
}

impl RuleBefore {
    /// To be taken before the rule is changed.
    pub(super) fn of(rule: &Rule, references: References) -> Self {
        Self {
            place: RulePlace::of(rule),
            references,
        }
    }
}

/// Whether the next snapshot has rules with this status.
pub(super) fn is_wanted(status: RuleStatus) -> bool {
    matches!(status, RuleStatus::Draft | RuleStatus::Active)
}

/// The rules of a route whose part of the snapshot the next publish changes.
pub(super) fn dirty_rules(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    route: &RouteId,
) -> BTreeSet<RuleId> {
    let marked = DIRTY_RULES.walk(view, DIRTY_RULES.under((environment, route)));
    let drafts = ROUTE_RULES_BY_STATUS.under((environment, route, &RuleStatus::Draft));
    let drafts = ROUTE_RULES_BY_STATUS.walk(view, drafts);
    let marked = marked.map(|((_, _, id), ())| id);
    marked.chain(drafts.map(|((.., id), ())| id)).collect()
}

/// Whether a rule's draft differs from what is live of it; `content` is the draft's hash.
pub(super) fn is_pending(rule: &Rule, content: impl FnOnce() -> Option<Hash>) -> bool {
    match (is_wanted(rule.status), &rule.published) {
        (true, Some(live)) => content() != Some(live.content),
        (wanted, live) => wanted != live.is_some(),
    }
}

impl<'c, 'v, V: View + ?Sized> Drafting<'c, 'v, V> {
    /// Follows the draft of a route that exists.
    pub(super) fn of(
        context: &'c Context<'v, V>,
        environment: &EnvironmentId,
        route: &RouteId,
    ) -> Result<Self, Rejection> {
        Ok(Self::from(
            context,
            environment,
            route,
            context.draft(environment, route)?,
        ))
    }

    /// Follows a draft that begins.
    pub(super) fn begun(
        context: &'c Context<'v, V>,
        environment: &EnvironmentId,
        route: &RouteId,
        snapshot_id: &SnapshotId,
    ) -> Self {
        let draft = Draft {
            snapshot_id: snapshot_id.clone(),
            next_version: SnapshotVersion(1),
            changed_at: context.at,
            revision: context.revision,
            rules: 0,
            dirty_rules: 0,
            dirty_upstreams: 0,
            dirty_settings: true,
        };
        Self::from(context, environment, route, draft)
    }

    fn from(
        context: &'c Context<'v, V>,
        environment: &EnvironmentId,
        route: &RouteId,
        draft: Draft,
    ) -> Self {
        Self {
            context,
            environment_id: environment.clone(),
            route_id: route.clone(),
            draft,
            uses: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// A rule was made.
    pub(super) fn rule_created(&mut self, rule: &Rule, references: &References) {
        self.count_rule(rule.status, rule.pending_changes, references, 1);
        self.events.push(Event::RuleCreated(rule.clone()));
    }

    /// A rule was changed; `references` are those it has now.
    pub(super) fn rule_changed(&mut self, before: RuleBefore, rule: Rule, references: &References) {
        let RuleBefore {
            place,
            references: named,
        } = before;
        if (place.status, &named) == (rule.status, references) {
            self.count_dirty_rule(place.pending, -1);
            self.count_dirty_rule(rule.pending_changes, 1);
        } else {
            self.count_rule(place.status, place.pending, &named, -1);
            self.count_rule(rule.status, rule.pending_changes, references, 1);
        }
        self.events.push(Event::RuleChanged {
            before: place,
            after: rule,
        });
    }

    /// The route's settings name these upstreams instead of those.
    pub(super) fn settings_changed(&mut self, before: &References, after: &References) {
        self.count_uses(before, -1, -1);
        self.count_uses(after, 1, 1);
    }

    /// The live snapshot has this content of an upstream now.
    pub(super) fn upstream_published(&mut self, id: &UpstreamId, content: Option<Hash>) {
        self.use_of(id).now.live = content;
    }

    /// An upstream's record was changed.
    pub(super) fn upstream_changed(&mut self, upstream: &Upstream) {
        self.use_of(&upstream.id).content = Some(upstream_hash(upstream));
    }

    /// The route is archived: it uses nothing any more.
    pub(super) fn all_uses_end(&mut self) {
        let span = USES.under((&self.environment_id, &self.route_id));
        let view = self.context.view;
        for ((_, _, upstream), _) in USES.walk(view, span) {
            self.use_of(&upstream).now = Uses::default();
        }
    }

    /// Something that happens between what happens to the draft.
    pub(super) fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The draft is a new one from now on.
    pub(super) fn renamed(&mut self, snapshot_id: &SnapshotId) {
        self.draft.snapshot_id = snapshot_id.clone();
    }

    /// Everything that happened, and the draft that came of it.
    pub(super) fn finish(mut self) -> (Vec<Event>, Draft) {
        for (upstream, used) in std::mem::take(&mut self.uses) {
            let dirty = self.dirty_after(&upstream, used);
            self.settle(upstream, used.before, Uses { dirty, ..used.now });
        }
        self.draft.changed_at = self.context.at;
        self.draft.revision = self.context.revision;
        self.events.push(Event::DraftChanged {
            environment_id: self.environment_id,
            route_id: self.route_id,
            draft: self.draft.clone(),
        });
        (self.events, self.draft)
    }

    fn count_rule(&mut self, status: RuleStatus, pending: bool, references: &References, by: i64) {
        self.count_dirty_rule(pending, by);
        if status != RuleStatus::Archived {
            self.draft.rules = self.draft.rules.saturating_add_signed(by);
            self.count_uses(references, by, if is_wanted(status) { by } else { 0 });
        }
    }

    fn count_dirty_rule(&mut self, pending: bool, by: i64) {
        if pending {
            self.draft.dirty_rules = self.draft.dirty_rules.saturating_add_signed(by);
        }
    }

    fn count_uses(&mut self, references: &References, draft: i64, wanted: i64) {
        for id in references {
            let now = &mut self.use_of(id).now;
            now.draft = now.draft.saturating_add_signed(draft);
            now.wanted = now.wanted.saturating_add_signed(wanted);
        }
    }

    fn use_of(&mut self, id: &UpstreamId) -> &mut Use {
        let key = (&self.environment_id, &self.route_id, id);
        self.uses.entry(id.clone()).or_insert_with(|| {
            let before = USES.get(self.context.view, key).unwrap_or_default();
            Use {
                before,
                now: before,
                content: None,
            }
        })
    }

    /// Whether the upstream's part of the snapshot is dirty now. Its record is looked at only
    /// where it matters: while nothing but the number of users changes, this does not.
    fn dirty_after(&self, id: &UpstreamId, used: Use) -> bool {
        let sides = |uses: Uses| (uses.wanted > 0, uses.live);
        if used.content.is_none() && sides(used.before) == sides(used.now) {
            return used.before.dirty;
        }
        is_dirty(used.now, || {
            used.content.or_else(|| {
                let upstream = UPSTREAMS.get(self.context.view, (&self.environment_id, id))?;
                Some(upstream_hash(&upstream))
            })
        })
    }

    fn settle(&mut self, upstream_id: UpstreamId, before: Uses, after: Uses) {
        if before == after {
            return;
        }
        let dirty = i64::from(after.dirty) - i64::from(before.dirty);
        self.draft.dirty_upstreams = self.draft.dirty_upstreams.saturating_add_signed(dirty);
        let (environment_id, route_id) = (self.environment_id.clone(), self.route_id.clone());
        self.events.push(Event::UsesChanged {
            environment_id,
            route_id,
            upstream_id,
            before,
            after,
        });
    }
}

fn upstream_hash(upstream: &Upstream) -> Hash {
    Hash::of(&upstream_content(upstream).encode())
}

/// Whether publishing would change the snapshot's content of an upstream; `content` is what its
/// record gives. Without a record the live content stays.
fn is_dirty(uses: Uses, content: impl FnOnce() -> Option<Hash>) -> bool {
    match (uses.wanted > 0, uses.live) {
        (true, Some(live)) => content().is_some_and(|content| content != live),
        (wanted, live) => wanted != live.is_some(),
    }
}
