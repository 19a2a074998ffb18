//! Several things done to rules in one entry: each is judged as if the ones before it had been
//! applied, which they are, to rows that are thrown away. If any is refused, all are, and each is told.

use super::check::AnswerSize;
use super::{Context, Judgement, check, rule};
use crate::command::{Actor, BatchRules, RuleOperation};
use crate::event::Event;
use crate::evolve::evolve;
use crate::machine::Decision;
use crate::model::Rule;
use crate::outcome::Outcome;
use crate::rejection::{RefusedItem, Rejection};
use crate::rows::{Overlay, View};

/// The parameter that has the operations.
const LIST: &str = "operations";

pub(super) fn rules<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    command: &BatchRules,
) -> Judgement {
    check::count(LIST, command.operations.len(), check::BATCH_MAX)?;
    let mut size = AnswerSize::default();
    let mut ahead = Overlay::new(context.view);
    let (mut events, mut rules, mut refused) = (Vec::<Event>::new(), Vec::new(), Vec::new());
    for (index, operation) in (0..).zip(&command.operations) {
        match judge(context, &ahead, actor, operation) {
            Ok((happened, rule)) => {
                happened.iter().for_each(|event| evolve(&mut ahead, event));
                events.extend(happened);
                size.add(LIST, &rule)?;
                rules.push(rule);
            }
            Err(rejection) => refused.push(RefusedItem { index, rejection }),
        }
    }
    if !refused.is_empty() {
        return Err(Rejection::Items {
            list: LIST.to_owned(),
            refused,
        });
    }
    Ok(Decision {
        events,
        outcome: Outcome::Rules(rules),
    })
}

/// Judges one operation on what the ones before it leave.
fn judge<V: View + ?Sized>(
    context: &Context<'_, V>,
    ahead: &Overlay<&V>,
    actor: &Actor,
    operation: &RuleOperation,
) -> Result<(Vec<Event>, Rule), Rejection> {
    let context = Context {
        view: ahead,
        at: context.at,
        revision: context.revision,
    };
    let judged = match operation {
        RuleOperation::Create(command) => rule::create(&context, actor, command),
        RuleOperation::Update(command) => rule::update(&context, actor, command),
        RuleOperation::Archive(command) => rule::archive(&context, actor, command),
    };
    let Decision { events, outcome } = judged.map_err(named)?;
    match outcome {
        Outcome::Rule(rule) => Ok((events, rule)),
        _ => Err(context.broken(&"an operation on a rule did not answer with it")),
    }
}

/// In a batch a rule is named by a field, and not by the path.
fn named(rejection: Rejection) -> Rejection {
    match rejection {
        Rejection::NotFound {
            object,
            id,
            param: None,
        } => Rejection::NotFound {
            object,
            id,
            param: Some("id".to_owned()),
        },
        other => other,
    }
}
