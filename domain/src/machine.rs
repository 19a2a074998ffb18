//! The replicated state machine, one log entry at a time: judge, then write. Both halves are
//! pure functions of the rows and the entry, so replicas that apply the same log hold the same
//! rows, and [`state_hash`] lets them compare.
//!
//! ```text
//! plan   idempotency look-up -> decide -> journal -> answer to remember -> expired answers -> clock
//! step   plan, then evolve each event
//! ```
//!
//! A rejected command is a successful entry: its rejection is remembered under the idempotency
//! key like any other answer. Only a key's use for another request is not, lest it take the
//! place of the first one's answer.

use sha2::{Digest, Sha256};

use crate::command::Stamped;
use crate::decide::{Context, decide as judge};
use crate::event::{AnswerScope, Event};
use crate::journal;
use crate::model::{IDEMPOTENCY_TTL_MS, IdempotencyRecord};
use crate::outcome::{Applied, Outcome, Reply};
use crate::rejection::Rejection;
use crate::rows::{Rows, View};
use crate::schema::{ANSWER_EXPIRIES, ANSWERS, CLOCK, LogClock};
use crate::table::{Span, after};
use crate::time::{Revision, Timestamp};

pub use crate::evolve::evolve;

/// How many expired answers one step removes: more than one step can add, so that they cannot
/// pile up, and few enough that no step is held up by them.
pub const EXPIRIES_PER_STEP: usize = 4;

/// How many rows [`state_hash`] reads at a time.
const HASH_PAGE: usize = 1024;

/// What a command does, before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub events: Vec<Event>,
    /// What is answered.
    pub outcome: Outcome,
}

/// Applies one log entry to `rows` and says what is answered.
pub fn step(rows: &mut impl Rows, revision: Revision, stamped: &Stamped) -> Applied {
    let (events, applied) = plan(rows, revision, stamped);
    for event in &events {
        evolve(rows, event);
    }
    applied
}

/// Everything that [`step`] does, without doing it.
pub fn plan(
    view: &(impl View + ?Sized),
    revision: Revision,
    stamped: &Stamped,
) -> (Vec<Event>, Applied) {
    let clock = CLOCK.get(view, ()).unwrap_or(LogClock::START);
    let at = clock.at.max(stamped.at);
    let (mut events, remembered, applied) = match find_answer(view, at, stamped) {
        Answer::Known(record) => (
            Vec::new(),
            None,
            Applied {
                reply: record.reply,
                revision: record.revision,
                replayed: true,
            },
        ),
        Answer::OfAnotherRequest => {
            let reply = Err(Rejection::IdempotencyKeyReused);
            (
                Vec::new(),
                None,
                Applied {
                    reply,
                    revision,
                    replayed: false,
                },
            )
        }
        Answer::None { replaces } => {
            let (mut events, reply) = reply_to(view, at, revision, stamped);
            events.extend(journal::record(view, (at, revision), stamped, &events));
            let remembered = remember(stamped, at, revision, &reply, replaces);
            (
                events,
                remembered,
                Applied {
                    reply,
                    revision,
                    replayed: false,
                },
            )
        }
    };
    let mut next_expiry = expire(view, clock, at, &mut events);
    if let Some(answered) = remembered {
        next_expiry = next_expiry.min(at.plus_ms(IDEMPOTENCY_TTL_MS));
        events.push(answered);
    }
    let ticked = LogClock { at, next_expiry };
    if ticked != clock {
        events.push(Event::Ticked(ticked));
    }
    (events, applied)
}

/// Judges a command by itself: without idempotency, expiry and clock.
///
/// # Errors
/// When the command is refused.
pub fn decide(
    view: &(impl View + ?Sized),
    stamped: &Stamped,
    revision: Revision,
) -> Result<Decision, Rejection> {
    let clock = CLOCK.get(view, ()).unwrap_or(LogClock::START);
    judge(
        &Context {
            view,
            at: clock.at.max(stamped.at),
            revision,
        },
        stamped,
    )
}

