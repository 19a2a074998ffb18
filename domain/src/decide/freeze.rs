//! Freezes a route's draft into the content of a snapshot: the live trees with the dirty parts
//! edited, so the cost follows what changed since the last publish. Also says everything that
//! keeps the draft from being published.

mod live;
mod single;

use super::Context;
use super::content::{
    Inspector, Parsed, References, placed, problem, read_config, references, upstream_content,
};
use super::draft::{dirty_rules, is_wanted};
use crate::content::{RouteContent, load_head, rule_key, upstream_key};
use crate::id::UpstreamId;
use crate::model::{Route, Rule, Upstream};
use crate::query::ViewChunks;
use crate::rejection::{Problem, Rejection};
use crate::rows::View;
use crate::schema::{DIRTY_UPSTREAMS, RULES, UPSTREAMS, USES};
use crate::tree::{self, Chunks, Edits, Hash, TreeKind};

pub(super) use live::{freeze_reweighed, live_upstream};
pub(super) use single::freeze_rule;

/// How many problems of a draft are told at once: more than anybody reads before the next try.
const PROBLEMS_MAX: usize = 100;

/// What a draft would be as a snapshot.
pub(crate) struct Frozen {
    /// The head chunk's content.
    pub(super) content: RouteContent,
    /// The head chunk.
    pub(crate) head: Hash,
    /// The chunks that the live snapshot does not have, the head among them.
    pub(crate) chunks: Chunks,
    /// The dirty rules.
    pub(super) rules: Vec<FrozenRule>,
    /// The dirty upstreams, with the hash of what is published of them, if anything is.
    pub(super) upstreams: Vec<(UpstreamId, Option<Hash>)>,
    /// What keeps it from being published. Parts with problems are as they are in the live one.
    pub(super) problems: Vec<Problem>,
}

/// A dirty rule.
pub(super) struct FrozenRule {
    /// Its draft.
    pub(super) rule: Rule,
    /// The upstreams that it names.
    pub(super) named: References,
    /// The hash of what is published of it, if anything is.
    pub(super) content: Option<Hash>,
}

/// The content of the route's live snapshot.
pub(super) fn live_content<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
) -> Result<Option<RouteContent>, Rejection> {
    route
        .published
        .as_ref()
        .map(|published| head_content(context, &published.head))
        .transpose()
}

/// The content of a head chunk.
pub(super) fn head_content<V: View + ?Sized>(
    context: &Context<'_, V>,
    head: &Hash,
) -> Result<RouteContent, Rejection> {
    load_head(&ViewChunks(context.view), *head).map_err(|error| context.broken(&error))
}

/// Whether the settings of a route's draft differ from the live ones.
pub(super) fn settings_differ<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
) -> Result<bool, Rejection> {
    Ok(live_content(context, route)?.is_none_or(|live| settings_differ_from(&live, route)))
}

/// The same, from a content at hand.
pub(super) fn settings_differ_from(content: &RouteContent, route: &Route) -> bool {
    let mut drafted = content.clone();
    match read_config(route.mode, &route.config) {
        Ok(config) => {
            set_settings(&mut drafted, route);
            drafted.default_upstreams = config.default_upstreams;
            drafted.config = config.canonical;
            drafted != *content
        }
        Err(_) => true,
    }
}

fn set_settings(content: &mut RouteContent, route: &Route) {
    content.name.clone_from(&route.name);
    content.hostname.clone_from(&route.hostname);
    content.mode = route.mode;
    content.enabled = route.enabled;
}

/// Freezes the draft of `route`.
pub(crate) fn freeze<V: View + ?Sized>(
    context: &Context<'_, V>,
    route: &Route,
) -> Result<Frozen, Rejection> {
    let draft = context.draft(&route.environment_id, &route.id)?;
    let mut freezing = Freezing::begun(context, route)?;
    if draft.dirty_settings {
        freezing.settings();
    }
    let rules = freezing.rules()?;
    let upstreams = freezing.upstreams()?;
    Ok(freezing.frozen(rules, upstreams))
}

