//! Expiries: each is told once for each of the times that it is told at, however often that is asked
//! for.

use std::collections::BTreeSet;

use super::{Context, Judgement};
use crate::command::TellExpiries;
use crate::event::Event;
use crate::id::EnvironmentId;
use crate::machine::Decision;
use crate::model::Expiring;
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;

/// The most objects that one entry tells of: with more at once, the rest comes with the next.
pub const EXPIRIES_MAX: usize = 64;

pub(super) fn tell<V: View + ?Sized>(
    context: &Context<'_, V>,
    command: &TellExpiries,
) -> Judgement {
    if command.of.len() > EXPIRIES_MAX {
        return Err(Rejection::InvalidParameter {
            param: "of".to_owned(),
            message: format!("Up to {EXPIRIES_MAX} objects may be told of at once."),
        });
    }
    let of: BTreeSet<_> = command.of.iter().collect();
    let told = |of| event(context, &command.environment_id, of);
    Ok(Decision {
        events: of.into_iter().filter_map(told).collect(),
        outcome: Outcome::Recorded,
    })
}

fn event<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    of: &Expiring,
) -> Option<Event> {
    let notice = query::expiry_due(context.view, environment, of, context.at)?;
    Some(Event::ExpiryTold {
        environment_id: environment.clone(),
        of: of.clone(),
        notice,
    })
}
