//! Ranges of IP addresses, in CIDR notation. Where addresses come from is not known here.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The addresses that begin with the same bits. None of the other bits is set, so that equal ranges
/// are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Reads `203.0.113.0/24`, `2001:db8::/32`, or one address. A range with a bit behind its
    /// prefix is probably mistyped and is none; nor is one of IPv4 addresses in IPv6 clothes, which
    /// no address is in, because [`Self::contains`] takes these for what they are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = bits(address);
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= bits)?
            }
            Some(_) => return None,
        };
        let range = Self { address, prefix };
        range.is_normal().then_some(range)
    }

    /// The range with a prefix of so many bits that an address is in; none where addresses of its
    /// kind have fewer bits.
    #[must_use]
    pub fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = address.to_canonical();
        if prefix > bits(address) {
            return None;
        }
        let whole = Self { address, prefix };
        let number = number(address) & whole.mask();
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).ok()?.into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        };
        Some(Self { address, prefix })
    }

    /// Whether this is a value that [`Self::parse`] gives: one that was decoded may not be.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        self.prefix <= bits(self.address)
            && self.address.to_canonical() == self.address
            && number(self.address) & !self.mask() == 0
    }

    /// The first address in it.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits its addresses share.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether every address of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether an address is in it. An IPv4 address that a socket for IPv6 shows is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && number(address) & self.mask() == number(self.address)
    }

    /// The bits of the prefix.
    fn mask(&self) -> u128 {
        let bits = bits(self.address);
        let all = u128::MAX >> (128 - u32::from(bits));
        let rest = u32::from(bits - self.prefix);
        all & u128::MAX.checked_shl(rest).unwrap_or(0)
    }
}

/// How many bits an address has.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_in_its_one_form() {
        for (text, shown) in [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            let range = IpRange::parse(text).map(|range| range.to_string());
            assert_eq!(range.as_deref(), Some(shown), "{text}");
        }
        for bad in [
            "",
            "example.net",
            "203.0.113.0/",
            "203.0.113.0/33",
            "203.0.113.0/+24",
            "203.0.113.0/-1",
            "203.0.113.0/24/24",
            "203.0.113.7/24",
            "203.0.113/24",
            "203.0.113.0 /24",
            "2001:db8::/129",
            "2001:db8::1/32",
            "::ffff:203.0.113.0/120",
            "/24",
        ] {
            assert_eq!(IpRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_has_one_range_of_each_length_around_it() {
        for (address, prefix, shown) in [
            ("203.0.113.77", 24, Some("203.0.113.0/24")),
            ("203.0.113.77", 32, Some("203.0.113.77/32")),
            ("203.0.113.77", 0, Some("0.0.0.0/0")),
            ("::ffff:203.0.113.77", 24, Some("203.0.113.0/24")),
            ("203.0.113.77", 33, None),
            ("2001:db8:1::7", 32, Some("2001:db8::/32")),
            ("2001:db8::7", 128, Some("2001:db8::7/128")),
            ("2001:db8::7", 129, None),
        ] {
            let range = IpRange::around(address.parse().unwrap(), prefix);
            assert!(range.is_none_or(|range| range.is_normal()));
            let range = range.map(|range| range.to_string());
            assert_eq!(range.as_deref(), shown, "{address} {prefix}");
        }
    }

    #[test]
    fn a_range_covers_those_inside_it() {
        for (range, other, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "2001:db8::/32", true),
        ] {
            let (range, inner) = (IpRange::parse(range), IpRange::parse(other));
            assert_eq!(range.unwrap().covers(&inner.unwrap()), covers, "{other}");
        }
    }

    #[test]
    fn an_address_is_in_the_ranges_that_it_begins_like() {
        for (range, address, is_in) in [
            ("203.0.113.0/24", "203.0.113.0", true),
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.0/24", "::ffff:203.0.113.9", true),
            ("203.0.113.128/25", "203.0.113.127", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.7", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let range = IpRange::parse(range).unwrap();
            assert_eq!(
                range.contains(address.parse().unwrap()),
                is_in,
                "{range} {address}"
            );
        }
    }
}
