//! The kernel against what a host wants, with `ip` and `bridge` as witnesses.

use overlay::{
    datapath::{entry::gateway, observed::Observed, plan::farewell},
    subnet::Family,
};

use self::{
    namespace::{bare, json, run, with_underlay},
    world::{MAC, host, look, network, peers, settle, subnets},
};
use super::{
    Kernel, Outcome,
    uplink::{UplinkAsk, UplinkError},
};

mod foreign;
mod multitude;
pub mod namespace;
mod repair;
pub mod world;

#[test]
fn what_is_done_is_what_is_seen() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let networks = [
            network(1, Family::V4, "vxlan"),
            network(2, Family::V6, "vxlan"),
            network(16_777_215, Family::V4, "auto"),
        ];
        let host = host(&networks, 2..50);
        settle(&mut kernel, &host);
        assert_eq!(kernel.devices().len(), 3);

        let link = &json("ip -j -d link show weft2")[0];
        assert_eq!(link["address"], MAC.to_string());
        assert_eq!(link["mtu"], 1430);
        assert_eq!(link["inet6_addr_gen_mode"], "none");
        assert!(link["flags"].as_array().unwrap().contains(&"UP".into()));
        let vxlan = &link["linkinfo"]["info_data"];
        assert_eq!(vxlan["id"], 2);
        assert_eq!(vxlan["local6"], "2001:db8:50::1");
        assert_eq!(vxlan["link"], "eth0");
        assert_eq!(vxlan["port"], 4789);
        assert_eq!(vxlan["learning"], false);

        let (own4, own6) = subnets(&networks[0], 1);
        let addresses = json("ip -j addr show weft1")[0]["addr_info"].clone();
        let held: Vec<&str> = addresses
            .as_array()
            .unwrap()
            .iter()
            .map(|info| info["local"].as_str().unwrap())
            .collect();
        assert_eq!(
            held,
            [own4.address().to_string(), own6.address().to_string()]
        );

        let known = peers(&networks[0], 2..50);
        let fdb = json("bridge -j fdb show dev weft1");
        let neighbours4 = json("ip -j -4 neigh show dev weft1");
        let neighbours6 = json("ip -j -6 neigh show dev weft1 nud permanent");
        let routes4 = json("ip -j -4 route show table main");
        let routes6 = json("ip -j -6 route show table main");
        for peer in known.values() {
            let (mac, underlay) = (peer.mac.to_string(), peer.underlay.to_string());
            let entry = fdb.iter().find(|entry| entry["mac"] == mac).unwrap();
            assert_eq!(entry["dst"], underlay);
            assert_eq!(entry["state"], "permanent");
            let (v4, v6) = (peer.v4.unwrap(), peer.v6.unwrap());
            for (subnet, neighbours, routes) in
                [(v4, &neighbours4, &routes4), (v6, &neighbours6, &routes6)]
            {
                let gateway = gateway(subnet, peer.mac).to_string();
                let neighbour = neighbours.iter().find(|entry| entry["dst"] == gateway);
                let neighbour = neighbour.unwrap();
                assert_eq!(neighbour["lladdr"], mac);
                assert_eq!(neighbour["state"][0], "PERMANENT");
                let route = routes
                    .iter()
                    .find(|entry| entry["dst"] == subnet.to_string());
                let route = route.unwrap();
                assert_eq!(route["gateway"], gateway);
                assert_eq!(route["dev"], "weft1");
                assert_eq!(route["protocol"], "77");
                let flags = route["flags"].as_array().unwrap();
                let onlink = flags.contains(&"onlink".into());
                assert_eq!(onlink, subnet.family() == Family::V4);
            }
        }
        // The peers of the third network are on the same link.
        let direct = subnets(&networks[2], 7).0.to_string();
        let direct = routes4.iter().find(|entry| entry["dst"] == direct).unwrap();
        assert_eq!(direct["gateway"], "192.0.2.7");
        assert_eq!(direct["dev"], "eth0");
        for (own, routes) in [(own4, &routes4), (own6, &routes6)] {
            let route = routes
                .iter()
                .find(|entry| entry["dst"] == own.to_string())
                .unwrap();
            assert_eq!(route["type"], "unreachable");
        }
        assert_eq!(run("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");

        // And all of it goes again.
        let seen = look(&mut kernel, &host);
        let steps = farewell(&seen, MAC);
        assert_eq!(kernel.apply(&steps), Outcome::default());
        assert!(json("ip -j link show type vxlan").is_empty());
        assert!(json("ip -j route show proto 77").is_empty());
        assert!(json("ip -j -6 route show proto 77").is_empty());
        assert!(kernel.devices().is_empty());
    });
}

#[test]
fn a_kernel_that_holds_nothing_is_seen_so() {
    bare(|| {
        let mut kernel = Kernel::open().unwrap();
        assert_eq!(kernel.look(&[], MAC).unwrap(), Observed::default());
        for family in Family::BOTH {
            let found = kernel.find(&UplinkAsk::default(), family, |_| true);
            assert!(
                matches!(found, Err(UplinkError::NoRoute { .. })),
                "{found:?}"
            );
        }
    });
}
