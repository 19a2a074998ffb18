//! From records to what would be published of them: the JSON that clients sent gets types here,
//! and it is said what of it could not be published.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::check::{ACTION_BYTES_MAX, CONFIG_BYTES_MAX, CRITERIA_BYTES_MAX, json_size};
use crate::content::{
    self, Action, Criteria, Invalid, InvalidKind, RouteConfig, RuleContent, SETTINGS_BYTES_MAX,
    UpstreamContent,
};
use crate::id::{EnvironmentId, UpstreamId};
use crate::matching::{CompiledCriteria, Patterns};
use crate::model::{Mode, Rule, Upstream, UpstreamSettings};
use crate::rejection::{Problem, Rejection};
use crate::rows::View;
use crate::schema::UPSTREAMS;
use crate::tree::Hash;

/// The upstreams that one user names, each once.
pub(super) type References = BTreeSet<UpstreamId>;

/// A rule's `match` and `action`, typed.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) criteria: Criteria,
    pub(super) action: Action,
}

impl Parsed {
    /// Reads both objects as a client gave them.
    pub(super) fn read(criteria: &str, action: &str) -> Result<Self, Rejection> {
        json_size("match", criteria, CRITERIA_BYTES_MAX)?;
        json_size("action", action, ACTION_BYTES_MAX)?;
        Ok(Self {
            criteria: parse(criteria, Criteria::from_json)
                .map_err(|invalid| refusal(invalid.under("match")))?,
            action: parse(action, Action::from_json)
                .map_err(|invalid| refusal(invalid.under("action")))?,
        })
    }

    /// Reads both objects of a rule's record, which were read when they were stored. A problem is
    /// placed within the rule.
    pub(super) fn of(rule: &Rule) -> Result<Self, Problem> {
        let problem = |code: &str, field: &str, invalid: Invalid| {
            let invalid = invalid.under(field);
            Problem {
                code: code.to_owned(),
                message: invalid.message,
                param: Some(invalid.param),
            }
        };
        Ok(Self {
            criteria: parse(&rule.criteria, Criteria::from_json)
                .map_err(|error| problem("invalid_match", "match", error))?,
            action: parse(&rule.action, Action::from_json)
                .map_err(|error| problem("invalid_action", "action", error))?,
        })
    }

    /// The upstreams that the action names.
    pub(super) fn references(&self) -> References {
        content::action_upstreams(&self.action).cloned().collect()
    }

    /// What would be published of `rule`, whose objects these are.
    pub(super) fn content(&self, rule: &Rule) -> RuleContent {
        RuleContent {
            id: rule.id.clone(),
            priority: rule.priority,
            name: rule.name.clone(),
            criteria: self.criteria.clone(),
            action: self.action.clone(),
            metadata: rule.metadata.clone(),
        }
    }

    /// The same by hash.
    pub(super) fn hash(&self, rule: &Rule) -> Hash {
        Hash::of(&self.content(rule).encode())
    }
}

/// The upstreams that a rule's record names; none if it cannot be read.
pub(super) fn references(rule: &Rule) -> References {
    parse(&rule.action, Action::from_json)
        .map(|action| content::action_upstreams(&action).cloned().collect())
        .unwrap_or_default()
}

/// How many compiled patterns are remembered: programs have up to 64 KiB, and rules that share
/// patterns share few.
const PATTERNS_KEPT_MAX: usize = 500;

/// Says what of drafts could not be published. It remembers which upstreams exist and what patterns
/// compile, so that many rules with the same few cost little.
pub(super) struct Inspector<'a, V: ?Sized> {
    view: &'a V,
    environment: &'a EnvironmentId,
    known: BTreeMap<UpstreamId, bool>,
    patterns: Patterns,
}

impl<'a, V: View + ?Sized> Inspector<'a, V> {
    pub(super) fn new(view: &'a V, environment: &'a EnvironmentId) -> Self {
        Self {
            view,
            environment,
            known: BTreeMap::new(),
            patterns: Patterns::default(),
        }
    }

