//! What can be read of the state. Each function costs what it returns: a point look-up or a few,
//! or one page of a list. Nothing here judges or writes; callers say which environment they
//! may see, and what is not in it does not exist for them.

mod access;
mod draft;
mod page;
mod routes;
mod rules;
mod snapshots;
mod upstreams;

pub use access::{
    Usage, api_key, api_key_by_hash, api_keys_page, environment, environment_by_name, environments,
    idempotency, is_bootstrapped, log_time, pepper_check, usage, workspace, workspace_environments,
};
pub use draft::draft_head;
pub use page::Page;
pub use routes::{route, routes_page};
pub use rules::{RuleFilter, rule, rules_page};
pub use snapshots::{ViewChunks, chunk, manifest, snapshot, snapshot_by_version, snapshots_page};
pub use upstreams::{upstream, upstreams_page};
