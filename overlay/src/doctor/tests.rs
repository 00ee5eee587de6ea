use std::net::IpAddr;

use super::*;

/// A host on which all is well.
fn well() -> Facts {
    let mut facts = Facts::at(WallMs(1_000_000), "/var/lib/weft-agent".into());
    facts.release = "6.1.0".into();
    facts.features = vec![("vxlan", Ok(())), ("nf_tables", Ok(()))];
    facts.agent = Agent::Runs {
        not_ready: None,
        failing: Vec::new(),
        in_the_way: Vec::new(),
    };
    facts.networks = vec![Network {
        name: "default".parse().unwrap(),
        port: 4789,
        vni: 1,
        device: Some(Device {
            name: "weft1".into(),
            up: true,
            mtu: 1450,
        }),
        uplink_mtu: Some(1500),
        overhead: 50,
        offload: Some(true),
        distrust: None,
    }];
    facts.settings = vec![Setting {
        name: "net.ipv4.ip_forward".into(),
        value: Some("1".into()),
        wanted: "1".into(),
    }];
    facts.ways = vec![way("h2"), way("h3")];
    facts.controllers = vec![Controller {
        url: "https://c1:7440".into(),
        answer: Ok(Answer {
            connected_us: 900,
            answered_us: 400,
            ahead_s: Some(1),
        }),
    }];
    facts.disk.room = Ok((10 << 30, 1_000_000));
    facts
}

fn way(node: &str) -> Way {
    Way {
        network: "default".parse().unwrap(),
        node: node.parse().unwrap(),
        small: Outcome::Answered(300),
        full: Outcome::Answered(400),
        inner: 1450,
        outer: 1500,
        port: 4789,
        underlay: IpAddr::from([192, 0, 2, 2]),
        below: None,
    }
}

/// What is found besides what was well, when this is done to a host on which all is.
fn after(harm: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = well();
    harm(&mut facts);
    let bad = judge(&facts)
        .into_iter()
        .filter(|one| one.state != State::Ok);
    let bad: Vec<Finding> = bad.collect();
    for finding in &bad {
        assert!(finding.remedy.is_some(), "{finding:?}");
    }
    bad
}

fn one(state: State, about: &str, found: &str, harm: impl FnOnce(&mut Facts)) {
    let bad = after(harm);
    let [only] = bad.as_slice() else {
        panic!("{about}: {found}: {bad:#?}");
    };
    assert_eq!(
        (only.state, only.about.as_str()),
        (state, about),
        "{only:?}"
    );
    assert!(only.found.contains(found), "{found}: {only:?}");
}

#[test]
fn a_host_that_is_well_is_told_so() {
    let findings = judge(&well());
    assert!(
        findings.iter().all(|one| one.state == State::Ok),
        "{findings:#?}"
    );
    assert_eq!(summary(&findings), "nothing is wrong");
    let ways = findings
        .iter()
        .find(|one| one.about == "way to peers")
        .unwrap();
    assert!(
        ways.found.contains("2 of 2 carry packets of 1450 bytes"),
        "{ways:?}"
    );
}

#[test]
fn each_trouble_of_a_host_is_one_line() {
    use State::{Doubtful, Wrong};
    one(Wrong, "kernel", "no vxlan: Unknown device type", |facts| {
        facts.features[0].1 = Err("Unknown device type".into());
    });
    one(Wrong, "settings", "net.ipv4.ip_forward is 0", |facts| {
        facts.settings[0].value = Some("0".into());
    });
    one(Wrong, "settings", "65000 of 65536", |facts| {
        facts.tracked = Some((65_000, 65_536));
    });
    one(Wrong, "agent", "none answers", |facts| {
        facts.agent = Agent::Down;
    });
    one(Wrong, "agent", "ip link add weft1: File exists", |facts| {
        facts.agent = Agent::Runs {
            not_ready: None,
            failing: vec!["ip link add weft1: File exists".into()],
            in_the_way: Vec::new(),
        };
    });
    one(Wrong, "disk", "room for 0 MB", |facts| {
        facts.disk.room = Ok((1000, 1000));
    });
    one(Doubtful, "disk", "12 files", |facts| {
        facts.disk.room = Ok((1 << 30, 12));
    });
    one(Wrong, "disk", "no space left", |facts| {
        facts.disk.not_kept = Some("no space left".into());
    });
    one(Wrong, "controller", "https://c1:7440: no answer", |facts| {
        facts.controllers[0].answer = Err("no answer".into());
    });
    one(Doubtful, "controller", "answers in 700.0 ms", |facts| {
        facts.controllers[0].answer.as_mut().unwrap().answered_us = 700_000;
    });
    one(
        Doubtful,
        "clock",
        "7 s behind that of https://c1:7440",
        |facts| {
            facts.controllers[0].answer.as_mut().unwrap().ahead_s = Some(7);
        },
    );
    one(Wrong, "clock", "3600 s ahead of that of", |facts| {
        facts.controllers[0].answer.as_mut().unwrap().ahead_s = Some(-3600);
    });
    one(Doubtful, "certificate", "it ends in 60 s", |facts| {
        facts.certificate = Some(WallMs(1_060_000));
    });
    one(Wrong, "certificate", "it ended 15 min ago", |facts| {
        facts.certificate = Some(WallMs(100_000));
    });
    one(Doubtful, "network default", "and vmxnet3 spoils", |facts| {
        facts.networks[0].distrust = Some("vmxnet3 spoils them");
    });
    one(Doubtful, "checksums", "5000 packets", |facts| {
        facts.spoiled = 5000;
    });
}

