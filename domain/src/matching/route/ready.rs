//! Rules made ready by themselves, before the route that they belong to is put together: what takes
//! most of a compilation and can be done for several parts of the rules at the same time.

use super::{CompileError, CompiledRoute};
use crate::content::{Action, Criteria, RuleContent};
use crate::id::RuleId;
use crate::matching::pattern::Patterns;
use crate::matching::predicate::{CompiledCriteria, SharedWords};
use crate::model::Priority;

/// Some of a route's rules, in any order.
#[derive(Debug)]
pub struct ReadyRules<'a> {
    previous: Option<&'a CompiledRoute>,
    pub(super) rules: Vec<ReadyRule>,
    pub(super) patterns: Patterns,
    words: SharedWords,
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

    /// Adds a rule.
    ///
    /// # Errors
    /// When one of its patterns does not compile, or is one too many.
    pub fn add(&mut self, rule: RuleContent) -> Result<(), CompileError> {
        if let Some(previous) = self.previous {
            for pattern in rule.criteria.regexes() {
                self.patterns.adopt(pattern, &previous.patterns);
            }
        }
        let compiled =
            CompiledCriteria::compile_sharing(&rule.criteria, &mut self.patterns, &mut self.words);
        let compiled = compiled.map_err(|(pattern, error)| CompileError::Pattern {
            rule: rule.id.clone(),
            pattern,
            error,
        })?;
        self.rules.push(ReadyRule {
            id: rule.id,
            priority: rule.priority,
            criteria: rule.criteria,
            compiled,
            action: rule.action,
        });
        Ok(())
    }

    /// Adds others. Where both have the same pattern, each keeps its own program of it.
    pub fn append(&mut self, others: Self) {
        self.rules.extend(others.rules);
        self.patterns.append(others.patterns);
    }
}
