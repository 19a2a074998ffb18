//! That something expires soon: told some days before its end, each time once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, CertificateId};
use crate::time::Timestamp;

/// How many days before its end it is told, the last first.
pub const EXPIRY_DAYS: [u32; 3] = [1, 7, 30];

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What expires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Expiring {
    /// A certificate.
    Certificate(CertificateId),
    /// An API key.
    ApiKey(ApiKeyId),
}

/// What was told last of something's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryNotice {
    /// The end that was told of; another one is told of anew.
    pub expires_at: Timestamp,
    /// Within how many days it was.
    pub days: u32,
}

impl Expiring {
    /// The object's identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Certificate(id) => id.as_str(),
            Self::ApiKey(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Expiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl ExpiryNotice {
    /// What is to be told at this time of what ends at that one, after what was told last. Of several
    /// that are due at once it is the last; of what has ended nothing is told any more.
    #[must_use]
    pub fn due(expires_at: Timestamp, at: Timestamp, told: Option<Self>) -> Option<Self> {
        let left = expires_at.0.checked_sub(at.0).filter(|left| *left > 0)?;
        let is_within = |days: &u32| left <= u64::from(*days) * DAY_MS;
        let days = EXPIRY_DAYS.into_iter().find(is_within)?;
        let is_told = |told: Self| told.expires_at == expires_at && told.days <= days;
        (!told.is_some_and(is_told)).then_some(Self { expires_at, days })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_is_told_once_and_a_new_end_anew() {
        let end = Timestamp(100 * DAY_MS);
        let told = |days| {
            Some(ExpiryNotice {
                expires_at: end,
                days,
            })
        };
        let earlier = Some(ExpiryNotice {
            expires_at: Timestamp(80 * DAY_MS),
            days: 1,
        });
        for (left_ms, before, expected) in [
            (31 * DAY_MS, None, None),
            (30 * DAY_MS + 1, None, None),
            (30 * DAY_MS, None, Some(30)),
            (29 * DAY_MS, told(30), None),
            (29 * DAY_MS, earlier, Some(30)),
            (7 * DAY_MS, told(30), Some(7)),
            (6 * DAY_MS, None, Some(7)),
            (6 * DAY_MS, told(7), None),
            (DAY_MS, told(7), Some(1)),
            (1, told(30), Some(1)),
            (1, told(1), None),
            (0, None, None),
        ] {
            let at = Timestamp(end.0 - left_ms);
            let due = ExpiryNotice::due(end, at, before);
            assert_eq!(due.map(|due| due.days), expected, "{left_ms} {before:?}");
        }
        let past = ExpiryNotice::due(end, Timestamp(end.0 + 1), None);
        assert_eq!(past, None);
    }
}
