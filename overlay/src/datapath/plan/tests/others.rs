//! What is not ours, not ours any more, or where ours should be.

use super::*;

#[test]
fn stale_entries_go_route_first() {
    let steps = after(|seen| {
        let mac = Mac([2, 0x77, 0, 0, 0, 9]);
        seen.routes.push(overlay("10.31.9.0/24"));
        seen.neighbours.push(Neighbour {
            address: "10.31.9.0".parse().unwrap(),
            mac: Some(mac),
            ..seen.neighbours[0]
        });
        seen.fdb.push(Fdb { mac, ..seen.fdb[0] });
        let sources = &mut seen.firewall.as_mut().unwrap().sources;
        sources.insert("192.0.2.9".parse().unwrap());
    });
    assert_eq!(
        steps,
        [
            "ip route del 10.31.9.0/24 proto 77 metric 664305",
            "ip neigh del 10.31.9.0 dev weft1",
            "bridge fdb del 02:77:00:00:00:09 dev weft1",
            "nft delete element inet weft peers 192.0.2.9",
        ]
    );
}

#[test]
fn a_place_that_somebody_has_is_blocked() {
    let theirs = SeenRoute {
        protocol: 4,
        hop: Hop::Device(2),
        ..overlay("10.31.2.0/24")
    };
    let mut seen = seen();
    seen.routes[2] = theirs;
    let plan = plan(&host(), &seen);
    assert_eq!((plan.steps, plan.blocked), (vec![], vec![theirs]));
}

#[test]
fn a_route_of_ours_elsewhere_is_replaced() {
    for (place, text) in [(2, "10.31.2.0/24"), (3, "fd77:0:0:2::/64")] {
        let steps = after(|seen| {
            seen.routes[place] = SeenRoute {
                hop: Hop::Device(2),
                ..overlay(text)
            };
        });
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(steps[0].starts_with("ip route replace"), "{steps:?}");
    }
}

#[test]
fn an_address_of_another_length_is_no_address_of_ours() {
    let steps = after(|seen| seen.addresses[0].length = 24);
    assert_eq!(steps, ["ip addr add 10.31.1.0 dev weft1"]);
    // IPv6 would refuse it a second time.
    assert!(after(|seen| seen.addresses[1].length = 64).is_empty());
}

#[test]
fn guests_of_our_devices_stay() {
    let steps = after(|seen| {
        seen.addresses.push(Address {
            index: 10,
            address: "fe80::1".parse().unwrap(),
            length: 64,
        });
        seen.neighbours.push(Neighbour {
            index: 10,
            address: "ff02::16".parse().unwrap(),
            mac: None,
            permanent: false,
        });
        seen.routes.push(SeenRoute {
            protocol: 4,
            metric: 7,
            hop: Hop::Device(10),
            ..overlay("10.31.77.0/24")
        });
    });
    assert!(steps.is_empty(), "{steps:?}");
}
