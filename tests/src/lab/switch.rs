//! What joins the machines of a lab: a bridge in a namespace of its own, with a port
//! for each.

use anyhow::Result;

use super::{Namespace, Plan, UPLINK};

/// Rules that drop between pairs of ports.
const CUTS: &str = "
table bridge lab {
  set cuts { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname . oifname @cuts drop
  }
}
";

pub struct Switch {
    namespace: Namespace,
    plan: Plan,
}

impl Switch {
    pub(super) fn new(namespace: Namespace, plan: Plan) -> Result<Self> {
        // Without a querier nothing is to be learned of who listens to what.
        namespace.ip(&[
            "link add br0 type bridge mcast_snooping 0",
            "link set br0 addrgenmode none up",
        ])?;
        namespace.nft(CUTS)?;
        Ok(Self { namespace, plan })
    }

    /// Gives each its uplink: up, with the addresses of its number, usable at once.
    pub(super) fn attach(&self, machines: &[(u32, Namespace)]) -> Result<()> {
        let ports = machines.iter().flat_map(|(number, namespace)| {
            let (port, pid) = (port(*number), namespace.pid());
            // A port takes whatever MTU a machine is given later.
            [
                format!(
                    "link add {port} mtu 9000 type veth peer name {UPLINK} mtu 1500 netns {pid}"
                ),
                format!("link set {port} addrgenmode none master br0 up"),
            ]
        });
        self.namespace.ip(&ports.collect::<Vec<String>>())?;
        for (number, namespace) in machines {
            let duplicates = format!("net/ipv6/conf/{UPLINK}/accept_dad");
            namespace.sysctl(&duplicates, "0")?;
            let (v4, v6) = (self.plan.v4(*number), self.plan.v6(*number));
            let (prefix4, prefix6) = (self.plan.prefix4(), self.plan.prefix6());
            namespace.ip(&[
                format!("link set {UPLINK} up"),
                format!("addr add {v4}/{prefix4} dev {UPLINK}"),
                format!("addr add {v6}/{prefix6} dev {UPLINK} nodad"),
            ])?;
        }
        Ok(())
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
        let (from, to) = (port(from), port(to));
        let cut = format!("add element bridge lab cuts {{ {from} . {to} }}");
        self.namespace.nft(&cut)
    }

    /// Undoes every cut.
    pub fn heal(&self) -> Result<()> {
        self.namespace.nft("flush set bridge lab cuts")
    }
}

/// Of the machine with this number.
fn port(number: u32) -> String {
    format!("p{number}")
}
