use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::endpoint::{Key, rate::Rate};
use serde_json::Value;

use super::*;
use crate::kernel::tests::namespace::{bare, json, run};

const MTU: u32 = 1450;

fn endpoint(key: &str) -> EndpointId {
    let key: Key = key.parse().unwrap();
    EndpointId::of(&"default".parse().unwrap(), &key)
}

fn bandwidth(text: &str) -> Bandwidth {
    text.parse().unwrap()
}

/// An endpoint's device, as attaching makes it; its index.
fn device_of(id: EndpointId) -> u32 {
    let name = id.device();
    run(&format!(
        "ip link add {name} mtu {MTU} type veth peer name c{id} mtu {MTU}"
    ));
    run(&format!("ip link set {name} up"));
    run(&format!("ip link set c{id} up"));
    let link = json(&format!("ip -j link show {name}"));
    u32::try_from(link[0]["ifindex"].as_u64().unwrap()).unwrap()
}

/// One endpoint, and what asks the kernel about it.
struct Bench {
    socket: Socket,
    id: EndpointId,
    index: u32,
}

impl Bench {
    fn new() -> Self {
        let id = endpoint("a/eth0");
        Self {
            socket: Socket::open(NETLINK_ROUTE).unwrap(),
            index: device_of(id),
            id,
        }
    }

    fn set(&mut self, wanted: &Bandwidth) -> bool {
        let before = self.is_set(wanted);
        let changed = set(&mut self.socket, self.index, self.id, wanted, MTU).unwrap();
        assert_eq!(changed, !before);
        assert!(self.is_set(wanted), "{}", self.everything());
        changed
    }

    fn is_set(&mut self, wanted: &Bandwidth) -> bool {
        let look = look(&mut self.socket).unwrap();
        look.is_set(self.index, self.id, wanted, MTU)
    }

    /// Rate in bytes a second and burst in bytes of the bucket on a device, as `tc`
    /// reads it.
    fn bucket(device: &str) -> Option<(u64, u64)> {
        let qdiscs = json(&format!("tc -j qdisc show dev {device} root"));
        let bucket = qdiscs.iter().find(|qdisc| qdisc["kind"] == "tbf")?;
        let options = &bucket["options"];
        let burst = options["burst"].as_u64()?;
        // The kernel tells of a time, of which `tc` makes bytes.
        let rounded = [65_536, 1_250_000, 2_500_000]
            .into_iter()
            .find(|usual: &u64| usual.abs_diff(burst) <= 1 + usual / 1000);
        Some((options["rate"].as_u64()?, rounded.unwrap_or(burst)))
    }

    fn towards(&self) -> Option<(u64, u64)> {
        Self::bucket(&self.id.device())
    }

    /// Only where the container's packets are led there, and it is up.
    fn from(&self) -> Option<(u64, u64)> {
        let detour = format!("wb{}", self.id);
        let link = json("ip -j link");
        let link = link.iter().find(|link| link["ifname"] == detour.as_str())?;
        let up = link["flags"]
            .as_array()
            .unwrap()
            .contains(&Value::from("UP"));
        let name = self.id.device();
        let filters = json(&format!("tc -j filter show dev {name} ingress"));
        let actions = filters
            .iter()
            .filter_map(|filter| filter["options"]["actions"].as_array());
        let there = |action: &Value| {
            action["mirred_action"] == "redirect"
                && action["direction"] == "egress"
                && action["to_dev"] == detour.as_str()
        };
        let leads = actions.flatten().filter(|action| there(action)).count() == 1;
        (up && leads).then(|| Self::bucket(&detour)).flatten()
    }

    fn everything(&self) -> String {
        let name = self.id.device();
        [
            run("ip -d -o link"),
            run("tc -d qdisc"),
            run(&format!("tc -d filter show dev {name} ingress")),
        ]
        .concat()
    }
}

