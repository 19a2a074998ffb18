//! What happened to rules, by comparing each with itself: its own history says what was logged,
//! its fields what differs.

use std::collections::BTreeMap;

use super::fields;
use crate::id::RuleId;
use crate::model::{About, Change, Notice, NoticeKind, ObjectKind, Rule, RuleEvent, RuleEventKind};
use crate::rows::View;
use crate::schema::RULES;

/// The rules that an entry has changed so far, as they are now.
pub(super) struct RuleHistory<'a, V: ?Sized> {
    view: &'a V,
    changed: BTreeMap<RuleId, Rule>,
}

/// What became of a rule.
pub(super) struct Followed {
    pub(super) notices: Vec<Notice>,
    /// Nothing, where no field differs that anybody can set.
    pub(super) change: Option<Change>,
}

impl<'a, V: View + ?Sized> RuleHistory<'a, V> {
    pub(super) fn new(view: &'a V) -> Self {
        Self {
            view,
            changed: BTreeMap::new(),
        }
    }

    /// A rule was made.
    pub(super) fn created(&mut self, rule: &Rule) -> Followed {
        self.changed.insert(rule.id.clone(), rule.clone());
        followed(None, rule)
    }

    /// A rule was changed. One entry may do so several times.
    pub(super) fn changed(&mut self, after: &Rule) -> Followed {
        let before = match self.changed.insert(after.id.clone(), after.clone()) {
            Some(before) => Some(before),
            None => RULES.get(self.view, (&after.environment_id, &after.id)),
        };
        followed(before.as_ref(), after)
    }
}

fn followed(before: Option<&Rule>, after: &Rule) -> Followed {
    let logged = match before {
        Some(before) => new_events(&before.events, &after.events),
        None => &after.events,
    };
    let notices = logged
        .iter()
        .filter_map(|event| notice_kind(event.kind))
        .map(|kind| notice(kind, after))
        .collect();
    Followed {
        notices,
        change: change(before, after),
    }
}

fn change(before: Option<&Rule>, after: &Rule) -> Option<Change> {
    let (fields_before, fields_after) =
        fields::differing(before.map(fields::rule), Some(fields::rule(after)));
    if fields_before.as_deref() == Some("{}") {
        return None;
    }
    Some(Change {
        object: ObjectKind::Rule,
        id: after.id.to_string(),
        route_id: Some(after.route_id.clone()),
        before: fields_before,
        after: fields_after,
    })
}

/// The events that `after` has and `before` had not. A history keeps the newest ones only, so the
/// oldest of `before` may have gone.
fn new_events<'e>(before: &[RuleEvent], after: &'e [RuleEvent]) -> &'e [RuleEvent] {
    let gone = (0..=before.len())
        .find(|gone| after.starts_with(&before[*gone..]))
        .unwrap_or(before.len());
    &after[before.len() - gone..]
}

fn notice_kind(kind: RuleEventKind) -> Option<NoticeKind> {
    match kind {
        RuleEventKind::Created => Some(NoticeKind::RuleCreated),
        RuleEventKind::Validated => Some(NoticeKind::RuleValidated),
        RuleEventKind::ValidationFailed => Some(NoticeKind::RuleValidationFailed),
        RuleEventKind::Updated => Some(NoticeKind::RuleUpdated),
        RuleEventKind::Paused => Some(NoticeKind::RulePaused),
        RuleEventKind::Resumed => Some(NoticeKind::RuleResumed),
        RuleEventKind::Archived => Some(NoticeKind::RuleArchived),
        // Told once, with the route.
        RuleEventKind::Published | RuleEventKind::Restored => None,
    }
}

fn notice(kind: NoticeKind, rule: &Rule) -> Notice {
    Notice {
        kind,
        about: About {
            route_id: Some(rule.route_id.clone()),
            rule_id: Some(rule.id.clone()),
            ..About::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn events(kinds: &[RuleEventKind]) -> Vec<RuleEvent> {
        let at = Timestamp(7);
        kinds.iter().map(|&kind| RuleEvent { kind, at }).collect()
    }

    #[test]
    fn new_events_are_told_from_kept_ones_also_when_the_oldest_have_gone() {
        use RuleEventKind::{Created, Paused, Resumed, Updated};
        let cases: &[(&[RuleEventKind], &[RuleEventKind], usize)] = &[
            (&[], &[Created], 1),
            (&[Created], &[Created], 0),
            (&[Created], &[Created, Updated, Paused], 2),
            (&[Created, Updated], &[Updated, Paused], 1),
            (&[Created, Updated], &[Paused, Resumed], 2),
        ];
        for (before, after, new) in cases {
            let (before, after) = (events(before), events(after));
            assert_eq!(new_events(&before, &after), &after[after.len() - new..]);
        }
    }
}
