//! The operators' surface: how the cluster stands and how it is changed, as JSON on a socket of its own
//! that is never the API's. On loopback it speaks plain HTTP, anywhere else mutual TLS, to whoever
//! shows a node's certificate.
//!
//! ```text
//! GET    /admin/cluster                        how it stands
//! GET    /admin/cluster/changes                what operators asked for lately
//! GET    /admin/condition                      how this node stands, whoever leads
//! POST   /admin/cluster/members                a node joins as a learner
//! DELETE /admin/cluster/members/{id}           a member leaves for good
//! POST   /admin/cluster/members/{id}/promote   a learner becomes a voter
//! POST   /admin/cluster/members/{id}/demote    a voter becomes a learner
//! POST   /admin/cluster/members/{id}/replace   a learner takes its place
//! POST   /admin/cluster/transfer_leader        another voter leads
//! PUT    /admin/cluster/preferred_region       where the leader should be
//! GET    /admin/signing_keys                   the keys that sign what edges follow
//! POST   /admin/signing_keys/rotate            another key signs
//! POST   /admin/signing_keys/{key}/retire      what a key signed is not believed any more
//! GET    /admin/secrets                        how secrets are sealed
//! POST   /admin/secrets/rewrap                 they are sealed under the wanted key now
//! ```
//!
//! What comes of a request is decided by [`crate::consensus::membership`]; here it is only read and
//! shown.

mod guard;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::consensus::Consensus;
use crate::consensus::membership::{Asker, ClusterError, ClusterReply, ClusterRequest, NewMember};
use crate::control_plane::BoxFuture;
use crate::rest::ClientAddress;

pub(crate) use guard::nodes_only;

/// The biggest body: what is said of a node has a few hundred bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// By when a body must have arrived.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// When somebody who could not be served should come back.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Who does what operators ask.
pub(crate) trait ClusterAdmin: Send + Sync + 'static {
    /// Does it, or says why not.
    fn ask(
        &self,
        asker: Asker,
        request: ClusterRequest,
    ) -> BoxFuture<'_, Result<ClusterReply, ClusterError>>;
}

impl ClusterAdmin for Consensus {
    fn ask(
        &self,
        asker: Asker,
        request: ClusterRequest,
    ) -> BoxFuture<'_, Result<ClusterReply, ClusterError>> {
        Box::pin(self.ask_cluster(asker, request))
    }
}

type Admin = Arc<dyn ClusterAdmin>;

/// The router. `plain` where it is served without TLS, which browsers on the same machine can reach.
pub(crate) fn router(admin: Admin, plain: bool) -> Router {
    let router = Router::new()
        .route("/admin/cluster", get(status))
        .route("/admin/cluster/changes", get(changes))
        .route("/admin/condition", get(examine))
        .route("/admin/cluster/members", post(add))
        .route("/admin/cluster/members/{id}", delete(remove))
        .route("/admin/cluster/members/{id}/promote", post(promote))
        .route("/admin/cluster/members/{id}/demote", post(demote))
        .route("/admin/cluster/members/{id}/replace", post(replace))
        .route("/admin/cluster/transfer_leader", post(transfer_leader))
        .route("/admin/cluster/preferred_region", put(preferred_region))
        .route("/admin/signing_keys", get(signing_keys))
        .route("/admin/signing_keys/rotate", post(rotate_signing_key))
        .route("/admin/signing_keys/{key}/retire", post(retire_signing_key))
        .route("/admin/secrets", get(secrets))
        .route("/admin/secrets/rewrap", post(rewrap_secrets))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(admin);
    if plain {
        router.layer(middleware::from_fn(guard::refuse_browsers))
    } else {
        router
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    with: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heir {
    #[serde(default)]
    to: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    region: Option<String>,
}

async fn status(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::Status).await
}

async fn changes(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::Changes).await
}

async fn examine(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::Examine).await
}

async fn add(State(admin): State<Admin>, request: Request) -> Response {
    with_body(admin, request, |new: NewMember| ClusterRequest::Add(new)).await
}

async fn remove(State(admin): State<Admin>, Path(id): Path<String>, request: Request) -> Response {
    of_member(&admin, &id, asker(&request), ClusterRequest::Remove).await
}

async fn promote(State(admin): State<Admin>, Path(id): Path<String>, request: Request) -> Response {
    of_member(&admin, &id, asker(&request), ClusterRequest::Promote).await
}

async fn demote(State(admin): State<Admin>, Path(id): Path<String>, request: Request) -> Response {
    of_member(&admin, &id, asker(&request), ClusterRequest::Demote).await
}

