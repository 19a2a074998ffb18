//! HTTP dates as milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use http::header::{DATE, HeaderMap, HeaderName};

/// The date that a field says, in milliseconds. Nothing where it is there twice or no date.
#[must_use]
pub fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let (only, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    parse(only)
}

/// The date that a value says, in milliseconds.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<u64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).ok()
}

/// A time as an HTTP date.
#[must_use]
pub fn format(unix_ms: u64) -> HeaderValue {
    // What cannot be a date any more is not reached by a clock before the year 10 000.
    const LAST_MS: u64 = 253_402_300_799_000;
    let time: SystemTime = UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MS));
    HeaderValue::from_str(&httpdate::fmt_http_date(time))
        .unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Says when an answer came, where it does not say when it was made (RFC 9110, section 6.6.1).
pub fn settle_date(headers: &mut HeaderMap, came_ms: u64) {
    if !headers.contains_key(DATE) {
        headers.insert(DATE, format(came_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_one_is_written() {
        const MS: u64 = 784_111_777_000;
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(&HeaderValue::from_static(text)), Some(MS), "{text}");
        }
        assert_eq!(format(MS + 999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        for text in ["0", "-1", "tomorrow", "Sun, 06 Nov 1994 08:49:37 UTC", ""] {
            assert_eq!(parse(&HeaderValue::from_static(text)), None, "{text}");
        }
    }

    #[test]
    fn a_date_that_is_there_twice_is_none() {
        let mut headers = HeaderMap::new();
        settle_date(&mut headers, 0);
        assert_eq!(date(&headers, &DATE), Some(0));
        settle_date(&mut headers, 5_000);
        assert_eq!(date(&headers, &DATE), Some(0));
        headers.append(DATE, format(0));
        assert_eq!(date(&headers, &DATE), None);
    }
}
