//! How things stand, for operators, controllers and systemd.

use std::{collections::BTreeMap, fmt, time::Duration};

use overlay::{
    datapath::{device, member::Member, step::Step},
    feed::Peer,
    name::{NetworkName, NodeName},
    probe::table::Summary,
};
use proto::v1;

use super::{Reconciler, is_known, tell_if_new};
use crate::endpoints::{Grounds, ground::Ground};

/// Peers that are named to the controller, with what is wrong with them.
const NAMED: usize = 10;

/// Ready means: every network's peers are programmed, and the feed is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// None: ready.
    pub why_not: Option<String>,
    /// What an operator should know all the same.
    pub remark: Option<String>,
    pub peers: usize,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.why_not.is_none()
    }

    pub fn reason(&self) -> Option<&String> {
        self.why_not.as_ref().or(self.remark.as_ref())
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.why_not, &self.remark) {
            (Some(reason), _) => write!(f, "not ready: {reason}"),
            (None, Some(remark)) => write!(f, "ready, {} peers; {remark}", self.peers),
            (None, None) => write!(f, "ready, {} peers", self.peers),
        }
    }
}

impl Reconciler {
    pub(super) fn readiness(&self) -> Readiness {
        let members = self.host.joined().filter_map(|(_, member)| member);
        let peers = members.map(count).sum();
        Readiness {
            why_not: self.why_not_ready(),
            remark: self.remark(),
            peers,
        }
    }

    /// Something that this network cannot do without is refused.
    pub(super) fn is_failing(&self, member: &Member) -> bool {
        self.trouble.failing().any(|failing| match &failing.step {
            Step::Create(device) => device.vni == member.vni(),
            Step::Firewall(_) => true,
            step => step.network() == Some(member.vni()) && !step.removes(),
        })
    }

    fn why_not_ready(&self) -> Option<String> {
        if let Some(reason) = self.trouble.look() {
            return Some(format!("the kernel cannot be read: {reason}"));
        }
        for name in self.wanted.keys() {
            if let Some(reason) = self.refused.get(name) {
                return Some(format!("network {name}: {reason}"));
            }
            let Some(member) = self.host.member(name) else {
                return Some(format!("network {name}: no controller has told of it yet"));
            };
            if let Some(reason) = self.no_uplink.get(name) {
                return Some(format!("network {name}: {reason}"));
            }
            if member.wanted().is_none() {
                return Some(format!(
                    "network {name}: {}",
                    member.problem().unwrap_or_default()
                ));
            }
            if let Some(rival) = self.host.rival(name) {
                let vni = member.vni();
                return Some(format!(
                    "network {name}: VNI {vni} is network {rival}'s on this host"
                ));
            }
            if !is_known(member) {
                return Some(format!("network {name}: its peers are not known yet"));
            }
        }
        if let Some(failing) = self.trouble.first() {
            let more = self.trouble.failing().count() - 1;
            let more = if more > 0 {
                format!(" (and {more} more)")
            } else {
                String::new()
            };
            return Some(format!("{}: {}{more}", failing.step, failing.reason));
        }
        if self.owed || self.held.revisions != self.applied {
            return Some("the kernel is being programmed".into());
        }
        if !self.wrote && !self.wanted.is_empty() {
            return Some("the last good state is on its way to the disk".into());
        }
        if let Err(why) = &self.session {
            return Some(format!(
                "no session with a controller ({why}); the last known state is in the kernel"
            ));
        }
        let mut joined = self.host.joined();
        let doubted = joined.find_map(|(name, member)| {
            let complete = member.is_none_or(|member| member.known().is_complete());
            (!complete).then_some(name)
        });
        doubted.map(|name| {
            format!("network {name}: no controller has confirmed the last known state yet")
        })
    }

    fn remark(&self) -> Option<String> {
        let of_member = |(name, member): (&NetworkName, Option<&Member>)| {
            let member = member?;
            let held = member.held().peers().len();
            if held > 0 {
                return Some(format!(
                    "network {name}: {held} peers are gone at once and kept for a while"
                ));
            }
            let lost = self.no_uplink.get(name).cloned();
            let problem = lost.or_else(|| member.problem())?;
            Some(format!("network {name}: {problem}"))
        };
        let remarks = self.host.joined().filter_map(of_member);
        let blocked = self.trouble.in_the_way().first().map(|route| {
            format!(
                "a route of protocol {} is where ours to {} should be",
                route.protocol, route.subnet
            )
        });
        remarks.chain(blocked).chain(self.not_kept.clone()).next()
    }

