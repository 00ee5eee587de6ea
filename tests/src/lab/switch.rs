//! What joins the machines of a lab: a bridge for each link, in a namespace of their
//! own, with a port for each machine. Where there are several links this namespace is
//! the router between them.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::{Namespace, Plan, UPLINK};

/// Rules that drop between pairs of ports, all, or what is large, or one packet of six, and between pairs of addresses where
/// packets are routed and come by no port any more.
const CUTS: &str = "
table bridge lab {
  set cuts { type ifname . ifname; }
  set holes { type ifname . ifname; }
  set lossy { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @cuts drop
    iifname . oifname @holes meta length > 1400 drop
    iifname . oifname @lossy numgen random mod 6 0 drop
  }
}
table inet lab {
  set cuts4 { type ipv4_addr . ipv4_addr; }
  set cuts6 { type ipv6_addr . ipv6_addr; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cuts4 drop
    ip6 saddr . ip6 daddr @cuts6 drop
  }
}
";
const HEAL: &str = "
flush set bridge lab cuts
flush set bridge lab holes
flush set bridge lab lossy
flush set inet lab cuts4
flush set inet lab cuts6
";
/// What a slow link holds back before it drops.
const PATIENCE: &str = "100ms";

pub struct Switch {
    namespace: Namespace,
    plan: Plan,
}

