//! What a host's kernel should hold, from the leases in the store alone.

use std::collections::{BTreeMap, BTreeSet};

use overlay::datapath::{
    entry::PROTOCOL,
    observed::{Hop, Observed},
};

use crate::judge::{Lease, Peers, Place, peer};

/// All that differs in these networks, each with its VNI.
pub fn wrong(
    node: &str,
    seen: &Observed,
    leases: &BTreeMap<Place, Lease>,
    networks: &BTreeMap<String, u64>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut routes, mut sources) = (BTreeMap::new(), BTreeSet::new());
    for (network, vni) in networks {
        let of = leases.iter().filter(|((of, _), _)| of == network);
        let (own, others): (Vec<_>, Vec<_>) = of.partition(|((_, name), _)| name == node);
        let Some((_, own)) = own.first() else {
            wrong.push(format!("{node} has no lease of {network}"));
            continue;
        };
        for subnet in &own.subnets {
            routes.insert(subnet.clone(), "unreachable".to_owned());
        }
        let peers: Peers = others
            .iter()
            .filter_map(|((_, name), lease)| Some((name.clone(), peer(lease)?)))
            .collect();
        let (mut fdb, mut neighbours) = (BTreeMap::new(), BTreeMap::new());
        for peer in peers.values() {
            sources.insert(peer.underlay.clone());
            fdb.insert(peer.mac.clone(), peer.underlay.clone());
            for subnet in &peer.subnets {
                let is_v6 = subnet.contains(':');
                if !own.subnets.iter().any(|own| own.contains(':') == is_v6) {
                    continue;
                }
                let gateway = if is_v6 {
                    link_local(&peer.mac)
                } else {
                    subnet.split('/').next().unwrap_or_default().to_owned()
                };
                neighbours.insert(gateway.clone(), peer.mac.clone());
                routes.insert(subnet.clone(), gateway);
            }
        }
        let name = format!("weft{vni}");
        let Some(link) = seen.links.iter().find(|link| link.name == name) else {
            wrong.push(format!("{node} has no {name}"));
            continue;
        };
        let is: BTreeMap<String, String> = seen
            .fdb
            .iter()
            .filter(|fdb| fdb.index == link.index)
            .map(|fdb| {
                (
                    fdb.mac.to_string(),
                    fdb.to.map(|to| to.to_string()).unwrap_or_default(),
                )
            })
            .collect();
        differ(&mut wrong, node, &format!("FDB of {name}"), &is, &fdb);
        let is: BTreeMap<String, String> = seen
            .neighbours
            .iter()
            .filter(|neighbour| neighbour.index == link.index && neighbour.permanent)
            .map(|neighbour| {
                let mac = neighbour.mac.map(|mac| mac.to_string());
                (neighbour.address.to_string(), mac.unwrap_or_default())
            })
            .collect();
        differ(
            &mut wrong,
            node,
            &format!("neighbours of {name}"),
            &is,
            &neighbours,
        );
    }
    let ours = seen
        .routes
        .iter()
        .filter(|route| route.protocol == PROTOCOL);
    let is: BTreeMap<String, String> = ours
        .map(|route| {
            let to = match route.hop {
                Hop::Gateway { gateway, .. } => gateway.to_string(),
                Hop::Unreachable => "unreachable".into(),
                other => format!("{other:?}"),
            };
            (route.subnet.to_string(), to)
        })
        .collect();
    differ(&mut wrong, node, "routes", &is, &routes);
    let is = seen.firewall.as_ref().map(|table| &table.sources);
    let is: BTreeSet<String> = is.into_iter().flatten().map(ToString::to_string).collect();
    differ(&mut wrong, node, "sources", &is, &sources);
    wrong
}

fn differ<T: PartialEq + std::fmt::Debug>(
    wrong: &mut Vec<String>,
    node: &str,
    what: &str,
    is: &T,
    should: &T,
) {
    if is != should {
        wrong.push(format!("{what} at {node}: {is:?} instead of {should:?}"));
    }
}

/// What a device of this MAC would call itself.
fn link_local(mac: &str) -> String {
    let bytes: Vec<u8> = mac
        .split(':')
        .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let [a, b, c, d, e, f] = bytes[..] else {
        return String::new();
    };
    let a = a ^ 2;
    let text = format!("fe80::{a:02x}{b:02x}:{c:02x}ff:fe{d:02x}:{e:02x}{f:02x}");
    let address: Result<std::net::Ipv6Addr, _> = text.parse();
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}
