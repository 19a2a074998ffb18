//! Answers to requests with an idempotency key: found again, remembered, and forgotten when their
//! time is over. What makes them is the state machine's matter.
//!
//! The answer to making a rule is most of what a busy log answers, and says nothing that the rule's
//! first version does not say as well: it is not stored a second time, but told from there. That
//! version is kept as long as the journal tells of it, and so outlives the answer.

use std::collections::BTreeSet;

use injection::{Mutant, mutant};

use crate::command::Stamped;
use crate::event::{AnswerScope, Event};
use crate::id::{EnvironmentId, RuleId, Seed};
use crate::model::{
    FieldChange, IDEMPOTENCY_TTL_MS, IdempotencyRecord, Priority, Rule, RuleChange, RuleEvent,
    RuleEventKind, RuleField, RuleStatus, RuleVersionNumber, StoredReply,
};
use crate::outcome::{Applied, Outcome, Reply};
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{ANSWER_EXPIRIES, ANSWERS, LogClock};
use crate::table::Span;
use crate::time::{Revision, Timestamp};

/// The history of a rule that was just made and has passed.
const CREATED: [RuleEventKind; 2] = [RuleEventKind::Created, RuleEventKind::Validated];

/// How many expired answers one step removes: more than one step can add, so that they cannot
/// pile up, and few enough that no step is held up by them.
pub const EXPIRIES_PER_STEP: usize = 4;

/// The most answers that are kept: what a cluster is asked for in 24 hours at 115 requests a second, and
/// some 3 GB of disk on each node. Beyond it, requests with a new key are refused: to forget an answer
/// before its time could make a retry a second change.
pub const ANSWERS_MAX: u64 = 10_000_000;

/// What is known of a request's idempotency key.
pub(crate) enum Answer {
    /// It was answered.
    Known(Box<Applied>),
    /// Another request with it was answered.
    OfAnotherRequest,
    /// Nothing is known, or what is has expired at the time given.
    None { replaces: Option<Timestamp> },
}

pub(crate) fn find(view: &(impl View + ?Sized), at: Timestamp, stamped: &Stamped) -> Answer {
    let (Some(scope), Some(idempotency)) = (scope(stamped), &stamped.idempotency) else {
        return Answer::None { replaces: None };
    };
    match ANSWERS.get(view, (&scope.environment_id, &scope.key)) {
        None => Answer::None { replaces: None },
        Some(record) if record.expires_at <= at => Answer::None {
            replaces: Some(record.expires_at),
        },
        Some(record) if record.fingerprint == idempotency.fingerprint => {
            let known = tell(view, &scope.environment_id, record);
            known.map_or(Answer::OfAnotherRequest, |applied| {
                Answer::Known(Box::new(applied))
            })
        }
        Some(_) => Answer::OfAnotherRequest,
    }
}

fn scope(stamped: &Stamped) -> Option<AnswerScope> {
    let (actor, idempotency) = stamped.command.actor().zip(stamped.idempotency.as_ref())?;
    let mut environment_id = actor.environment_id.clone();
    if mutant::active(Mutant::KeyNotScoped) {
        environment_id = EnvironmentId::new(Seed {
            unix_ms: 0,
            random: 0,
        });
    }
    Some(AnswerScope {
        environment_id,
        key: idempotency.key.clone(),
    })
}

/// The answer as it was given.
pub(crate) fn tell(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    record: IdempotencyRecord,
) -> Option<Applied> {
    let reply = match record.reply {
        StoredReply::Whole(reply) => reply,
        StoredReply::RuleCreated { rule_id } => {
            let rule = as_created(view, environment, &rule_id);
            if rule.is_none() {
                view.broken(&format!(
                    "rule {rule_id}: it cannot be told how it was made"
                ));
            }
            Ok(Outcome::Rule(rule?))
        }
    };
    Some(Applied {
        reply,
        revision: record.revision,
        replayed: true,
    })
}

