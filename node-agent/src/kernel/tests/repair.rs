//! Whatever somebody does to a single field is seen, and put right.

use overlay::{datapath::plan::Plan, subnet::Family};

use super::{
    namespace::{json, run, with_underlay},
    world::{host, network, plan_now, settle},
};
use crate::kernel::{Kernel, Outcome};

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
