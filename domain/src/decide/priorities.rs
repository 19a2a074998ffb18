//! Which priorities of a route are taken, while a command moves several rules at once.

use std::collections::BTreeMap;

use crate::id::{EnvironmentId, RouteId, RuleId};
use crate::model::{PRIORITY_MAX, Priority};
use crate::rows::View;
use crate::schema::RULE_PRIORITIES;
use crate::table::Span;

/// The holders of a route's priorities.
pub(super) struct Priorities<'a, V: ?Sized> {
    view: &'a V,
    environment: &'a EnvironmentId,
    route: &'a RouteId,
    /// What the command has changed so far; `None` is free.
    changed: BTreeMap<Priority, Option<RuleId>>,
}

impl<'a, V: View + ?Sized> Priorities<'a, V> {
    pub(super) fn new(view: &'a V, environment: &'a EnvironmentId, route: &'a RouteId) -> Self {
        Self {
            view,
            environment,
            route,
            changed: BTreeMap::new(),
        }
    }

    /// Gives a priority to a rule, and says from which other it was taken.
    pub(super) fn take(&mut self, priority: Priority, rule: &RuleId) -> Option<RuleId> {
        let holder = self.holder(priority).filter(|holder| holder != rule);
        self.changed.insert(priority, Some(rule.clone()));
        holder
    }

    /// Frees a priority.
    pub(super) fn release(&mut self, priority: Priority) {
        self.changed.insert(priority, None);
    }

    /// Gives a rule the first free priority from `wanted` upwards, or else downwards.
    pub(super) fn take_free(&mut self, wanted: Priority, rule: &RuleId) -> Priority {
        let free = self.free_above(wanted).or_else(|| self.free_below(wanted));
        let free = free.expect("a route may have fewer rules than there are priorities");
        self.changed.insert(free, Some(rule.clone()));
        free
    }

    fn holder(&self, priority: Priority) -> Option<RuleId> {
        match self.changed.get(&priority) {
            Some(holder) => holder.clone(),
            None => RULE_PRIORITIES.get(self.view, (self.environment, self.route, &priority)),
        }
    }

    fn free_above(&self, wanted: Priority) -> Option<Priority> {
        let from = RULE_PRIORITIES.key((self.environment, self.route, &wanted));
        let until = RULE_PRIORITIES.under((self.environment, self.route)).until;
        let rows = RULE_PRIORITIES.walk(self.view, Span { from, until });
        let mut stored = rows.map(|((_, _, priority), _)| priority).peekable();
        (wanted.0..=PRIORITY_MAX).map(Priority).find(|priority| {
            let is_stored = stored.next_if_eq(priority).is_some();
            self.changed
                .get(priority)
                .map_or(!is_stored, Option::is_none)
        })
    }

    fn free_below(&self, wanted: Priority) -> Option<Priority> {
        (0..wanted.0)
            .rev()
            .map(Priority)
            .find(|priority| self.holder(*priority).is_none())
    }
}
