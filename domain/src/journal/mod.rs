//! Writes down what a log entry did, from the events that came of it: see
//! [`crate::model::JournalEntry`]. It judges nothing and looks only at what the events changed, as it
//! was before them.

mod fields;
mod rules;

use std::collections::BTreeSet;

use crate::audit;
use crate::command::{Command, Stamped};
use crate::event::Event;
use crate::id::{ApiKeyId, EnvironmentId, RouteId, UpstreamId};
use crate::model::{
    About, ApiKey, AuditLink, AuditPoint, Certificate, Change, EdgeToken, EndpointStatus, Epoch,
    Expiring, ExpiryNotice, JournalEntry, JournalPlace, Notice, NoticeKind, ObjectKind, Route,
    Shift, Snapshot, Upstream, WebhookEndpoint,
};
use crate::rows::View;
use crate::schema::{
    API_KEYS, CERTIFICATES, EDGE_RECORDS, EDGE_TOKENS, ENVIRONMENTS, ROUTES, UPSTREAM_SHIFTS,
    UPSTREAMS, WEBHOOK_ENDPOINTS, WORKSPACES,
};
use crate::time::{Revision, Timestamp};

use fields::Fields;
use rules::{Followed, RuleHistory};

pub(crate) use rules::told_by;

/// On whose behalf something is written down, and where.
pub(crate) struct Journaling<'a> {
    /// The environment that is changed.
    pub(crate) environment: &'a EnvironmentId,
    /// Whose key asked for it.
    pub(crate) actor: Option<&'a ApiKeyId>,
    /// The log's time.
    pub(crate) at: Timestamp,
    /// The log entry.
    pub(crate) revision: Revision,
    /// The row before this one.
    pub(crate) head: AuditPoint,
}

impl Journaling<'_> {
    /// The row for an entry that changed something on somebody's behalf; `view` is the state before it.
    pub(crate) fn record(
        &self,
        view: &(impl View + ?Sized),
        stamped: &Stamped,
        events: &[Event],
    ) -> Option<Event> {
        let mut journal = Journal::new(view, &stamped.command, events);
        for event in events {
            journal.follow(event);
        }
        journal.end();
        // What the cluster does by itself is told where clients hear of it; the rest is bookkeeping.
        let told =
            !journal.notices.is_empty() || (self.actor.is_some() && !journal.changes.is_empty());
        if !told {
            return None;
        }
        let idempotency = stamped.idempotency.as_ref();
        let mut entry = JournalEntry {
            actor: self.actor.cloned(),
            request_id: stamped.request_id.clone(),
            origin: stamped.origin.clone(),
            idempotency_key: idempotency.map(|idempotency| idempotency.key.clone()),
            operation: stamped.command.name().to_owned(),
            changes: journal.changes,
            notices: journal.notices,
            link: None,
        };
        entry.link = self.link(view, &entry);
        leave_out(&mut entry.changes, &journal.told_by_versions);
        Some(Event::Journaled {
            environment_id: self.environment.clone(),
            at: self.at,
            revision: self.revision,
            entry: Box::new(entry),
        })
    }

    /// The row that tells of another epoch, which begins on nobody's behalf.
    pub(crate) fn epoch(
        &self,
        view: &(impl View + ?Sized),
        stamped: &Stamped,
        operation: &str,
        (before, after): (Epoch, Epoch),
    ) -> Event {
        let told = |epoch: Epoch| Some(format!(r#"{{"epoch":{}}}"#, epoch.0));
        let change = Change {
            object: ObjectKind::Environment,
            id: self.environment.to_string(),
            route_id: None,
            before: told(before),
            after: told(after),
            version: None,
        };
        let mut entry = JournalEntry {
            actor: None,
            request_id: stamped.request_id.clone(),
            origin: stamped.origin.clone(),
            idempotency_key: None,
            operation: operation.to_owned(),
            changes: vec![change],
            notices: Vec::new(),
            link: None,
        };
        entry.link = self.link(view, &entry);
        Event::Journaled {
            environment_id: self.environment.clone(),
            at: self.at,
            revision: self.revision,
            entry: Box::new(entry),
        }
    }

    /// Hangs the row, whose changes are told in full, on the one before it. Where there is no
    /// environment there is no audit log.
    fn link(&self, view: &(impl View + ?Sized), entry: &JournalEntry) -> Option<AuditLink> {
        let environment = ENVIRONMENTS.get(view, (self.environment,))?;
        let place = JournalPlace {
            at: self.at,
            revision: self.revision,
        };
        let told = audit::told(place, entry, &environment.name);
        Some(audit::link(self.head, told))
    }
}

/// Leaves out of changes what versions of rules say.
fn leave_out(changes: &mut [Change], told_by_versions: &BTreeSet<usize>) {
    for index in told_by_versions {
        if let Some(change) = changes.get_mut(*index) {
            (change.before, change.after) = (None, None);
        }
    }
}

/// Which environment a command changes, and whose key asked for it.
pub(crate) fn on_whose_behalf(command: &Command) -> Option<(&EnvironmentId, Option<&ApiKeyId>)> {
    match command {
        Command::RecordDeliveries(command) => return Some((&command.environment_id, None)),
        Command::RecordOutages(command) => return Some((&command.environment_id, None)),
        Command::StepShift(command) => return Some((&command.environment_id, None)),
        Command::TellExpiries(command) => return Some((&command.environment_id, None)),
        _ => {}
    }
    let actor = command.actor()?;
    Some((&actor.environment_id, Some(&actor.api_key_id)))
}

/// What has been written down of an entry so far.
struct Journal<'a, V: ?Sized> {
    view: &'a V,
    /// Whether the entry publishes: which drafts went live by it is in the snapshot, and is not told
    /// rule by rule.
    publishes: bool,
    /// The route that the entry takes back. What becomes of its rules and settings by that is told once,
    /// with the route: a draft that is reset may have any number of rules.
    rolls_back: Option<&'a RouteId>,
    rules: RuleHistory<'a, V>,
    /// In full.
    changes: Vec<Change>,
    /// Those of them that say what versions of rules say.
    told_by_versions: BTreeSet<usize>,
    notices: Vec<Notice>,
}

