//! What the API's documentation shows, done as its readers do it, against a node with sockets: the
//! requests by curl as they are printed, but for host and key, and the verifier of webhooks on a
//! delivery as it arrives.

use std::process::Command as Process;

use domain::command::{Command, CreateRoute, CreateUpstream, Publish, Stamped};
use domain::id::{RouteId, SnapshotId, TargetId, UpstreamId};
use domain::model::{Algorithm, KeyKind, Mode, Plan, Target};
use platform::{Listener, Network, SystemEntropy, TokioNetwork};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::commands::{self, actor, bootstrap, bootstrap_with, create, rename, seed, stamped};
use crate::webhooks::Request;
use crate::world::{PATIENCE, World, pepper};

const HOST: &str = "https://api.vectorgate.dev";
const KEY: &str = "vg_live_sk_v2_Xk9mP3rQ2nL8wT5";
const ROUTE: &str = "rt_01HW2K1M6PC5RSTU1W3M7A";
const UPSTREAM: &str = "up_01J2A8K6";

const LIST_RULES: &str = r#"
curl https://api.vectorgate.dev/v2/rules \
  -H "Authorization: Bearer vg_live_sk_v2_Xk9mP3rQ2nL8wT5" \
  -G -d "limit=5" -d "status=active"
"#;

const CREATE_RULE: &str = r#"
curl https://api.vectorgate.dev/v2/rules \
  -X POST \
  -H "Authorization: Bearer vg_live_sk_v2_Xk9mP3rQ2nL8wT5" \
  -H "Content-Type: application/json" \
  -H "Idempotency-Key: 550e8400-e29b-41d4-a716-446655440000" \
  -d '{
    "route_id": "rt_01HW2K1M6PC5RSTU1W3M7A",
    "name": "EU read traffic",
    "priority": 40,
    "match": { "region": ["eu-central-1"], "method": "GET" },
    "action": { "type": "forward", "upstream_id": "up_01J2A8K6" },
    "metadata": { "owner": "platform" }
  }'
"#;

const PATCH_ROUTE: &str = r#"
curl https://api.vectorgate.dev/v2/routes/rt_01HW2K1M6PC5RSTU1W3M7A \
  -X PATCH \
  -H "Authorization: Bearer vg_live_sk_v2_Xk9mP3rQ2nL8wT5" \
  -H "Content-Type: application/json" \
  -d '{ "mode": "cache_first" }'
"#;

/// Adds to each call of curl what the test needs of it, and leaves the call as it is printed. The
/// status is the last line.
const CURL: &str = r#"
curl() {
  command curl --silent --show-error --noproxy '*' --max-time 30 --write-out '\n%{http_code}' "$@"
}
"#;

const VERIFY_WEBHOOK: &str = r#"
import hmac, hashlib

def verify_webhook(payload: bytes, signature: str, secret: str) -> bool:
    timestamp, received = signature.split(",", 1)
    msg = f"{timestamp}.{payload.decode()}"
    computed = hmac.new(secret.encode(), msg.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(computed, received)
"#;

const CALL_VERIFY_WEBHOOK: &str = r#"
import sys
print(verify_webhook(bytes.fromhex(sys.argv[1]), sys.argv[2], sys.argv[3]))
"#;

/// What a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Process::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("these tests need the program `{program}`: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A node whose state has the route and the upstream that the examples name.
struct Documented {
    world: World,
    key: String,
}

impl Documented {
    async fn start() -> Self {
        let (key, hash) = pepper(7).mint(KeyKind::Live, &SystemEntropy);
        let mut world = World::new(1);
        world.start_all().await;
        world.leader().await;
        let this = Self {
            world,
            key: key.reveal().to_owned(),
        };
        this.propose(bootstrap_with(Plan::Enterprise, hash)).await;
        let upstream = CreateUpstream {
            id: UpstreamId::parse(UPSTREAM).unwrap(),
            name: "EU origins".to_owned(),
            algorithm: Algorithm::WeightedRoundRobin,
            targets: vec![Target {
                id: TargetId::new(seed(3)),
                address: "192.0.2.1".to_owned(),
                port: 80,
                weight: 1,
                regions: Vec::new(),
                drain: false,
            }],
            settings: None,
        };
        this.propose(stamped(3, Command::CreateUpstream(actor(), upstream)))
            .await;
        // One that asks its origin first and has a cache, so that it can ask the cache first instead.
        let config = json!({
            "origin_upstream_id": UPSTREAM,
            "cache": {"ttl_s": 60},
            "fallback": {"upstream_id": UPSTREAM},
        });
        let route = CreateRoute {
            id: RouteId::parse(ROUTE).unwrap(),
            draft_id: SnapshotId::new(seed(4)),
            name: "Public API".to_owned(),
            hostname: "api.example.net".to_owned(),
            mode: Mode::OriginFirst,
            enabled: true,
            config: config.to_string(),
        };
        this.propose(stamped(4, Command::CreateRoute(actor(), route)))
            .await;
        this
    }

    async fn propose(&self, stamped: Stamped) {
        let applied = self.world.propose(1, stamped).await.unwrap();
        applied.reply.unwrap();
    }

    /// The status and the body that an example gets.
    fn run(&self, example: &str) -> (u16, Value) {
        output("curl", &["--version"]);
        assert!(example.contains(HOST) && example.contains(KEY), "{example}");
        let host = format!("http://{}", self.world.settings(1).rest.listen);
        let call = example.replace(HOST, &host).replace(KEY, &self.key);
        let printed = output("sh", &["-c", &format!("{CURL}{call}")]);
        let (body, status) = printed.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap())
    }
}

