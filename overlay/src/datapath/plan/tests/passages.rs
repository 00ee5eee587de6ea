//! Our chains in the tables of iptables.

use super::*;
use crate::datapath::forward::{self, Backend, Filter};

#[test]
fn packets_pass_where_somebody_could_drop_them() {
    let filter = Filter {
        backend: Backend::Legacy,
        family: Family::V4,
    };
    let rules = host().pass(Family::V4).rules();
    let there = |could_drop, jumps: &[usize], rules: Option<&Vec<String>>| {
        let mut seen = seen();
        let there = forward::Seen {
            could_drop,
            jumps: jumps.into(),
            rules: rules.cloned(),
        };
        seen.filters.insert(filter, there);
        seen
    };
    let open = [
        "iptables-legacy -I FORWARD -j WEFT-FORWARD, which accepts packets of the overlay by 5 rules",
    ];
    let close = ["iptables-legacy delete WEFT-FORWARD"];
    let less = rules[1..].to_vec();
    for (seen, expected) in [
        (there(false, &[], None), [].as_slice()),
        (there(true, &[1], Some(&rules)), &[]),
        (there(true, &[], None), &open),
        (there(true, &[2], Some(&rules)), &open),
        (there(true, &[1, 2], Some(&rules)), &open),
        (there(true, &[1], Some(&less)), &open),
        (there(false, &[1], Some(&rules)), &close),
        (there(false, &[], Some(&rules)), &close),
    ] {
        assert_eq!(planned(&host(), &seen), expected, "{:?}", seen.filters);
        let ours = seen.filters[&filter].is_any();
        let farewell: Vec<String> = farewell(&seen, MAC).iter().map(Step::to_string).collect();
        assert_eq!(farewell.contains(&close[0].into()), ours);
    }
    // Of a network of which nothing is known yet the rules stay.
    let mut more = rules;
    more.push("-A WEFT-FORWARD -s 10.99.0.0/16 -i wv+ -j ACCEPT".into());
    assert_eq!(
        planned(&unsynced(), &there(true, &[1], Some(&more))),
        [""; 0]
    );
    assert_eq!(
        planned(&unsynced(), &there(false, &[1], Some(&more))),
        [""; 0]
    );
    let plan = plan(&unsynced(), &there(true, &[1], Some(&more[1..].to_vec())));
    let [Step::Pass(passage)] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps);
    };
    assert_eq!(passage.rules.len(), 6);
    assert_eq!(planned(&host(), &there(true, &[1], Some(&more))), open);
}
