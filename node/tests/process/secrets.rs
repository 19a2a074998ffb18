//! Secrets are planted wherever a cluster is given or makes some; afterwards none is to be found in what the
//! process has written: its log, its disk, the output of its subcommands.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::testing::{TestAuthority, dns};
use serde_json::{Value, json};

use crate::place::{Place, contains, get};

/// Sends a request with a body, and gives the body of the answer.
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn post(place: &Place, path: &str, key: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(place.rest).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
    let body = body.get(body.find('{').unwrap()..=body.rfind('}').unwrap());
    serde_json::from_str(body.unwrap()).unwrap()
}

/// The body of the answer to a GET.
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn read(place: &Place, path: &str, key: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(place.rest).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
    answer
}

/// The lines of a private key in PEM, and what is behind the head of its form, which every key has.
fn parts(pem: &str) -> Vec<Vec<u8>> {
    let lines: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(lines.concat()).unwrap();
    let lines = lines.into_iter().filter(|line| line.len() > 32);
    let mut parts: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
    parts.push(der[der.len() / 2..].to_vec());
    parts
}

#[test]
fn secrets_are_in_no_log_on_no_disk_and_in_no_output_but_where_they_are_shown_once() {
    let place = Place::new();
    let kek = "5a01c7".repeat(11)[..64].to_owned();
    place.write_secret("keks", &format!("# the first\n{kek}\n"));
    let [keks, edges, edges_key] =
        ["keks", "edges/ca.pem", "edges/ca.key"].map(|name| place.path(name).display().to_string());
    let folder = place.path("edges").display().to_string();
    let authority = place.run(&["ca", "init", "--dir", &folder]);
    assert!(authority.status.success(), "{authority:?}");
    let node = place.start_with(&[
        ("VECTORGATE_LOG__LEVEL", "debug"),
        ("VECTORGATE_SECURITY__KEK_FILE", &keks),
        ("VECTORGATE_ENROLMENT__CA_FILE", &edges),
        ("VECTORGATE_ENROLMENT__KEY_FILE", &edges_key),
    ]);
    let made = place.bootstrap();
    // What is made from here on is sealed under the key, and what was before is sealed anew.
    let rewrapped = place.run(&["secrets", "rewrap"]);
    assert!(rewrapped.status.success(), "{rewrapped:?}");
    let shown: Value = serde_json::from_slice(&made.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = text(&shown["environments"]["production"]["api_key"]);
    let mut planted = vec![key.clone().into_bytes()];
    planted.push(text(&shown["environments"]["sandbox"]["api_key"]).into_bytes());

    let body = json!({"url": "https://hooks.example.net/"});
    let endpoint = post(&place, "/v2/webhook_endpoints", &key, &body);
    planted.push(text(&endpoint["secret"]).into_bytes());
    let path = format!(
        "/v2/webhook_endpoints/{}/rotate_secret",
        text(&endpoint["id"])
    );
    let rotated = post(&place, &path, &key, &json!({}));
    planted.push(text(&rotated["secret"]).into_bytes());
    let body = json!({"name": "deploys", "type": "live"});
    let another = post(&place, "/v2/api_keys", &key, &body);
    planted.push(text(&another["key"]).into_bytes());

    let body = json!({"region": "eu-central-1"});
    let token = post(&place, "/v2/edge_tokens", &key, &body);
    planted.push(text(&token["token"]).into_bytes());

    let pems = TestAuthority::default().issue("mine", vec![dns("api.example.net")]);
    let body = json!({"name": "mine", "chain": pems.cert, "private_key": pems.key});
    post(&place, "/v2/certificates", &key, &body);
    let own_key = fs::read_to_string(place.path("node.key")).unwrap();
    let authority_key = fs::read_to_string(&edges_key).unwrap();
    for pem in [&pems.key, &own_key, &authority_key] {
        planted.extend(parts(pem));
    }
    for hexadecimal in [
        kek.clone(),
        fs::read_to_string(place.path("pepper")).unwrap(),
    ] {
        planted.push(hex::decode(hexadecimal.trim()).unwrap());
        planted.push(hexadecimal.into_bytes());
    }

    let status = place.run(&["secrets", "status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["left"], 0, "{status}");
    assert_eq!(status["secrets"][0]["certificates"], 1, "{status}");
    assert_eq!(status["secrets"][0]["webhook_secrets"], 2, "{status}");
    let mut outputs: Vec<_> = [
        &["status", "--json"][..],
        &["members", "list"],
        &["members", "changes", "--json"],
        &["secrets", "status"],
        &["secrets", "status", "--json"],
        &["secrets", "rewrap"],
        &["signing-keys", "list", "--json"],
    ]
    .into_iter()
    .map(|arguments| place.run(arguments))
    .inspect(|output| assert!(output.status.success(), "{output:?}"))
    .flat_map(|output| [output.stdout, output.stderr])
    .collect();
    outputs.extend([rewrapped.stdout, rewrapped.stderr, made.stderr]);
    outputs.extend([authority.stdout, authority.stderr]);
    let metrics = get(place.rest, "/metrics").unwrap();
    assert!(
        metrics.contains("vectorgate_sealed_secrets{key=\""),
        "{metrics}"
    );
    outputs.push(metrics.into_bytes());
    for path in [
        "/v2/webhook_endpoints",
        "/v2/api_keys",
        "/v2/edge_tokens",
        "/v2/certificates",
        "/v2/events",
        "/v2/audit_log",
    ] {
        outputs.push(read(&place, path, &key));
    }
    assert_eq!(node.terminate(), Some(0));
    let log = fs::read(place.path("log")).unwrap();
    let holds =
        |text: &[u8], secret: &[u8]| text.windows(secret.len()).any(|window| window == secret);
    for secret in &planted {
        let secret: &[u8] = secret.trim_ascii();
        assert!(secret.len() >= 16, "{secret:?} would be found by chance");
        let shown = String::from_utf8_lossy(secret);
        assert!(
            !contains(&place.path("data"), secret),
            "the disk shows {shown}"
        );
        assert!(!holds(&log, secret), "the log shows {shown}");
        for output in &outputs {
            assert!(!holds(output, secret), "what was told shows {shown}");
        }
    }
    // The search finds what is there.
    assert!(contains(&place.path("data"), b"hooks.example.net"));
    assert!(holds(&log, b"the node is running"));
}
