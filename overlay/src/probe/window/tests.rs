use proptest::prelude::*;

use super::*;

const FINE: Outcome = Outcome::Answered(200);

fn small(outcomes: &[(usize, Outcome)]) -> Window {
    let mut window = Window::default();
    for (times, outcome) in outcomes {
        for _ in 0..*times {
            window.heard(Size::Small, *outcome);
        }
    }
    window
}

#[test]
fn verdicts() {
    use Outcome::{Lost, Refused};
    let cases: [(&[(usize, Outcome)], Verdict); 12] = [
        (&[], Verdict::New),
        (&[(4, Lost)], Verdict::New),
        (&[(5, Lost)], Verdict::Dead),
        (&[(1, FINE)], Verdict::Ok),
        (&[(9, FINE), (1, Lost)], Verdict::Ok),
        (&[(9, FINE), (2, Lost)], Verdict::Lossy),
        (&[(9, FINE), (5, Lost)], Verdict::Dead),
        (&[(9, FINE), (5, Lost), (1, FINE)], Verdict::Lossy),
        (&[(5, Lost), (19, FINE)], Verdict::Ok),
        (&[(9, FINE), (2, Refused)], Verdict::Ok),
        (&[(9, FINE), (3, Refused)], Verdict::NoAgent),
        // A kernel says so only now and then.
        (&[(9, FINE), (1, Refused), (5, Lost)], Verdict::NoAgent),
    ];
    for (outcomes, verdict) in cases {
        assert_eq!(small(outcomes).verdict(), verdict, "{outcomes:?}");
    }
}

#[test]
fn a_hole_for_big_packets_is_told_from_loss() {
    let mut window = small(&[(10, FINE)]);
    for _ in 0..3 {
        window.heard(Size::Full, Outcome::Lost);
        assert_eq!(window.verdict(), Verdict::Ok);
    }
    window.heard(Size::Full, Outcome::Lost);
    assert_eq!(window.verdict(), Verdict::NoBigPackets);
    let lost = |window: &mut Window, times| {
        (0..times).for_each(|_| window.heard(Size::Small, Outcome::Lost));
    };
    let mut dead = window.clone();
    lost(&mut dead, 5);
    assert_eq!(dead.verdict(), Verdict::Dead);
    let mut very_lossy = window.clone();
    lost(&mut very_lossy, 15);
    very_lossy.heard(Size::Small, FINE);
    assert_eq!(very_lossy.verdict(), Verdict::Lossy);
    window.heard(Size::Full, FINE);
    assert_eq!(window.verdict(), Verdict::Ok);
}

#[test]
fn full_size_ones_go_now_and_then_and_each_round_after_one_was_lost() {
    let mut window = Window::default();
    let full = |window: &mut Window| window.round().contains(&Size::Full);
    let rounds: Vec<bool> = (0..8).map(|_| full(&mut window)).collect();
    let expected = [true, false, false, false, false, false, true, false];
    assert_eq!(rounds, expected);
    window.heard(Size::Full, Outcome::Lost);
    assert!(full(&mut window) && full(&mut window));
    window.heard(Size::Full, FINE);
    assert!(!full(&mut window));
}

#[test]
fn what_is_shown() {
    let mut window = small(&[(1, Outcome::Lost), (1, Outcome::Refused)]);
    for us in [900, 100, 300] {
        window.heard(Size::Small, Outcome::Answered(us));
    }
    let shown = Shown {
        verdict: Verdict::Ok,
        probes: 5,
        loss: 0.2,
        middle_us: Some(300),
        worst_us: Some(900),
    };
    assert_eq!(window.shown(), shown);
    let nothing = Window::default().shown();
    assert_eq!((nothing.loss, nothing.middle_us), (0.0, None));
}

proptest! {
    #[test]
    fn only_the_last_count(outcomes in prop::collection::vec(0_u32..3, 0..80)) {
        let outcome = |code| match code {
            0 => Outcome::Lost,
            1 => Outcome::Refused,
            us => Outcome::Answered(us),
        };
        let of = |codes: &[u32]| {
            let mut window = Window::default();
            codes.iter().for_each(|code| window.heard(Size::Small, outcome(*code)));
            window
        };
        let last = &outcomes[outcomes.len().saturating_sub(LENGTH)..];
        prop_assert_eq!(of(&outcomes), of(last));
        let shown = of(last).shown();
        let lost = last.iter().filter(|code| **code == 0).count();
        prop_assert_eq!(shown.loss, lost as f64 / last.len().max(1) as f64);
        prop_assert_eq!(shown.middle_us.is_some(), last.contains(&2));
    }
}
