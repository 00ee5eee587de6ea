use proptest::prelude::*;

use super::*;

#[test]
fn a_question_is_answered_by_its_own_answer_alone() {
    for length in [LENGTH, 1422, 9000] {
        let asked = question(7, length);
        assert_eq!(asked.len(), length);
        let answer = answer(&asked).unwrap();
        assert!(answers(&answer, 7));
        assert!(!answers(&answer, 8));
        assert!(!answers(&asked, 7));
    }
    assert_eq!(question(7, 0).len(), LENGTH);
}

#[test]
fn an_answer_is_not_answered_and_never_longer_than_what_was_asked() {
    let asked = question(7, LENGTH);
    assert_eq!(answer(&answer(&asked).unwrap()), None);
    assert_eq!(answer(&asked[..LENGTH - 1]), None);
    assert_eq!(answer(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), None);
}

#[test]
fn agents_ask_and_containers_do_not() {
    let subnets = |texts: &[&str]| -> Vec<Subnet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let own = subnets(&["10.32.1.0/24", "fd77:32:0:1::/64"]);
    let pools = subnets(&["10.32.0.0/12", "fd77:32::/48"]);
    let may = |text: &str| may_ask(text.parse().unwrap(), &own, &pools);
    for peer in ["10.32.0.0", "10.47.255.0", "fd77:32::", "fd77:32:0:ff::"] {
        assert!(may(peer), "{peer}");
    }
    for other in [
        "10.32.0.7",
        "10.48.0.0",
        "fd77:32::7",
        "fd78::",
        "192.0.2.0",
    ] {
        assert!(!may(other), "{other}");
    }
    assert!(!may_ask("fd77:32::".parse().unwrap(), &own[..1], &pools));
}

#[test]
fn what_is_left_is_waited_for() {
    let mut budget = Budget::new(Duration::ZERO);
    for _ in 0..Budget::A_SECOND {
        assert_eq!(budget.take(Duration::ZERO), Ok(()));
    }
    let wait = budget.take(Duration::ZERO).unwrap_err();
    assert_eq!(wait, Duration::from_millis(5));
    assert_eq!(budget.take(wait), Ok(()));
    assert!(budget.take(wait).is_err());
}

proptest! {
    #[test]
    fn no_more_than_the_rate_is_taken_in_any_time(pauses in prop::collection::vec(0_u64..30, 1..2_000)) {
        let mut budget = Budget::new(Duration::ZERO);
        let (mut now, mut taken) = (Duration::ZERO, 0);
        for pause in pauses {
            now += Duration::from_millis(pause);
            taken += u64::from(budget.take(now).is_ok());
        }
        let rate = u64::from(Budget::A_SECOND);
        let most = rate + now.as_millis() as u64 * rate / 1000;
        prop_assert!(taken <= most, "{taken} in {now:?}");
    }

    #[test]
    fn nothing_is_answered_with_more(packet in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Some(answer) = answer(&packet) {
            prop_assert!(answer.len() <= packet.len());
        }
    }
}