    /// Tells the controller, systemd and the log what has become of it all.
    pub(super) fn tell(&mut self) {
        let readiness = self.readiness();
        let report = self.report_of(&readiness);
        tell_if_new(&self.listeners.report, report);
        tell_if_new(&self.listeners.grounds, self.grounds());
        self.notify.status(&readiness.to_string());
        let lag = self.behind.map(|since| since.elapsed());
        let failing = self.trouble.failing().count();
        self.metrics
            .sample(&self.host, readiness.is_ready(), failing, lag);
    }

    /// The networks, as those who attach containers need them.
    fn grounds(&self) -> Grounds {
        let ground = |name: &NetworkName| {
            let member = self.host.member(name)?;
            let wanted = member.wanted()?;
            if self.host.rival(name).is_some() {
                return None;
            }
            let network = member.network();
            let devices = self.devices_of(member);
            Some(Ground {
                vni: network.vni,
                port: network.port,
                subnets: wanted.own,
                pools: network.pools().collect(),
                mtu: wanted.device.mtu,
                masquerade: network.masquerade,
                up: !devices.is_empty() && !self.owed && !self.is_failing(member),
                devices,
            })
        };
        let wanted = self.wanted.keys();
        wanted.map(|name| (name.clone(), ground(name))).collect()
    }

    /// Where packets of a network arrive: peers on the same link may send them as they are.
    fn devices_of(&self, member: &Member) -> BTreeMap<u32, String> {
        let all = self.kernel.devices().iter();
        let mut own = all.filter(|(_, vni)| **vni == member.vni());
        let Some((index, vni)) = own.next() else {
            return BTreeMap::new();
        };
        let direct = member
            .uplink()
            .filter(|_| !member.reach().direct.is_empty());
        let direct = direct.map(|uplink| (uplink.index, uplink.name.clone()));
        let mut devices: BTreeMap<u32, String> = direct.into_iter().collect();
        devices.insert(*index, device::name(*vni));
        devices
    }

    fn report_of(&self, readiness: &Readiness) -> v1::Report {
        let summaries = self.listeners.probed.borrow();
        let networks = self.host.joined().filter_map(|(name, member)| {
            let member = member?;
            let failing = self.failing_of(member);
            Some(v1::NetworkReport {
                network: name.to_string(),
                applied_revision: self.applied.get(name).copied().unwrap_or(0),
                mtu: member.wanted().map_or(0, |wanted| wanted.device.mtu),
                peers: count(member) as u64,
                troubled: failing
                    .into_iter()
                    .take(NAMED)
                    .map(|(node, reason)| v1::PeerTrouble {
                        node: node.to_string(),
                        reason,
                    })
                    .collect(),
                probes: summaries.get(name).map(probes_of),
            })
        });
        let networks = networks.collect();
        let failing = self.trouble.failing();
        let failing_since = failing.map(|failing| failing.since.0).min();
        let retry = failing_since.map(|_| self.trouble.pause());
        let in_ms = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        v1::Report {
            networks,
            ready: readiness.is_ready(),
            reason: readiness.reason().cloned().unwrap_or_default(),
            repaired: self.repaired,
            failing_since_ms: failing_since.unwrap_or(0),
            retry_ms: retry.map_or(0, in_ms),
        }
    }

    /// The peers of a network with an entry that fails, and why.
    fn failing_of(&self, member: &Member) -> Vec<(NodeName, String)> {
        let Some(peers) = member.known().peers() else {
            return Vec::new();
        };
        if self.trouble.failing().next().is_none() {
            return Vec::new();
        }
        let failing =
            |(node, peer): (&NodeName, &Peer)| Some((node.clone(), self.failure_of(member, peer)?));
        peers.iter().filter_map(failing).collect()
    }

    pub(super) fn failure_of(&self, member: &Member, peer: &Peer) -> Option<String> {
        let serves = |step: &Step| step.serves(member.vni(), peer);
        let failing = self
            .trouble
            .failing()
            .find(|failing| serves(&failing.step))?;
        Some(format!("{}: {}", failing.step, failing.reason))
    }
}

fn probes_of(summary: &Summary) -> v1::Probes {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let worst = summary.worst.iter().map(|row| v1::ProbedPeer {
        node: row.node.to_string(),
        family: row.family.to_string(),
        verdict: row.shown.verdict.as_str().into(),
        loss_permille: (row.shown.loss * 1000.0).round() as u32,
        rtt_us: row.shown.middle_us.unwrap_or(0),
    });
    v1::Probes {
        probed: number(summary.probed),
        troubled: number(summary.troubled),
        worst: worst.collect(),
    }
}

fn count(member: &Member) -> usize {
    let known = member.known().peers();
    known.map_or(0, |peers| peers.len() + member.held().peers().len())
}
