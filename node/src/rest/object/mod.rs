//! How records look in JSON. Every object says what it is and which environment it lives in, and
//! always has all of its fields; what is not there is `null`. An object is rendered from its
//! record alone, so that a replayed answer has the bytes of the first one.

mod api_key;
mod audit;
mod certificate;
mod content;
mod edge_token;
mod event;
mod route;
mod rule;
mod shift;
mod snapshot;
mod tenancy;
mod upstream;
mod webhook;

pub(crate) use api_key::ApiKeyObject;
pub(crate) use audit::{AuditObject, AuditProof};
pub(crate) use certificate::CertificateObject;
pub(crate) use content::{CONTENT_BYTES_MAX, broken, snapshot_content};
pub(crate) use edge_token::{EdgeRevocationObject, EdgeTokenObject};
pub(crate) use event::{EventObject, GLOBAL, region};
pub(crate) use route::RouteObject;
pub(crate) use rule::RuleObject;
pub(crate) use snapshot::SnapshotObject;
pub(crate) use tenancy::{EnvironmentObject, LimitsObject, UsageObject, WorkspaceObject};
pub(crate) use upstream::{Deleted, TargetObject, UpstreamObject};
pub(crate) use webhook::{WebhookDeliveryObject, WebhookEndpointObject};
