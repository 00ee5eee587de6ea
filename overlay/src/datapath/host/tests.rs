use super::*;
use crate::{
    feed::Peer,
    name::NodeName,
    network::{Encap, NetworkSpec},
};

const NEVER: Duration = Duration::MAX;
const MAC: Mac = Mac([2, 0x77, 0, 0, 0, 1]);

fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

fn network(text: &str, vni: u32, port: u16, pools: &[&str]) -> Network {
    let pools = pools.iter().map(|pool| pool.parse().unwrap());
    let spec = NetworkSpec {
        vni: Vni::try_from(vni).ok(),
        port: Some(port),
        encap: Encap::Vxlan,
        ..NetworkSpec::new(name(text), pools.collect())
    };
    spec.network([].iter()).unwrap()
}

fn uplink(interface: &str) -> Uplink {
    Uplink {
        index: 2,
        name: interface.into(),
        mtu: 1500,
        address: "192.0.2.1".parse().unwrap(),
        on_link: vec![],
        offload: true,
    }
}

/// The host has the first /24 and /64 of each pool.
fn join(host: &mut Host, network: Network, interface: &str) {
    let own = network.pools().map(|pool| {
        let len = network.len(pool.family());
        Subnet::numbered(pool.family(), len, *pool.numbers(len).unwrap().start()).unwrap()
    });
    let own = own.collect();
    let name = network.name.clone();
    host.join(name.clone());
    assert!(host.lease(network, own));
    assert!(host.set_uplink(&name, uplink(interface)));
}

fn peers(underlays: &[&str]) -> Peers {
    let peer = |(number, underlay): (u8, &&str)| {
        let node: NodeName = format!("n{number}").parse().unwrap();
        let peer = Peer {
            v4: None,
            v6: None,
            underlay: underlay.parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, number]),
        };
        (node, peer)
    };
    (1..).zip(underlays).map(peer).collect()
}

fn printed(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::to_string).collect()
}

fn two() -> Host {
    let mut host = Host::new(MAC);
    join(
        &mut host,
        network("blue", 1, 4789, &["10.31.0.0/16"]),
        "eth0",
    );
    join(
        &mut host,
        network("red", 2, 4790, &["10.32.0.0/16", "fd77::/48"]),
        "eth1",
    );
    host
}

#[test]
fn a_host_is_complete_when_every_network_is() {
    let mut host = Host::new(MAC);
    assert!(host.is_complete(), "nothing joined, nothing unknown");
    host.join(name("blue"));
    assert!(!host.is_complete(), "not yet known");
    host.lease(network("blue", 1, 4789, &["10.31.0.0/16"]), vec![]);
    assert!(!host.is_complete(), "no uplink");
    host.set_uplink(&name("blue"), uplink("eth0"));
    assert!(!host.is_complete(), "no peers");
    host.snapshot(&name("blue"), Peers::new(), NEVER);
    assert!(host.is_complete());
    host.join(name("red"));
    assert!(!host.is_complete());
    assert!(host.leave(&name("red")) && !host.leave(&name("red")));
    assert!(host.is_complete());
}

#[test]
fn what_was_not_joined_is_not_heard() {
    let mut host = Host::new(MAC);
    assert!(!host.lease(network("blue", 1, 4789, &["10.31.0.0/16"]), vec![]));
    assert!(!host.set_uplink(&name("blue"), uplink("eth0")));
    assert_eq!(
        host.snapshot(&name("blue"), peers(&["192.0.2.2"]), NEVER),
        []
    );
    assert_eq!(host, Host::new(MAC));
}

/// A device is named by its VNI: of two networks that have the same one, on different
/// ports, a host carries the first by name.
#[test]
fn two_networks_of_one_vni() {
    let mut host = Host::new(MAC);
    join(
        &mut host,
        network("blue", 7, 4789, &["10.31.0.0/16"]),
        "eth0",
    );
    join(
        &mut host,
        network("red", 7, 4790, &["10.32.0.0/16"]),
        "eth0",
    );
    assert_eq!(host.rival(&name("red")), Some(&name("blue")));
    assert_eq!(host.rival(&name("blue")), None);
    let carried: Vec<_> = host
        .members()
        .map(|member| member.network().name.as_str())
        .collect();
    assert_eq!(carried, ["blue"]);
    let frame = host.firewall().unwrap().frame;
    assert_eq!(frame.ports, [4789].into());
    assert_eq!(
        host.snapshot(&name("red"), peers(&["192.0.2.2"]), NEVER),
        []
    );
    // What the one that is not carried knows of an address counts for nothing.
    let steps = host.snapshot(&name("blue"), peers(&["192.0.2.2"]), NEVER);
    assert!(steps.contains(&Step::Admit("192.0.2.2".parse().unwrap())));
    assert!(host.is_complete());
    host.leave(&name("blue"));
    assert_eq!(host.rival(&name("red")), None);
    assert_eq!(host.firewall().unwrap().sources.len(), 1);
}

