use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{
    datapath::{
        entry,
        firewall::Firewall,
        observed::Observed,
        plan::plan,
        step::{Doomed, Route, Step, Target},
    },
    network::Vni,
    record::Mac,
    subnet::Family,
};

use crate::kernel::{
    Kernel, Outcome,
    netlink::Socket,
    tests::{
        namespace::{json, run, with_underlay},
        world::{host, network, settle, uplink},
    },
};

fn vni(vni: u32) -> Vni {
    vni.try_into().unwrap()
}

fn reasons(outcome: &Outcome) -> Vec<(String, &str)> {
    let failures = outcome.failures.iter();
    failures
        .map(|failure| (failure.step.to_string(), failure.reason.as_str()))
        .collect()
}

#[test]
fn what_fails_is_told_and_the_rest_is_done() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..2000);
        let mut steps = plan(&host, &Observed::default()).steps;
        let direct = |subnet: &str, gateway: &str| {
            Step::SetRoute(Route {
                subnet: subnet.parse().unwrap(),
                target: Target::Direct {
                    gateway: gateway.parse().unwrap(),
                    device: host.members().next().unwrap().uplink().unwrap().index,
                },
            })
        };
        // In the middle of the batches, and at the very end of the last.
        let far = direct("10.200.1.0/24", "203.0.113.1");
        let middle = steps.len() - 3000;
        steps.insert(middle, far.clone());
        steps.insert(0, Step::Admit("192.0.2.7".parse().unwrap()));
        let last = direct("fd99:1::/64", "2001:db8:99::1");
        steps.push(last.clone());
        let outcome = kernel.apply(&steps);
        assert!(!outcome.uncertain);
        assert_eq!(
            reasons(&outcome),
            [
                (
                    "nft add element inet weft peers 192.0.2.7".to_owned(),
                    "cannot change the peers of the table inet weft: the kernel refuses \
                     elements: No such file or directory (os error 2)"
                ),
                (far.to_string(), "Nexthop has invalid gateway"),
                (last.to_string(), "No route to host (os error 113)"),
            ]
        );
        settle(&mut kernel, &host);
    });
}

#[test]
fn a_vni_that_somebody_else_has_costs_only_its_own_network() {
    with_underlay(|| {
        run("ip link add other0 type vxlan id 1 local 192.0.2.1 dstport 4789 dev eth0");
        run("ip link add weft2 type veth peer name far2");
        let mut kernel = Kernel::open().unwrap();
        let networks = [
            network(1, Family::V4, "vxlan"),
            network(2, Family::V4, "vxlan"),
            network(3, Family::V4, "vxlan"),
        ];
        let host = host(&networks, 2..5);
        let steps = plan(&host, &Observed::default()).steps;
        let outcome = kernel.apply(&steps);
        let reasons = reasons(&outcome);
        let first: Vec<&str> = reasons.iter().map(|(_, reason)| *reason).take(6).collect();
        let (not1, not2) = (
            "the device weft1 is not there",
            "the device weft2 is not there",
        );
        assert_eq!(
            first,
            [
                "A VXLAN device with the specified VNI already exists",
                not1,
                not1,
                not1,
                "there is another device of the name weft2",
                not2,
            ]
        );
        let rest = &reasons[6..];
        // Its settings are none either.
        let of_setting = "cannot write /proc/sys/net/ipv6/conf/weft1/disable_ipv6: No such file";
        assert!(
            rest.iter()
                .all(|(_, reason)| [not1, not2].contains(reason) || reason.starts_with(of_setting)),
            "{rest:?}"
        );
        assert_eq!(json("ip -j route show proto 77 dev weft3").len(), 3);
        assert_eq!(kernel.devices().values().collect::<Vec<_>>(), [&vni(3)]);
        // The one of other's is as it was.
        assert_eq!(
            json("ip -j -d link show other0")[0]["linkinfo"]["info_data"]["learning"],
            true
        );
    });
}

