use std::net::{IpAddr, Ipv4Addr};

use socket::words::{NetworkTraffic, PeerTraffic};

use super::*;

fn name(number: usize) -> NodeName {
    format!("n{number:05}").parse().unwrap()
}

fn reading(node: &NodeName, at_ms: u64, bytes: u64, peers: &[(usize, u64)]) -> Traffic {
    let peer = |&(number, bytes): &(usize, u64)| PeerTraffic {
        node: name(number),
        underlay: IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        rx_bytes: bytes,
        rx_packets: bytes / 100,
    };
    Traffic {
        node: node.clone(),
        at_ms,
        containers: 2,
        networks: vec![NetworkTraffic {
            network: "default".parse().unwrap(),
            device: "weft1".into(),
            rx_bytes: bytes,
            rx_packets: bytes / 100,
            rx_dropped: 0,
            tx_bytes: 2 * bytes,
            tx_packets: bytes / 50,
            tx_dropped: 0,
        }],
        peers: peers.iter().map(peer).collect(),
    }
}

fn heard(fleet: &mut Fleet, nodes: &[NodeName], traffic: Traffic) {
    fleet.whom(nodes);
    fleet.hear(&traffic.node.clone(), Some(traffic));
}

#[test]
fn what_came_between_two_readings_is_shown_by_the_second() {
    let (nodes, mut fleet) = ([name(1), name(2)], Fleet::new(None));
    heard(
        &mut fleet,
        &nodes[..1],
        reading(&nodes[0], 1000, 500, &[(2, 100)]),
    );
    assert_eq!(fleet.view(1, 1).networks, []);
    let later = reading(&nodes[0], 3000, 4500, &[(2, 2100), (3, 600)]);
    heard(&mut fleet, &nodes[..1], later);
    let view = fleet.view(1, 1);
    let networks = (view.bytes_per_second, view.networks[0].packets_per_second);
    assert_eq!((networks, view.containers), ((2000, 20), 2));
    assert_eq!(view.busiest_nodes[0].tx_bytes_per_second, 4000);
    let pairs = view.busiest_pairs.iter();
    let pairs: Vec<(&str, &str, u64)> = pairs
        .map(|pair| (pair.from.as_str(), pair.to.as_str(), pair.bytes_per_second))
        .collect();
    assert_eq!(
        pairs,
        [("n00002", "n00001", 1000), ("n00003", "n00001", 300)]
    );
}

#[test]
fn counters_and_hosts_that_begin_again_show_no_nonsense() {
    let (nodes, mut fleet) = ([name(1)], Fleet::new(None));
    heard(
        &mut fleet,
        &nodes,
        reading(&nodes[0], 1000, 9000, &[(2, 9000)]),
    );
    heard(
        &mut fleet,
        &nodes,
        reading(&nodes[0], 2000, 100, &[(2, 50)]),
    );
    let view = fleet.view(1, 1);
    let rates = (
        view.bytes_per_second,
        view.busiest_pairs[0].bytes_per_second,
    );
    assert_eq!(rates, (100, 50));
    // Its clock began again: the host was booted.
    heard(&mut fleet, &nodes, reading(&nodes[0], 500, 9000, &[]));
    assert_eq!(fleet.view(1, 1).bytes_per_second, 0);
    // One that says nothing is as if it were not there.
    fleet.hear(&nodes[0], None);
    let view = fleet.view(1, 1);
    assert_eq!((view.nodes_silent, view.containers), (1, 0));
}

#[test]
fn one_network_of_several() {
    let mut fleet = Fleet::new(Some("blue".parse().unwrap()));
    let nodes = [name(1)];
    heard(&mut fleet, &nodes, reading(&nodes[0], 1000, 0, &[]));
    heard(&mut fleet, &nodes, reading(&nodes[0], 2000, 100, &[]));
    let view = fleet.view(1, 1);
    assert_eq!((view.networks.len(), view.bytes_per_second), (0, 0));
}

#[test]
fn a_large_fleet_is_asked_in_turns_and_its_busiest_always() {
    let nodes: Vec<NodeName> = (0..1000).map(name).collect();
    let mut fleet = Fleet::new(None);
    let (mut seen, busy) = (BTreeSet::new(), name(777));
    for round in 1..=30 {
        let asked = fleet.whom(&nodes);
        assert!(asked.len() <= MOST);
        if round > 20 {
            assert_eq!(asked.get(&busy), Some(&PEERS), "round {round}");
        }
        for node in asked.keys() {
            let bytes = if *node == busy { 1_000_000 } else { 10 };
            let reading = reading(node, round * 2000, round * bytes, &[]);
            fleet.hear(node, Some(reading));
        }
        seen.extend(asked.into_keys());
    }
    assert_eq!(seen.len(), 1000);
}
