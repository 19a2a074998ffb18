//! A snapshot's signature: what the cluster states of it, so that it can be verified where no node is.

use std::sync::Arc;

use domain::id::SnapshotId;
use domain::model::{Signing, Snapshot};
use domain::query;
use domain::rows::View;
use domain::tree::Hash;
use edge_protocol::signing::{Scope, Statement};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, Answered};
use super::auth::Caller;
use super::error::{ApiError, Code};
use super::openapi::shape;
use super::pipeline::Call;

/// When a node should be asked again that cannot sign yet.
const RETRY_AFTER_S: u64 = 2;

/// A snapshot's signature as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = SnapshotSignature)]
pub(crate) struct SignatureObject<'a> {
    object: &'static str,
    environment: &'a str,
    statement: StatementObject<'a>,
    /// The bytes that are signed, in hexadecimal; the statement's parts, each with its length before it.
    canonical: String,
    /// `ed25519`.
    algorithm: &'static str,
    /// The key that signs now: the first half of the SHA-256 of its public half, in hexadecimal.
    key_id: String,
    /// Its public half, in hexadecimal.
    public_key: String,
    /// In hexadecimal.
    signature: String,
}

/// What is signed.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedStatement)]
struct StatementObject<'a> {
    /// The version of the canonical bytes.
    format: u8,
    cluster_id: &'a str,
    #[schema(value_type = shape::EnvironmentId)]
    environment_id: &'a str,
    /// `route`: one published version of a route.
    scope: &'static str,
    #[schema(value_type = shape::RouteId)]
    route_id: &'a str,
    #[schema(value_type = shape::SnapshotId)]
    snapshot_id: &'a str,
    epoch: u64,
    /// Counts the snapshots of the route, from 1.
    version: u64,
    /// The content of the snapshot that was active before; zeros, if none was.
    #[schema(value_type = shape::Hash)]
    previous_hash: String,
    #[schema(value_type = shape::Hash)]
    content_hash: String,
    /// When it was published, in milliseconds since the Unix epoch.
    at_ms: u64,
}

pub(crate) async fn get(api: Arc<Api>, caller: Caller, mut call: Call) -> Answered {
    let id = call.id("snapshot", SnapshotId::parse)?;
    std::mem::take(&mut call.query).finish()?;
    let find = |view: &dyn View| {
        let snapshot = query::snapshot(view, &caller.environment_id, &id)
            .ok_or_else(|| ApiError::not_found("snapshot"))?;
        let parent = snapshot.parent_id.as_ref();
        let parent = parent.and_then(|id| query::snapshot(view, &caller.environment_id, id));
        let previous = parent.map_or(Hash([0; 32]), |parent| parent.head);
        let mut said = None;
        let signed = api.signer.sign(view, |signing| {
            let statement = statement(signing, &snapshot, previous);
            said.insert(statement).bytes()
        });
        let (signature, key) = signed.map_err(|error| cannot(&error))?;
        let statement = said.ok_or_else(ApiError::internal)?;
        Ok::<_, ApiError>((statement, signature, key.public()))
    };
    let seen = api.read(call.consistency, find).await?;
    let (statement, signature, public) = seen.value?;
    let object = SignatureObject {
        object: "snapshot_signature",
        environment: &caller.environment,
        canonical: hex::encode(statement.bytes()),
        statement: shown(&statement),
        algorithm: "ed25519",
        key_id: signature.key.to_string(),
        public_key: hex::encode(public.0),
        signature: hex::encode(signature.bytes.bytes()),
    };
    Ok(Answer::json(StatusCode::OK, &object).at(seen.revision))
}

fn statement(signing: &Signing, snapshot: &Snapshot, previous: Hash) -> Statement {
    Statement {
        cluster_id: signing.cluster_id.clone(),
        environment_id: snapshot.environment_id.clone(),
        scope: Scope::Route {
            route_id: snapshot.route_id.clone(),
            snapshot_id: snapshot.id.clone(),
        },
        epoch: signing.epoch,
        version: snapshot.version.0,
        previous,
        root: snapshot.head,
        at: snapshot.published_at,
    }
}

fn shown(statement: &Statement) -> StatementObject<'_> {
    let (scope, route_id, snapshot_id) = match &statement.scope {
        Scope::Environment => ("environment", "", ""),
        Scope::Route {
            route_id,
            snapshot_id,
        } => ("route", route_id.as_str(), snapshot_id.as_str()),
    };
    StatementObject {
        format: edge_protocol::signing::FORMAT,
        cluster_id: statement.cluster_id.as_str(),
        environment_id: statement.environment_id.as_str(),
        scope,
        route_id,
        snapshot_id,
        epoch: statement.epoch.0,
        version: statement.version,
        previous_hash: format!("sha256:{}", statement.previous),
        content_hash: format!("sha256:{}", statement.root),
        at_ms: statement.at.0,
    }
}

/// What is wrong is the node's matter and in its log; a client can only come back.
fn cannot(error: &crate::signing::SigningError) -> ApiError {
    tracing::error!(%error, "a snapshot cannot be signed");
    ApiError {
        retry_after_s: Some(RETRY_AFTER_S),
        ..ApiError::new(
            Code::ClusterUnavailable,
            "The cluster cannot sign now. Retry later; if it stays so, ask its operator.",
        )
    }
}
