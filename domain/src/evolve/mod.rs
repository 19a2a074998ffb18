//! Writes what happened into the rows. Nothing is judged here and nothing can be refused: an
//! event that was decided on this state always fits it.

mod access;
mod answers;
mod certificates;
mod chunks;
mod counts;
mod edges;
mod routes;
mod rules;
mod snapshots;
mod upstreams;
mod webhooks;

use crate::event::Event;
use crate::rows::Rows;
use crate::schema::{
    CERTIFICATES, CLOCK, CLUSTER, CLUSTER_CHANGES, DRAFTS, EXPIRY_NOTICES, HASH_PEPPERS, HISTORIES,
    JOURNAL, PEPPERING, RETIRED_MEMBERS, RULE_VERSION_SNAPSHOTS, RULE_VERSIONS, SEALING, SIGNING,
    SIGNING_KEYS, UPSTREAM_OUTAGES, WEBHOOK_SECRETS,
};

/// Writes `event` into `rows`.
pub fn evolve(rows: &mut impl Rows, event: &Event) {
    match event {
        Event::Ticked(clock) => CLOCK.put(rows, (), clock),
        Event::Answered {
            scope,
            record,
            replaces,
        } => answers::answered(rows, scope, record, *replaces),
        Event::AnswerExpired { scope, expires_at } => answers::expired(rows, scope, *expires_at),
        Event::Bootstrapped(made) => access::bootstrapped(rows, made),
        Event::UpstreamCreated(upstream) => upstreams::created(rows, upstream),
        Event::UpstreamChanged(upstream) => upstreams::changed(rows, upstream),
        Event::UpstreamDeleted(upstream) => upstreams::deleted(rows, upstream),
        Event::ShiftChanged(shift) => upstreams::shift_changed(rows, shift),
        Event::UsesChanged {
            environment_id,
            route_id,
            upstream_id,
            before,
            after,
        } => {
            upstreams::uses_changed(
                rows,
                (environment_id, route_id, upstream_id),
                *before,
                *after,
            );
        }
        Event::OutageBegan {
            environment_id,
            upstream_id,
            region,
            outage,
        } => UPSTREAM_OUTAGES.put(rows, (environment_id, upstream_id, region), outage),
        Event::OutageEnded {
            environment_id,
            upstream_id,
            region,
            ..
        } => UPSTREAM_OUTAGES.delete(rows, (environment_id, upstream_id, region)),
        Event::RouteCreated(route) => routes::created(rows, route),
        Event::RouteChanged { before, after } => routes::changed(rows, before, after),
        Event::DraftChanged {
            environment_id,
            route_id,
            draft,
        } => DRAFTS.put(rows, (environment_id, route_id), draft),
        Event::RuleCreated(rule) => rules::created(rows, rule),
        Event::RuleChanged { before, after } => rules::changed(rows, *before, after),
        Event::SnapshotPublished(snapshot) => snapshots::published(rows, snapshot),
        Event::SnapshotReplaced(snapshot) => snapshots::changed(rows, snapshot),
        Event::TreeKept { root, chunks } => chunks::keep(rows, *root, chunks),
        Event::TreeDropped { root } => chunks::release(rows, *root),
        Event::ManifestMoved { manifest, dropped } => {
            snapshots::manifest_moved(rows, manifest, *dropped)
        }
        Event::Journaled {
            environment_id,
            at,
            revision,
            entry,
        } => JOURNAL.put(rows, (environment_id, at, revision), entry),
        Event::WebhookEndpointCreated(endpoint) | Event::WebhookEndpointChanged(endpoint) => {
            webhooks::endpoint(rows, endpoint);
        }
        Event::WebhookEndpointDeleted(endpoint) => webhooks::endpoint_deleted(rows, endpoint),
        Event::DeliveryChanged {
            environment_id,
            before,
            after,
        } => webhooks::delivery(rows, environment_id, *before, after),
        Event::DeliveryRemoved {
            environment_id,
            delivery,
        } => webhooks::delivery_removed(rows, environment_id, delivery),
        Event::JournalTrimmed {
            environment_id,
            at,
            revision,
        } => JOURNAL.delete(rows, (environment_id, at, revision)),
        Event::HistoryMoved {
            environment_id,
            history,
        } => HISTORIES.put(rows, (environment_id,), history),
        Event::RuleVersionRemoved {
            environment_id,
            rule_id,
            version,
        } => {
            RULE_VERSIONS.delete(rows, (environment_id, rule_id, version));
            RULE_VERSION_SNAPSHOTS.delete(rows, (environment_id, rule_id, version));
        }
        Event::RuleVersioned {
            environment_id,
            rule_id,
            version,
        } => RULE_VERSIONS.put(rows, (environment_id, rule_id, &version.version), version),
        Event::RuleVersionPublished {
            environment_id,
            rule_id,
            version,
            snapshot_id,
        } => {
            RULE_VERSION_SNAPSHOTS.put(rows, (environment_id, rule_id, version), snapshot_id);
        }
        Event::ApiKeyCreated(key) => access::key_created(rows, key),
        Event::ApiKeyChanged { before, after } => access::key_changed(rows, before, after),
        Event::CertificateCreated(certificate) | Event::CertificateChanged(certificate) => {
            certificates::written(rows, certificate);
        }
        Event::CertificateDeleted {
            certificate,
            revision,
        } => certificates::deleted(rows, certificate, *revision),
        Event::ExpiryTold {
            environment_id,
            of,
            notice,
        } => EXPIRY_NOTICES.put(rows, (environment_id, &of.id().to_owned()), notice),
        Event::EnvironmentCreated(environment) => access::environment_created(rows, environment),
        Event::WorkspaceChanged(workspace) => access::workspace_changed(rows, workspace),
        Event::MemberRetired { member, record } => RETIRED_MEMBERS.put(rows, (member,), record),
        Event::ClusterChanged { revision, record } => {
            CLUSTER_CHANGES.put(rows, (revision,), record);
        }
        Event::ClusterChangeForgotten { revision } => CLUSTER_CHANGES.delete(rows, (revision,)),
        Event::ClusterSettled(settings) => CLUSTER.put(rows, (), settings),
        Event::SigningSettled(signing) => SIGNING.put(rows, (), signing),
        Event::SigningKeyChanged(key) => SIGNING_KEYS.put(rows, (&key.public.id(),), key),
        Event::SigningKeyForgotten { key } => SIGNING_KEYS.delete(rows, (key,)),
        Event::KekActivated(sealing) => SEALING.put(rows, (), sealing),
        Event::PepperActivated(peppering) => PEPPERING.put(rows, (), peppering),
        Event::HashPeppered { hash, pepper } => HASH_PEPPERS.put(rows, (hash,), pepper),
        Event::CertificateRewrapped(certificate) => {
            let key = (&certificate.environment_id, &certificate.id);
            CERTIFICATES.put(rows, key, certificate);
        }
        Event::WebhookSecretKept {
            environment_id,
            endpoint_id,
            generation,
            secret,
        } => WEBHOOK_SECRETS.put(rows, (environment_id, endpoint_id, generation), secret),
        Event::WebhookSecretForgotten {
            environment_id,
            endpoint_id,
            generation,
        } => WEBHOOK_SECRETS.delete(rows, (environment_id, endpoint_id, generation)),
        Event::EdgeTokenCreated(token) | Event::EdgeTokenUsed(token) => {
            edges::token_written(rows, token);
        }
        Event::EdgeTokenDeleted(token) | Event::EdgeTokenForgotten(token) => {
            edges::token_removed(rows, token);
        }
        Event::EdgeEnrolled(record) | Event::EdgeRevoked(record) => {
            edges::edge_written(rows, record);
        }
        Event::EdgeForgotten(record) => edges::edge_forgotten(rows, record),
    }
}
