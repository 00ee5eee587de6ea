use super::*;

#[test]
fn reads_what_people_write() {
    for (text, ms) in [
        ("90s", 90_000),
        ("15m", 900_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("500ms", 500),
        ("0s", 0),
    ] {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(ms)),
            "{text}"
        );
    }
}

#[test]
fn refuses_the_rest() {
    for text in ["", "h", "-1s", "1.5h", "1h30m", " 1s", "1 s", "1S", "1w"] {
        assert_eq!(parse_duration(text), Err(DurationError::Syntax), "{text:?}");
    }
    assert_eq!(parse_duration("24"), Err(DurationError::NoUnit(24)));
    for text in ["99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(parse_duration(text), Err(DurationError::TooLong), "{text}");
    }
}

#[test]
fn writes_the_largest_unit_that_is_exact() {
    for (ms, text) in [
        (0, "0s"),
        (1, "1ms"),
        (1_500, "1500ms"),
        (60_000, "1m"),
        (90_000, "90s"),
        (86_400_000, "24h"),
        (172_800_000, "2d"),
        (u64::MAX, "18446744073709551615ms"),
    ] {
        let duration = Duration::from_millis(ms);
        assert_eq!(format_duration(duration), text);
        assert_eq!(parse_duration(text), Ok(duration));
    }
}