#[test]
fn both_ways_are_bounded_changed_and_let_go() {
    bare(|| {
        let mut bench = Bench::new();
        let before = bench.everything();
        assert!(!bench.set(&Bandwidth::default()));
        assert!(bench.set(&bandwidth("10M/20M")));
        assert_eq!(bench.towards(), Some((1_250_000, 65_536)));
        assert_eq!(bench.from(), Some((2_500_000, 65_536)));
        assert!(!bench.set(&bandwidth("10M/20M")));

        assert!(bench.set(&bandwidth("1G/20M")));
        assert_eq!(bench.towards(), Some((125_000_000, 1_250_000)));
        assert!(bench.set(&bandwidth("-/2G")));
        assert_eq!(
            (bench.towards(), bench.from()),
            (None, Some((250_000_000, 2_500_000)))
        );
        assert!(bench.set(&bandwidth("8000/-")));
        assert_eq!(
            (bench.towards(), bench.from()),
            (Some((1000, 65_536)), None)
        );
        assert!(!run("ip -o link").contains(": wb"));
        assert!(bench.set(&Bandwidth::default()));
        assert_eq!(bench.everything(), before);
    });
}

#[test]
fn from_eight_kilobits_to_a_hundred_gigabits() {
    bare(|| {
        let mut bench = Bench::new();
        for rate in [
            8_000,
            64_000,
            1_000_000,
            34_359_738_360,
            100_000_000_000_u64,
        ] {
            let both = Some(Rate { rate, burst: None });
            bench.set(&Bandwidth {
                ingress: both,
                egress: both,
            });
            for (told, _) in [bench.towards().unwrap(), bench.from().unwrap()] {
                assert_eq!(told, rate / 8);
            }
        }
    });
}

#[test]
fn bursts_that_were_asked_for() {
    bare(|| {
        let mut bench = Bench::new();
        // One byte, a megabyte, the most that a kubelet writes, the most there is.
        for (bits, bytes) in [
            (8, 1464),
            (8_000_000, 1_000_000),
            (0x7fff_ffff, 268_435_455),
            (u64::MAX, 337_500_000),
        ] {
            let rate = Rate {
                rate: 10_000_000,
                burst: Some(bits),
            };
            bench.set(&Bandwidth {
                ingress: Some(rate),
                egress: None,
            });
            let (_, told) = bench.towards().unwrap();
            assert!(told.abs_diff(bytes) <= 1 + bytes / 1000, "{bits}: {told}");
        }
    });
}

#[test]
fn whatever_somebody_does_to_it_is_put_back() {
    bare(|| {
        let mut bench = Bench::new();
        let wanted = bandwidth("10M/20M");
        let (device, detour) = (bench.id.device(), format!("wb{}", bench.id));
        bench.set(&wanted);
        for act in [
            format!("tc qdisc del dev {device} root"),
            format!("tc qdisc replace dev {device} root pfifo"),
            format!(
                "tc qdisc del dev {device} root; tc qdisc add dev {device} root handle 4d: pfifo"
            ),
            format!(
                "tc qdisc change dev {device} root handle 4d: tbf rate 11mbit burst 64k latency 1ms"
            ),
            format!("tc qdisc del dev {device} clsact"),
            format!("tc filter del dev {device} ingress"),
            format!(
                "tc filter add dev {device} ingress pref 77 protocol all u32 match u32 1 1 flowid :1"
            ),
            format!("ip link del {detour}"),
            format!("ip link set {detour} down"),
            format!("ip link set {detour} mtu 1400"),
            format!("tc qdisc del dev {detour} root"),
            format!(
                "tc qdisc change dev {detour} root handle 4d: tbf rate 20mbit burst 1m latency 25ms"
            ),
        ] {
            act.split("; ").for_each(|line| drop(run(line)));
            assert!(!bench.is_set(&wanted), "{act}: {}", bench.everything());
            assert!(bench.set(&wanted), "{act}");
            assert_eq!(bench.towards(), Some((1_250_000, 65_536)), "{act}");
            assert_eq!(bench.from(), Some((2_500_000, 65_536)), "{act}");
        }
    });
}

