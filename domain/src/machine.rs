//! The replicated state machine, one log entry at a time: judge, then write. Both halves are
//! pure functions of the rows and the entry, so replicas that apply the same log hold the same
//! rows, and [`state_hash`] lets them compare.
//!
//! ```text
//! plan   idempotency look-up -> decide -> journal -> old history -> answer to remember
//!        -> expired answers -> clock
//! step   plan, then evolve each event
//! ```
//!
//! A rejected command is a successful entry: its rejection is remembered under the idempotency
//! key like any other answer. Only a key's use for another request is not, lest it take the
//! place of the first one's answer, and what is refused because no more answers can be kept.

use injection::{Mutant, mutant};
use sha2::{Digest, Sha256};

use crate::answers::{self, Answer};
use crate::command::{ChangeCluster, Command, Stamped};
use crate::decide::{Context, decide as judge};
use crate::event::Event;
use crate::journal::{self, Journaling};
use crate::model::{Epoch, IDEMPOTENCY_TTL_MS};
use crate::outcome::{Applied, Outcome, Reply};
use crate::query;
use crate::rejection::Rejection;
use crate::retention;
use crate::rows::{Rows, View};
use crate::schema::{CLOCK, HISTORIES, History, LogClock};
use crate::table::after;
use crate::time::{Revision, Timestamp};

pub use crate::answers::{ANSWERS_MAX, EXPIRIES_PER_STEP};
pub use crate::evolve::evolve;
pub use crate::retention::TRIMMED_PER_STEP;

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
    let mut at = clock.at.max(stamped.at);
    if mutant::active(Mutant::ClockInApply) {
        at = at.max(Timestamp(mutant::local_ms()));
    }
    let mut expire_at = at;
    if mutant::active(Mutant::ExpiryByLocalClock) {
        expire_at = Timestamp(mutant::local_ms());
    }
    let fresh = |reply| Applied {
        reply,
        revision,
        replayed: false,
    };
    let (mut events, remembered, applied) = match answers::find(view, expire_at, stamped) {
        Answer::Known(applied) => (Vec::new(), None, *applied),
        Answer::OfAnotherRequest => {
            let reply = Err(Rejection::IdempotencyKeyReused);
            (Vec::new(), None, fresh(reply))
        }
        Answer::None { replaces: None }
            if let Err(full) = answers::refuse_beyond(clock, at, stamped) =>
        {
            (Vec::new(), None, fresh(Err(full)))
        }
        Answer::None { replaces } => {
            let (mut events, reply) = reply_to(view, at, revision, stamped);
            write_history(view, (at, revision), stamped, &mut events);
            let remembered = answers::remember(stamped, at, revision, &reply, replaces);
            (events, remembered, fresh(reply))
        }
    };
    let mut next_expiry = answers::expire(view, clock, expire_at, &mut events);
    if let Some(answered) = remembered {
        next_expiry = next_expiry.min(at.plus_ms(IDEMPOTENCY_TTL_MS));
        events.push(answered);
    }
    let ticked = LogClock {
        at,
        next_expiry,
        answers: answers::count(clock.answers, &events),
    };
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

/// Makes the hash of a state of its rows, which come in the order of their keys: the SHA-256 over each key and value, each
/// after its length in 8 bytes, big-endian.
#[derive(Clone, Debug, Default)]
pub struct StateHasher(Sha256);

impl StateHasher {
    /// The next row.
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The [`StateHasher`]'s hash of all rows.
pub fn state_hash(view: &(impl View + ?Sized)) -> [u8; 32] {
    let mut hasher = StateHasher::default();
    let mut from = Vec::new();
    loop {
        let rows = view.scan(&from, &[0xff], HASH_PAGE);
        for (key, value) in &rows {
            hasher.row(key, value);
        }
        let Some((last, _)) = rows.last().filter(|_| rows.len() == HASH_PAGE) else {
            return hasher.finish();
        };
        from = after(last);
    }
}

/// Writes down what a command did on somebody's behalf, and removes what is old of that history.
fn write_history(
    view: &(impl View + ?Sized),
    (at, revision): (Timestamp, Revision),
    stamped: &Stamped,
    events: &mut Vec<Event>,
) {
    if let Command::ChangeCluster(ChangeCluster { change }) = &stamped.command
        && let Some(begun) = change.begins()
        && !events.is_empty()
    {
        return write_epoch(view, (at, revision), stamped, begun, events);
    }
    let whose = journal::on_whose_behalf(&stamped.command);
    let Some((environment, actor)) = whose.filter(|_| !events.is_empty()) else {
        return;
    };
    let history = HISTORIES
        .get(view, (environment,))
        .unwrap_or(History::START);
    let journal = Journaling {
        environment,
        actor,
        at,
        revision,
        head: history.audit.head,
    };
    events.extend(journal.record(view, stamped, events));
    retention::trim(view, at, (environment, history), events);
}

/// Writes down in each environment that another epoch begins.
fn write_epoch(
    view: &(impl View + ?Sized),
    (at, revision): (Timestamp, Revision),
    stamped: &Stamped,
    (epoch, operation): (Epoch, &str),
    events: &mut Vec<Event>,
) {
    let before = query::epoch(view);
    for environment in query::environments(view) {
        let history = HISTORIES
            .get(view, (&environment.id,))
            .unwrap_or(History::START);
        let journal = Journaling {
            environment: &environment.id,
            actor: None,
            at,
            revision,
            head: history.audit.head,
        };
        let mut written = vec![journal.epoch(view, stamped, operation, (before, epoch))];
        retention::trim(view, at, (&environment.id, history), &mut written);
        events.extend(written);
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