/// Contract: R-25, R-31, R-34, R-35, R-43.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_requests_work_as_they_are_printed() {
    let node = Documented::start().await;
    let (status, rule) = node.run(CREATE_RULE);
    assert_eq!(status, 201, "{rule}");
    assert_eq!(
        (&rule["object"], &rule["route_id"], &rule["status"]),
        (&json!("rule"), &json!(ROUTE), &json!("draft"))
    );
    assert_eq!(rule["validation"]["status"], "passed");
    assert_eq!(node.run(CREATE_RULE), (201, rule.clone()), "a retry");

    // Nothing is active yet.
    let (status, list) = node.run(LIST_RULES);
    assert_eq!((status, &list["data"]), (200, &json!([])), "{list}");
    let publish = Publish {
        route_id: RouteId::parse(ROUTE).unwrap(),
        next_draft_id: SnapshotId::new(seed(5)),
        draft_id: None,
        expected_active: None,
        comment: None,
    };
    node.propose(stamped(5, Command::Publish(actor(), publish)))
        .await;
    let (status, list) = node.run(LIST_RULES);
    assert_eq!((status, &list["object"]), (200, &json!("list")), "{list}");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let listed = &list["data"][0];
    assert_eq!(
        (&listed["id"], &listed["name"], &listed["status"]),
        (&rule["id"], &rule["name"], &json!("active"))
    );

    let (status, route) = node.run(PATCH_ROUTE);
    assert_eq!(status, 200, "{route}");
    assert_eq!(
        (&route["id"], &route["mode"], &route["name"]),
        (&json!(ROUTE), &json!("cache_first"), &json!("Public API"))
    );
    assert_eq!(route["pending_changes"], true);
    assert_ne!(
        route["draft_snapshot_id"],
        SnapshotId::new(seed(5)).as_str()
    );
}

/// The first delivery of a webhook that a node makes to this address.
async fn first_delivery(listener: &mut impl Listener<Stream = tokio::net::TcpStream>) -> Request {
    let receiving = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Some(request) = Request::read(&mut stream).await {
                let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                return request;
            }
        }
    };
    let received = tokio::time::timeout(PATIENCE, receiving).await;
    received.expect("a delivery in time")
}

/// Contract: R-50, R-51.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_verifier_accepts_what_a_node_delivers_and_nothing_else() {
    let any = ([127, 0, 0, 1], 0).into();
    let mut listener = TokioNetwork.listen(any).await.unwrap();
    let url = format!("http://{}/hook", Listener::local_addr(&listener).unwrap());
    let mut world = World::new(1);
    world.start_all().await;
    world.leader().await;
    for command in [
        bootstrap(),
        create(10),
        commands::endpoint(1, &url),
        rename(10, 20),
    ] {
        let applied = world.propose(1, command).await.unwrap();
        applied.reply.unwrap();
    }
    let delivery = first_delivery(&mut listener).await;
    let event: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(event["type"], "upstream.updated");

    let secret = pepper(7).derived_webhook_secret(commands::endpoint_id(1).as_str(), 1);
    let signature = delivery.header("vectorgate-signature").unwrap();
    let is_good = |body: &[u8], secret: &str| {
        let code = format!("{VERIFY_WEBHOOK}{CALL_VERIFY_WEBHOOK}");
        let answer = output(
            "python3",
            &["-c", &code, &hex::encode(body), signature, secret],
        );
        answer.trim() == "True"
    };
    assert!(is_good(&delivery.body, secret.reveal()));
    let mut changed = delivery.body.clone();
    changed.pop();
    assert!(!is_good(&changed, secret.reveal()));
    let other = pepper(7).derived_webhook_secret(commands::endpoint_id(1).as_str(), 2);
    assert!(!is_good(&delivery.body, other.reveal()));
}
