use std::time::Duration;

use super::{judge as judge_all, *};
use crate::soak::hosts::diary::Loses;

const EVERY: Duration = Duration::from_millis(100);

fn judge(losses: Vec<Loss>, deeds: &[Deed]) -> Verdict {
    judge_all(losses, EVERY, deeds)
}

fn seconds(text: f64) -> Duration {
    Duration::from_secs_f64(text)
}

fn deed(act: Act, loses: Loses, began: f64, ended: f64) -> Deed {
    Deed {
        act,
        what: "something".into(),
        hosts: vec![1],
        loses,
        began: seconds(began),
        ended: Some(seconds(ended)),
        healed: None,
    }
}

fn losses(from: u32, to: u32, numbers: std::ops::Range<u64>) -> Vec<Loss> {
    let way = Way {
        number: 0,
        name: "a flow".into(),
        from,
        to,
    };
    // One every tenth of a second.
    let loss = |number: u64| Loss {
        way: way.clone(),
        number,
        from: seconds(number as f64 / 10.0),
        to: seconds(number as f64 / 10.0),
    };
    numbers.map(loss).collect()
}

#[test]
fn what_an_act_may_cost_is_counted_for_it() {
    let deeds = [deed(Act::UplinkPulled, Loses::Host(2), 10.0, 12.0)];
    let verdict = judge(losses(1, 2, 100..121), &deeds);
    assert_eq!(verdict.unexplained, []);
    let cost = verdict.costs[&Act::UplinkPulled];
    assert_eq!((cost.lost, cost.longest), (21, seconds(2.1)));
}

#[test]
fn a_loss_of_others_is_not_explained() {
    let deeds = [deed(Act::Partition, Loses::Pair(1, 2), 10.0, 12.0)];
    assert_eq!(judge(losses(2, 1, 105..106), &deeds).unexplained, []);
    let unexplained = judge(losses(2, 3, 105..106), &deeds).unexplained;
    assert_eq!(unexplained.len(), 1);
    assert_eq!(unexplained[0].around.len(), 1, "{unexplained:?}");
}

#[test]
fn nor_is_one_before_or_after_it() {
    let deeds = [deed(Act::UplinkPulled, Loses::Host(1), 10.0, 12.0)];
    let unexplained = judge(losses(1, 2, 95..131), &deeds).unexplained;
    let [one] = &unexplained[..] else {
        panic!("{unexplained:?}");
    };
    // 9.8 and 9.9 were on their way; 12.0 is the end.
    assert_eq!(
        (one.lost, one.from, one.to),
        (13, seconds(9.5), seconds(13.0))
    );
}

#[test]
fn one_that_costs_nothing_explains_nothing() {
    let deeds = [deed(Act::AgentKilled, Loses::Nobody, 10.0, 12.0)];
    let unexplained = judge(losses(1, 2, 105..107), &deeds).unexplained;
    assert_eq!(unexplained[0].lost, 2);
    assert!(unexplained[0].around[0].contains("agent killed"));
}

#[test]
fn one_that_goes_on_explains() {
    let mut deed = deed(Act::UplinkPulled, Loses::Host(1), 10.0, 0.0);
    deed.ended = None;
    assert_eq!(judge(losses(1, 2, 900..901), &[deed]).unexplained, []);
}