fn empty(route: &Route) -> RouteContent {
    RouteContent {
        route_id: route.id.clone(),
        name: route.name.clone(),
        hostname: route.hostname.clone(),
        mode: route.mode,
        enabled: route.enabled,
        default_upstreams: Vec::new(),
        config: "{}".to_owned(),
        upstreams: Hash::EMPTY_TREE,
        rules: Hash::EMPTY_TREE,
        rule_count: 0,
    }
}

struct Freezing<'c, 'v, V: ?Sized> {
    context: &'c Context<'v, V>,
    route: &'c Route,
    inspector: Inspector<'c, V>,
    content: RouteContent,
    chunks: Chunks,
    problems: Vec<Problem>,
}

impl<'c, 'v, V: View + ?Sized> Freezing<'c, 'v, V> {
    /// Begins with what is live.
    fn begun(context: &'c Context<'v, V>, route: &'c Route) -> Result<Self, Rejection> {
        Ok(Self {
            context,
            route,
            inspector: Inspector::new(context.view, &route.environment_id),
            content: live_content(context, route)?.unwrap_or_else(|| empty(route)),
            chunks: Chunks::new(),
            problems: Vec::new(),
        })
    }

    /// Ends with these parts changed.
    fn frozen(self, rules: Vec<FrozenRule>, upstreams: Vec<(UpstreamId, Option<Hash>)>) -> Frozen {
        let Self {
            content,
            mut chunks,
            mut problems,
            ..
        } = self;
        problems.truncate(PROBLEMS_MAX);
        let bytes = content.encode();
        let head = Hash::of(&bytes);
        chunks.insert(head, bytes);
        Frozen {
            content,
            head,
            chunks,
            rules,
            upstreams,
            problems,
        }
    }

    fn settings(&mut self) {
        match read_config(self.route.mode, &self.route.config) {
            Ok(config) => {
                let problems = self.inspector.settings(&config);
                self.complain(problems);
                set_settings(&mut self.content, self.route);
                self.content.default_upstreams = config.default_upstreams;
                self.content.config = config.canonical;
            }
            Err(rejection) => {
                self.complain([problem(
                    "invalid_config",
                    rejection.to_string(),
                    "config".to_owned(),
                )]);
            }
        }
    }

    fn rules(&mut self) -> Result<Vec<FrozenRule>, Rejection> {
        let view = self.context.view;
        let (environment, route) = (&self.route.environment_id, &self.route.id);
        let mut edits = Edits::new();
        let mut rules = Vec::new();
        for id in dirty_rules(view, environment, route) {
            let rule = RULES.get(view, (environment, &id));
            let rule = rule.ok_or_else(|| {
                self.context
                    .broken(&format!("dirty rule {id} does not exist"))
            })?;
            rules.extend(self.rule(rule, &mut edits));
        }
        self.edit_rules(&edits)?;
        Ok(rules)
    }

    fn edit_rules(&mut self, edits: &Edits) -> Result<(), Rejection> {
        let edited = self.edit(TreeKind::Rules, self.content.rules, edits)?;
        if let Some((root, len)) = edited {
            (self.content.rules, self.content.rule_count) = (root, len);
        }
        Ok(())
    }

    /// Edits one rule's part of the tree; `None` where a problem keeps it as it is.
    fn rule(&mut self, rule: Rule, edits: &mut Edits) -> Option<FrozenRule> {
        let (named, bytes) = if is_wanted(rule.status) {
            let parsed = self.inspected(&rule)?;
            (parsed.references(), Some(parsed.content(&rule).encode()))
        } else {
            (references(&rule), None)
        };
        if bytes
            .as_ref()
            .is_some_and(|bytes| bytes.len() > RULE_BYTES_MAX)
        {
            let message = "The rule is too large to be published.".to_owned();
            self.complain([problem("rule_too_large", message, rule.id.to_string())]);
            return None;
        }
        let content = bytes.as_deref().map(Hash::of);
        if let Some(live) = &rule.published {
            edits.insert(rule_key(live.priority, &rule.id), None);
        }
        if let Some(bytes) = bytes {
            edits.insert(rule_key(rule.priority, &rule.id), Some(bytes));
        }
        Some(FrozenRule {
            rule,
            named,
            content,
        })
    }

