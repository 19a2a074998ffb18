//! Calendar dates, as versions are named by them. Only what naming needs: reading one, and which
//! one it is now; times of day and zones are left to others.

use domain::time::Timestamp;

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// A day of the Gregorian calendar, in UTC. Dates are ordered as days are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// Reads `YYYY-MM-DD`, if that is a day of the calendar.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let date = Self {
            year: digits(&bytes[..4])?,
            month: digits(&bytes[5..7])?,
            day: digits(&bytes[8..])?,
        };
        let is_day = (1..=12).contains(&date.month)
            && (1..=days_of_month(date.year, date.month)).contains(&date.day);
        is_day.then_some(date)
    }

    /// The day of a moment.
    pub(crate) fn of(at: Timestamp) -> Self {
        let mut days = at.0 / MS_PER_DAY;
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: days + 1,
        }
    }
}

fn digits(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u64::from(byte - b'0'))
    })
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_of_the_calendar_in_iso_form_and_nothing_else() {
        for good in ["2024-09-15", "2024-02-29", "2000-02-29", "1970-01-01"] {
            assert!(Date::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2024-9-15",
            "2024-09-15T00:00:00Z",
            "2024/09/15",
            "15-09-2024",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "2024-04-31",
            "2023-02-29",
            "1900-02-29",
            "+024-01-01",
            "2024-0１-1",
            "v2.4",
        ] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_day_of_a_moment_is_the_calendar_s() {
        for (ms, date) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_709_164_799_999, "2024-02-28"),
            (1_709_164_800_000, "2024-02-29"),
            (1_735_689_599_999, "2024-12-31"),
            (1_768_348_800_000, "2026-01-14"),
        ] {
            assert_eq!(Some(Date::of(Timestamp(ms))), Date::parse(date), "{ms}");
        }
    }

    #[test]
    fn dates_are_ordered_as_days() {
        let dates = ["2023-12-31", "2024-01-01", "2024-01-02", "2024-02-01"].map(Date::parse);
        assert!(dates.is_sorted());
    }
}
