//! What a request that changes something makes of what is kept (RFC 9111, section 4.4).

use std::rc::Rc;

use http::header::{CONTENT_LOCATION, HOST, HeaderName, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use platform::Network;

use super::{Matter, scheme};
use crate::proxy::connection::Connection;
use crate::proxy::service::Worker;

/// What a request was about, after it has gone.
pub(super) struct Subject {
    hash: u64,
    uri: Uri,
    host: Option<HeaderValue>,
}

impl Subject {
    pub(super) fn of<B>(hash: u64, request: &Request<B>) -> Self {
        Self {
            hash,
            uri: request.uri().clone(),
            host: request.headers().get(HOST).cloned(),
        }
    }

    /// The target that a field of the answer names, if it is of the same origin. A foreign one could
    /// otherwise be emptied by whoever may answer here.
    fn sibling(&self, named: &HeaderValue) -> Option<PathAndQuery> {
        let named = named.to_str().ok()?;
        let uri: Uri = resolve(self.uri.path(), named).parse().ok()?;
        let host = self.host.as_ref()?.as_bytes();
        let ours = uri
            .authority()
            .is_none_or(|authority| authority.as_str().as_bytes().eq_ignore_ascii_case(host));
        ours.then(|| uri.into_parts().path_and_query).flatten()
    }
}

/// A reference from a path: as it is where it begins at a root, else beside the path's last
/// segment. Dot segments are not resolved; nothing is kept for paths with such.
fn resolve(path: &str, named: &str) -> String {
    let absolute = named.contains("://") || named.starts_with('/');
    if absolute {
        // A network-path reference is of our scheme.
        let prefix = if named.starts_with("//") { "http:" } else { "" };
        return format!("{prefix}{named}");
    }
    if named.is_empty() || named.starts_with(['?', '#']) {
        return format!("{path}{named}");
    }
    let folder = path.rfind('/').map_or("/", |place| &path[..=place]);
    format!("{folder}{named}")
}

impl<N: Network> Worker<N> {
    /// Gives up what is kept for a URL that was changed, and for those that the answer names.
    pub(super) fn invalidate<B>(
        self: &Rc<Self>,
        matter: Matter<'_>,
        connection: &Connection,
        subject: &Subject,
        response: &Response<B>,
    ) {
        let status = response.status();
        if !(status.is_success() || status.is_redirection()) {
            return;
        }
        self.caches.cache.invalidate(subject.hash);
        for name in [LOCATION, CONTENT_LOCATION] {
            self.invalidate_sibling(matter, connection, subject, (&name, response));
        }
    }

    fn invalidate_sibling<B>(
        &self,
        matter: Matter<'_>,
        connection: &Connection,
        subject: &Subject,
        (name, response): (&HeaderName, &Response<B>),
    ) {
        let sibling = response
            .headers()
            .get(name)
            .and_then(|named| subject.sibling(named));
        let (Some(target), Some(host)) = (sibling, &subject.host) else {
            return;
        };
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from(target);
        request.headers_mut().insert(HOST, host.clone());
        let caching = &matter.served.route.compiled().caching;
        let route = matter.served.entry.route_id.as_str();
        let hash = self
            .caches
            .hash(caching, route, scheme(connection), &request);
        self.caches.cache.invalidate(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(named: &'static str, expect: Option<&str>) {
        let request = Request::post("/a/b?q=1")
            .header(HOST, "api.example.net:80")
            .body(())
            .unwrap();
        let subject = Subject::of(1, &request);
        let found = subject.sibling(&HeaderValue::from_static(named));
        assert_eq!(found.as_ref().map(PathAndQuery::as_str), expect, "{named}");
    }

    #[test]
    fn only_urls_of_the_same_origin_are_siblings() {
        check("/x?y=1", Some("/x?y=1"));
        check("x", Some("/a/x"));
        check("", Some("/a/b"));
        check("?z", Some("/a/b?z"));
        check("http://API.example.net:80/x", Some("/x"));
        check("//api.example.net:80/x", Some("/x"));
        check("http://api.example.net/x", None);
        check("http://other.example.net/x", None);
        check("//other.example.net/x", None);
        check("http://[", None);
    }
}
