//! A host of the tests, its networks and peers.

use std::{net::IpAddr, time::Duration};

use overlay::{
    datapath::{
        host::Host,
        observed::Observed,
        plan::{Plan, plan},
        uplink::Uplink,
    },
    feed::{Peer, Peers},
    network::Network,
    record::Mac,
    subnet::{Family, Subnet},
};

use crate::kernel::{Kernel, Outcome};

pub const MAC: Mac = Mac([2, 0x77, 0, 0, 1, 1]);

pub fn network(vni: u32, underlay: Family, encap: &str) -> Network {
    let text = format!(
        r#"{{"v":1,"name":"net{vni}","vni":{vni},"port":4789,"pool4":"10.{pool}.0.0/16",
        "pool6":"fd77:{pool}::/32","len4":24,"len6":64,"lapse_s":60,"underlay":"{underlay}",
        "encap":"{encap}","masquerade":false,"state":"active"}}"#,
        pool = vni % 200 + 20,
    );
    serde_json::from_str(&text).unwrap()
}

/// The subnet of the node of this number.
fn subnet(network: &Network, node: u128, family: Family) -> Option<Subnet> {
    let length = network.len(family);
    let first = *network.pool(family)?.numbers(length)?.start();
    Subnet::numbered(family, length, first + node)
}

/// The same of both families.
pub fn subnets(network: &Network, node: u128) -> (Subnet, Subnet) {
    let of = |family| subnet(network, node, family).unwrap();
    (of(Family::V4), of(Family::V6))
}

pub fn peer(network: &Network, node: u128, underlay: IpAddr) -> Peer {
    let [.., a, b, c] = u32::try_from(node).unwrap().to_be_bytes();
    Peer {
        v4: subnet(network, node, Family::V4),
        v6: subnet(network, node, Family::V6),
        underlay,
        mac: Mac([2, 0x77, 1, a, b, c]),
    }
}

pub fn peers(network: &Network, nodes: std::ops::Range<u32>) -> Peers {
    let named = |node: u32| {
        let underlay: IpAddr = match network.underlay {
            Family::V4 => [192, 0, 2, u8::try_from(node % 250).unwrap()].into(),
            Family::V6 => format!("2001:db8:50::{node:x}").parse().unwrap(),
        };
        let name = format!("node{node}").parse().unwrap();
        (name, peer(network, node.into(), underlay))
    };
    nodes.map(named).collect()
}

pub fn uplink(index: u32, underlay: Family) -> Uplink {
    let (address, link) = match underlay {
        Family::V4 => ("192.0.2.1", "192.0.2.0/24"),
        Family::V6 => ("2001:db8:50::1", "2001:db8:50::/64"),
    };
    Uplink {
        index,
        name: "eth0".into(),
        mtu: 1500,
        address: address.parse().unwrap(),
        on_link: vec![link.parse().unwrap()],
        offload: false,
    }
}

/// The host has joined these networks, as node 1, and knows these peers.
pub fn host(networks: &[Network], nodes: std::ops::Range<u32>) -> Host {
    let index = std::fs::read_to_string("/proc/net/dev_snmp6/eth0").unwrap();
    let index = index.split_whitespace().nth(1).unwrap().parse().unwrap();
    let mut host = Host::new(MAC);
    for network in networks {
        let own = Family::BOTH.map(|family| subnet(network, 1, family));
        host.join(network.name.clone());
        host.lease(network.clone(), own.into_iter().flatten().collect());
        host.set_uplink(&network.name, uplink(index, network.underlay));
        host.snapshot(&network.name, peers(network, nodes.clone()), Duration::ZERO);
    }
    assert!(host.is_complete());
    host
}

pub fn look(kernel: &mut Kernel, host: &Host) -> Observed {
    kernel.look(&host.settings(), host.mac()).unwrap()
}

pub fn plan_now(kernel: &mut Kernel, host: &Host) -> Plan {
    plan(host, &look(kernel, host))
}

/// Brings the kernel to what the host wants, in one pass.
pub fn settle(kernel: &mut Kernel, host: &Host) {
    let steps = plan_now(kernel, host).steps;
    let outcome = kernel.apply(&steps);
    assert_eq!(outcome, Outcome::default());
    assert_eq!(plan_now(kernel, host), Plan::default());
}
