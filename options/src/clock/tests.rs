use super::*;

/// Expected values from `date -u -d @SECONDS`.
#[test]
fn moments() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_234_567_890, "2009-02-13T23:31:30Z"),
        (1_709_164_800, "2024-02-29T00:00:00Z"),
        (1_735_689_599, "2024-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(utc(seconds * 1000 + 999), text);
    }
    assert_eq!(utc_or_none(0), None);
}

#[test]
fn every_day_follows_the_one_before() {
    let mut last = civil(0);
    for days in 1..200_000 {
        let next = civil(days);
        let same_month = (last.0, last.1, last.2 + 1);
        let next_month = (last.0, last.1 + 1, 1);
        let next_year = (last.0 + 1, 1, 1);
        assert!(
            next == same_month || next == next_month || next == next_year,
            "{last:?} {next:?}"
        );
        last = next;
    }
}

#[test]
fn distances() {
    let now = 1_000_000_000;
    for (ms, text) in [
        (0, "-"),
        (now, "0s ago"),
        (now + 59_999, "in 59s"),
        (now + 3_599_000, "in 59m"),
        (now + 86_399_000, "in 23h"),
        (now + 86_400_000, "in 24h"),
        (now + 172_800_000, "in 2d"),
        (now - 300_000, "5m ago"),
    ] {
        assert_eq!(from_now(ms, now), text);
    }
}
