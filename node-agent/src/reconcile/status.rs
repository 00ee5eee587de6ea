//! What is asked of a running agent, answered.

use overlay::{
    datapath::{device, entry::Via, member::Member},
    feed::Peer,
    name::{NetworkName, NodeName},
    probe::table::{Course, Wish},
    subnet::Subnet,
    time::WallMs,
};
use tracing::info;

use super::{Reconciler, is_known};
use crate::{
    local::{Answer, Request},
    probe::{Courses, Wishes},
    status::{FailingStatus, NetworkState, NetworkStatus, PeerState, PeerStatus, Status},
};

impl Reconciler {
    pub(super) fn answer(&mut self, request: Request) {
        match request {
            // Whoever asked may have gone: then nobody is told.
            Request::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Request::Ready(reply) => {
                let _ = reply.send(self.readiness().why_not);
            }
            Request::Courses(wishes, reply) => {
                let _ = reply.send(self.courses(&wishes));
            }
            Request::Join(network, reply) => {
                info!(%network, "joining, as was asked on the socket");
                self.join(network);
                let _ = reply.send(Answer::Done);
            }
            Request::Publish(ports, reply) => self.publish_ports(ports, reply),
            Request::Leave(network, reply) => {
                let answer = if self.leave(&network) {
                    info!(%network, "leaving, as was asked on the socket");
                    Answer::Done
                } else {
                    Answer::NotJoined
                };
                let _ = reply.send(answer);
            }
        }
    }

    fn courses(&self, wishes: &Wishes) -> Courses {
        let course = |(network, wish): (&NetworkName, &Wish)| {
            let member = self.host.member(network)?;
            let peers = member.known().peers()?;
            let families = &member.reach().families;
            let course = Course::of(&self.settings.node, peers, families, wish);
            Some((network.clone(), course))
        };
        wishes.iter().filter_map(course).collect()
    }

    fn status(&self) -> Status {
        let readiness = self.readiness();
        let failing = self.trouble.failing().map(|failing| FailingStatus {
            step: failing.step.to_string(),
            reason: failing.reason.clone(),
            since_ms: failing.since,
            times: failing.times,
        });
        let in_the_way = self.trouble.in_the_way().iter().map(|route| {
            format!(
                "{} metric {} proto {}",
                route.subnet, route.metric, route.protocol
            )
        });
        Status {
            node: self.settings.node.clone(),
            id: self.settings.id,
            version: env!("CARGO_PKG_VERSION").into(),
            mac: self.host.mac(),
            ready: readiness.is_ready(),
            reason: readiness.reason().cloned(),
            controller: self.session.clone().ok(),
            not_kept: self.not_kept.clone(),
            repaired: self.repaired,
            networks: self
                .wanted
                .keys()
                .map(|name| self.network_status(name))
                .collect(),
            failing: failing.collect(),
            in_the_way: in_the_way.collect(),
            looked_ms_ago: u64::try_from(self.looked.at.elapsed().as_millis()).unwrap_or(u64::MAX),
            look_us: u64::try_from(self.looked.took.as_micros()).unwrap_or(u64::MAX),
        }
    }

    fn network_status(&self, name: &NetworkName) -> NetworkStatus {
        let member = self.host.member(name);
        let record = member.map(Member::network);
        let uplink = member.and_then(Member::uplink);
        let peers = member
            .map(|member| self.peer_statuses(name, member))
            .unwrap_or_default();
        let failing = peers.iter().any(|peer| peer.state == PeerState::Failing)
            || member.is_some_and(|member| self.is_failing(member));
        let problem = member.and_then(Member::problem);
        let reason = self
            .refused
            .get(name)
            .or_else(|| self.no_uplink.get(name))
            .cloned()
            .or(problem);
        NetworkStatus {
            network: name.clone(),
            state: match member {
                None => NetworkState::Waiting,
                Some(member) if member.wanted().is_none() || failing => NetworkState::Failing,
                Some(member) if !is_known(member) => NetworkState::Unsynced,
                Some(_) => NetworkState::Programmed,
            },
            reason,
            vni: record.map(|record| record.vni.into()),
            port: record.map(|record| record.port),
            device: record.map(|record| device::name(record.vni)),
            subnets: member
                .map(|member| member.own().to_vec())
                .unwrap_or_default(),
            uplink: uplink.map(|uplink| uplink.name.clone()),
            underlay: uplink.map(|uplink| uplink.address),
            mtu: member
                .and_then(Member::wanted)
                .map(|wanted| wanted.device.mtu),
            masquerade: record.map(|record| record.masquerade),
            checksum_offload: uplink.map(|uplink| uplink.offload),
            checksum_offload_reason: self.offload.get(name).cloned(),
            revision: self.held.revisions.get(name).copied().unwrap_or(0),
            applied_revision: self.applied.get(name).copied().unwrap_or(0),
            peers,
        }
    }

    fn peer_statuses(&self, network: &NetworkName, member: &Member) -> Vec<PeerStatus> {
        let Some(peers) = member.known().peers() else {
            return Vec::new();
        };
        let entries = member.entries();
        let contested = |peer: &Peer| {
            entries.fdb.is_contested(&peer.mac)
                || peer
                    .subnets()
                    .any(|subnet| entries.routes.is_contested(&subnet))
        };
        let changed = self.changed.get(network);
        let status = |node: &NodeName, peer: &Peer, state, reason| PeerStatus {
            node: node.clone(),
            state,
            reason,
            via: via(member, peer).into(),
            subnets: peer.subnets().collect(),
            underlay: peer.underlay,
            mac: peer.mac,
            changed_at_ms: changed
                .and_then(|changed| changed.get(node))
                .copied()
                .unwrap_or(WallMs(0)),
            probe: None,
        };
        let down = member.wanted().is_none() || self.host.rival(network).is_some();
        let here = peers
            .iter()
            .map(|(node, peer)| match self.failure_of(member, peer) {
                _ if down => status(node, peer, PeerState::Waiting, None),
                Some(reason) => status(node, peer, PeerState::Failing, Some(reason)),
                None if contested(peer) => {
                    let reason = "another node claims its MAC or subnet".to_owned();
                    status(node, peer, PeerState::Contested, Some(reason))
                }
                None => status(node, peer, PeerState::Programmed, None),
            });
        let held = member.held().peers().iter().map(|(node, peer)| {
            let reason = "gone with most others at once: kept for a while".to_owned();
            status(node, peer, PeerState::Held, Some(reason))
        });
        here.chain(held).collect()
    }
}

fn via(member: &Member, peer: &Peer) -> &'static str {
    let direct =
        |subnet: Subnet| matches!(member.entries().routes.get(&subnet), Some(Via::Direct(_)));
    if peer.subnets().any(direct) {
        "direct"
    } else {
        "vxlan"
    }
}
