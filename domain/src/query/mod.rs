//! What can be read of the state. Each function costs what it returns: a point look-up or a few,
//! or one page of a list. Nothing here judges or writes; callers say which environment they
//! may see, and what is not in it does not exist for them.

mod access;
mod certificates;
mod cluster;
mod draft;
mod edges;
mod expiries;
mod journal;
mod page;
mod pepper;
mod routes;
mod rule_versions;
mod rules;
mod sealing;
mod signing;
mod snapshots;
mod upstreams;
mod webhooks;

pub use crate::decide::Validation;
pub use access::{
    Usage, api_key, api_key_by_hash, api_keys_page, environment, environment_by_name, environments,
    idempotency, is_bootstrapped, log_time, pepper_check, usage, workspace, workspace_environments,
};
pub use certificates::{
    CertificateUse, certificate, certificate_uses, certificates, certificates_changed,
};
pub use cluster::{cluster_changes, preferred_region, retired_members};
pub use draft::{draft_head, validate};
pub use edges::{
    edge_record, edge_token, edge_token_by_hash, edge_tokens, edges_changed, forgotten_edges,
};
pub use expiries::{ExpiryPlace, expiring, expiry_due};
pub use journal::{
    JournalNotice, JournalRow, audit_chain, audit_entry, event, event_at, is_beyond_journal,
    journal_after, journal_page, told_in_full,
};
pub use page::Page;
pub use pepper::{PepperUse, active_pepper, pepper_uses, peppering};
pub use routes::{route, routes_page};
pub use rule_versions::{rule_version, rule_versions_page};
pub use rules::{RuleFilter, rule, rules_page};
pub use sealing::{each_secret, sealing, signing_generations, webhook_secret};
pub use signing::{epoch, signing, signing_keys};
pub use snapshots::{
    ViewChunks, chunk, manifest, manifest_routes_page, snapshot, snapshot_by_version,
    snapshots_page,
};
pub use upstreams::{
    all_outages, is_upstream_live, running_shifts, shift, upstream, upstream_outages,
    upstreams_page,
};
pub use webhooks::{
    PendingDeliveries, all_webhook_endpoints, due_deliveries, is_orphaned, orphaned_endpoints,
    pending_deliveries, webhook_deliveries_page, webhook_delivery, webhook_endpoint,
    webhook_endpoints,
};
