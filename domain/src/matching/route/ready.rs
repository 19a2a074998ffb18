//! Rules made ready by themselves, before the route that they belong to is put together: what takes
//! most of a compilation, can be done for several parts of the rules at the same time, and need not be done
//! for rules that are as they were.

use std::sync::Arc;

use super::{CompileError, CompiledRoute, CompiledRule};
use crate::content::{Action, Criteria, RuleContent, rule_key};
use crate::id::RuleId;
use crate::matching::pattern::Patterns;
use crate::matching::predicate::{CompiledCriteria, SharedWords};
use crate::model::Priority;

/// Some of a route's rules, in any order.
#[derive(Debug)]
pub struct ReadyRules<'a> {
    pub(super) previous: Option<&'a CompiledRoute>,
    pub(super) rules: Vec<Ready>,
    pub(super) patterns: Patterns,
    words: SharedWords,
}

/// A rule that is ready.
#[derive(Debug)]
pub(super) enum Ready {
    /// Its upstreams are not looked up yet.
    New(Box<ReadyRule>),
    /// It is as it was.
    Kept(Arc<CompiledRule>),
}

/// A rule whose criteria are compiled.
#[derive(Debug)]
pub(super) struct ReadyRule {
    pub(super) id: RuleId,
    pub(super) priority: Priority,
    pub(super) criteria: Criteria,
    pub(super) compiled: CompiledCriteria,
    pub(super) action: Action,
}

/// What became of a rule since a route's previous content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// Its key in the tree of rules, see [`rule_key`].
    pub key: Vec<u8>,
    /// What it is now; nothing if it is gone.
    pub after: Option<RuleContent>,
}

impl<'a> ReadyRules<'a> {
    /// None yet of some `count` rules. The patterns that the route's `previous` content has as well need not be
    /// compiled again.
    #[must_use]
    pub fn after(previous: Option<&'a CompiledRoute>, count: usize) -> Self {
        Self {
            previous,
            rules: Vec::with_capacity(count),
            // Each was compiled where it was published, to find out whether it does.
            patterns: Patterns::deferring(),
            words: SharedWords::default(),
        }
    }

    /// All rules of the route's `previous` content but for these changes, which are in the order of their keys.
    /// Nothing if they do not fit together: what is to be removed is not there, what comes is not where its key
    /// says.
    ///
    /// # Errors
    /// When a pattern of a changed rule does not compile, or is one too many.
    pub fn changed(
        previous: &'a CompiledRoute,
        changes: Vec<RuleChange>,
    ) -> Result<Option<Self>, CompileError> {
        let mut ready = Self::after(Some(previous), previous.rules.len() + changes.len());
        let mut left = &previous.rules[..];
        for RuleChange { key, after } in changes {
            let before = left.partition_point(|rule| rule_key(rule.priority, &rule.id) < key);
            ready.keep(&left[..before]);
            left = &left[before..];
            let replaces = left
                .first()
                .is_some_and(|rule| rule_key(rule.priority, &rule.id) == key);
            match after {
                Some(rule) if rule.key() == key => ready.add(rule)?,
                None if replaces => {}
                _ => return Ok(None),
            }
            left = &left[usize::from(replaces)..];
        }
        ready.keep(left);
        let ascends = |pair: &[Ready]| pair[0].key() < pair[1].key();
        Ok(ready.rules.windows(2).all(ascends).then_some(ready))
    }

    fn keep(&mut self, rules: &[Arc<CompiledRule>]) {
        for rule in rules {
            self.adopt_patterns(&rule.asks);
            self.rules.push(Ready::Kept(Arc::clone(rule)));
        }
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// When one of its patterns does not compile, or is one too many.
    pub fn add(&mut self, rule: RuleContent) -> Result<(), CompileError> {
        self.adopt_patterns(&rule.criteria);
        let compiled =
            CompiledCriteria::compile_sharing(&rule.criteria, &mut self.patterns, &mut self.words);
        let compiled = compiled.map_err(|(pattern, error)| CompileError::Pattern {
            rule: rule.id.clone(),
            pattern,
            error,
        })?;
        self.rules.push(Ready::New(Box::new(ReadyRule {
            id: rule.id,
            priority: rule.priority,
            criteria: rule.criteria,
            compiled,
            action: rule.action,
        })));
        Ok(())
    }

    fn adopt_patterns(&mut self, criteria: &Criteria) {
        if let Some(previous) = self.previous {
            for pattern in criteria.regexes() {
                self.patterns.adopt(pattern, &previous.patterns);
            }
        }
    }

    /// Adds others. Where both have the same pattern, each keeps its own program of it.
    pub fn append(&mut self, others: Self) {
        self.rules.extend(others.rules);
        self.patterns.append(others.patterns);
    }

    /// The same in the order in which rules are tried.
    pub(super) fn in_order(mut self) -> Self {
        self.rules.sort_by(|a, b| a.key().cmp(&b.key()));
        self
    }
}

impl Ready {
    fn key(&self) -> (Priority, &RuleId) {
        match self {
            Self::New(rule) => (rule.priority, &rule.id),
            Self::Kept(rule) => rule.key(),
        }
    }
}