impl<'a, V: View + ?Sized> Journal<'a, V> {
    fn new(view: &'a V, command: &'a Command, events: &[Event]) -> Self {
        let rolls_back = match command {
            Command::Rollback(_, rollback) => Some(&rollback.route_id),
            _ => None,
        };
        Self {
            view,
            rolls_back,
            publishes: events
                .iter()
                .any(|event| matches!(event, Event::SnapshotPublished(_))),
            rules: RuleHistory::new(view),
            changes: Vec::new(),
            told_by_versions: BTreeSet::new(),
            notices: Vec::new(),
        }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::RuleCreated(rule) => {
                let followed = self.rules.created(rule);
                self.rule(followed);
            }
            Event::RuleChanged { after, .. } => {
                let followed = self.rules.changed(after);
                self.rule(followed);
            }
            Event::RuleVersioned {
                rule_id, version, ..
            } => self.rules.versioned(rule_id, version),
            Event::RouteCreated(route) => self.route(None, route, NoticeKind::RouteCreated),
            Event::RouteChanged { after, .. } => self.route_changed(after),
            Event::UpstreamCreated(upstream) => self.upstream(None, Some(upstream)),
            Event::UpstreamChanged(upstream) => {
                self.upstream_changed(upstream);
                self.notices.push(Notice {
                    kind: NoticeKind::UpstreamUpdated,
                    about: About {
                        upstream_id: Some(upstream.id.clone()),
                        ..About::default()
                    },
                });
            }
            Event::UpstreamDeleted(upstream) => self.upstream(Some(upstream), None),
            Event::ShiftChanged(shift) => self.shift(shift),
            Event::OutageBegan {
                upstream_id,
                region,
                ..
            } => self.outage(NoticeKind::UpstreamFailed, upstream_id, region),
            Event::OutageEnded {
                upstream_id,
                region,
                recovered: true,
                ..
            } => self.outage(NoticeKind::UpstreamRecovered, upstream_id, region),
            Event::SnapshotPublished(snapshot) => self.published(snapshot),
            Event::ApiKeyCreated(key) => self.api_key(None, key),
            Event::ApiKeyChanged { after: key, .. } => {
                let before = API_KEYS.get(self.view, (&key.id,));
                self.api_key(before.as_ref(), key);
            }
            Event::EnvironmentCreated(environment) => {
                let object = (ObjectKind::Environment, environment.id.to_string(), None);
                self.change(object, None, Some(fields::environment(environment)));
            }
            Event::WorkspaceChanged(workspace) => {
                let before = WORKSPACES.get(self.view, (&workspace.id,));
                let object = (ObjectKind::Workspace, workspace.id.to_string(), None);
                let before = before.as_ref().map(fields::workspace);
                self.change(object, before, Some(fields::workspace(workspace)));
            }
            Event::WebhookEndpointCreated(endpoint) => {
                self.webhook_endpoint(None, Some(endpoint));
            }
            Event::WebhookEndpointChanged(endpoint) => {
                let key = (&endpoint.environment_id, &endpoint.id);
                let before = WEBHOOK_ENDPOINTS.get(self.view, key);
                self.webhook_endpoint(before.as_ref(), Some(endpoint));
            }
            Event::WebhookEndpointDeleted(endpoint) => {
                self.webhook_endpoint(Some(endpoint), None);
            }
            Event::CertificateCreated(certificate) => self.certificate(None, Some(certificate)),
            Event::CertificateChanged(certificate) => {
                let key = (&certificate.environment_id, &certificate.id);
                let before = CERTIFICATES.get(self.view, key);
                self.certificate(before.as_ref(), Some(certificate));
            }
            Event::CertificateDeleted { certificate, .. } => {
                self.certificate(Some(certificate), None);
            }
            Event::ExpiryTold { of, notice, .. } => self.expiry(of, *notice),
            Event::EdgeTokenCreated(token) => self.edge_token(None, Some(token)),
            Event::EdgeTokenUsed(token) => {
                let before = EDGE_TOKENS.get(self.view, (&token.environment_id, &token.id));
                self.edge_token(before.as_ref(), Some(token));
            }
            Event::EdgeTokenDeleted(token) => self.edge_token(Some(token), None),
            Event::EdgeEnrolled(record) | Event::EdgeRevoked(record) => {
                let key = (&record.environment_id, &record.edge_id);
                let before = EDGE_RECORDS.get(self.view, key);
                let object = (ObjectKind::Edge, record.edge_id.clone(), None);
                let before = before.as_ref().map(fields::edge);
                self.change(object, before, Some(fields::edge(record)));
            }
            // Bookkeeping of what is told above, or of nobody's doing.
            Event::Ticked(_)
            | Event::Answered { .. }
            | Event::AnswerExpired { .. }
            | Event::Bootstrapped(_)
            | Event::DraftChanged { .. }
            | Event::UsesChanged { .. }
            | Event::SnapshotReplaced(_)
            | Event::TreeKept { .. }
            | Event::TreeDropped { .. }
            | Event::ManifestMoved { .. }
            | Event::RuleVersionPublished { .. }
            | Event::RuleVersionRemoved { .. }
            | Event::DeliveryChanged { .. }
            | Event::DeliveryRemoved { .. }
            | Event::OutageEnded { .. }
            | Event::JournalTrimmed { .. }
            | Event::HistoryMoved { .. }
            | Event::MemberRetired { .. }
            | Event::ClusterChanged { .. }
            | Event::ClusterChangeForgotten { .. }
            | Event::ClusterSettled(_)
            | Event::SigningSettled(_)
            | Event::SigningKeyChanged(_)
            | Event::SigningKeyForgotten { .. }
            | Event::KekActivated(_)
            | Event::PepperActivated(_)
            | Event::HashPeppered { .. }
            | Event::CertificateRewrapped(_)
            | Event::WebhookSecretKept { .. }
            | Event::WebhookSecretForgotten { .. }
            | Event::EdgeTokenForgotten(_)
            | Event::EdgeForgotten(_)
            | Event::Journaled { .. } => {}
        }
    }

    fn rule(&mut self, followed: Followed) {
        if self.rolls_back.is_none() {
            self.notices.extend(followed.notices);
        }
        let told_with_the_snapshot = |(change, by_version): &(Change, bool)| {
            self.publishes && !by_version && went_live(change)
        };
        let change = followed
            .change
            .filter(|change| !told_with_the_snapshot(change));
        if let Some((change, by_version)) = change {
            if by_version {
                self.told_by_versions.insert(self.changes.len());
            }
            self.changes.push(change);
        }
    }

    /// A draft that was reset to what is live is told as a change of the route: nothing was published.
    fn end(&mut self) {
        if let Some(route) = self.rolls_back
            && self.notices.is_empty()
            && !self.changes.is_empty()
        {
            self.notices
                .push(about_route(NoticeKind::RouteUpdated, route));
        }
    }

    fn route_changed(&mut self, after: &Route) {
        let before = ROUTES.get(self.view, (&after.environment_id, &after.id));
        // Publishing moves a route's active snapshot, which is told with the snapshot.
        let differs = before.as_ref().map(fields::route) != Some(fields::route(after));
        if self.publishes && !differs {
            return;
        }
        let kind = match after.archived_at {
            Some(_) => NoticeKind::RouteArchived,
            None => NoticeKind::RouteUpdated,
        };
        self.route(before.as_ref(), after, kind);
    }

    fn route(&mut self, before: Option<&Route>, after: &Route, kind: NoticeKind) {
        let object = (
            ObjectKind::Route,
            after.id.to_string(),
            Some(after.id.clone()),
        );
        self.change(
            object,
            before.map(fields::route),
            Some(fields::route(after)),
        );
        if self.rolls_back.is_none() {
            self.notices.push(about_route(kind, &after.id));
        }
    }

    /// One whose shift ends without another step is what it was.
    fn upstream_changed(&mut self, after: &Upstream) {
        let before = UPSTREAMS.get(self.view, (&after.environment_id, &after.id));
        if before.as_ref().map(fields::upstream) != Some(fields::upstream(after)) {
            self.upstream(before.as_ref(), Some(after));
        }
    }

    /// A shift is told as part of its upstream.
    fn shift(&mut self, after: &Shift) {
        let before = UPSTREAM_SHIFTS.get(self.view, (&after.environment_id, &after.upstream_id));
        let object = (ObjectKind::Upstream, after.upstream_id.to_string(), None);
        let before = fields::shift(before.as_ref());
        self.change(object, Some(before), Some(fields::shift(Some(after))));
    }

    fn upstream(&mut self, before: Option<&Upstream>, after: Option<&Upstream>) {
        let Some(upstream) = after.or(before) else {
            return;
        };
        let object = (ObjectKind::Upstream, upstream.id.to_string(), None);
        self.change(
            object,
            before.map(fields::upstream),
            after.map(fields::upstream),
        );
    }

    fn outage(&mut self, kind: NoticeKind, upstream: &UpstreamId, region: &str) {
        self.notices.push(Notice {
            kind,
            about: About {
                upstream_id: Some(upstream.clone()),
                region: Some(region.to_owned()),
                ..About::default()
            },
        });
    }

    fn api_key(&mut self, before: Option<&ApiKey>, after: &ApiKey) {
        let object = (ObjectKind::ApiKey, after.id.to_string(), None);
        self.change(
            object,
            before.map(fields::api_key),
            Some(fields::api_key(after)),
        );
        let was_revoked = before.is_some_and(|key| key.revoked_at.is_some());
        let kind = match before {
            None => NoticeKind::ApiKeyCreated,
            Some(_) if after.revoked_at.is_some() && !was_revoked => NoticeKind::ApiKeyRevoked,
            Some(_) => return,
        };
        self.notices.push(Notice {
            kind,
            about: About {
                api_key_id: Some(after.id.clone()),
                ..About::default()
            },
        });
    }

    fn webhook_endpoint(
        &mut self,
        before: Option<&WebhookEndpoint>,
        after: Option<&WebhookEndpoint>,
    ) {
        let Some(endpoint) = after.or(before) else {
            return;
        };
        let object = (ObjectKind::WebhookEndpoint, endpoint.id.to_string(), None);
        self.change(
            object,
            before.map(fields::webhook_endpoint),
            after.map(fields::webhook_endpoint),
        );
        let was_enabled = before.is_some_and(is_enabled);
        if was_enabled && after.is_some_and(|endpoint| !is_enabled(endpoint)) {
            self.notices.push(Notice {
                kind: NoticeKind::WebhookEndpointDisabled,
                about: About {
                    webhook_endpoint_id: Some(endpoint.id.clone()),
                    ..About::default()
                },
            });
        }
    }

    fn certificate(&mut self, before: Option<&Certificate>, after: Option<&Certificate>) {
        let Some(certificate) = after.or(before) else {
            return;
        };
        let object = (ObjectKind::Certificate, certificate.id.to_string(), None);
        self.change(
            object,
            before.map(fields::certificate),
            after.map(fields::certificate),
        );
    }

    fn edge_token(&mut self, before: Option<&EdgeToken>, after: Option<&EdgeToken>) {
        let Some(token) = after.or(before) else {
            return;
        };
        let object = (ObjectKind::EdgeToken, token.id.to_string(), None);
        self.change(
            object,
            before.map(fields::edge_token),
            after.map(fields::edge_token),
        );
    }

    /// The change says which object it is and when it ends, so it has the same place as the notice.
    fn expiry(&mut self, of: &Expiring, told: ExpiryNotice) {
        let (object, kind) = match of {
            Expiring::Certificate(_) => (ObjectKind::Certificate, NoticeKind::CertificateExpiring),
            Expiring::ApiKey(_) => (ObjectKind::ApiKey, NoticeKind::ApiKeyExpiring),
        };
        let mut about = About::default();
        if let Expiring::ApiKey(id) = of {
            about.api_key_id = Some(id.clone());
        }
        self.notices.push(Notice { kind, about });
        self.changes.push(Change {
            object,
            id: of.id().to_owned(),
            route_id: None,
            before: Some("{}".to_owned()),
            after: Some(fields::object(&fields::expiry(told))),
            version: None,
        });
    }

    fn published(&mut self, snapshot: &Snapshot) {
        let object = (
            ObjectKind::Snapshot,
            snapshot.id.to_string(),
            Some(snapshot.route_id.clone()),
        );
        self.change(object, None, Some(fields::snapshot(snapshot)));
        let kind = match snapshot.source_snapshot_id {
            Some(_) => NoticeKind::RouteRollback,
            None => NoticeKind::RoutePublished,
        };
        self.notices.push(Notice {
            kind,
            about: About {
                route_id: Some(snapshot.route_id.clone()),
                snapshot_id: Some(snapshot.id.clone()),
                source_snapshot_id: snapshot.source_snapshot_id.clone(),
                ..About::default()
            },
        });
    }

    fn change(
        &mut self,
        (object, id, route_id): (ObjectKind, String, Option<RouteId>),
        before: Option<Fields>,
        after: Option<Fields>,
    ) {
        let (before, after) = fields::differing(before, after);
        self.changes.push(Change {
            object,
            id,
            route_id,
            before,
            after,
            version: None,
        });
    }
}

fn about_route(kind: NoticeKind, route: &RouteId) -> Notice {
    Notice {
        kind,
        about: About {
            route_id: Some(route.clone()),
            ..About::default()
        },
    }
}

fn is_enabled(endpoint: &WebhookEndpoint) -> bool {
    endpoint.status == EndpointStatus::Enabled
}

/// Whether all that happened to a rule is that its draft went live.
fn went_live(change: &Change) -> bool {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    (before, after)
        == (
            Some("{\"status\":\"draft\"}"),
            Some("{\"status\":\"active\"}"),
        )
}
