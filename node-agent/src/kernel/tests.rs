//! The kernel against what a host wants, with `ip` and `bridge` as witnesses.

use std::time::Instant;

use overlay::{
    datapath::{
        entry::{PROTOCOL, gateway},
        observed::{Hop, Object, Observed, Us, ours},
        plan::{Plan, farewell, plan},
        step::Step,
    },
    subnet::Family,
};

use self::{
    namespace::{bare, json, run, with_underlay},
    world::{MAC, host, look, network, peers, plan_now, settle, subnets},
};
use super::{
    Kernel, Outcome,
    uplink::{UplinkAsk, UplinkError},
};

pub mod namespace;
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

/// Whatever somebody does to a single field is seen, and put right.
#[test]
fn what_others_change_is_put_right() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let networks = [
            network(1, Family::V4, "vxlan"),
            network(2, Family::V4, "auto"),
            network(3, Family::V6, "vxlan"),
        ];
        let host = host(&networks, 2..6);
        settle(&mut kernel, &host);
        run("ip link add br0 type bridge");
        let routes = |family: &str| {
            let known = json(&format!("ip -j {family} route show proto 77"));
            move |dst: &str| {
                let route = known.iter().find(|route| route["dst"] == dst).unwrap();
                route["metric"].to_string()
            }
        };
        let (metric4, metric6) = (routes("-4"), routes("-6"));
        // Network 1 has 10.21.0.0/16 and fd77:21::/32, network 2 has 10.22.0.0/16.
        let m4 = metric4("10.21.3.0/24");
        let m6 = metric6("fd77:21:0:3::/64");
        let direct = metric4("10.22.3.0/24");
        let own4 = metric4("10.21.1.0/24");
        let own6 = metric6("fd77:21:0:1::/64");
        let mac = "02:77:01:00:00:03";
        let cases = [
            // The device.
            "ip link set weft1 address 02:00:00:00:00:99".to_owned(),
            "ip link set weft1 mtu 1400".to_owned(),
            "ip link set weft1 mtu 1200".to_owned(),
            "ip link set weft1 down".to_owned(),
            "ip link set weft1 name other0".to_owned(),
            "ip link set weft1 master br0".to_owned(),
            "ip link set weft1 addrgenmode eui64".to_owned(),
            "ip link set weft1 type vxlan id 1 learning".to_owned(),
            "ip link set weft1 type vxlan id 1 local 192.0.2.9".to_owned(),
            "ip link set weft3 type vxlan id 3 local 2001:db8:50::9".to_owned(),
            "ip link set weft1 type vxlan id 1 dev far0".to_owned(),
            "ip link del weft1".to_owned(),
            "ip link del weft1; ip link add weft1 type vxlan id 1 dstport 4790 dev eth0".to_owned(),
            "ip link del weft1; ip link add weft1 type vxlan id 1 local 2001:db8:50::1 dstport \
             4789 dev eth0"
                .to_owned(),
            "ip link del weft1; ip link add weft1 type vxlan id 1 local 192.0.2.1 dstport 4789"
                .to_owned(),
            // Addresses.
            "ip addr del 10.21.1.0/32 dev weft1".to_owned(),
            "ip addr del fd77:21:0:1::/128 dev weft1".to_owned(),
            "ip addr add 10.21.1.77/32 dev weft1".to_owned(),
            "ip addr add fd77:21:0:1::77/128 dev weft1 nodad".to_owned(),
            // Forwarding entries.
            format!("bridge fdb del {mac} dev weft1 self"),
            format!("bridge fdb replace {mac} dev weft1 dst 192.0.2.99 self permanent"),
            format!("bridge fdb replace {mac} dev weft1 dst 192.0.2.3 port 9 self permanent"),
            format!("bridge fdb replace {mac} dev weft1 dst 192.0.2.3 vni 9 self permanent"),
            format!("bridge fdb replace {mac} dev weft1 dst 192.0.2.3 via eth0 self permanent"),
            format!("bridge fdb replace {mac} dev weft1 dst 192.0.2.3 self static"),
            format!("bridge fdb replace {mac} dev weft3 dst 2001:db8:50::99 self permanent"),
            "bridge fdb append 00:00:00:00:00:00 dev weft1 dst 192.0.2.98 self permanent; \
             bridge fdb append 00:00:00:00:00:00 dev weft1 dst 192.0.2.99 self permanent"
                .to_owned(),
            "bridge fdb add 02:99:00:00:00:01 dev weft1 dst 192.0.2.98 self permanent".to_owned(),
            // Neighbours.
            "ip neigh del 10.21.3.0 dev weft1".to_owned(),
            "ip neigh del fe80::77:1ff:fe00:3 dev weft1".to_owned(),
            "ip neigh replace 10.21.3.0 lladdr 02:99:00:00:00:01 dev weft1 nud permanent"
                .to_owned(),
            "ip neigh replace fe80::77:1ff:fe00:3 lladdr 02:99:00:00:00:01 dev weft1 nud permanent"
                .to_owned(),
            format!("ip neigh replace 10.21.3.0 lladdr {mac} dev weft1 nud reachable"),
            format!("ip neigh replace fe80::77:1ff:fe00:3 lladdr {mac} dev weft1 nud stale"),
            "ip neigh add 10.21.99.0 lladdr 02:99:00:00:00:01 dev weft1 nud permanent".to_owned(),
            // Routes of the overlay.
            format!("ip route del 10.21.3.0/24 metric {m4}"),
            format!("ip -6 route del fd77:21:0:3::/64 metric {m6}"),
            format!("ip route replace 10.21.3.0/24 via 10.21.4.0 dev weft1 onlink proto 77 metric {m4}"),
            format!("ip -6 route replace fd77:21:0:3::/64 via fd77:21:0:4:: dev weft1 onlink proto 77 metric {m6}"),
            format!("ip route replace 10.21.3.0/24 via 10.21.3.0 dev weft2 onlink proto 77 metric {m4}"),
            format!("ip route replace 10.21.3.0/24 via 10.21.3.0 dev weft1 onlink proto static metric {m4}"),
            format!("ip -6 route replace fd77:21:0:3::/64 via fe80::77:1ff:fe00:3 dev weft1 proto static metric {m6}"),
            format!("ip route replace 10.21.3.0/24 via 10.21.3.0 dev weft1 onlink proto 77 metric {m4} mtu 1000"),
            format!("ip route replace 10.21.3.0/24 via 10.21.3.0 dev weft1 onlink proto 77 metric {m4} src 192.0.2.1"),
            format!("ip -6 route replace fd77:21:0:3::/64 via fe80::77:1ff:fe00:3 dev weft1 proto 77 metric {m6} mtu 1300"),
            format!("ip route replace 10.21.3.0/24 dev weft1 proto 77 metric {m4}"),
            format!("ip -6 route replace fd77:21:0:3::/64 dev weft1 proto 77 metric {m6}"),
            format!("ip route replace blackhole 10.21.3.0/24 proto 77 metric {m4}"),
            format!("ip -6 route del fd77:21:0:3::/64 metric {m6}; ip -6 route add blackhole fd77:21:0:3::/64 proto 77 metric {m6}"),
            format!("ip route replace 10.21.3.0/24 proto 77 metric {m4} nexthop via 10.21.3.0 dev weft1 onlink nexthop via 10.21.4.0 dev weft1 onlink"),
            format!("ip -6 route append fd77:21:0:3::/64 via fd77:21:0:4:: dev weft1 onlink proto 77 metric {m6}"),
            "ip route add 10.21.99.0/24 via 10.21.99.0 dev weft1 onlink proto 77 metric 4".to_owned(),
            "ip -6 route add fd77:21:0:99::/64 via fd77:21:0:99:: dev weft1 onlink proto 77 metric 4".to_owned(),
            "ip route add blackhole 10.21.99.0/24 proto 77 metric 4".to_owned(),
            "ip -6 route add blackhole fd77:21:0:99::/64 proto 77 metric 4".to_owned(),
            "ip route add 10.21.99.0/24 dev weft1 proto 77 metric 4".to_owned(),
            // Direct routes.
            format!("ip route del 10.22.3.0/24 metric {direct}"),
            format!("ip route replace 10.22.3.0/24 via 192.0.2.4 dev eth0 proto 77 metric {direct}"),
            format!("ip route replace 10.22.3.0/24 via 192.0.2.3 dev eth0 onlink proto 77 metric {direct}"),
            // Unreachable ones.
            format!("ip route del unreachable 10.21.1.0/24 metric {own4}"),
            format!("ip -6 route del unreachable fd77:21:0:1::/64 metric {own6}"),
            format!("ip route replace 10.21.1.0/24 via 10.21.3.0 dev weft1 onlink proto 77 metric {own4}"),
            format!("ip route replace blackhole 10.21.1.0/24 proto 77 metric {own4}"),
            format!("ip -6 route del unreachable fd77:21:0:1::/64 metric {own6}; ip -6 route add fd77:21:0:1::/64 via fd77:21:0:3:: dev weft1 onlink proto 77 metric {own6}"),
            format!("ip -6 route del unreachable fd77:21:0:1::/64 metric {own6}; ip -6 route add blackhole fd77:21:0:1::/64 proto 77 metric {own6}"),
            // Settings.
            "sysctl -qw net.ipv4.ip_forward=0".to_owned(),
            "sysctl -qw net.ipv6.conf.all.forwarding=0".to_owned(),
            "sysctl -qw net.ipv6.conf.weft1.disable_ipv6=1".to_owned(),
        ];
        let mut wrong = Vec::new();
        for case in cases {
            for line in case.split(';') {
                run(line.trim());
            }
            let steps = plan_now(&mut kernel, &host).steps;
            if steps.is_empty() {
                wrong.push(format!("{case}: not seen"));
                continue;
            }
            let outcome = kernel.apply(&steps);
            // What goes with something else is seen only once that is done.
            let mut rest = plan_now(&mut kernel, &host);
            if rest != Plan::default() {
                let again = kernel.apply(&rest.steps);
                rest = plan_now(&mut kernel, &host);
                println!("{case}: a second pass was needed, {again:?}");
            }
            if outcome != Outcome::default() || rest != Plan::default() {
                wrong.push(format!("{case}: {outcome:?}, left: {rest:?}"));
                run("ip link del weft1");
                settle(&mut kernel, &host);
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn what_others_have_is_left_alone() {
    with_underlay(|| {
        for line in [
            // As flannel has it, and a network of another's.
            "ip link add flannel.1 type vxlan id 9 local 192.0.2.1 dstport 8472 nolearning dev eth0",
            "ip link set flannel.1 up",
            "ip addr add 10.99.1.0/32 dev flannel.1",
            "ip link add br0 type bridge",
            "ip link set br0 up",
            "bridge fdb add 02:99:00:00:00:01 dev flannel.1 dst 192.0.2.98 self permanent",
            "ip neigh add 10.99.2.0 lladdr 02:99:00:00:00:01 dev flannel.1 nud permanent",
            "ip route add 10.99.2.0/24 via 10.99.2.0 dev flannel.1 onlink",
            "ip route add default via 192.0.2.254",
            "ip route add 203.0.113.0/24 nexthop via 192.0.2.2 nexthop via 192.0.2.3",
            "ip -6 route add blackhole 2001:db8:66::/64",
            "ip route add 10.21.3.0/24 via 192.0.2.3 table 77 proto 77",
        ] {
            run(line);
        }
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..6);
        let seen = look(&mut kernel, &host);
        assert_eq!(seen.links.len(), 1);
        assert!(seen.routes.is_empty(), "{:?}", seen.routes);
        assert!(seen.fdb.is_empty() && seen.neighbours.is_empty() && seen.addresses.is_empty());
        let before = run("ip -d link show flannel.1");
        settle(&mut kernel, &host);
        assert_eq!(kernel.devices().len(), 1);

        // Somebody's route where ours should be is neither ours nor overwritten.
        let step = plan(&host, &Observed::default()).steps.into_iter();
        let routes: Vec<_> = step
            .filter_map(|step| match step {
                Step::SetRoute(route) => Some(route),
                _ => None,
            })
            .collect();
        let theirs = routes
            .iter()
            .find(|route| route.subnet.to_string() == "10.21.3.0/24");
        let metric = theirs.unwrap().metric();
        run(&format!(
            "ip route replace 10.21.3.0/24 via 192.0.2.3 dev eth0 proto static metric {metric}"
        ));
        let seen = look(&mut kernel, &host);
        let us = Us::among(MAC, &seen.links);
        let theirs = seen
            .routes
            .iter()
            .find(|route| route.metric == metric)
            .unwrap();
        assert!(!ours(Object::Route(theirs), &us));
        assert!(matches!(theirs.hop, Hop::Gateway { onlink: false, .. }));
        let plan = plan_now(&mut kernel, &host);
        assert_eq!(plan.steps, []);
        assert_eq!(plan.blocked, [*theirs]);
        assert_eq!(before, run("ip -d link show flannel.1"));
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

#[test]
fn ten_thousand_peers_are_seen() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..10_002);
        settle(&mut kernel, &host);
        let seen = look(&mut kernel, &host);
        assert_eq!(seen.fdb.len(), 10_000);
        let permanent = seen.neighbours.iter().filter(|seen| seen.permanent);
        assert_eq!(permanent.count(), 20_000);
        let routes = seen.routes.iter().filter(|seen| seen.protocol == PROTOCOL);
        assert_eq!(routes.count(), 20_002);
    });
}

