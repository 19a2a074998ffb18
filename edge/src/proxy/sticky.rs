//! What of a request its target follows from, where that is chosen by a hash.

use domain::model::HashKey;
use http::HeaderMap;
use http::header::COOKIE;

use super::client::Client;
use crate::balance::rendezvous::hash as number;

/// A number that is the same for requests that belong together. Where the header or cookie is not
/// there, these are the client's.
pub(super) fn hash(key: &HashKey, headers: &HeaderMap, client: &Client) -> u64 {
    let value = match key {
        HashKey::ClientIp => None,
        HashKey::Header(name) => headers.get(name).map(|value| value.as_bytes()),
        HashKey::Cookie(name) => cookie(headers, name.as_bytes()),
    };
    number(value.unwrap_or_else(|| client.address().as_bytes()))
}

/// The first value of a cookie (RFC 6265, section 5.4: pairs with `; ` between them).
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let lines = headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name)?.strip_prefix(b"=")?;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(address: &str) -> Client {
        Client::new(address.parse().unwrap(), super::super::client::Scheme::Http)
    }

    #[test]
    fn requests_with_the_same_key_belong_together_whoever_sends_them() {
        let (one, two) = (client("192.0.2.1:1"), client("192.0.2.2:2"));
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            headers
        };
        let header = HashKey::Header("x-user".to_owned());
        let cookie = HashKey::Cookie("sid".to_owned());
        let plain = HeaderMap::new();
        assert_eq!(
            hash(&HashKey::ClientIp, &plain, &one),
            hash(&HashKey::ClientIp, &plain, &client("192.0.2.1:9"))
        );
        assert_ne!(
            hash(&HashKey::ClientIp, &plain, &one),
            hash(&HashKey::ClientIp, &plain, &two)
        );
        let user = with("x-user", "7");
        assert_eq!(hash(&header, &user, &one), hash(&header, &user, &two));
        assert_ne!(hash(&header, &plain, &one), hash(&header, &plain, &two));
        let some = with("cookie", "a=1; sid=x; b=2");
        let others = with("cookie", "asid=y;sid=x");
        assert_eq!(hash(&cookie, &some, &one), hash(&cookie, &others, &two));
        assert_ne!(
            hash(&cookie, &some, &one),
            hash(&cookie, &with("cookie", "sid=y"), &one)
        );
        assert_eq!(
            hash(&cookie, &plain, &one),
            hash(&HashKey::ClientIp, &plain, &one)
        );
    }
}