    /// A rule's objects, if they can be read; what is wrong with them is noted.
    fn inspected(&mut self, rule: &Rule) -> Option<Parsed> {
        match Parsed::of(rule) {
            Ok(parsed) => {
                let problems = self.inspector.rule(&parsed);
                self.complain(problems.into_iter().map(|problem| placed(rule, problem)));
                Some(parsed)
            }
            Err(problem) => {
                self.complain([placed(rule, problem)]);
                None
            }
        }
    }

    fn upstreams(&mut self) -> Result<Vec<(UpstreamId, Option<Hash>)>, Rejection> {
        let view = self.context.view;
        let span = DIRTY_UPSTREAMS.under((&self.route.environment_id, &self.route.id));
        let mut edits = Edits::new();
        let mut upstreams = Vec::new();
        for ((environment, route, id), ()) in DIRTY_UPSTREAMS.walk(view, span) {
            let wanted = USES
                .get(view, (&environment, &route, &id))
                .is_some_and(|uses| uses.wanted > 0);
            let record = if wanted {
                UPSTREAMS.get(view, (&environment, &id))
            } else {
                None
            };
            if wanted && record.is_none() {
                // Its users are dirty too, and have been complained about.
                continue;
            }
            upstreams.push(self.upstream(id, record.as_ref(), &mut edits));
        }
        self.edit_upstreams(&edits)?;
        Ok(upstreams)
    }

    /// Edits one upstream's part of the tree: what its record gives, or nothing without one.
    fn upstream(
        &mut self,
        id: UpstreamId,
        record: Option<&Upstream>,
        edits: &mut Edits,
    ) -> (UpstreamId, Option<Hash>) {
        let content = record.map(upstream_content);
        if content
            .as_ref()
            .is_some_and(|content| content.targets.iter().all(|target| target.weight == 0))
        {
            let message = "The weights of the upstream's targets add up to 0.".to_owned();
            self.complain([problem("no_weight", message, format!("{id}.targets"))]);
        }
        let bytes = content.map(|content| content.encode());
        let hash = bytes.as_deref().map(Hash::of);
        edits.insert(upstream_key(&id), bytes);
        (id, hash)
    }

    fn edit_upstreams(&mut self, edits: &Edits) -> Result<(), Rejection> {
        if let Some((root, _)) = self.edit(TreeKind::Upstreams, self.content.upstreams, edits)? {
            self.content.upstreams = root;
        }
        Ok(())
    }

    /// Applies edits to one of the trees: its new root and length, if there is anything to edit.
    fn edit(
        &mut self,
        kind: TreeKind,
        root: Hash,
        edits: &Edits,
    ) -> Result<Option<(Hash, u64)>, Rejection> {
        if edits.is_empty() {
            return Ok(None);
        }
        let edited = tree::edit(&ViewChunks(self.context.view), kind, root, edits);
        let edited = edited.map_err(|error| self.context.broken(&error))?;
        self.chunks.extend(edited.chunks);
        Ok(Some((edited.root, edited.len)))
    }

    fn complain(&mut self, problems: impl IntoIterator<Item = Problem>) {
        let room = PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(problems.into_iter().take(room));
    }
}

/// The largest rule that fits into a tree beside its key.
const RULE_BYTES_MAX: usize = tree::ITEM_BYTES_MAX - tree::KEY_BYTES_MAX;
