use super::*;

fn bucket(rate: u64, burst: Option<u64>) -> Bucket {
    Bucket::of(Rate { rate, burst }, 1450)
}

#[test]
fn the_usual_burst_is_a_hundredth_of_a_second_or_one_packet_of_an_application() {
    assert_eq!(bucket(10_000_000, None).burst, 65_536);
    assert_eq!(bucket(1_000_000_000, None).burst, 1_250_000);
    assert_eq!(bucket(100_000_000_000, None).burst, 125_000_000);
}

#[test]
fn a_burst_that_was_asked_for_is_given() {
    assert_eq!(bucket(10_000_000, Some(800_000)).burst, 100_000);
    // What does not fit at once would never go.
    assert_eq!(bucket(10_000_000, Some(1)).burst, 1464);
    // The most that a kubelet can write down.
    let most = bucket(10_000_000, Some(0x7fff_ffff));
    assert_eq!(most.burst, 268_435_455);
    assert_eq!(most.limit, 31_250 + 65_536, "what waits is not a burst");
}

#[test]
fn no_rate_and_no_burst_is_too_much_for_the_numbers_of_the_kernel() {
    for rate in [0, 1, 8_000, 10_000, 34_359_738_368, u64::MAX] {
        for burst in [None, Some(0), Some(8_000_000), Some(u64::MAX)] {
            let bucket = bucket(rate, burst);
            assert!(bucket.rate >= 1000);
            assert!(bucket.burst >= 1464);
            assert!(bucket.ticks() <= u32::MAX.into(), "{bucket:?}");
        }
    }
}

#[test]
fn what_is_told_is_compared_in_every_part() {
    let wanted = bucket(10_000_000, None);
    let told = Told {
        rate: 1_250_000,
        peak: 0,
        limit: wanted.limit,
        ticks: 819_200,
    };
    assert!(told.is(&wanted));
    let rounded = Told {
        ticks: told.ticks - 1,
        ..told
    };
    assert!(rounded.is(&wanted));
    for other in [
        Told {
            rate: 1_250_001,
            ..told
        },
        Told { peak: 1, ..told },
        Told { limit: 1, ..told },
        Told {
            ticks: 800_000,
            ..told
        },
    ] {
        assert!(!other.is(&wanted), "{other:?}");
    }
}
