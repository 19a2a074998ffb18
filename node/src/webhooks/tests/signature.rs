//! Signatures against the verifier that the API document gives to receivers, run by Python, and
//! against values that Python computes by itself.

use std::process::Command;

use http::HeaderMap;
use serde_json::{Value, json};

use super::super::signature::headers;

/// The document's function, letter by letter: receivers have it in their code.
const VERIFIER: &str = r#"
import hmac, hashlib

def verify_webhook(payload: bytes, signature: str, secret: str) -> bool:
    timestamp, received = signature.split(",", 1)
    msg = f"{timestamp}.{payload.decode()}"
    computed = hmac.new(secret.encode(), msg.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(computed, received)
"#;

/// Verifies each case, a list of body, signature and secret.
const VERIFY: &str = r#"
import json, sys
print(json.dumps([verify_webhook(body.encode(), signature, secret)
                  for body, signature, secret in json.loads(sys.argv[1])]))
"#;

/// Computes `webhook-signature` from id, timestamp, body and secrets.
const STANDARD: &str = r#"
import base64, json, sys
id, timestamp, body, secrets = json.loads(sys.argv[1])
def sign(secret):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
print(json.dumps(" ".join(sign(secret) for secret in secrets)))
"#;

const ID: &str = "evt_01HZ1K4N8PQ8RSUV4Y6O0C";
const NOW: u64 = 1_714_320_047;
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/2RsoOAnI1c=";
const BODY: &str = r#"{"id":"evt_01HZ1K4N8PQ8RSUV4Y6O0C","data":{"name":"Grüße, 世界"}}"#;

fn python(code: &str, argument: &Value) -> Value {
    let output = Command::new("python3")
        .args(["-c", &format!("{VERIFIER}{code}"), &argument.to_string()])
        .output()
        .expect("these tests need `python3`, as the verifier that receivers use is in Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python3 failed: {errors}");
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn signed(secrets: &[&str], body: &str) -> HeaderMap {
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    headers(ID, &secrets, NOW, body.as_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

/// Contract: R-04, R-51.
#[test]
fn the_documents_verifier_accepts_what_was_sent_and_nothing_else() {
    let headers = signed(&[NEW, OLD], BODY);
    let newest = text(&headers, "vectorgate-signature");
    let previous = text(&headers, "vectorgate-signature-previous");
    assert!(newest.starts_with("1714320047,"), "{newest}");
    let empty = signed(&[NEW], "");
    let other_time = newest.replacen("1714320047", "1714320048", 1);
    let changed = BODY.replace("世界", "世間");
    let flipped = match newest.strip_suffix('0') {
        Some(start) => format!("{start}1"),
        None => format!("{}0", &newest[..newest.len() - 1]),
    };
    let cases = [
        (BODY, newest, NEW, true),
        (BODY, previous, OLD, true),
        ("", text(&empty, "vectorgate-signature"), NEW, true),
        (BODY, newest, OLD, false),
        (BODY, previous, NEW, false),
        (BODY, newest, &NEW["whsec_".len()..], false),
        (changed.as_str(), newest, NEW, false),
        ("", newest, NEW, false),
        (BODY, other_time.as_str(), NEW, false),
        (BODY, flipped.as_str(), NEW, false),
    ];
    let asked: Vec<_> = cases
        .iter()
        .map(|(body, signature, secret, _)| json!([body, signature, secret]))
        .collect();
    let expected: Vec<bool> = cases.iter().map(|(.., good)| *good).collect();
    assert_eq!(python(VERIFY, &json!(asked)), json!(expected));
}

/// Contract: D-57.
#[test]
fn the_standard_headers_are_what_python_computes() {
    for secrets in [&[NEW][..], &[NEW, OLD]] {
        let headers = signed(secrets, BODY);
        assert_eq!(text(&headers, "webhook-id"), ID);
        assert_eq!(text(&headers, "webhook-timestamp"), "1714320047");
        let computed = python(STANDARD, &json!([ID, NOW, BODY, secrets]));
        assert_eq!(json!(text(&headers, "webhook-signature")), computed);
    }
}

/// Values as they were on the day that the format was fixed: both sides changing alike would show
/// here.
/// Contract: R-51, D-57.
#[test]
fn the_bytes_do_not_change() {
    let headers = signed(&[NEW], r#"{"a":1}"#);
    assert_eq!(
        text(&headers, "vectorgate-signature"),
        "1714320047,a502941197c5659425c957ddc3f3ab22d1dc352dbc97f87bb61ace9dcbd69c59"
    );
    assert_eq!(
        text(&headers, "webhook-signature"),
        "v1,9CJcIEDHHgy4DMHQTpUl3nVQex4/ZqvRlvwELxd/Msw="
    );
}

#[test]
fn one_secret_gives_one_signature_of_each_form() {
    let headers = signed(&[NEW], BODY);
    assert_eq!(headers.len(), 4);
    assert!(!headers.contains_key("vectorgate-signature-previous"));
    assert!(!text(&headers, "webhook-signature").contains(' '));
    let both = signed(&[NEW, OLD], BODY);
    assert_eq!(both.len(), 5);
    assert_eq!(
        both["vectorgate-signature"],
        headers["vectorgate-signature"]
    );
    let all: Vec<&str> = text(&both, "webhook-signature").split(' ').collect();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], text(&headers, "webhook-signature"));
}

#[test]
fn padding_of_a_secret_does_not_matter_and_other_text_signs_in_one_form() {
    let padded = signed(&[NEW], BODY);
    let bare = signed(&[NEW.trim_end_matches('=')], BODY);
    assert_eq!(padded["webhook-signature"], bare["webhook-signature"]);
    for odd in ["plain text", "whsec_not base64!"] {
        let headers = signed(&[odd], BODY);
        assert!(headers.contains_key("vectorgate-signature"), "{odd}");
        assert!(!headers.contains_key("webhook-signature"), "{odd}");
    }
}
