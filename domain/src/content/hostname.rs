//! Public hostnames: what a route may be called, and the one form in which it is stored.
//!
//! UTS-46 (strict: STD3 letters, hyphens, lengths) gives lower-case A-labels. On top of that come
//! the checks against look-alikes that registries and browsers make: a label keeps to one script
//! or to a customary combination (UTS-39, "highly restrictive"), and a label of another script
//! that reads like a Latin one is refused under a Latin top-level domain. Who owns a name, and
//! whether it is taken, is decided elsewhere.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection};

use super::Invalid;

/// The longest hostname in DNS, a wildcard label included.
const HOSTNAME_BYTES_MAX: usize = 253;

/// The longest text that is looked at: no hostname has more in any script.
const INPUT_BYTES_MAX: usize = 1024;

/// Reads a hostname, perhaps with one leading `*.` label, and gives its stored form.
///
/// # Errors
/// When it is not a hostname; the path is empty.
pub fn hostname(written: &str) -> Result<String, Invalid> {
    refuse_other_things(written)?;
    let (wildcard, name) = match written.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", written),
    };
    if name.contains('*') {
        return Err(invalid("A `*` may stand only as the whole first label."));
    }
    let ascii = Uts46::new()
        .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify)
        .map_err(|_| invalid("Expected a hostname: labels of letters, digits and inner hyphens, 1 to 63 bytes each."))?;
    let hostname = format!("{wildcard}{ascii}");
    if hostname.len() > HOSTNAME_BYTES_MAX {
        return Err(invalid("A hostname has up to 253 bytes."));
    }
    if ends_in_a_number(&ascii) {
        return Err(invalid("Expected a hostname, not an IP address."));
    }
    refuse_look_alikes(&ascii)?;
    Ok(hostname)
}

fn invalid(message: &str) -> Invalid {
    Invalid::new("", message)
}

/// Gives the common mistakes a message of their own.
fn refuse_other_things(written: &str) -> Result<(), Invalid> {
    if written.is_empty() || written.len() > INPUT_BYTES_MAX {
        return Err(invalid("A hostname has 1 to 253 bytes."));
    }
    if written.contains("://") || written.contains('/') {
        return Err(invalid("Expected a hostname without scheme and path."));
    }
    if written.contains(['[', ']']) || written.matches(':').count() > 1 {
        return Err(invalid("Expected a hostname, not an IP address."));
    }
    if written.contains(':') {
        return Err(invalid("Expected a hostname without a port."));
    }
    if written.ends_with('.') {
        return Err(invalid("A hostname is written without the trailing dot."));
    }
    Ok(())
}

/// Whether URL parsers would take the name for an IPv4 address (WHATWG URL, "ends in a number").
fn ends_in_a_number(ascii: &str) -> bool {
    let last = ascii.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn refuse_look_alikes(ascii: &str) -> Result<(), Invalid> {
    let (unicode, _) =
        Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    let latin_top = unicode.rsplit('.').next().is_none_or(str::is_ascii);
    for label in unicode.split('.').filter(|label| !label.is_ascii()) {
        if !label.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return Err(invalid("A label of this hostname mixes scripts."));
        }
        if latin_top
            && !label.chars().any(is_latin)
            && skeleton(label).all(|letter| letter.is_ascii())
        {
            return Err(invalid(
                "A label of this hostname reads like another one in Latin letters.",
            ));
        }
    }
    Ok(())
}

/// Letters of the Latin blocks that hostnames can have.
fn is_latin(letter: char) -> bool {
    letter.is_ascii_alphabetic() || matches!(letter, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_get_one_form() {
        let check = |written: &str, expect: &str| {
            assert_eq!(hostname(written).as_deref(), Ok(expect), "{written}")
        };
        check("api.example.net", "api.example.net");
        check("API.Example.NET", "api.example.net");
        check("*.example.net", "*.example.net");
        check("intranet", "intranet");
        check("bücher.example", "xn--bcher-kva.example");
        check("BÜCHER.example", "xn--bcher-kva.example");
        check("xn--bcher-kva.example", "xn--bcher-kva.example");
        check("XN--BCHER-KVA.example", "xn--bcher-kva.example");
        check("例え.テスト", "xn--r8jz45g.xn--zckzah");
        check("東京タワー.example", "xn--5ck2eqb538s34z.example");
        check("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f");
        check("пример.example", "xn--e1afmkfd.example");
        check("æble.example", "xn--ble-xla.example");
        check("ａｐｉ．example．net", "api.example.net");
        check("1.example.net", "1.example.net");
        check(
            &format!("{}.net", ["a".repeat(61).as_str(); 4].join(".")),
            &format!("{}.net", ["a".repeat(61).as_str(); 4].join(".")),
        );
    }

    #[test]
    fn what_is_no_hostname_is_refused() {
        let long_label = format!("{}.net", "a".repeat(64));
        let long_name = format!("{}.network", ["a".repeat(61).as_str(); 4].join("."));
        let long_wildcard = format!("*.{}.nets", ["a".repeat(61).as_str(); 4].join("."));
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "*.*.example.net",
            "a.*.example.net",
            "*a.example.net",
            "api.example.net.",
            "api.example.net。",
            "api..example.net",
            ".example.net",
            "api.example.net:8080",
            "https://example.net",
            "example.net/x",
            "exa mple.net",
            "exa_mple.net",
            "-a.example.net",
            "a-.example.net",
            "ab--cd.example.net",
            "127.0.0.1",
            "1.2.3",
            "0x7f.1",
            "2130706433",
            "example.0x7f",
            "[::1]",
            "::1",
            "*.10.0.0.1",
            "١٢٧.0.0.1",
            "xn--a.example",
            "xn--example-.net",
            "xn--.net",
            "xn--abc-.example",
            "a\u{200d}b.example",
            "exam\u{0}ple.net",
            "a%2eb.net",
            "user@example.net",
            "example.net\r\n",
            &long_label,
            &long_name,
            &long_wildcard,
            &"a.".repeat(600),
        ] {
            let found = hostname(bad);
            assert!(found.is_err(), "{bad:?} became {found:?}");
            assert_eq!(found.unwrap_err().param, "");
        }
    }

    #[test]
    fn look_alikes_are_refused() {
        // Cyrillic letters among Latin ones; a whole Cyrillic word that reads "apple", also as an
        // A-label; Greek omicron.
        for bad in [
            "ex\u{430}mple.net",
            "\u{430}\u{440}\u{440}\u{4cf}\u{435}.com",
            "xn--80ak6aa92e.com",
            "g\u{3bf}ogle.com",
        ] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
    }
}
