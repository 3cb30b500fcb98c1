//! RFC 3339 timestamps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The precision of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Whole seconds.
    Seconds,
    /// Seconds with nine digits of a fraction.
    Nanoseconds,
}

/// The current time in UTC, with nanoseconds.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(since, Precision::Nanoseconds)
}

/// The time `since` 1970 in UTC: `2026-01-02T03:04:05.000000006Z`, or without the fraction.
pub fn rfc3339(since: Duration, precision: Precision) -> String {
    let (year, month, day) = date(since.as_secs() / 86400);
    let second = since.as_secs() % 86400;
    let fraction = match precision {
        Precision::Seconds => String::new(),
        Precision::Nanoseconds => format!(".{:09}", since.subsec_nanos()),
    };
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{fraction}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day for a number of days after 1970. The computation starts years in March, so that the leap day is
/// the last day of a year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, month + 3);
    if month > 12 { (year + 1, month - 12, day) } else { (year, month, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_323_045, "2026-01-02T03:04:05Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds), Precision::Seconds), text);
        }
        assert_eq!(rfc3339(Duration::new(1, 5), Precision::Nanoseconds), "1970-01-01T00:00:01.000000005Z");
    }
}
