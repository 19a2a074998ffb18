//! What of a request rules look at. The edge brings it; nothing of it is copied.

use std::net::IpAddr;

/// A request's header fields, as far as matching asks. Each field line is one value; nothing is
/// split at commas.
pub trait Headers {
    /// Whether `test` holds for any value of the field `name` (in lower case).
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// Shows every field line: its name in lower case, and its value.
    fn each(&self, visit: &mut dyn FnMut(&str, &[u8]));
}

/// For tests and tools: names in lower case, with values.
impl<T: AsRef<str>> Headers for [(T, T)] {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter()
            .any(|(key, value)| key.as_ref() == name && test(value.as_ref().as_bytes()))
    }

    fn each(&self, visit: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self {
            visit(name.as_ref(), value.as_ref().as_bytes());
        }
    }
}

/// What of a request rules look at.
#[derive(Debug)]
pub struct Request<'a, H: ?Sized> {
    /// The method, as sent: methods are case-sensitive.
    pub method: &'a str,
    /// The host that it names, in the form of [`super::normalise_host`].
    pub host: &'a str,
    /// The path as sent and as forwarded, without the query; see [`super::check_path`].
    pub path: &'a str,
    /// The query as sent and as forwarded, without the `?`; empty where there is none.
    pub query: &'a str,
    /// The header fields.
    pub headers: &'a H,
    /// The address of whoever opened the connection. An IPv4 address that a socket for IPv6 shows
    /// is taken for what it is.
    pub client: IpAddr,
    /// The region of the edge that has the request.
    pub region: &'a str,
}

impl<H: ?Sized> Clone for Request<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: ?Sized> Copy for Request<'_, H> {}
