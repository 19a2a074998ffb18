//! The journal as the checks read it: what was committed under which key, and how each object stood
//! at any revision. It is the order that all answers are held against.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::history::{Changed, Committed, Environment, History};

/// The journal, filed.
pub(super) struct Book<'a> {
    by_key: BTreeMap<(Environment, &'a str), Vec<&'a Committed>>,
    by_request: BTreeMap<&'a str, &'a Committed>,
    rules: BTreeMap<&'a str, Story<RuleFacts>>,
    routes: BTreeMap<&'a str, RouteStory<'a>>,
    owners: BTreeMap<u64, (&'a str, Environment)>,
}

/// How something stood from which revision on.
type Story<T> = BTreeMap<u64, T>;

/// What of a rule answers are held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RuleFacts {
    pub(super) name: String,
    pub(super) priority: u64,
    pub(super) archived: bool,
}

/// A route's rules and snapshots.
#[derive(Default)]
pub(super) struct RouteStory<'a> {
    pub(super) rules: Vec<&'a str>,
    /// By the revision that made them.
    pub(super) snapshots: Story<SnapshotFacts<'a>>,
}

/// What of a snapshot answers are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SnapshotFacts<'a> {
    pub(super) id: &'a str,
    pub(super) version: u64,
}

impl<'a> Book<'a> {
    pub(super) fn open(history: &'a History) -> Self {
        let mut book = Self {
            by_key: BTreeMap::new(),
            by_request: BTreeMap::new(),
            rules: BTreeMap::new(),
            routes: BTreeMap::new(),
            owners: BTreeMap::new(),
        };
        for committed in &history.journal {
            book.file(committed);
        }
        book
    }

    fn file(&mut self, committed: &'a Committed) {
        if let Some(key) = &committed.key {
            let under = (committed.environment, key.as_str());
            self.by_key.entry(under).or_default().push(committed);
        }
        self.by_request.insert(&committed.request_id, committed);
        for (event, _) in &committed.events {
            self.own(event, committed.environment);
        }
        for change in &committed.changes {
            match change.object {
                "rule" => self.rule(committed.revision, change),
                "snapshot" => self.snapshot(committed.revision, change),
                "api_key" | "environment" | "workspace" => continue,
                _ => {}
            }
            self.own(&change.id, committed.environment);
        }
    }

    fn own(&mut self, id: &'a str, environment: Environment) {
        let short = crate::history::mention(id);
        self.owners.entry(short).or_insert((id, environment));
    }

    fn rule(&mut self, revision: u64, change: &'a Changed) {
        let story = self.rules.entry(&change.id).or_default();
        if story.is_empty()
            && let Some(route) = &change.route
        {
            let route = self.routes.entry(route).or_default();
            route.rules.push(&change.id);
        }
        let before = story.last_key_value().map(|(_, facts)| facts.clone());
        let mut facts = before.unwrap_or_default();
        let fields = fields(change.after.as_deref());
        if let Some(name) = fields.get("name").and_then(Value::as_str) {
            name.clone_into(&mut facts.name);
        }
        if let Some(priority) = fields.get("priority").and_then(Value::as_u64) {
            facts.priority = priority;
        }
        if let Some(status) = fields.get("status").and_then(Value::as_str) {
            facts.archived = status == "archived";
        }
        story.insert(revision, facts);
    }

    fn snapshot(&mut self, revision: u64, change: &'a Changed) {
        let fields = fields(change.after.as_deref());
        let version = fields.get("version").and_then(Value::as_u64);
        if let (Some(route), Some(version)) = (&change.route, version) {
            let route = self.routes.entry(route).or_default();
            let facts = SnapshotFacts {
                id: &change.id,
                version,
            };
            route.snapshots.insert(revision, facts);
        }
    }

    /// What was committed under an idempotency key.
    pub(super) fn under<'b>(
        &'b self,
        environment: Environment,
        key: &'b str,
    ) -> &'b [&'a Committed] {
        self.by_key
            .get(&(environment, key))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What a request committed.
    pub(super) fn of_request(&self, request_id: &str) -> Option<&'a Committed> {
        self.by_request.get(request_id).copied()
    }

    /// How a rule stood at a revision; nothing before it was made.
    pub(super) fn rule_at(&self, id: &str, revision: u64) -> Option<&RuleFacts> {
        let (_, facts) = self.rules.get(id)?.range(..=revision).next_back()?;
        Some(facts)
    }

    /// Every rule, as it stands at the end.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&'a str, &RuleFacts)> {
        self.rules
            .iter()
            .filter_map(|(id, story)| Some((*id, story.last_key_value()?.1)))
    }

    /// The rules of a route that were not archived at a revision, by priority.
    pub(super) fn list_at(&self, route: &str, revision: u64) -> Vec<(u64, &'a str, &str)> {
        let rules = self.routes.get(route).map(|route| route.rules.as_slice());
        let mut list: Vec<_> = rules
            .unwrap_or_default()
            .iter()
            .filter_map(|id| {
                let facts = self.rule_at(id, revision)?;
                let listed = (facts.priority, *id, facts.name.as_str());
                (!facts.archived).then_some(listed)
            })
            .collect();
        list.sort_unstable();
        list
    }

    /// A route's snapshots up to a revision, newest first.
    pub(super) fn snapshots_at(
        &self,
        route: &str,
        revision: u64,
    ) -> impl Iterator<Item = SnapshotFacts<'a>> {
        let route = self.routes.get(route);
        route
            .into_iter()
            .flat_map(move |route| route.snapshots.range(..=revision).rev())
            .map(|(_, snapshot)| *snapshot)
    }

    /// The object that a mention is of, and whose it is.
    pub(super) fn owner(&self, mention: u64) -> Option<(&'a str, Environment)> {
        self.owners.get(&mention).copied()
    }
}

fn fields(json: Option<&str>) -> Map<String, Value> {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}