async fn replace(State(admin): State<Admin>, Path(id): Path<String>, request: Request) -> Response {
    let Ok(id) = id.parse() else {
        return no_number();
    };
    let replace = |Replacement { with }| ClusterRequest::Replace { id, with };
    with_body(admin, request, replace).await
}

async fn transfer_leader(State(admin): State<Admin>, request: Request) -> Response {
    let transfer = |Heir { to }| ClusterRequest::TransferLeader(to);
    with_body(admin, request, transfer).await
}

async fn preferred_region(State(admin): State<Admin>, request: Request) -> Response {
    let prefer = |Region { region }| ClusterRequest::PreferRegion(region);
    with_body(admin, request, prefer).await
}

async fn signing_keys(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::SigningKeys).await
}

async fn rotate_signing_key(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::RotateSigningKey).await
}

async fn retire_signing_key(
    State(admin): State<Admin>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let retire = ClusterRequest::RetireSigningKey(key);
    ask(&admin, asker(&request), retire).await
}

async fn secrets(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::Secrets).await
}

async fn rewrap_secrets(State(admin): State<Admin>, request: Request) -> Response {
    ask(&admin, asker(&request), ClusterRequest::RewrapSecrets).await
}

async fn unknown_path() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "resource_not_found",
        "There is nothing at this path.",
    )
}

async fn unknown_method() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not take this method.",
    )
}

async fn of_member(
    admin: &Admin,
    id: &str,
    asker: Asker,
    change: fn(u64) -> ClusterRequest,
) -> Response {
    match id.parse() {
        Ok(id) => ask(admin, asker, change(id)).await,
        Err(_) => no_number(),
    }
}

fn no_number() -> Response {
    refuse(
        StatusCode::BAD_REQUEST,
        "invalid_parameter",
        "A member's number in the path is a whole number.",
    )
}

/// Reads a body of that kind, JSON and nothing else, and asks what it says.
async fn with_body<T: DeserializeOwned>(
    admin: Admin,
    request: Request,
    meaning: impl FnOnce(T) -> ClusterRequest,
) -> Response {
    let asker = asker(&request);
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_content_type",
            "Send the body as Content-Type: application/json.",
        );
    }
    let collecting = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let Ok(Ok(collected)) = tokio::time::timeout(BODY_DEADLINE, collecting).await else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_body",
            "The body is too large, ended early, or did not arrive in time.",
        );
    };
    match serde_json::from_slice(&collected.to_bytes()) {
        Ok(said) => ask(&admin, asker, meaning(said)).await,
        Err(error) => refuse(
            StatusCode::BAD_REQUEST,
            "invalid_body",
            &format!("The body is not what is expected here: {error}."),
        ),
    }
}

fn asker(request: &Request) -> Asker {
    let address = request.extensions().get::<ClientAddress>();
    Asker {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        address: address.map(|address| address.0.to_string()),
    }
}

async fn ask(admin: &Admin, asker: Asker, wish: ClusterRequest) -> Response {
    match admin.ask(asker, wish).await {
        Ok(ClusterReply::Status(status)) => json(StatusCode::OK, &status),
        Ok(ClusterReply::Changes(changes)) => json(StatusCode::OK, &Listed { changes }),
        Ok(ClusterReply::Condition(condition)) => json(StatusCode::OK, &condition),
        Ok(ClusterReply::SigningKeys(keys)) => json(StatusCode::OK, &keys),
        Ok(ClusterReply::Secrets(status)) => json(StatusCode::OK, &status),
        Ok(ClusterReply::Done(done)) => json(StatusCode::OK, &done),
        Err(error) => failed(&error),
    }
}

#[derive(Serialize)]
struct Listed<T> {
    changes: T,
}

fn failed(error: &ClusterError) -> Response {
    let message = sentence(&error.to_string());
    match error {
        ClusterError::Refused { code, .. } => {
            let status = match code.as_str() {
                "unknown_member" => StatusCode::NOT_FOUND,
                "invalid_parameter" => StatusCode::BAD_REQUEST,
                _ => StatusCode::CONFLICT,
            };
            refuse(status, code, &message)
        }
        ClusterError::Unavailable { .. } | ClusterError::Moved { .. } => later(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "cluster_unavailable",
            &message,
        )),
        ClusterError::Unfinished { .. } => later(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "outcome_unknown",
            &message,
        )),
    }
}

/// What is said on a command line, as the API says it.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn later(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
}

pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    json(
        status,
        &Envelope {
            error: Inner { code, message },
        },
    )
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Text, numbers and lists always have a JSON form.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(Bytes::from(bytes)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