/// Prints how long it takes. Run it alone, in release.
#[test]
#[ignore = "measures"]
fn how_long_ten_thousand_peers_take() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let mut network = network(1, Family::V4, "vxlan");
        network.pool6 = None;
        let host = host(&[network], 2..10_002);
        for _ in 0..5 {
            let (entries, devices): (Vec<Step>, Vec<Step>) = plan_now(&mut kernel, &host)
                .steps
                .into_iter()
                .partition(|step| ["fdb", "neighbour", "route"].contains(&step.kind()));
            assert_eq!(kernel.apply(&devices), Outcome::default());
            let start = Instant::now();
            let outcome = kernel.apply(&entries);
            let applied = start.elapsed();
            assert_eq!(outcome, Outcome::default());
            let start = Instant::now();
            let seen = look(&mut kernel, &host);
            let looked = start.elapsed();
            let start = Instant::now();
            let left = plan(&host, &seen);
            let planned = start.elapsed();
            assert_eq!(left, Plan::default());
            println!(
                "{} steps applied in {applied:?}, looked in {looked:?}, planned in {planned:?}",
                entries.len()
            );
            run("ip link del weft1");
        }
        let mut lines = String::new();
        let mut fdb = String::new();
        let steps = plan_now(&mut kernel, &host).steps;
        for step in &steps {
            let line = step.to_string();
            match step.kind() {
                "fdb" => fdb += &(line.replace("bridge ", "") + " self permanent\n"),
                "neighbour" | "route" => lines += &(line.replace("ip ", "") + "\n"),
                _ => {
                    assert_eq!(kernel.apply(std::slice::from_ref(step)), Outcome::default());
                }
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let (fdb_file, file) = (directory.path().join("fdb"), directory.path().join("ip"));
        std::fs::write(&fdb_file, fdb).unwrap();
        std::fs::write(&file, lines).unwrap();
        let start = Instant::now();
        run(&format!("bridge -batch {}", fdb_file.display()));
        run(&format!("ip -batch {}", file.display()));
        println!("the same by bridge and ip -batch in {:?}", start.elapsed());
        assert_eq!(plan_now(&mut kernel, &host), Plan::default());
    });
}