    /// What is wrong with a rule; problems are placed within it.
    pub(super) fn rule(&mut self, parsed: &Parsed) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.patterns.len() > PATTERNS_KEPT_MAX {
            self.patterns = Patterns::default();
        }
        let compiled = CompiledCriteria::compile_with(&parsed.criteria, &mut self.patterns);
        if let Err((pattern, error)) = compiled {
            let pattern: String = pattern.chars().take(100).collect();
            problems.push(problem(
                "invalid_match",
                format!("{error}: {pattern}"),
                "match".to_owned(),
            ));
        }
        if let Action::Forward { upstreams } = &parsed.action
            && upstreams.iter().all(|upstream| upstream.weight == 0)
        {
            problems.push(problem(
                "no_weight",
                "The weights add up to 0.".to_owned(),
                "action".to_owned(),
            ));
        }
        self.upstreams("action", parsed.references(), &mut problems);
        problems
    }

    /// What is wrong with a route's settings.
    pub(super) fn settings(&mut self, config: &RouteConfig) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !config.default_upstreams.is_empty()
            && config
                .default_upstreams
                .iter()
                .all(|upstream| upstream.weight == 0)
        {
            problems.push(problem(
                "no_weight",
                "The weights add up to 0.".to_owned(),
                "config.upstreams".to_owned(),
            ));
        }
        self.upstreams("config", config_references(config), &mut problems);
        problems
    }

    fn upstreams(&mut self, place: &str, named: References, problems: &mut Vec<Problem>) {
        for id in named {
            if !self.exists(&id) {
                problems.push(problem(
                    "unknown_upstream",
                    format!("No such upstream: {id}"),
                    place.to_owned(),
                ));
            }
        }
    }

    fn exists(&mut self, id: &UpstreamId) -> bool {
        if let Some(known) = self.known.get(id) {
            return *known;
        }
        let exists = UPSTREAMS.has(self.view, (self.environment, id));
        self.known.insert(id.clone(), exists);
        exists
    }
}

/// A problem with a rule, placed within its route's draft.
pub(super) fn placed(rule: &Rule, problem: Problem) -> Problem {
    let param = problem.param.map(|param| format!("{}.{param}", rule.id));
    Problem { param, ..problem }
}

pub(super) fn problem(code: &str, message: String, param: String) -> Problem {
    Problem {
        code: code.to_owned(),
        message,
        param: Some(param),
    }
}

/// A route's `config` object, typed.
pub(super) fn read_config(mode: Mode, config: &str) -> Result<RouteConfig, Rejection> {
    json_size("config", config, CONFIG_BYTES_MAX)?;
    parse(config, |value| content::route_config(mode, value)).map_err(refusal)
}

/// Settings of an upstream, changed by an object of those that are to be others.
pub(super) fn read_settings(
    before: &UpstreamSettings,
    change: &str,
) -> Result<UpstreamSettings, Rejection> {
    json_size("settings", change, SETTINGS_BYTES_MAX)?;
    parse(change, |value| before.changed(value)).map_err(refusal)
}

/// The upstreams that a route's settings name.
pub(super) fn config_references(config: &RouteConfig) -> References {
    config.upstreams().into_iter().cloned().collect()
}

/// What would be published of an upstream.
pub(super) fn upstream_content(upstream: &Upstream) -> UpstreamContent {
    UpstreamContent {
        id: upstream.id.clone(),
        name: upstream.name.clone(),
        algorithm: upstream.algorithm,
        settings: upstream.settings.clone(),
        targets: upstream.targets.clone(),
    }
}

fn parse<T>(text: &str, read: impl FnOnce(&Value) -> Result<T, Invalid>) -> Result<T, Invalid> {
    let value: Value = serde_json::from_str(text).map_err(|error| Invalid {
        param: String::new(),
        kind: InvalidKind::Invalid,
        message: format!("This is not JSON: {error}"),
    })?;
    read(&value)
}

fn refusal(invalid: Invalid) -> Rejection {
    let Invalid {
        param,
        kind,
        message,
    } = invalid;
    match kind {
        InvalidKind::Missing => Rejection::ParameterMissing { param },
        InvalidKind::Conflict => Rejection::InvalidConfig { param, message },
        InvalidKind::Unknown => Rejection::UnknownParameter { param },
        InvalidKind::Invalid => Rejection::InvalidParameter { param, message },
    }
}
