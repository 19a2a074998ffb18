//! The fields of objects that the audit log shows, as raw JSON: what a client can set, and where
//! the object is in its life.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;

use crate::content::UPSTREAM_SETTINGS as SETTINGS;
use crate::model::{
    ApiKey, Certificate, EdgeRecord, EdgeToken, Environment, EnvironmentKind, ExpiryNotice, Route,
    Rule, Shift, Snapshot, Upstream, WebhookEndpoint, Workspace,
};
use crate::time::Timestamp;

/// Raw JSON values by field name.
pub(super) type Fields = BTreeMap<&'static str, String>;

fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Texts, numbers and maps with text keys have a JSON form whatever they hold.
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn rule(rule: &Rule) -> Fields {
    Fields::from([
        ("name", json(&rule.name)),
        ("priority", json(&rule.priority.0)),
        ("match", rule.criteria.clone()),
        ("action", rule.action.clone()),
        ("metadata", json(&rule.metadata)),
        ("status", json(rule.status.as_str())),
    ])
}

pub(super) fn route(route: &Route) -> Fields {
    let status = if route.archived_at.is_some() {
        "archived"
    } else {
        "active"
    };
    Fields::from([
        ("name", json(&route.name)),
        ("hostname", json(&route.hostname)),
        ("mode", json(route.mode.as_str())),
        ("enabled", json(&route.enabled)),
        ("config", route.config.clone()),
        ("status", json(status)),
        ("cache_purges", json(&route.purges.version)),
    ])
}

pub(super) fn upstream(upstream: &Upstream) -> Fields {
    let mut settings = upstream.settings.to_json();
    let given = SETTINGS.into_iter();
    let given = given.filter_map(|name| Some((name, json(&settings.remove(name)?))));
    let mut fields: Fields = given.collect();
    fields.extend([
        ("name", json(&upstream.name)),
        ("algorithm", json(upstream.algorithm.as_str())),
        ("targets", json(&upstream.targets)),
    ]);
    fields
}

/// What of an upstream is its shift; `null` before the first one.
pub(super) fn shift(shift: Option<&Shift>) -> Fields {
    let said = shift.map(|shift| {
        BTreeMap::from([
            ("status", json(shift.state.as_str())),
            ("from", json(&shift.from)),
            ("to", json(&shift.to)),
            ("steps", json(&shift.steps)),
            ("steps_taken", json(&shift.taken)),
            ("interval_s", json(&shift.interval_s)),
        ])
    });
    let said = said.map_or_else(|| "null".to_owned(), |said| object(&said));
    Fields::from([("shift", said)])
}

pub(super) fn snapshot(snapshot: &Snapshot) -> Fields {
    Fields::from([
        ("version", json(&snapshot.version.0)),
        ("parent_id", json(&snapshot.parent_id)),
        ("source_snapshot_id", json(&snapshot.source_snapshot_id)),
        ("content_hash", json(&hex::encode(snapshot.head.0))),
        ("rule_count", json(&snapshot.rule_count)),
        ("comment", json(&snapshot.comment)),
    ])
}

/// Never by what the key is recognised.
pub(super) fn api_key(key: &ApiKey) -> Fields {
    let status = if key.revoked_at.is_some() {
        "revoked"
    } else {
        "active"
    };
    let allowed: Vec<_> = key.ip_allowlist.iter().map(ToString::to_string).collect();
    let previous = key
        .previous
        .as_ref()
        .map(|previous| previous.expires_at.unix_seconds());
    Fields::from([
        ("name", json(&key.name)),
        ("status", json(status)),
        ("ip_allowlist", json(&allowed)),
        (
            "expires_at",
            json(&key.expires_at.map(Timestamp::unix_seconds)),
        ),
        ("previous_expires_at", json(&previous)),
    ])
}

pub(super) fn environment(environment: &Environment) -> Fields {
    let kind = match environment.kind {
        EnvironmentKind::Live => "live",
        EnvironmentKind::Test => "test",
    };
    Fields::from([("name", json(&environment.name)), ("kind", json(kind))])
}

pub(super) fn workspace(workspace: &Workspace) -> Fields {
    Fields::from([
        ("name", json(&workspace.name)),
        ("plan", json(workspace.plan.as_str())),
        ("api_version", json(&workspace.api_version)),
    ])
}

/// Never its secret, which is not in the record either.
pub(super) fn webhook_endpoint(endpoint: &WebhookEndpoint) -> Fields {
    let events: Vec<_> = endpoint.events.iter().map(|kind| kind.as_str()).collect();
    let status = match endpoint.status.disabled_reason() {
        None => "enabled",
        Some(reason) => reason,
    };
    Fields::from([
        ("url", json(&endpoint.url)),
        ("enabled_events", json(&events)),
        ("description", json(&endpoint.description)),
        ("api_version", json(&endpoint.api_version)),
        ("status", json(status)),
        ("secret_generation", json(&endpoint.secret_generation)),
    ])
}

/// Never its key, sealed or not. The chain is told by its fingerprint.
pub(super) fn certificate(certificate: &Certificate) -> Fields {
    let material = &certificate.material;
    Fields::from([
        ("name", json(&certificate.name)),
        ("dns_names", json(&material.names)),
        ("fingerprint", json(&material.fingerprint)),
        ("not_before", json(&material.not_before.unix_seconds())),
        ("not_after", json(&material.not_after.unix_seconds())),
        ("version", json(&certificate.version)),
    ])
}

/// Never by what it is recognised, nor what its text is made of.
pub(super) fn edge_token(token: &EdgeToken) -> Fields {
    let used_by = token.used.as_ref().map(|used| &used.edge_id);
    Fields::from([
        ("edge_id", json(&token.binding.edge_id)),
        ("region", json(&token.binding.region)),
        ("labels", json(&token.binding.labels)),
        ("expires_at", json(&token.expires_at.unix_seconds())),
        ("used_by", json(&used_by)),
    ])
}

pub(super) fn edge(record: &EdgeRecord) -> Fields {
    let enrolment = record.enrolment.as_ref();
    let status = if record.revoked_at.is_some() {
        "revoked"
    } else {
        "enrolled"
    };
    Fields::from([
        ("status", json(status)),
        (
            "edge_token_id",
            json(&enrolment.map(|enrolment| enrolment.token_id.as_str())),
        ),
        (
            "region",
            json(&enrolment.map(|enrolment| &enrolment.region)),
        ),
        (
            "labels",
            json(&enrolment.map(|enrolment| &enrolment.labels)),
        ),
    ])
}

/// What is told of the end of an object.
pub(super) fn expiry(told: ExpiryNotice) -> Fields {
    Fields::from([
        ("expires_at", json(&told.expires_at.unix_seconds())),
        ("expires_within_days", json(&told.days)),
    ])
}

/// Two states of an object as JSON objects: of what was there and is there, only the fields that
/// differ.
pub(super) fn differing(
    before: Option<Fields>,
    after: Option<Fields>,
) -> (Option<String>, Option<String>) {
    match (before, after) {
        (Some(mut before), Some(mut after)) => {
            before.retain(|field, value| {
                let same = after.get(field) == Some(value);
                if same {
                    after.remove(field);
                }
                !same
            });
            (Some(object(&before)), Some(object(&after)))
        }
        (before, after) => (before.as_ref().map(object), after.as_ref().map(object)),
    }
}

/// Raw JSON values as an object.
pub(super) fn object<V: Display>(fields: &BTreeMap<&str, V>) -> String {
    let members: Vec<_> = fields
        .iter()
        .map(|(field, value)| format!("\"{field}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
