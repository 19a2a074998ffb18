//! Secrets are planted wherever a cluster is given or makes some; afterwards none is to be found in what the
//! process has written: its log, its disk, the output of its subcommands.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::testing::{TestAuthority, dns};
use serde_json::{Value, json};

use crate::place::{Place, contains};

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

#[test]
fn secrets_are_in_no_log_on_no_disk_and_in_no_output_but_where_they_are_shown_once() {
    let place = Place::new();
    let node = place.start_with(&[("VECTORGATE_LOG__LEVEL", "debug")]);
    let made = place.bootstrap();
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

    let pems = TestAuthority::default().issue("mine", vec![dns("api.example.net")]);
    let body = json!({"name": "mine", "chain": pems.cert, "private_key": pems.key});
    post(&place, "/v2/certificates", &key, &body);
    let lines = pems.key.lines().filter(|line| !line.starts_with('-'));
    let base64: String = lines.collect();
    let der = STANDARD.decode(&base64).unwrap();
    planted.extend(
        pems.key
            .lines()
            .filter(|line| line.len() > 32)
            .map(|line| line.as_bytes().to_vec()),
    );
    // What is behind the head of the form, which every key has.
    planted.push(der[der.len() / 2..].to_vec());
    planted.push(fs::read(place.path("pepper")).unwrap());

    let outputs: Vec<_> = [
        &["status", "--json"][..],
        &["members", "list"],
        &["members", "changes", "--json"],
    ]
    .into_iter()
    .map(|arguments| place.run(arguments))
    .inspect(|output| assert!(output.status.success(), "{output:?}"))
    .flat_map(|output| [output.stdout, output.stderr])
    .collect();
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
            assert!(!holds(output, secret), "a subcommand shows {shown}");
        }
    }
    // The search finds what is there.
    assert!(contains(&place.path("data"), b"hooks.example.net"));
    assert!(holds(&log, b"the node is running"));
}