#[test]
fn an_address_is_admitted_once_and_until_the_last_network_lets_it_go() {
    let mut host = two();
    let both = peers(&["192.0.2.2"]);
    let admit = "nft add element inet weft peers 192.0.2.2";
    let bar = "nft delete element inet weft peers 192.0.2.2";
    let first = host.snapshot(&name("blue"), both.clone(), NEVER);
    assert_eq!(printed(&first)[0], admit);
    let second = host.snapshot(&name("red"), both.clone(), NEVER);
    assert!(!printed(&second).contains(&admit.into()));
    let gone = PeerChanges {
        gone: both.keys().cloned().collect(),
        ..PeerChanges::default()
    };
    let first = host.change(&name("blue"), gone.clone(), NEVER);
    assert_eq!(
        printed(&first),
        ["bridge fdb del 02:00:00:00:00:01 dev weft1"]
    );
    let second = host.change(&name("red"), gone, NEVER);
    assert_eq!(printed(&second).last().map(String::as_str), Some(bar));
}

/// A network that is not synced may turn out to know the address.
#[test]
fn nobody_is_shut_out_while_a_network_does_not_know_its_peers() {
    let mut host = two();
    host.snapshot(&name("blue"), peers(&["192.0.2.2"]), NEVER);
    let steps = host.snapshot(&name("blue"), Peers::new(), NEVER);
    assert_eq!(
        printed(&steps),
        ["bridge fdb del 02:00:00:00:00:01 dev weft1"]
    );
}

#[test]
fn the_table_is_that_of_all_networks() {
    let mut host = two();
    host.snapshot(&name("blue"), peers(&["192.0.2.2", "192.0.2.3"]), NEVER);
    host.snapshot(&name("red"), peers(&["192.0.2.3", "192.0.2.4"]), NEVER);
    let firewall = host.firewall().unwrap();
    let text = "udp 4789,4790 on eth0,eth1, sources: 3, masquerade \
                10.31.0.0/24,10.32.0.0/24,fd77::/64";
    assert_eq!(firewall.to_string(), text);
    assert_eq!(firewall.frame.pools.len(), 3);
    assert_eq!(Host::new(MAC).firewall(), None);
}

#[test]
fn only_what_forwarding_needs_is_set() {
    let settings = |host: &Host| -> Vec<String> {
        let print = |setting: Setting| match setting.only_from {
            Some(from) => format!("{} only from {from}", setting.sysctl),
            None => setting.sysctl.to_string(),
        };
        host.settings().into_iter().map(print).collect()
    };
    let mut host = Host::new(MAC);
    assert!(settings(&host).is_empty());
    join(
        &mut host,
        network("blue", 1, 4789, &["10.31.0.0/16"]),
        "eth0",
    );
    assert_eq!(settings(&host), ["net/ipv4/ip_forward=1"]);
    let six = network("red", 2, 4789, &["fd77::/48"]);
    join(&mut host, six, "eth0.7");
    assert_eq!(
        settings(&host),
        [
            "net/ipv4/ip_forward=1",
            "net/ipv6/conf/eth0/accept_ra=2 only from 1",
            "net/ipv6/conf/eth0.7/accept_ra=2 only from 1",
            "net/ipv6/conf/all/forwarding=1",
            "net/ipv6/conf/weft2/disable_ipv6=0",
        ]
    );
    host.leave(&name("blue"));
    assert_eq!(settings(&host).len(), 3);
    // No device is made where nothing fits through: it has no settings either.
    let small = Uplink {
        mtu: 100,
        ..uplink("eth0.7")
    };
    host.set_uplink(&name("red"), small);
    assert!(settings(&host).is_empty());
}

#[test]
fn a_setting_is_due_unless_it_is_so() {
    let mut host = Host::new(MAC);
    join(&mut host, network("red", 2, 4789, &["fd77::/48"]), "eth0");
    let due = |at: usize, value| host.settings()[at].is_due(value);
    assert!(due(0, Some("1")), "accept_ra, which forwarding would end");
    assert!(!due(0, Some("0")) && !due(0, Some("2")) && !due(0, None));
    assert!(due(1, Some("0")) && due(1, None) && !due(1, Some("1")));
}

#[test]
fn peers_are_let_go_of_every_network_in_its_time() {
    let mut host = two();
    let lost = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
    for (network, until) in [("blue", 60), ("red", 90)] {
        host.snapshot(&name(network), peers(&lost), NEVER);
        let steps = host.snapshot(&name(network), Peers::new(), Duration::from_secs(until));
        assert_eq!(steps, []);
    }
    assert_eq!(host.holds_until(), Some(Duration::from_secs(60)));
    let first = host.let_go(Duration::from_secs(60));
    assert_eq!(
        first.len(),
        3,
        "three FDB entries; the other network still knows them"
    );
    assert_eq!(host.holds_until(), Some(Duration::from_secs(90)));
    let second = host.let_go(Duration::from_secs(90));
    assert_eq!(second.len(), 6, "and three addresses");
    assert_eq!(host.holds_until(), None);
}
