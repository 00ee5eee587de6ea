//! Published ports: `nft` reads what was put there.

use std::collections::BTreeSet;

use overlay::{
    datapath::firewall::{Firewall, Published},
    endpoint::Publish,
};

use super::{
    Table, firewall, frame,
    namespace::{alone, run},
    untouched,
};

const TWO: [&str; 2] = ["10.31.1.5", "fd77:1:1::5"];

pub fn ports(publish: &[&str], to: &[&str]) -> BTreeSet<Published> {
    let to: Vec<_> = to.iter().map(|text| text.parse().unwrap()).collect();
    let parsed = publish.iter().map(|text| text.parse::<Publish>().unwrap());
    parsed
        .flat_map(|publish| Published::of(&publish, &to))
        .collect()
}

pub fn publishing(published: BTreeSet<Published>) -> Firewall {
    let mut frame = frame();
    frame.publishing = ["10.31.1.0/24", "fd77:1:1::/64"]
        .map(|subnet| subnet.parse().unwrap())
        .into();
    Firewall {
        published,
        ..firewall(frame, &["192.0.2.2"])
    }
}

/// The lines of a map's elements.
fn elements(map: &str) -> String {
    let listed = run(&format!("nft list map inet weft {map}"));
    let (_, elements) = listed.split_once("elements = ").unwrap_or_default();
    elements.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn nft_lists_what_is_published() {
    alone("ports::nft_lists_what_is_published", || {
        run("ip link add up0 type veth peer name x0");
        let wishes = [
            "8080:80",
            "192.0.2.1:53:5353/udp",
            "[2001:db8:50::1]:7:17/sctp",
            "9000-9002:19000-19002/sctp",
        ];
        let firewall = publishing(ports(&wishes, &TWO));
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        let listed = run("nft --stateless list table inet weft");
        let expected = include_str!("published.nft");
        assert_eq!(listed, expected, "{listed}");
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

#[test]
fn one_port_is_one_element() {
    alone("ports::one_port_is_one_element", || {
        run("ip link add up0 type veth peer name x0");
        let mut firewall = publishing(ports(&["1:1"], &TWO));
        let mut table = Table::open().unwrap();
        table.install(&firewall).unwrap();
        let none = BTreeSet::new();
        let more = ports(&["2:2/udp", "192.0.2.1:3:3"], &TWO);
        for _ in 0..2 {
            table.change_ports(&more, &none).unwrap();
        }
        assert_eq!(
            elements("pub4"),
            "{ tcp . 1 : 10.31.1.5 . 1, udp . 2 : 10.31.1.5 . 2 } } }"
        );
        firewall.published.extend(&more);
        assert_eq!(table.look().unwrap(), untouched(&firewall));
        for _ in 0..2 {
            table.change_ports(&none, &more).unwrap();
        }
        assert_eq!(elements("pub4"), "{ tcp . 1 : 10.31.1.5 . 1 } } }");
        assert_eq!(elements("pubat4"), "");
        // Another target, in one transaction; the old one is not there to be removed.
        let other = ports(&["1:9"], &["10.31.1.6"]);
        let old = ports(&["1:1"], &["10.31.1.5"]);
        table.change_ports(&other, &none).unwrap();
        table.change_ports(&none, &old).unwrap();
        assert_eq!(elements("pub4"), "{ tcp . 1 : 10.31.1.6 . 9 } } }");
    });
}

#[test]
fn every_change_to_a_port_is_noticed() {
    alone("ports::every_change_to_a_port_is_noticed", || {
        run("ip link add up0 type veth peer name x0");
        let firewall = publishing(ports(&["8080:80", "192.0.2.1:53:5353/udp"], &TWO));
        let mut table = Table::open().unwrap();
        for (tampering, elements) in [
            ("nft delete element inet weft pub4 '{ tcp . 8080 }'", true),
            ("nft flush map inet weft pub6", true),
            (
                "nft add element inet weft pubat4 '{ 192.0.2.1 . tcp . 9 : 10.31.1.9 . 9 }'",
                true,
            ),
            (
                "nft delete element inet weft pub4 '{ tcp . 8080 }'
                 nft add element inet weft pub4 '{ tcp . 8080 : 10.31.1.9 . 80 }'",
                true,
            ),
            ("nft flush chain inet weft hairpin", false),
            ("nft flush chain inet weft loopback", false),
            ("nft add rule inet weft published accept", false),
            ("nft 'add chain inet weft pub_in { policy drop; }'", false),
        ] {
            table.install(&firewall).unwrap();
            assert_eq!(table.look().unwrap(), untouched(&firewall), "{tampering}");
            run(tampering);
            let seen = table.look().unwrap().unwrap();
            assert_eq!(seen.frame.is_some(), elements, "{tampering}");
            assert_eq!(
                seen.published != firewall.published,
                elements,
                "{tampering}"
            );
            // A port is put back alone.
            let gone: BTreeSet<_> = seen.published.difference(&firewall.published).collect();
            let gone = gone.into_iter().copied().collect();
            table.change_ports(&firewall.published, &gone).unwrap();
            let seen = table.look().unwrap().unwrap();
            assert_eq!(seen.published, firewall.published, "{tampering}");
        }
    });
}

#[test]
fn thousands_of_ports() {
    alone("ports::thousands_of_ports", || {
        run("ip link add up0 type veth peer name x0");
        let published = ports(
            &["10000-14999:10000-14999", "[2001:db8:50::1]:1-3000:1-3000"],
            &TWO,
        );
        assert_eq!(published.len(), 13_000);
        let mut firewall = publishing(published.clone());
        let mut table = Table::open().unwrap();
        let start = std::time::Instant::now();
        table.install(&firewall).unwrap();
        println!("install of 13,000 took {:?}", start.elapsed());
        let start = std::time::Instant::now();
        assert_eq!(table.look().unwrap(), untouched(&firewall));
        println!("look at 13,000 took {:?}", start.elapsed());
        let none = BTreeSet::new();
        let one = ports(&["1:1"], &TWO);
        let start = std::time::Instant::now();
        table.change_ports(&one, &none).unwrap();
        println!("one more took {:?}", start.elapsed());
        let start = std::time::Instant::now();
        table.change_ports(&none, &published).unwrap();
        println!("13,000 less took {:?}", start.elapsed());
        firewall.published = one;
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

/// A range is as long as it is: there is a port for each port.
#[test]
fn a_later_run_recognises_what_is_published() {
    alone("ports::a_later_run_recognises_what_is_published", || {
        run("ip link add up0 type veth peer name x0");
        let firewall = publishing(ports(&["8080:80"], &TWO));
        Table::open().unwrap().install(&firewall).unwrap();
        let mut later = Table::open().unwrap();
        for with in [false, true] {
            let mut frame = firewall.frame.clone();
            if !with {
                frame.publishing.clear();
            }
            later.recognise(&frame).unwrap();
            let seen = later.look().unwrap().unwrap();
            assert_eq!(seen.frame.is_some(), with);
            assert_eq!(seen.published, firewall.published);
        }
        assert_eq!(run("nft list tables").trim(), "table inet weft");
    });
}
