use std::time::Duration;

use super::*;

fn series(bytes_at: impl Fn(u64) -> u64, seconds: u64) -> Series {
    Series {
        name: "agent h1".into(),
        pid: 1,
        memory: (0..seconds)
            .map(|second| (Duration::from_secs(second), bytes_at(second)))
            .collect(),
        rests: Vec::new(),
        runs: true,
    }
}

#[test]
fn one_that_grows_is_found_and_one_that_warms_up_is_not() {
    // 10 KB a second are 36 MB an hour.
    let leaks = series(|second| 10_000_000 + second * 10_000, 600).leaks();
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(leaks[0].contains("36.0 MB an hour"), "{leaks:?}");
    let warms = series(|second| 10_000_000 + second.min(150) * 50_000, 600);
    assert_eq!(warms.slope().map(f64::round), Some(0.0));
    assert_eq!(warms.leaks(), Vec::<String>::new());
}

#[test]
fn a_short_one_says_nothing() {
    assert_eq!(series(|second| second * 1_000_000, 200).slope(), None);
}

#[test]
fn files_that_are_never_closed_are_found() {
    let mut series = series(|_| 10_000_000, 10);
    let rest = |files| Rest { files, threads: 5 };
    series.rests = [20, 24, 19, 23, 20, 24, 21].map(rest).to_vec();
    assert_eq!(series.leaks(), Vec::<String>::new());
    series.rests = [20, 22, 24, 26, 28, 30, 32].map(rest).to_vec();
    let leaks = series.leaks();
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(
        leaks[0].contains("22 open files, and has at least 30"),
        "{leaks:?}"
    );
}
