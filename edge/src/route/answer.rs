//! Answers that rules give by themselves, made ready when the configuration is compiled.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Response, StatusCode};

/// A redirect.
#[derive(Debug)]
pub struct Redirect {
    status: StatusCode,
    url: String,
    location: HeaderValue,
    preserve_path: bool,
}

/// A fixed response.
#[derive(Debug)]
pub struct Fixed {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Redirect {
    pub(super) fn new(url: &str, status: u16, preserve_path: bool) -> Result<Self, String> {
        let location = HeaderValue::from_str(url).map_err(|_| format!("`{url}` is no URL"))?;
        let status = StatusCode::from_u16(status).map_err(|_| format!("{status} is no status"))?;
        Ok(Self {
            status,
            url: url.to_owned(),
            location,
            preserve_path,
        })
    }

    /// The answer to a request for this path and query.
    pub fn response<B: Default>(&self, path_and_query: &str) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(LOCATION, self.location(path_and_query));
        response
    }

    /// The path goes behind the URL. Where the URL is but a path, several slashes at the front
    /// become one: `//host` would be another host to a browser.
    fn location(&self, path_and_query: &str) -> HeaderValue {
        if !self.preserve_path {
            return self.location.clone();
        }
        let base = self.url.trim_end_matches('/');
        let path = if base.is_empty() {
            path_and_query.trim_start_matches('/')
        } else {
            path_and_query.strip_prefix('/').unwrap_or(path_and_query)
        };
        HeaderValue::from_str(&format!("{base}/{path}")).unwrap_or_else(|_| self.location.clone())
    }
}

impl Fixed {
    pub(super) fn new(
        status: u16,
        fields: &[(String, String)],
        body: &str,
    ) -> Result<Self, String> {
        let status = StatusCode::from_u16(status).map_err(|_| format!("{status} is no status"))?;
        let mut headers = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is no header name"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("the value of `{name}` is no header value"))?;
            headers.insert(name, value);
        }
        // These answers end with their head, whatever was configured.
        let bodiless = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        let body = if bodiless {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(body.as_bytes())
        };
        Ok(Self {
            status,
            headers,
            body,
        })
    }

    /// The answer.
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }
}