#[test]
fn what_is_not_ours_stays() {
    bare(|| {
        let mut bench = Bench::new();
        let device = bench.id.device();
        run(&format!(
            "tc qdisc add dev {device} root tbf rate 5mbit burst 10k latency 10ms"
        ));
        run(&format!("tc qdisc add dev {device} clsact"));
        run(&format!(
            "tc filter add dev {device} ingress pref 5 protocol ip u32 match u32 0 0 flowid :1"
        ));
        let foreign = bench.everything();
        assert!(!bench.set(&Bandwidth::default()));
        assert!(bench.set(&bandwidth("-/20M")));
        assert!(bench.set(&Bandwidth::default()));
        assert_eq!(bench.everything(), foreign);
    });
}

#[test]
fn a_detour_outlives_its_endpoint_until_it_is_removed() {
    bare(|| {
        let mut bench = Bench::new();
        let other = endpoint("b/eth0");
        let index = device_of(other);
        set(&mut bench.socket, index, other, &bandwidth("-/20M"), MTU).unwrap();
        bench.set(&bandwidth("10M/20M"));
        // Neither is one of ours.
        run("ip link add wbar type ifb");
        run("ip link add wb0000000000000 type veth peer name x");
        let left = look(&mut bench.socket).unwrap().left();
        assert_eq!(left, BTreeSet::from([bench.id, other]));

        run(&format!("ip link del {}", bench.id.device()));
        assert!(run("ip -o link").contains(&format!("wb{}", bench.id)));
        remove(&mut bench.socket, bench.id).unwrap();
        remove(&mut bench.socket, bench.id).unwrap();
        let left = look(&mut bench.socket).unwrap().left();
        assert_eq!(left, BTreeSet::from([other]));
    });
}

#[test]
fn all_are_kept_and_strays_go() {
    bare(|| {
        let mut bench = Bench::new();
        let [other, without, stray] = ["b/eth0", "c/eth0", "d/eth0"].map(endpoint);
        let index = device_of(other);
        let wanted = bandwidth("10M/20M");
        let one = |id, index, bandwidth| Bounded {
            id,
            index,
            bandwidth,
            mtu: MTU,
        };
        let all = [
            one(bench.id, Some(bench.index), wanted),
            one(other, Some(index), Bandwidth::default()),
            one(without, None, wanted),
        ];
        // Of endpoints whose devices are gone.
        for id in [without, stray] {
            run(&format!("ip link add wb{id} type ifb"));
        }
        for damage in [
            "ip link set lo up".into(),
            format!("ip link del wb{}", bench.id),
            format!(
                "tc qdisc add dev {} root handle 4d: tbf rate 1mbit burst 64k latency 25ms",
                other.device()
            ),
        ] {
            run(&damage);
            assert!(
                keep(&mut bench.socket, &all).unwrap().is_empty(),
                "{damage}"
            );
            assert!(bench.is_set(&wanted), "{damage}");
            let look = look(&mut bench.socket).unwrap();
            assert!(
                look.is_set(index, other, &Bandwidth::default(), MTU),
                "{damage}"
            );
            assert_eq!(look.left(), BTreeSet::from([bench.id, without]));
        }

        // One that fails stops none of the others.
        run(&format!("ip link del {}", bench.id.device()));
        run(&format!(
            "tc qdisc add dev {} root handle 4d: tbf rate 1mbit burst 64k latency 25ms",
            other.device()
        ));
        let failed = keep(&mut bench.socket, &all).unwrap();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].0, bench.id);
        let look = look(&mut bench.socket).unwrap();
        assert!(look.is_set(index, other, &Bandwidth::default(), MTU));
    });
}

#[test]
fn a_name_that_somebody_else_has_is_told() {
    bare(|| {
        let mut bench = Bench::new();
        run(&format!("ip link add wb{} type veth peer name x", bench.id));
        let wanted = bandwidth("-/20M");
        let error = set(&mut bench.socket, bench.index, bench.id, &wanted, MTU).unwrap_err();
        assert_eq!(error.to_string(), "cannot bound what the container sends");
        assert!(!bench.is_set(&wanted));
        assert!(remove(&mut bench.socket, bench.id).is_ok());
        assert!(run("ip -o link").contains(&format!("wb{}", bench.id)));
    });
}
