//! What an agent says of itself: `/status`, and what `weft-agent status` prints.

use std::net::IpAddr;

use overlay::{
    id::NodeId,
    name::{NetworkName, NodeName},
    probe::window::Verdict,
    record::Mac,
    subnet::{Family, Subnet},
    time::WallMs,
    txn::Revision,
};
use serde::{Deserialize, Serialize};
use socket::words::Probe;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub node: NodeName,
    pub id: NodeId,
    pub version: String,
    pub mac: Mac,
    pub ready: bool,
    /// Why it is not, or what an operator should know all the same.
    pub reason: Option<String>,
    /// The controller with which a session is open.
    pub controller: Option<String>,
    /// Why the last good state is not on disk.
    pub not_kept: Option<String>,
    /// So often something of ours was put back.
    #[serde(default)]
    pub repaired: u64,
    pub networks: Vec<NetworkStatus>,
    pub failing: Vec<FailingStatus>,
    /// Routes of others where ours should be.
    pub in_the_way: Vec<String>,
    /// The last time that everything was compared, and how long reading took.
    pub looked_ms_ago: u64,
    pub look_us: u64,
}

impl Status {
    /// Takes in what probes show.
    pub fn probed(&mut self, probes: &[Probe]) {
        for network in &mut self.networks {
            let name = &network.network;
            for peer in &mut network.peers {
                let of_peer = |probe: &&Probe| probe.to == peer.node && probe.network == *name;
                let worst = probes.iter().filter(of_peer).max_by(|a, b| {
                    let loss = a.loss.total_cmp(&b.loss);
                    a.verdict
                        .cmp(&b.verdict)
                        .then(loss)
                        .then(a.rtt_us.cmp(&b.rtt_us))
                });
                peer.probe = worst.map(|probe| ProbeStatus {
                    family: probe.family,
                    verdict: probe.verdict,
                    loss: probe.loss,
                    rtt_us: probe.rtt_us,
                });
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkStatus {
    pub network: NetworkName,
    /// `waiting`, `unsynced`, `programmed`, `failing`
    pub state: NetworkState,
    pub reason: Option<String>,
    pub vni: Option<u32>,
    pub port: Option<u16>,
    pub device: Option<String>,
    pub subnets: Vec<Subnet>,
    pub uplink: Option<String>,
    pub underlay: Option<IpAddr>,
    pub mtu: Option<u32>,
    pub masquerade: Option<bool>,
    pub checksum_offload: Option<bool>,
    pub checksum_offload_reason: Option<String>,
    /// The newest that was told, and what the kernel holds.
    pub revision: Revision,
    pub applied_revision: Revision,
    pub peers: Vec<PeerStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkState {
    /// No controller has told anything of it yet.
    Waiting,
    /// Its peers are not known yet: nothing is deleted.
    Unsynced,
    Programmed,
    Failing,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    pub node: NodeName,
    pub state: PeerState,
    pub reason: Option<String>,
    /// `vxlan` or `direct`
    pub via: String,
    pub subnets: Vec<Subnet>,
    pub underlay: IpAddr,
    pub mac: Mac,
    pub changed_at_ms: WallMs,
    /// What its probes show, of the family that is worse; few peers are probed at a time.
    pub probe: Option<ProbeStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    pub family: Family,
    pub verdict: Verdict,
    pub loss: f64,
    pub rtt_us: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// Its network is not up on this host.
    Waiting,
    Programmed,
    Failing,
    /// Another peer claims the same MAC or subnet.
    Contested,
    /// Gone with most others at once: kept for a while.
    Held,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingStatus {
    pub step: String,
    pub reason: String,
    pub since_ms: WallMs,
    pub times: u32,
}
