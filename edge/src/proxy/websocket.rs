//! WebSocket between a client and an origin: who asks for it, in HTTP/1.1 (RFC 6455) or by an
//! extended CONNECT in HTTP/2 (RFC 8441), and whether an origin has agreed. Origins are always asked
//! in HTTP/1.1. What is said after both have agreed is [`super::tunnel`]'s matter.
//!
//! No other protocol is switched to: what an edge does not know it cannot keep apart from requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, UPGRADE,
};
use http::{Method, Request, StatusCode, Version};
use http_body::Body;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::error::Code;

/// What the answer to a key is made with (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const SWITCH: HeaderValue = HeaderValue::from_static("upgrade");

/// A client's wish to switch, which an origin may grant.
pub(super) struct Wish {
    /// The client's side, once its request is answered, where that is a stream of its own. A connection of
    /// HTTP/1.1 becomes the client's side as a whole.
    pub(super) client: Option<OnUpgrade>,
    /// The key for the origin where the client, by HTTP/2, needs none.
    key: Option<HeaderValue>,
}

/// Makes of an HTTP/2 request to open a WebSocket what it would be in HTTP/1.1, so that rules see
/// the same of both.
///
/// # Errors
/// For any other CONNECT.
pub(super) fn from_connect<B>(request: &mut Request<B>) -> Result<(), Code> {
    match request.extensions().get::<Protocol>() {
        None => return Err(Code::MethodNotAllowed),
        Some(protocol) if protocol.as_str() != "websocket" => {
            return Err(Code::UnsupportedProtocol);
        }
        Some(_) => {}
    }
    *request.method_mut() = Method::GET;
    request.headers_mut().insert(CONNECTION, SWITCH);
    request.headers_mut().insert(UPGRADE, WEBSOCKET);
    Ok(())
}

/// The wish that a request expresses. Nobody else is looked at closely: only HTTP/1.1 has upgrades, and only a
/// stream of HTTP/2 that hyper has opened for it can become something else.
pub(super) fn wish<B: Body>(
    request: &mut Request<B>,
    key: impl FnOnce() -> [u8; 16],
) -> Option<Wish> {
    let client = match request.version() {
        Version::HTTP_11 if request.headers().contains_key(UPGRADE) => None,
        Version::HTTP_2 => Some(request.extensions_mut().remove::<OnUpgrade>()?),
        _ => return None,
    };
    let asks = *request.method() == Method::GET
        && request.body().is_end_stream()
        && names_websocket(request.headers());
    let key = || {
        // Base 64 is visible ASCII.
        HeaderValue::from_str(&STANDARD.encode(key())).unwrap_or(WEBSOCKET)
    };
    asks.then(|| Wish {
        client,
        key: (request.version() == Version::HTTP_2).then(key),
    })
}

impl Wish {
    /// Asks an origin for it, in the fields of a request to it.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.remove(TE);
        headers.insert(CONNECTION, SWITCH);
        headers.insert(UPGRADE, WEBSOCKET);
        if let Some(key) = &self.key {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
            headers
                .entry(SEC_WEBSOCKET_VERSION)
                .or_insert(HeaderValue::from_static("13"));
        }
    }

    /// Whether an answer with status 101 grants it. Where the key is the client's own, the client
    /// checks what was made of it.
    pub(super) fn is_granted(&self, headers: &HeaderMap) -> bool {
        names_websocket(headers)
            && self
                .key
                .as_ref()
                .is_none_or(|key| headers.get(SEC_WEBSOCKET_ACCEPT) == Some(&accept(key)))
    }

    /// Tells a client that it is granted, in an answer whose fields are the client's already.
    pub(super) fn grant<B>(&self, response: &mut http::Response<B>) {
        if self.key.is_some() {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            response.headers_mut().insert(CONNECTION, SWITCH);
            response.headers_mut().insert(UPGRADE, WEBSOCKET);
        }
    }
}

/// Whether these fields want or grant WebSocket and nothing else.
fn names_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (Some(only), None) = (protocols.next(), protocols.next()) else {
        return false;
    };
    let switches = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    switches
        && only
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"websocket")
}

/// What must be made of a key (RFC 6455, section 4.2.2).
fn accept(key: &HeaderValue) -> HeaderValue {
    let text = [key.as_bytes(), GUID].concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &text);
    HeaderValue::from_str(&STANDARD.encode(hash)).unwrap_or(WEBSOCKET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_standard_shows() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_websocket_alone_is_switched_to_and_only_where_the_connection_says_so() {
        for (fields, expect) in [
            (
                &[("connection", "Upgrade"), ("upgrade", "WebSocket")][..],
                true,
            ),
            (
                &[
                    ("connection", "keep-alive, upgrade"),
                    ("upgrade", "websocket"),
                ],
                true,
            ),
            (
                &[
                    ("connection", "close"),
                    ("connection", " UPGRADE"),
                    ("upgrade", "websocket"),
                ],
                true,
            ),
            (
                &[("connection", "keep-alive"), ("upgrade", "websocket")],
                false,
            ),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
            (
                &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
                false,
            ),
            (
                &[
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("upgrade", "h2c"),
                ],
                false,
            ),
            (
                &[("connection", "upgraded"), ("upgrade", "websocket")],
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(names_websocket(&headers), expect, "{fields:?}");
        }
    }

    #[test]
    fn a_plain_connect_stays_refused() {
        let mut request = Request::connect("http://a/").body(()).unwrap();
        assert_eq!(from_connect(&mut request), Err(Code::MethodNotAllowed));
        for (protocol, expect) in [
            ("connect-udp", Err(Code::UnsupportedProtocol)),
            ("WebSocket", Err(Code::UnsupportedProtocol)),
            ("websocket", Ok(())),
        ] {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
            assert_eq!(from_connect(&mut request), expect);
        }
        assert_eq!(request.method(), Method::GET);
        assert!(names_websocket(request.headers()));
    }
}
