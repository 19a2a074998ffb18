//! The surface over a cluster that answers what a test says.

use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::consensus::membership::Done;

/// Remembers what was asked and answers the same each time.
struct Scripted {
    asked: Mutex<Vec<ClusterRequest>>,
    answer: Result<ClusterReply, ClusterError>,
}

impl ClusterAdmin for Scripted {
    fn ask(
        &self,
        _: Asker,
        request: ClusterRequest,
    ) -> BoxFuture<'_, Result<ClusterReply, ClusterError>> {
        self.asked.lock().push(request);
        let answer = self.answer.clone();
        Box::pin(async move { answer })
    }
}

fn scripted(answer: Result<ClusterReply, ClusterError>) -> Arc<Scripted> {
    Arc::new(Scripted {
        asked: Mutex::default(),
        answer,
    })
}

fn done() -> Result<ClusterReply, ClusterError> {
    Ok(ClusterReply::Done(Done {
        changed: true,
        message: "node 4 is a voter now".to_owned(),
        risks: Vec::new(),
    }))
}

fn refused(code: &str) -> Result<ClusterReply, ClusterError> {
    Err(ClusterError::Refused {
        code: code.to_owned(),
        message: "node 4 lags".to_owned(),
    })
}

fn request(method: Method, path: &str, body: Option<Value>) -> Request {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:7401");
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let bytes = body.map_or_else(Vec::new, |body| serde_json::to_vec(&body).unwrap());
    request.body(Body::from(bytes)).unwrap()
}

async fn call(admin: &Arc<Scripted>, request: Request) -> (StatusCode, Value) {
    let router = router(Arc::clone(admin) as Admin, true);
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn each_path_asks_for_what_it_says() {
    let new = NewMember {
        id: 4,
        internal: "node-4:7200".to_owned(),
        region: Some("eu".to_owned()),
        rest: None,
        publisher: None,
    };
    let added = json!({ "id": 4, "internal": "node-4:7200", "region": "eu" });
    let members = "/admin/cluster/members";
    for (method, path, body, expected) in [
        (Method::GET, "/admin/cluster", None, ClusterRequest::Status),
        (
            Method::GET,
            "/admin/cluster/changes",
            None,
            ClusterRequest::Changes,
        ),
        (Method::POST, members, Some(added), ClusterRequest::Add(new)),
        (
            Method::DELETE,
            "/admin/cluster/members/4",
            None,
            ClusterRequest::Remove(4),
        ),
        (
            Method::POST,
            "/admin/cluster/members/4/promote",
            None,
            ClusterRequest::Promote(4),
        ),
        (
            Method::POST,
            "/admin/cluster/members/4/demote",
            None,
            ClusterRequest::Demote(4),
        ),
        (
            Method::POST,
            "/admin/cluster/members/3/replace",
            Some(json!({ "with": 4 })),
            ClusterRequest::Replace { id: 3, with: 4 },
        ),
        (
            Method::POST,
            "/admin/cluster/transfer_leader",
            Some(json!({ "to": 2 })),
            ClusterRequest::TransferLeader(Some(2)),
        ),
        (
            Method::POST,
            "/admin/cluster/transfer_leader",
            Some(json!({})),
            ClusterRequest::TransferLeader(None),
        ),
        (
            Method::PUT,
            "/admin/cluster/preferred_region",
            Some(json!({ "region": "eu" })),
            ClusterRequest::PreferRegion(Some("eu".to_owned())),
        ),
        (
            Method::PUT,
            "/admin/cluster/preferred_region",
            Some(json!({ "region": null })),
            ClusterRequest::PreferRegion(None),
        ),
    ] {
        let admin = scripted(done());
        let (status, answer) = call(&admin, request(method, path, body)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(answer["message"], "node 4 is a voter now", "{path}");
        assert_eq!(*admin.asked.lock(), [expected], "{path}");
    }
}

#[tokio::test]
async fn what_is_refused_has_its_status_code_and_words() {
    let unknown = Err(ClusterError::Unfinished {
        reason: "it takes longer".to_owned(),
    });
    let nobody = Err(ClusterError::Unavailable {
        reason: "no node leads".to_owned(),
    });
    for (answer, status, code) in [
        (refused("unknown_member"), 404, "unknown_member"),
        (refused("invalid_parameter"), 400, "invalid_parameter"),
        (refused("would_lose_quorum"), 409, "would_lose_quorum"),
        (refused("change_in_progress"), 409, "change_in_progress"),
        (unknown, 503, "outcome_unknown"),
        (nobody, 503, "cluster_unavailable"),
    ] {
        let admin = scripted(answer);
        let asked = request(Method::POST, "/admin/cluster/members/4/promote", None);
        let (found, body) = call(&admin, asked).await;
        assert_eq!(found.as_u16(), status);
        assert_eq!(body["error"]["code"], code);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.ends_with('.'), "{message}");
        assert!(message.starts_with(char::is_uppercase), "{message}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_not_asked() {
    let admin = scripted(done());
    let members = "/admin/cluster/members";
    let unknown_field = json!({ "id": 4, "internal": "a:1", "role": "voter" });
    for (asked, status) in [
        (
            request(Method::DELETE, "/admin/cluster/members/x", None),
            400,
        ),
        (request(Method::POST, members, Some(unknown_field)), 400),
        (
            request(Method::POST, members, Some(json!({ "id": 4 }))),
            400,
        ),
        (request(Method::POST, members, None), 415),
        (
            request(
                Method::PUT,
                "/admin/cluster/preferred_region",
                Some(json!([])),
            ),
            400,
        ),
        (request(Method::GET, "/admin", None), 404),
        (request(Method::PUT, "/admin/cluster", None), 405),
    ] {
        let (found, body) = call(&admin, asked).await;
        assert_eq!(found.as_u16(), status, "{body}");
        assert!(body["error"]["message"].is_string());
    }
    assert!(admin.asked.lock().is_empty());
}

#[tokio::test]
async fn web_pages_do_not_get_in() {
    let admin = scripted(done());
    let asked = || request(Method::POST, "/admin/cluster/members/4/promote", None);
    let mut rebound = asked();
    rebound.headers_mut().insert(
        header::HOST,
        HeaderValue::from_static("rebound.example:7401"),
    );
    let mut page = asked();
    page.headers_mut().insert(
        header::ORIGIN,
        HeaderValue::from_static("https://page.example"),
    );
    let mut nameless = asked();
    nameless.headers_mut().remove(header::HOST);
    for asked in [rebound, page, nameless] {
        let (status, _) = call(&admin, asked).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    assert!(admin.asked.lock().is_empty());
    let (status, _) = call(&admin, asked()).await;
    assert_eq!(status, StatusCode::OK);
}