#[test]
fn other_overlays_and_firewalls_are_named() {
    use State::{Doubtful, Ok, Wrong};
    let flannel = |vni, port| Tunnel {
        name: "flannel.1".into(),
        vni,
        port,
    };
    assert_eq!(after(|facts| facts.tunnels = vec![flannel(1, 8472)]), []);
    one(
        Doubtful,
        "network default",
        "flannel.1 uses UDP port 4789",
        |facts| {
            facts.tunnels = vec![flannel(7, 4789)];
        },
    );
    one(Wrong, "network default", "the same VNI", |facts| {
        facts.tunnels = vec![flannel(1, 4789)];
    });
    let gone = after(|facts| {
        facts.networks[0].device = None;
        facts.taken = [4789].into();
    });
    assert!(
        gone[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("a program listens on UDP port 4789")
    );
    one(Wrong, "network default", "weft1 is down", |facts| {
        facts.networks[0].device.as_mut().unwrap().up = false;
    });
    one(
        Wrong,
        "network default",
        "the uplink carries 1350",
        |facts| {
            facts.networks[0].uplink_mtu = Some(1400);
        },
    );
    one(Wrong, "firewall", "FORWARD", |facts| {
        facts.shut = vec!["iptables-nft: FORWARD does not begin with the way".into()];
    });
    // What drops by policy is no trouble as long as packets pass.
    let input = || vec!["chain input of table inet filter".to_owned()];
    assert_eq!(after(|facts| facts.closed = input()), []);
    let both = after(|facts| {
        facts.closed = input();
        facts.ways[0].small = Outcome::Lost;
    });
    let firewall = both.iter().find(|one| one.about == "firewall").unwrap();
    assert_eq!(firewall.state, Doubtful);
    assert_ne!(firewall.state, Ok);
}

#[test]
fn a_way_is_as_bad_as_what_passes_there() {
    use State::{Doubtful, Wrong};
    let lost = |facts: &mut Facts, below: Option<[Result<(), String>; 2]>| {
        let way = &mut facts.ways[1];
        (way.small, way.full) = (Outcome::Lost, Outcome::Lost);
        way.below = below.map(|[small, full]| Below { small, full });
    };
    let silence = || Err("no answer".to_owned());
    one(Doubtful, "way to h3", "no agent answers there", |facts| {
        facts.ways[1].small = Outcome::Refused;
    });
    one(
        Wrong,
        "way to h3",
        "packets of 1450 bytes are lost",
        |facts| {
            facts.ways[1].full = Outcome::Lost;
            facts.ways[1].below = Some(Below {
                small: Ok(()),
                full: Err("Message too long".into()),
            });
        },
    );
    one(
        Wrong,
        "way to h3",
        "nothing comes back through the overlay",
        |facts| {
            lost(facts, Some([Ok(()), Ok(())]));
        },
    );
    one(
        Wrong,
        "way to h3",
        "not on the underlay either (no answer)",
        |facts| {
            lost(facts, Some([silence(), silence()]));
        },
    );
    // Of two addresses of one peer the worse one counts, whichever comes first.
    one(Wrong, "way to h3", "packets of 1450 bytes", |facts| {
        let mut large = way("h3");
        large.full = Outcome::Lost;
        facts.ways.insert(0, large);
    });
}

#[test]
fn many_of_one_trouble_are_counted() {
    let bad = after(|facts| {
        facts.ways = (0..50)
            .map(|number| Way {
                small: Outcome::Lost,
                ..way(&format!("n{number}"))
            })
            .collect();
        facts.untried = 7;
    });
    assert_eq!(bad.len(), 12);
    assert!(bad[10].found.contains("40 more peers"), "{:?}", bad[10]);
    assert!(bad[11].found.contains("7 were not tried"), "{:?}", bad[11]);
}
