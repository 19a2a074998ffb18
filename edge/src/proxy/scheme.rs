//! Whether a request may be served the way it came: in the clear or over TLS, and over TLS for which
//! host. It holds where this edge ends TLS; where something in front of it does, that something
//! has to see to it.

use std::rc::Rc;

use domain::content::{TlsConfig, TlsPolicy};
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode, Uri};

use super::connection::Connection;
use super::error::Code;
use crate::settings::HttpsSettings;

/// Whether a hostname's policy lets a request in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// It does.
    Yes,
    /// It would over TLS.
    OverTls,
}

/// Over TLS, a connection is for the host alone that the client named when it was opened: that
/// host's route has decided what was agreed on. Clients that reuse one for others try again on a
/// connection of their own (RFC 9110, section 15.5.20).
///
/// # Errors
/// When the connection is for another host.
pub(super) fn check_host(connection: &Rc<Connection>, host: &str) -> Result<(), Code> {
    let named = connection
        .secured()
        .and_then(|secured| secured.host.as_deref());
    match named {
        Some(named) if named != host => Err(Code::MisdirectedRequest),
        _ => Ok(()),
    }
}

/// Whether a route with these settings takes requests as this connection brings them.
///
/// # Errors
/// When the route is not served over TLS, or not with the certificate that the client was shown.
pub(super) fn open(connection: &Rc<Connection>, tls: &TlsConfig) -> Result<Open, Code> {
    let Some(secured) = connection.secured() else {
        return Ok(match tls.policy {
            TlsPolicy::Strict | TlsPolicy::Passthrough => Open::OverTls,
            TlsPolicy::Flexible | TlsPolicy::Off => Open::Yes,
        });
    };
    let ends_here = matches!(tls.policy, TlsPolicy::Strict | TlsPolicy::Flexible);
    // A client that named no host was shown the edge's own certificate.
    let was_shown = secured.host.is_some() || tls.certificate_id.is_none();
    if ends_here && was_shown {
        Ok(Open::Yes)
    } else {
        Err(Code::MisdirectedRequest)
    }
}

/// Sends a client to the same place over TLS, with the same method and body.
pub(super) fn redirect<B: Default>(host: &str, https: &HttpsSettings, target: &Uri) -> Response<B> {
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("https://{host}{}{path}", https.port_suffix());
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // A host and a target in origin form were checked to hold nothing else than a field may.
    if let Ok(location) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