/// A rule as it was when it was made.
fn as_created(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &RuleId,
) -> Option<Rule> {
    let now = query::rule(view, environment, id)?;
    let (first, _) = query::rule_version(view, environment, id, RuleVersionNumber(1))?;
    let value = |field| value(&first.changes, field);
    let event = |kind| RuleEvent { kind, at: first.at };
    let events = CREATED.map(event).to_vec();
    Some(Rule {
        name: serde_json::from_str(value(RuleField::Name)?).ok()?,
        priority: priority(value(RuleField::Priority)?)?,
        status: RuleStatus::Draft,
        criteria: value(RuleField::Match)?.to_owned(),
        action: value(RuleField::Action)?.to_owned(),
        metadata: match value(RuleField::Metadata) {
            Some(metadata) => serde_json::from_str(metadata).ok()?,
            None => Default::default(),
        },
        created_at: first.at,
        updated_at: None,
        archived_at: None,
        published: None,
        pending_changes: true,
        events_logged: CREATED.len() as u32,
        events,
        problems: Vec::new(),
        versions: vec![RuleChange {
            version: first.version.0,
            changed_fields: first.changes.iter().map(|change| change.field).collect(),
            actor: first.actor.clone(),
            at: first.at,
            revision: first.revision,
            snapshot_id: None,
        }],
        revision: first.revision,
        ..now
    })
}

fn value(changes: &[FieldChange], field: RuleField) -> Option<&str> {
    let change = changes.iter().find(|change| change.field == field)?;
    Some(&change.after)
}

fn priority(text: &str) -> Option<Priority> {
    text.parse().ok().map(Priority)
}

/// Refuses a request whose answer could not be kept.
pub(crate) fn refuse_beyond(
    clock: LogClock,
    at: Timestamp,
    stamped: &Stamped,
) -> Result<(), Rejection> {
    if clock.answers < ANSWERS_MAX || scope(stamped).is_none() {
        return Ok(());
    }
    let wait_ms = clock.next_expiry.0.saturating_sub(at.0);
    Err(Rejection::AnswersFull {
        retry_after_s: wait_ms.div_ceil(1000).max(1),
    })
}

/// How many answers are kept after `events`.
pub(crate) fn count(before: u64, events: &[Event]) -> u64 {
    let mut expired = BTreeSet::new();
    let mut kept = before;
    for event in events {
        match event {
            Event::AnswerExpired { scope, .. } => {
                expired.insert(scope);
                kept = kept.saturating_sub(1);
            }
            // One that takes the place of another, unless that has just expired.
            Event::Answered {
                scope, replaces, ..
            } if replaces.is_none() || expired.contains(scope) => kept += 1,
            _ => {}
        }
    }
    kept
}

pub(crate) fn remember(
    stamped: &Stamped,
    at: Timestamp,
    revision: Revision,
    reply: &Reply,
    replaces: Option<Timestamp>,
) -> Option<Event> {
    let fingerprint = stamped.idempotency.as_ref()?.fingerprint;
    let record = IdempotencyRecord {
        fingerprint,
        reply: stored(reply, revision),
        revision,
        expires_at: at.plus_ms(IDEMPOTENCY_TTL_MS),
    };
    Some(Event::Answered {
        scope: scope(stamped)?,
        record,
        replaces,
    })
}

fn stored(reply: &Reply, revision: Revision) -> StoredReply {
    let Ok(Outcome::Rule(rule)) = reply else {
        return StoredReply::Whole(reply.clone());
    };
    let kinds = rule.events.iter().map(|event| event.kind);
    // An update that changed nothing answers with a rule that was made earlier.
    if !kinds.eq(CREATED)
        || mutant::active(Mutant::KeyNotScoped)
        || rule.revision != revision
        || rule.versions.iter().any(|version| version.version != 1)
    {
        return StoredReply::Whole(reply.clone());
    }
    StoredReply::RuleCreated {
        rule_id: rule.id.clone(),
    }
}

/// Ends up to [`EXPIRIES_PER_STEP`] answers whose time is over, and says when to look again.
pub(crate) fn expire(
    view: &(impl View + ?Sized),
    clock: LogClock,
    at: Timestamp,
    events: &mut Vec<Event>,
) -> Timestamp {
    if at < clock.next_expiry {
        return clock.next_expiry;
    }
    // Nothing expires before `next_expiry`; beginning there steps over rows removed just before.
    let span = Span {
        from: ANSWER_EXPIRIES.under((&clock.next_expiry,)).from,
        until: ANSWER_EXPIRIES.all().until,
    };
    let rows = ANSWER_EXPIRIES.scan(view, &span, EXPIRIES_PER_STEP + 1);
    for (count, ((expires_at, environment_id, key), ())) in rows.into_iter().enumerate() {
        if expires_at > at || count == EXPIRIES_PER_STEP {
            return expires_at;
        }
        events.push(Event::AnswerExpired {
            scope: AnswerScope {
                environment_id,
                key,
            },
            expires_at,
        });
    }
    LogClock::START.next_expiry
}