/// The SHA-256 over all rows in order, each key and value with its length.
pub fn state_hash(view: &(impl View + ?Sized)) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut from = Vec::new();
    loop {
        let rows = view.scan(&from, &[0xff], HASH_PAGE);
        for part in rows.iter().flat_map(|(key, value)| [key, value]) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let Some((last, _)) = rows.last().filter(|_| rows.len() == HASH_PAGE) else {
            return digest.finalize().into();
        };
        from = after(last);
    }
}

fn reply_to(
    view: &(impl View + ?Sized),
    at: Timestamp,
    revision: Revision,
    stamped: &Stamped,
) -> (Vec<Event>, Reply) {
    match judge(&Context { view, at, revision }, stamped) {
        Ok(Decision { events, outcome }) => (events, Ok(outcome)),
        Err(rejection) => (Vec::new(), Err(rejection)),
    }
}

/// What is known of a request's idempotency key.
enum Answer {
    /// It was answered.
    Known(Box<IdempotencyRecord>),
    /// Another request with it was answered.
    OfAnotherRequest,
    /// Nothing is known, or what is has expired at the time given.
    None { replaces: Option<Timestamp> },
}

fn find_answer(view: &(impl View + ?Sized), at: Timestamp, stamped: &Stamped) -> Answer {
    let (Some(scope), Some(idempotency)) = (scope(stamped), &stamped.idempotency) else {
        return Answer::None { replaces: None };
    };
    match ANSWERS.get(
        view,
        (&scope.workspace_id, &scope.environment_id, &scope.key),
    ) {
        None => Answer::None { replaces: None },
        Some(record) if record.expires_at <= at => Answer::None {
            replaces: Some(record.expires_at),
        },
        Some(record) if record.fingerprint == idempotency.fingerprint => {
            Answer::Known(Box::new(record))
        }
        Some(_) => Answer::OfAnotherRequest,
    }
}

fn scope(stamped: &Stamped) -> Option<AnswerScope> {
    let (actor, idempotency) = stamped.command.actor().zip(stamped.idempotency.as_ref())?;
    Some(AnswerScope {
        workspace_id: actor.workspace_id.clone(),
        environment_id: actor.environment_id.clone(),
        key: idempotency.key.clone(),
    })
}

fn remember(
    stamped: &Stamped,
    at: Timestamp,
    revision: Revision,
    reply: &Reply,
    replaces: Option<Timestamp>,
) -> Option<Event> {
    let fingerprint = stamped.idempotency.as_ref()?.fingerprint;
    let expires_at = at.plus_ms(IDEMPOTENCY_TTL_MS);
    let record = IdempotencyRecord {
        fingerprint,
        reply: reply.clone(),
        revision,
        expires_at,
    };
    Some(Event::Answered {
        scope: scope(stamped)?,
        record,
        replaces,
    })
}

/// Ends up to [`EXPIRIES_PER_STEP`] answers whose time is over, and says when to look again.
fn expire(
    view: &(impl View + ?Sized),
    clock: LogClock,
    at: Timestamp,
    events: &mut Vec<Event>,
) -> Timestamp {
    if at < clock.next_expiry {
        return clock.next_expiry;
    }
    // Nothing expires before `next_expiry`; beginning there steps over rows removed just before.
    let from = ANSWER_EXPIRIES.under((&clock.next_expiry,)).from;
    let span = Span {
        from,
        until: ANSWER_EXPIRIES.all().until,
    };
    for ((expires_at, workspace_id, environment_id, key), ()) in
        ANSWER_EXPIRIES.scan(view, &span, EXPIRIES_PER_STEP + 1)
    {
        if expires_at > at
            || events.iter().filter(|event| is_expiry(event)).count() == EXPIRIES_PER_STEP
        {
            return expires_at;
        }
        events.push(Event::AnswerExpired {
            scope: AnswerScope {
                workspace_id,
                environment_id,
                key,
            },
            expires_at,
        });
    }
    LogClock::START.next_expiry
}

fn is_expiry(event: &Event) -> bool {
    matches!(event, Event::AnswerExpired { .. })
}
