//! Which receivers are allowed. A webhook's URL is a customer's text and the request comes from
//! inside our network, so addresses that lead back into it, or to nobody, are refused unless the
//! operator allows their range. Resolving names is the sender's matter, which asks here about
//! every address that it gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustls::pki_types::ServerName;
use url::{Host, Url};

/// Longer URLs are refused: what common clients and proxies take.
pub(crate) const URL_BYTES_MAX: usize = 2048;

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Of IPv4, what is not the public internet.
const REFUSED_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 8),       // this network, and the unspecified address
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local, with the clouds' metadata services
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 24),    // documentation
    v4(192, 88, 99, 24),  // relays of 6to4, withdrawn
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarking
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
    // Azure's platform service, public in form alone.
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// Of IPv6, the part that is given out to the public: everything else is refused, with the IPv4
/// addresses in it (`::ffff:0:0/96`, `64:ff9b::/96`). Where a packet to one of these ends up is a
/// network's secret.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// What is not public inside [`GLOBAL_V6`].
const REFUSED_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),     // protocol assignments, with Teredo and benchmarking
    v6(0x2001, 0xdb8, 32), // documentation
    SIX_TO_FOUR,
    v6(0x3fff, 0, 20), // documentation
];

const COMPATIBLE: Ipv6Net = v6(0, 0, 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 96);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 16);

/// What is said of a refused address. It does not name the address: that would tell a customer
/// what our resolver knows.
const REFUSED: &str = "the host's address is in a private or reserved network";

const REFUSED_PLAIN: &str =
    "plain http is allowed only to networks that the operator has allowed; use https";

/// Which addresses webhooks may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AddressPolicy {
    allowed: Vec<IpNet>,
}

/// Where a webhook goes: a URL that was taken apart and found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) scheme: Scheme,
    pub(super) host: Host,
    pub(crate) port: u16,
    /// The host, and the port unless it is the scheme's own: what the `Host` header says.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: Uri,
    /// Whom the receiver's certificate must name.
    pub(super) server_name: ServerName<'static>,
}

/// How the receiver is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Over TLS.
    Https,
    /// In clear text, to the operator's own networks alone.
    Http,
}

impl AddressPolicy {
    /// Refuses what is not public, except in these ranges.
    pub(crate) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether a webhook may go to `address`.
    ///
    /// # Errors
    /// With the reason, which may be shown to the endpoint's owner, when it may not.
    pub(crate) fn check(&self, scheme: Scheme, address: IpAddr) -> Result<(), String> {
        let (good, reason) = match scheme {
            Scheme::Https => (self.allows(address) || Self::is_public(address), REFUSED),
            Scheme::Http => (self.allows(address), REFUSED_PLAIN),
        };
        if good { Ok(()) } else { Err(reason.to_owned()) }
    }

    /// Whether the operator allows it, also where it is an IPv4 address in IPv6 clothes.
    fn allows(&self, address: IpAddr) -> bool {
        let within = |address| self.allowed.iter().any(|range| range.contains(&address));
        within(address) || embedded(address).is_some_and(|inner| within(IpAddr::V4(inner)))
    }

    fn is_public(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => !REFUSED_V4.iter().any(|range| range.contains(&address)),
            IpAddr::V6(address) => {
                GLOBAL_V6.contains(&address)
                    && !REFUSED_V6.iter().any(|range| range.contains(&address))
            }
        }
    }
}

/// The IPv4 address that packets to an IPv6 address end up at.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [_, a, b, .., c, d] = address.segments();
    if SIX_TO_FOUR.contains(&address) {
        return Some(joined(a, b));
    }
    let last = COMPATIBLE.contains(&address) || NAT64.contains(&address);
    address
        .to_ipv4_mapped()
        .or_else(|| last.then(|| joined(c, d)))
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

impl Receiver {
    /// Takes a URL apart. A host that is an address, in whatever notation, is judged at once; what
    /// a name resolves to is judged whenever something is sent there.
    ///
    /// # Errors
    /// With what is wrong with it, for the endpoint's owner.
    pub(crate) fn parse(url: &str, policy: &AddressPolicy) -> Result<Self, String> {
        let parsed = well_formed(url)?;
        let scheme = scheme(&parsed)?;
        let host = host(&parsed)?;
        policy.check_host(scheme, &host)?;
        let port = parsed
            .port_or_known_default()
            .filter(|port| *port > 0)
            .ok_or("the port must be 1 to 65535")?;
        let authority = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Self {
            scheme,
            server_name: server_name(&host)?,
            host,
            port,
            authority,
            target: target(&parsed)?,
        })
    }
}

impl AddressPolicy {
    /// What can be said of a host before it is resolved.
    fn check_host(&self, scheme: Scheme, host: &Host) -> Result<(), String> {
        match host {
            Host::Ipv4(address) => self.check(scheme, IpAddr::V4(*address)),
            Host::Ipv6(address) => self.check(scheme, IpAddr::V6(*address)),
            Host::Domain(name) if is_localhost(name) => {
                self.check(scheme, IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
            Host::Domain(_) if scheme == Scheme::Http && self.allowed.is_empty() => {
                Err(REFUSED_PLAIN.to_owned())
            }
            Host::Domain(_) => Ok(()),
        }
    }
}

/// RFC 6761, section 6.3: these are loopback, whatever a resolver says.
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn well_formed(url: &str) -> Result<Url, String> {
    if url.len() > URL_BYTES_MAX {
        return Err(format!("must be at most {URL_BYTES_MAX} bytes long"));
    }
    // Parsers drop or turn these silently, and what is stored would not be what is called.
    if url.contains(|character: char| character.is_whitespace() || character.is_control())
        || url.contains('\\')
    {
        return Err("must not contain white space, control characters or backslashes".to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if parsed.fragment().is_some() {
        return Err("must not contain a fragment".to_owned());
    }
    Ok(parsed)
}

fn scheme(url: &Url) -> Result<Scheme, String> {
    match url.scheme() {
        "https" => Ok(Scheme::Https),
        "http" => Ok(Scheme::Http),
        _ => Err("must be an https URL".to_owned()),
    }
}

/// The host, without the dot that may end a name: certificates have none.
fn host(url: &Url) -> Result<Host, String> {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            // `localhost..` would be another name than `localhost` here, and the same one elsewhere.
            if name.ends_with('.') {
                return Err("the host is not a name that can be resolved".to_owned());
            }
            Ok(Host::Domain(name.to_owned()))
        }
        Some(Host::Ipv4(address)) => Ok(Host::Ipv4(address)),
        Some(Host::Ipv6(address)) => Ok(Host::Ipv6(address)),
        None => Err("must name a host".to_owned()),
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, String> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| "the host is not a name that can be resolved".to_owned()),
        Host::Ipv4(address) => Ok(ServerName::from(IpAddr::V4(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(IpAddr::V6(*address))),
    }
}

fn target(url: &Url) -> Result<Uri, String> {
    let text = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    text.parse()
        .map_err(|error| format!("the path cannot be sent: {error}"))
}
