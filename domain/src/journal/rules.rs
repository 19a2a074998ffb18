//! What happened to rules, by comparing each with itself: its own history says what was logged,
//! its fields what differs. What a version of the rule says is not said again, but told from there.

use std::collections::BTreeMap;

use super::fields;
use crate::decide::only_version;
use crate::id::RuleId;
use crate::model::{
    About, Change, Notice, NoticeKind, ObjectKind, Rule, RuleEvent, RuleEventKind, RuleVersion,
    RuleVersionNumber,
};
use crate::rows::View;
use crate::schema::RULES;

/// The rules that an entry has changed so far, as they are now.
pub(super) struct RuleHistory<'a, V: ?Sized> {
    view: &'a V,
    changed: BTreeMap<RuleId, Rule>,
    versions: BTreeMap<RuleId, RuleVersion>,
}

/// What became of a rule.
pub(super) struct Followed {
    pub(super) notices: Vec<Notice>,
    /// The change in full, and whether a version of the rule says the same; nothing, where no field
    /// differs that anybody can set.
    pub(super) change: Option<(Change, bool)>,
}

impl<'a, V: View + ?Sized> RuleHistory<'a, V> {
    pub(super) fn new(view: &'a V) -> Self {
        Self {
            view,
            changed: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// A rule got a version, by the change that is told next.
    pub(super) fn versioned(&mut self, id: &RuleId, version: &RuleVersion) {
        self.versions.insert(id.clone(), version.clone());
    }

    /// A rule was made.
    pub(super) fn created(&mut self, rule: &Rule) -> Followed {
        self.changed.insert(rule.id.clone(), rule.clone());
        followed(None, rule, only_version(rule))
    }

    /// A rule was changed. One entry may do so several times.
    pub(super) fn changed(&mut self, after: &Rule) -> Followed {
        let before = match self.changed.insert(after.id.clone(), after.clone()) {
            Some(before) => Some(before),
            None => RULES.get(self.view, (&after.environment_id, &after.id)),
        };
        let version = self.versions.remove(&after.id);
        followed(before.as_ref(), after, version)
    }
}

fn followed(before: Option<&Rule>, after: &Rule, version: Option<RuleVersion>) -> Followed {
    let logged = before.map_or(0, |before| before.events_logged);
    let notices = new_events(logged, after)
        .iter()
        .filter_map(|event| notice_kind(event.kind))
        .map(|kind| notice(kind, after))
        .collect();
    Followed {
        notices,
        change: change(before, after, version),
    }
}

fn change(
    before: Option<&Rule>,
    after: &Rule,
    version: Option<RuleVersion>,
) -> Option<(Change, bool)> {
    let said = fields::differing(before.map(fields::rule), Some(fields::rule(after)));
    if said.0.as_deref() == Some("{}") {
        return None;
    }
    let by_version = version.as_ref().map(told_by).as_ref() == Some(&said);
    let (fields_before, fields_after) = said;
    let change = Change {
        object: ObjectKind::Rule,
        id: after.id.to_string(),
        route_id: Some(after.route_id.clone()),
        before: fields_before,
        after: fields_after,
        version: version.map(|version| version.version),
    };
    Some((change, by_version))
}

/// What a version says, in the words of the audit log.
pub(crate) fn told_by(version: &RuleVersion) -> (Option<String>, Option<String>) {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    let first = version.version == RuleVersionNumber(1);
    if first {
        after.extend([("metadata", "{}"), ("status", "\"draft\"")]);
    }
    for change in &version.changes {
        after.insert(change.field.as_str(), &change.after);
        before.extend(
            change
                .before
                .as_deref()
                .map(|value| (change.field.as_str(), value)),
        );
    }
    let before = (!first).then(|| fields::object(&before));
    (before, Some(fields::object(&after)))
}

/// The events of `after` that came after the first `logged`. A history keeps the newest ones only.
fn new_events(logged: u32, after: &Rule) -> &[RuleEvent] {
    let new = usize::try_from(after.events_logged.saturating_sub(logged)).unwrap_or(usize::MAX);
    &after.events[after.events.len().saturating_sub(new)..]
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