#[test]
fn what_is_so_already_is_no_failure() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..5);
        settle(&mut kernel, &host);
        let vni = vni(1);
        let mac = Mac([2, 9, 9, 9, 9, 9]);
        let steps: Vec<Step> = plan(&host, &Observed::default())
            .steps
            .into_iter()
            .filter(|step| !matches!(step, Step::Create(_)))
            .collect();
        assert_eq!(kernel.apply(&steps), Outcome::default());
        let doomed = |subnet: &str, unreachable| {
            Step::DropRoute(Doomed {
                subnet: subnet.parse().unwrap(),
                metric: 4,
                protocol: entry::PROTOCOL,
                unreachable,
            })
        };
        let addresses: [IpAddr; 2] = ["10.250.0.1".parse().unwrap(), "fd99::1".parse().unwrap()];
        let mut gone = vec![
            Step::DropFdb { vni, mac },
            doomed("10.250.0.0/24", false),
            doomed("10.250.0.0/24", true),
            doomed("fd99::/64", false),
            doomed("fd99::/64", true),
            Step::Delete {
                index: 12345,
                name: "weft9".into(),
            },
        ];
        for address in addresses {
            gone.push(Step::DropAddress { vni, address });
            gone.push(Step::DropNeighbour { vni, address });
        }
        // A network whose device went has nothing left.
        let vni = self::vni(77);
        gone.push(Step::DropFdb { vni, mac });
        assert_eq!(kernel.apply(&gone), Outcome::default());
        run("sysctl -qw net.ipv6.conf.weft1.disable_ipv6=1");
        assert_eq!(kernel.apply(&gone), Outcome::default());
        // One that went while nobody looked.
        run("ip link del weft1");
        assert_eq!(kernel.apply(&gone), Outcome::default());
        let set = Step::SetFdb {
            vni: self::vni(1),
            mac,
            to: "192.0.2.7".parse().unwrap(),
        };
        let outcome = kernel.apply(std::slice::from_ref(&set));
        assert_eq!(reasons(&outcome)[0].1, "unknown ifindex");
    });
}

#[test]
fn only_the_route_that_is_meant_goes() {
    with_underlay(|| {
        for line in [
            "ip route add 10.21.3.0/24 dev eth0 metric 4",
            "ip route add 10.21.3.0/24 dev eth0 proto 77 metric 5",
            "ip route add unreachable 10.21.3.0/24 proto 77 metric 6",
            "ip -6 route add fd77::/64 dev eth0 metric 4",
            "ip -6 route add fd77::/64 dev eth0 proto 77 metric 5",
            "ip -6 route add unreachable fd77::/64 proto 77 metric 6",
        ] {
            run(line);
        }
        let mut kernel = Kernel::open().unwrap();
        let left = || {
            let mut left = Vec::new();
            for family in ["-4", "-6"] {
                let routes = json(&format!("ip -j {family} route show table main"));
                let routes = routes.iter().filter(|route| {
                    ["10.21.3.0/24", "fd77::/64"].contains(&route["dst"].as_str().unwrap())
                });
                left.extend(routes.map(|route| route["metric"].as_u64().unwrap()));
            }
            left
        };
        let mut drop = |metric, protocol, unreachable| {
            let doomed = |subnet: &str| {
                Step::DropRoute(Doomed {
                    subnet: subnet.parse().unwrap(),
                    metric,
                    protocol,
                    unreachable,
                })
            };
            kernel.apply(&[doomed("10.21.3.0/24"), doomed("fd77::/64")])
        };
        // Of another protocol: it is not there.
        assert_eq!(drop(4, 77, false), Outcome::default());
        assert_eq!(left(), [4, 5, 6, 4, 5, 6]);
        assert_eq!(drop(5, 77, false), Outcome::default());
        assert_eq!(left(), [4, 6, 4, 6]);
        assert_eq!(drop(6, 77, true), Outcome::default());
        assert_eq!(left(), [4, 4]);
    });
}

#[test]
fn sources_are_changed_together() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..5);
        settle(&mut kernel, &host);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let steps = [
            Step::Admit(address(100)),
            Step::Admit(address(101)),
            Step::Bar(address(2)),
        ];
        assert_eq!(kernel.apply(&steps), Outcome::default());
        let seen = kernel.firewall.look().unwrap().unwrap();
        let sources: Vec<IpAddr> = seen.sources.into_iter().collect();
        assert_eq!(sources, [3, 4, 100, 101].map(address));
        assert_eq!(kernel.apply(&[Step::NoFirewall]), Outcome::default());
        assert_eq!(kernel.firewall.look().unwrap(), None);
        let outcome = kernel.apply(&steps);
        assert_eq!(outcome.failures.len(), 3);
        let table = Step::Firewall(Box::<Firewall>::default());
        assert_eq!(kernel.apply(&[table]), Outcome::default());
    });
}

#[test]
fn lost_answers_leave_an_outcome_uncertain() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        kernel.socket = Socket::with_buffer(NETLINK_ROUTE, 16 * 1024).unwrap();
        let lower = uplink(2, Family::V4).index;
        let route = |number: u8| {
            Step::SetRoute(Route {
                subnet: format!("10.200.{number}.0/24").parse().unwrap(),
                target: Target::Direct {
                    gateway: "203.0.113.1".parse().unwrap(),
                    device: lower,
                },
            })
        };
        let steps: Vec<Step> = (0..=255).map(route).collect();
        let outcome = kernel.apply(&steps);
        assert!(outcome.uncertain);
        let good = kernel.apply(&[]);
        assert_eq!(good, Outcome::default());
    });
}
