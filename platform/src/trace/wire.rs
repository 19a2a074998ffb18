//! The way to a collector: one HTTP/1.1 request on a connection of its own, over TLS where the URL says so. Batches are seconds
//! apart, so that a connection that was kept would mostly be one that the collector has closed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::export::ExportError;
use crate::network::{Network, TokioNetwork};

/// How long one request may take, from connecting to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// How much of an answer is read: it says at most why spans were not taken.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("VectorGate/", env!("CARGO_PKG_VERSION")));

/// A collector.
pub(super) struct Collector {
    url: Uri,
    /// `host:port`.
    address: String,
    /// With the name that its certificate has to have, where TLS is spoken.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    headers: HeaderMap,
}

impl Collector {
    /// The one at this URL. The headers may be secrets.
    ///
    /// # Errors
    /// With the setting that cannot be used.
    pub(super) fn new(
        url: Uri,
        mut headers: HeaderMap,
        ca_file: Option<&Path>,
    ) -> Result<Self, ExportError> {
        let wrong = |reason: String| ExportError::new("tracing.otlp_endpoint", reason);
        let host = url.host().unwrap_or_default();
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            let name = host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            let name = ServerName::try_from(name).map_err(|error| wrong(error.to_string()))?;
            let config = ClientConfig::builder_with_provider(crate::tls::provider())
                .with_safe_default_protocol_versions()
                .map_err(|error| wrong(error.to_string()))?
                .with_root_certificates(roots(ca_file)?)
                .with_no_client_auth();
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let own = HeaderValue::from_str(authority).map_err(|error| wrong(error.to_string()))?;
        headers.insert(HOST, own);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        Ok(Self {
            address: format!("{host}:{port}"),
            url,
            tls,
            headers,
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    /// Posts a batch and gives the answer's body.
    ///
    /// # Errors
    /// With what went wrong, for people; nothing of the headers is in it.
    pub(super) async fn post(&self, body: Bytes) -> Result<Bytes, String> {
        let exchange = async {
            let stream = TokioNetwork.connect(&self.address).await;
            let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
            match &self.tls {
                None => self.exchange(stream, body).await,
                Some((tls, name)) => {
                    let stream = tls.connect(name.clone(), stream).await;
                    let stream = stream.map_err(|error| format!("TLS failed: {error}"))?;
                    self.exchange(stream, body).await
                }
            }
        };
        timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {DEADLINE:?}")))
    }

    async fn exchange<S>(&self, stream: S, body: Bytes) -> Result<Bytes, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| format!("the connection broke: {error}");
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(
            self.url
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")),
        );
        *request.headers_mut() = self.headers.clone();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            if status != StatusCode::OK {
                return Err(format!("it answered {status}"));
            }
            let body = body.collect().await;
            Ok(body.map_err(|error| error.to_string())?.to_bytes())
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answered = &mut answer => return answered,
            // Whatever it ended with, the answer says.
            _ = connection => {}
        }
        answer.await
    }
}

/// Who vouches for a collector.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, ExportError> {
    let mut roots = RootCertStore::empty();
    // A machine may have none; the operator's own may do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let Some(path) = ca_file else {
        return Ok(roots);
    };
    let wrong = |reason: String| {
        ExportError::new("tracing.ca_file", format!("{}: {reason}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut found = 0;
    for der in CertificateDer::pem_slice_iter(&text) {
        let der = der.map_err(|error| wrong(error.to_string()))?;
        roots.add(der).map_err(|error| wrong(error.to_string()))?;
        found += 1;
    }
    if found == 0 {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Reads header fields, one `name: value` a line. Their values are shown nowhere.
pub(super) fn headers(path: &Path) -> Result<HeaderMap, ExportError> {
    let wrong = |reason: String| ExportError::new("tracing.headers_file", reason);
    let text = crate::secret_file::read(path).map_err(|error| wrong(error.to_string()))?;
    let text = zeroize::Zeroizing::new(text);
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let value = HeaderValue::from_str(value.trim()).ok()?;
            Some((name, value))
        });
        let Some((name, mut value)) = field else {
            let path = path.display();
            return Err(wrong(format!(
                "{path}, line {number}: expected `name: value`"
            )));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}
