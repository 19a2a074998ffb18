//! Reading a request body: bounded in bytes, time and depth, strict about repeated keys. The
//! result is a plain JSON object; what its fields must be is the matter of each operation
//! through [`super::fields::Fields`].

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use domain::content::strict_json;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::error::{ApiError, Code};

/// The biggest request body: a rule with the biggest fixed response (64 KiB) and every label fits
/// several times, and a connection's memory stays small.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// The deepest nesting: the API's deepest object has 5 levels; the parser recurses once a level.
pub(crate) const DEPTH_MAX: usize = 32;

/// By when a body must have arrived: 256 KiB at the slowest rate that we wait for, 25 KiB/s.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Reads the body of a write as a JSON object; none at all is an empty object where `optional`.
pub(crate) async fn read_object(
    headers: &HeaderMap,
    body: Body,
    optional: bool,
) -> Result<Map<String, Value>, ApiError> {
    if !optional {
        check_content_type(headers)?;
    }
    let bytes = match tokio::time::timeout(BODY_DEADLINE, collect(body)).await {
        Ok(bytes) => bytes?,
        Err(_) => {
            return Err(ApiError::new(
                Code::RequestTimeout,
                "The request body did not arrive in time.",
            ));
        }
    };
    if bytes.is_empty() && optional {
        return Ok(Map::new());
    }
    if optional {
        check_content_type(headers)?;
    }
    parse_object(&bytes)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(
        Code::InvalidContentType,
        "Send the body as Content-Type: application/json.",
    )
    .at("Content-Type"))
}

fn too_large() -> ApiError {
    ApiError::new(
        Code::PayloadTooLarge,
        format!("The request body is larger than {BODY_BYTES_MAX} bytes."),
    )
}

/// The body's bytes; most bodies are one frame, which is not copied.
async fn collect(mut body: Body) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| ApiError::new(Code::InvalidJson, "The request body ended early."))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + all.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Parses a JSON object.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let invalid = |message: String| ApiError::new(Code::InvalidJson, message);
    let value = strict_json(bytes, DEPTH_MAX)
        .map_err(|error| invalid(format!("The request body is not valid JSON: {error}.")))?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(invalid(
            "The request body must be a JSON object.".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Value, (Code, String)> {
        parse_object(text.as_bytes())
            .map(Value::Object)
            .map_err(|error| (error.code, error.message))
    }

    #[test]
    fn well_formed_objects_are_read_as_sent_and_in_order() {
        let text = r#"{"b":[1,-2,3.5,"x",null,true],"a":{"é":{}}}"#;
        assert_eq!(check(text).unwrap().to_string(), text);
    }

    #[test]
    fn whatever_is_not_one_plain_object_is_refused() {
        let deep = format!(
            "{{\"a\":{}1{}}}",
            "[".repeat(DEPTH_MAX),
            "]".repeat(DEPTH_MAX)
        );
        let very_deep = "[".repeat(100_000);
        for (bad, why) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("[]", "must be a JSON object"),
            ("1", "must be a JSON object"),
            ("{} {}", "trailing"),
            (r#"{"a":1,"a":2}"#, "comes twice"),
            (r#"{"x":{"a":1,"b":2,"a":3}}"#, "comes twice"),
            (r#"{"a":1e400}"#, "out of range"),
            (r#"{"a":"\ud800"}"#, "hex escape"),
            (r#"{"a":"\ud800\u0041"}"#, "surrogate"),
            (r#"{"a":"\u0000"}"#, "NUL"),
            (r#"{"\u0000":1}"#, "NUL"),
            (
                r#"{"a":{"$serde_json::private::RawValue":"{}"}}"#,
                "reserved",
            ),
            (r#"{"$serde_json::private::Number":"1"}"#, "reserved"),
            ("{\"a\":\"\0\"}", "control character"),
            (r#"{"a":NaN}"#, "expected"),
            (deep.as_str(), "levels deep"),
            (very_deep.as_str(), "levels deep"),
        ] {
            let (code, message) = check(bad).unwrap_err();
            assert_eq!(code, Code::InvalidJson);
            assert!(message.contains(why), "{bad:.40} gives {message}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn the_deepest_allowed_nesting_passes() {
        let levels = DEPTH_MAX - 1;
        assert!(
            check(&format!(
                "{{\"a\":{}1{}}}",
                "[".repeat(levels),
                "]".repeat(levels)
            ))
            .is_ok()
        );
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_or_not_its_length_was_announced() {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        )]);
        let announced = Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let chunks = (0..=BODY_BYTES_MAX / 1024)
            .map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1024])));
        let endless = Body::from_stream(futures_util::stream::iter(chunks));
        for body in [announced, endless] {
            assert_eq!(
                read_object(&headers, body, false).await.unwrap_err().code,
                Code::PayloadTooLarge
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let body =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(
            read_object(&HeaderMap::new(), body, true)
                .await
                .unwrap_err()
                .code,
            Code::RequestTimeout
        );
    }
}
