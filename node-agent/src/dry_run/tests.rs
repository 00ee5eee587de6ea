use overlay::datapath::{
    firewall::{Firewall, Frame, Seen},
    observed::{Hop, SeenRoute},
};

use super::*;

#[test]
fn a_plan_reads_like_a_script() {
    let plan = Plan {
        steps: vec![Step::NoFirewall, Step::Admit("10.0.0.2".parse().unwrap())],
        blocked: vec![SeenRoute {
            subnet: "10.32.2.0/24".parse().unwrap(),
            metric: 77,
            protocol: 4,
            hop: Hop::Device(2),
        }],
    };
    assert_eq!(
        text(&plan, &["network blue: this node has no lease in it yet".into()], false),
        "\
# network blue: this node has no lease in it yet
# somebody else's route 10.32.2.0/24 metric 77 proto 4 is where ours should be; it would be left alone
nft delete table inet weft
nft add element inet weft peers 10.0.0.2
# 2 steps; nothing was changed
"
    );
}

#[test]
fn nothing_to_do() {
    assert_eq!(
        text(&Plan::default(), &[], true),
        "# the kernel is as it should be\n"
    );
}

#[test]
fn a_table_for_the_same_peers_may_be_right() {
    let peer = "10.0.0.2".parse().unwrap();
    let firewall = Firewall {
        frame: Frame::default(),
        sources: [peer].into(),
        published: [].into(),
    };
    let replaced = || Plan {
        steps: vec![
            Step::Firewall(Box::new(firewall.clone())),
            Step::Admit(peer),
        ],
        blocked: Vec::new(),
    };
    let seen = |sources: &[std::net::IpAddr]| Observed {
        firewall: Some(Seen {
            frame: None,
            sources: sources.iter().copied().collect(),
            published: [].into(),
        }),
        ..Observed::default()
    };
    for (observed, left_out) in [
        (Observed::default(), false),
        (seen(&[]), false),
        (seen(&[peer]), true),
    ] {
        let mut plan = replaced();
        assert_eq!(leave_out_firewall(&mut plan, &observed), left_out);
        assert_eq!(plan.steps.len(), if left_out { 1 } else { 2 });
    }
}

#[test]
fn nothing_known_is_not_nothing_to_do() {
    let said = text(&Plan::default(), &["no lease".into()], false);
    assert!(!said.contains("as it should be"), "{said}");
}