impl Switch {
    pub(super) fn new(namespace: Namespace, plan: Plan) -> Result<Self> {
        for link in plan.links() {
            // Without a querier nothing is to be learned of who listens to what.
            namespace.ip(&[format!("link add br{link} type bridge mcast_snooping 0")])?;
            // A router asks for its neighbours by an address that is usable at once.
            let duplicates = format!("net/ipv6/conf/br{link}/accept_dad");
            namespace.sysctl(&duplicates, "0")?;
            namespace.ip(&[format!("link set br{link} up")])?;
            let Some(router) = plan.router(link) else {
                continue;
            };
            let (v4, v6) = (plan.v4(router), plan.v6(router));
            namespace.ip(&[
                format!("addr add {v4}/{} dev br{link}", plan.prefix4()),
                format!("addr add {v6}/{} dev br{link} nodad", plan.prefix6()),
            ])?;
            namespace.sysctl("net/ipv4/ip_forward", "1")?;
            namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        namespace.nft(CUTS)?;
        Ok(Self { namespace, plan })
    }

    /// Gives each its uplink: up, with the addresses of its number, usable at once.
    pub(super) fn attach(&self, machines: &[(u32, Namespace)]) -> Result<()> {
        let ports = machines.iter().flat_map(|(number, namespace)| {
            let (port, pid, link) = (port(*number), namespace.pid(), self.plan.link(*number));
            // A port takes whatever MTU a machine is given later.
            [
                format!(
                    "link add {port} mtu 9000 type veth peer name {UPLINK} mtu 1500 netns {pid}"
                ),
                format!("link set {port} addrgenmode none master br{link} up"),
            ]
        });
        self.namespace.ip(&ports.collect::<Vec<String>>())?;
        for (number, namespace) in machines {
            let duplicates = format!("net/ipv6/conf/{UPLINK}/accept_dad");
            namespace.sysctl(&duplicates, "0")?;
            namespace.ip(&self.on_the_machine(*number))?;
        }
        Ok(())
    }

    /// Its uplink goes, whoever still holds the other end.
    pub(super) fn forget(&self, number: u32) -> Result<()> {
        let port = port(number);
        self.namespace.ip(&[format!("link del {port}")])
    }

    /// The cable of this machine is pulled: it has no carrier, and keeps its addresses.
    pub fn unplug(&self, number: u32) -> Result<()> {
        let port = port(number);
        self.namespace.ip(&[format!("link set {port} down")])
    }

    pub fn plug(&self, number: u32) -> Result<()> {
        let port = port(number);
        self.namespace.ip(&[format!("link set {port} up")])
    }

    /// Neither hears of the other; both have their link and everybody else.
    pub fn cut(&self, one: u32, other: u32) -> Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Nothing of the one arrives at the other.
    pub fn cut_one_way(&self, from: u32, to: u32) -> Result<()> {
        self.change_cuts("add", from, to)
    }

    /// Undoes the cut between these two, and no other.
    pub fn mend(&self, one: u32, other: u32) -> Result<()> {
        self.mend_one_way(one, other)?;
        self.mend_one_way(other, one)
    }

    pub fn mend_one_way(&self, from: u32, to: u32) -> Result<()> {
        self.change_cuts("delete", from, to)
    }

    /// Large packets of the one do not arrive at the other, which has the same link.
    pub fn hole(&self, from: u32, to: u32) -> Result<()> {
        self.between_ports("holes", from, to)
    }

    /// One packet of six between these two, which have the same link, is lost.
    pub fn lossy(&self, one: u32, other: u32) -> Result<()> {
        self.between_ports("lossy", one, other)?;
        self.between_ports("lossy", other, one)
    }

    /// Undoes every cut, hole and loss.
    pub fn heal(&self) -> Result<()> {
        self.namespace.nft(HEAL)
    }

    /// No more than this arrives at a machine, or leaves it: "10mbit" a second.
    pub(super) fn slow(&self, number: u32, machine: &Namespace, rate: &str) -> Result<()> {
        let port = port(number);
        for (place, device) in [(&self.namespace, port.as_str()), (machine, UPLINK)] {
            let set = ["tc", "qdisc", "replace", "dev", device, "root", "tbf"];
            let limit = ["rate", rate, "burst", "32kb", "latency", PATIENCE];
            place.done(&[&set[..], &limit].concat())?;
        }
        Ok(())
    }

    /// As it was.
    pub(super) fn fast(&self, number: u32, machine: &Namespace) -> Result<()> {
        let port = port(number);
        for (place, device) in [(&self.namespace, port.as_str()), (machine, UPLINK)] {
            // One that is not slow has nothing to be deleted.
            place.run(&["tc", "qdisc", "del", "dev", device, "root"])?;
        }
        Ok(())
    }

    fn between_ports(&self, set: &str, from: u32, to: u32) -> Result<()> {
        ensure!(
            self.plan.link(from) == self.plan.link(to),
            "{from} and {to} are not on one link"
        );
        let (from, to) = (port(from), port(to));
        let element = format!("add element bridge lab {set} {{ {from} . {to} }}");
        self.namespace.nft(&element)
    }

    fn change_cuts(&self, verb: &str, from: u32, to: u32) -> Result<()> {
        if self.plan.link(from) == self.plan.link(to) {
            let (from, to) = (port(from), port(to));
            let cut = format!("{verb} element bridge lab cuts {{ {from} . {to} }}");
            return self.namespace.nft(&cut);
        }
        let plan = self.plan;
        let (from4, to4, from6, to6) = (plan.v4(from), plan.v4(to), plan.v6(from), plan.v6(to));
        self.namespace.nft(&format!(
            "{verb} element inet lab cuts4 {{ {from4} . {to4} }}
             {verb} element inet lab cuts6 {{ {from6} . {to6} }}"
        ))
    }

    fn on_the_machine(&self, number: u32) -> Vec<String> {
        let plan = self.plan;
        let (v4, v6) = (plan.v4(number), plan.v6(number));
        let mut lines = vec![
            format!("link set {UPLINK} up"),
            format!("addr add {v4}/{} dev {UPLINK}", plan.prefix4()),
            format!("addr add {v6}/{} dev {UPLINK} nodad", plan.prefix6()),
        ];
        if let Some(router) = plan.router(plan.link(number)) {
            let by: [IpAddr; 2] = [plan.v4(router).into(), plan.v6(router).into()];
            lines.extend(by.map(|by| format!("route add default via {by} dev {UPLINK}")));
        }
        lines
    }
}

/// Of the machine with this number.
fn port(number: u32) -> String {
    format!("p{number}")
}
