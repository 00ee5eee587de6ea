//! Unix milliseconds as text: a moment in UTC, or its distance from now.

use std::time::{SystemTime, UNIX_EPOCH};

pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, to the second.
pub fn utc(ms: u64) -> String {
    let seconds = ms / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The same to the millisecond.
pub fn utc_ms(ms: u64) -> String {
    let seconds = utc(ms);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), ms % 1000)
}

/// To the second, where 0 means that there is no such moment.
pub fn utc_or_none(ms: u64) -> Option<String> {
    (ms != 0).then(|| utc(ms))
}

/// `in 23h` or `5m ago`, and `-` for no moment at all.
pub fn from_now(ms: u64, now_ms: u64) -> String {
    match ms {
        0 => "-".into(),
        ms if ms > now_ms => format!("in {}", rough(ms - now_ms)),
        ms => format!("{} ago", rough(now_ms - ms)),
    }
}

/// A length of time in its largest unit, rounded down.
pub fn rough(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The date that is so many days after 1970-01-01. Years begin in March here, so
/// that the leap day is the last of its year; 719,468 days lie between 0000-03-01 and 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests;
