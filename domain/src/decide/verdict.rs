//! What validation says of a rule, kept in the rule. It is said in the log entry that makes or changes
//! the rule: every replica says the same, and nothing comes between the change and the verdict. What a
//! rule names may be made or removed afterwards, so it is judged anew when it changes and when it is
//! published, which takes no rule that does not pass.

use super::Context;
use super::content::{Inspector, Parsed};
use super::history::log;
use crate::model::{Rule, RuleEventKind};
use crate::rejection::Problem;
use crate::rows::View;

/// Judges a rule that was made or changed; `parsed` is what it says now, if it can be read.
pub(super) fn judge<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &mut Rule,
    parsed: Option<&Parsed>,
) {
    let problems = problems(context, rule, parsed);
    settle(context, rule, problems);
}

/// Judges a rule that comes to say something else without having been changed by anybody: its
/// history tells of it only if the verdict is another one.
pub(super) fn judge_again<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &mut Rule,
    parsed: Option<&Parsed>,
) {
    let problems = problems(context, rule, parsed);
    if problems.is_empty() == rule.problems.is_empty() {
        rule.problems = problems;
    } else {
        settle(context, rule, problems);
    }
}

/// A rule that is being published has passed.
pub(super) fn passed<V: View + ?Sized>(context: &Context<'_, V>, rule: &mut Rule) {
    if !rule.problems.is_empty() {
        settle(context, rule, Vec::new());
    }
}

fn settle<V: View + ?Sized>(context: &Context<'_, V>, rule: &mut Rule, problems: Vec<Problem>) {
    let kind = if problems.is_empty() {
        RuleEventKind::Validated
    } else {
        RuleEventKind::ValidationFailed
    };
    rule.problems = problems;
    log(rule, kind, context.at);
}

fn problems<V: View + ?Sized>(
    context: &Context<'_, V>,
    rule: &Rule,
    parsed: Option<&Parsed>,
) -> Vec<Problem> {
    match parsed {
        Some(parsed) => Inspector::new(context.view, &rule.environment_id).rule(parsed),
        None => Parsed::of(rule).err().into_iter().collect(),
    }
}
