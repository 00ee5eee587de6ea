//! A host: what its agent knows, what is on its disk, and its kernel. Words of a
//! controller go the agent's way through the real `Host` and plan into a kernel that is
//! a value; `node-agent/src/reconcile` does the same with netlink.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use model::kernel::Kernel;
use overlay::{
    datapath::{host::Host, plan::plan, step::Step, uplink::Uplink},
    feed::{PeerChanges, Peers},
    id::{NodeId, SessionId},
    name::{NetworkName, NodeName},
    network::{Network, NetworkSpec},
    record::Mac,
    subnet::Subnet,
    txn::Revision,
};
use uuid::Uuid;

use crate::judge::{self, Place};

/// Former sessions worth naming: the last that was confirmed and those last tried.
const MOST_PREVIOUS: usize = 16;
/// For so long most peers are kept that are gone at once.
const HOLD_LOSSES: Duration = Duration::from_secs(5);

pub struct Machine {
    pub name: NodeName,
    pub id: NodeId,
    pub mac: Mac,
    pub address: IpAddr,
    pub wanted: BTreeSet<NetworkName>,
    /// How often it joined each network after the start.
    joined: BTreeMap<NetworkName, u64>,
    /// Once joined. A controller hears of it only if there is a session at the time.
    pub left: BTreeSet<NetworkName>,
    /// On disk.
    pub previous: Vec<SessionId>,
    pub kept: Option<Memory>,
    pub kernel: Kernel,
    pub memory: Memory,
    /// What is attached, in every network that it is in.
    pub containers: BTreeSet<u8>,
    /// Its node was removed, or it is gone for good: it stays out.
    pub out: bool,
}

/// A network that is joined: at which address, and for the how manieth time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    pub address: IpAddr,
    pub time: u64,
}

/// What an agent knows while it runs.
#[derive(Clone)]
pub struct Memory {
    pub host: Host,
    pub cluster: String,
    pub held: BTreeMap<NetworkName, Revision>,
    /// What it said last that it holds.
    pub said: BTreeMap<NetworkName, Revision>,
    /// In the words in which it was told, for the judge.
    pub told: BTreeMap<NetworkName, judge::Peers>,
    pub excused: BTreeSet<Place>,
}

impl Memory {
    fn new(mac: Mac) -> Self {
        Self {
            host: Host::new(mac),
            cluster: String::new(),
            held: BTreeMap::new(),
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            excused: BTreeSet::new(),
        }
    }
}

impl Machine {
    pub fn new(number: u8, wanted: BTreeSet<NetworkName>) -> Self {
        let name: NodeName = format!("n{number}").parse().expect("a good name");
        let mac = Mac([2, 0x77, 0, 0, 0, number]);
        let mut machine = Self {
            name,
            id: NodeId(Uuid::new_v4()),
            mac,
            address: IpAddr::from([192, 0, 2, number]),
            wanted,
            joined: BTreeMap::new(),
            left: BTreeSet::new(),
            previous: Vec::new(),
            kept: None,
            kernel: Kernel::fresh(&Host::new(mac)),
            memory: Memory::new(mac),
            containers: BTreeSet::new(),
            out: false,
        };
        machine.kernel = Kernel::fresh(&machine.scaffold());
        machine.begin(false);
        machine
    }

    /// The agent starts: with what is on disk, or without.
    pub fn begin(&mut self, with_disk: bool) {
        let kept = self.kept.clone().filter(|_| with_disk);
        self.memory = kept.unwrap_or_else(|| Memory::new(self.mac));
        let known = self.memory.host.joined().map(|(name, _)| name.clone());
        let mut known: Vec<NetworkName> = known.collect();
        known.retain(|network| !self.wanted.contains(network));
        known.iter().for_each(|network| self.forget(network));
        for network in &self.wanted {
            self.memory.host.join(network.clone());
        }
        self.follow_uplink();
    }

    /// A new session, on disk before it is said to anybody.
    pub fn next_session(&mut self) -> SessionId {
        let sid = SessionId(Uuid::new_v4());
        self.previous.push(sid);
        if self.previous.len() > MOST_PREVIOUS {
            self.previous.remove(1);
        }
        sid
    }

    /// A controller knows of this session. Those that were tried before it stay.
    pub fn confirm(&mut self, sid: SessionId) {
        self.previous.retain(|tried| *tried != sid);
        self.previous.insert(0, sid);
    }

    /// A container comes, or it goes.
    pub fn toggle(&mut self, container: u8) {
        if !self.containers.remove(&container) {
            self.containers.insert(container);
        }
    }

    pub fn joins(&self) -> BTreeMap<NetworkName, Joined> {
        let joined = |name: &NetworkName| Joined {
            address: self.address,
            time: self.joined.get(name).copied().unwrap_or(0),
        };
        let wanted = self.wanted.iter();
        wanted.map(|name| (name.clone(), joined(name))).collect()
    }

    /// The node is reached at another address now.
    pub fn move_to(&mut self, address: IpAddr) {
        self.address = address;
        self.follow_uplink();
    }

    pub fn join(&mut self, network: NetworkName) {
        self.memory.host.join(network.clone());
        self.left.remove(&network);
        *self.joined.entry(network.clone()).or_default() += 1;
        self.wanted.insert(network);
    }

    pub fn leave(&mut self, network: &NetworkName) {
        self.wanted.remove(network);
        self.left.insert(network.clone());
        self.forget(network);
    }

    /// Told of a lease of its own.
    pub fn leased(&mut self, network: Network, subnets: Vec<Subnet>) {
        let name = network.name.clone();
        if self.wanted.contains(&name) {
            self.memory.host.join(name);
            self.memory.host.lease(network, subnets);
            self.follow_uplink();
        }
    }

    pub fn network_changed(&mut self, name: &NetworkName, network: Option<Network>) {
        let Some(network) = network else {
            self.forget(name);
            return;
        };
        let own = self
            .memory
            .host
            .member(name)
            .map(|member| member.own().to_vec());
        if let Some(own) = own {
            self.memory.host.lease(network, own);
            self.look();
        }
    }

    pub fn snapshot(&mut self, network: &NetworkName, mut peers: Peers, now: Duration) {
        peers.remove(&self.name);
        let synced = self.memory.host.is_complete();
        let steps = self.memory.host.snapshot(network, peers, now + HOLD_LOSSES);
        if synced {
            self.apply(&steps);
        } else {
            self.look();
        }
    }

    pub fn changes(&mut self, network: &NetworkName, mut changes: PeerChanges, now: Duration) {
        changes.set.remove(&self.name);
        changes.gone.remove(&self.name);
        let steps = self.memory.host.change(network, changes, now + HOLD_LOSSES);
        self.apply(&steps);
    }

    /// Lets go of what was held for long enough.
    pub fn let_go(&mut self, now: Duration) {
        let steps = self.memory.host.let_go(now);
        self.apply(&steps);
    }

    /// Reads everything, and mends what differs.
    pub fn look(&mut self) {
        let steps = plan(&self.memory.host, &self.kernel.observe()).steps;
        self.apply(&steps);
    }

    /// A peer that was told, of a network that is carried, and that the kernel has not.
    pub fn lacks(&self, network: &NetworkName) -> Option<String> {
        let member = self.memory.host.member(network)?;
        let seen = self.kernel.observe();
        let name = format!("weft{}", member.vni());
        let device = seen.links.iter().find(|link| link.name == name);
        let has = |peer: &judge::Peer| {
            seen.fdb.iter().any(|fdb| {
                let to = fdb.to.map(|to| to.to_string());
                let on = device.is_some_and(|link| link.index == fdb.index);
                on && fdb.mac.to_string() == peer.mac && to.as_ref() == Some(&peer.underlay)
            })
        };
        let told = self.memory.told.get(network)?.iter();
        let mut others = told.filter(|(node, _)| *node != self.name.as_str());
        let (node, peer) = others.find(|(_, peer)| !has(peer))?;
        Some(format!("its kernel has no entry for {node}, {peer:?}"))
    }

    fn apply(&mut self, steps: &[Step]) {
        // What is refused is found by the next look.
        self.kernel.apply_all(steps);
    }

    fn forget(&mut self, network: &NetworkName) {
        self.memory.host.leave(network);
        self.memory.held.remove(network);
        self.memory.told.remove(network);
        self.look();
    }

    fn follow_uplink(&mut self) {
        for network in &self.wanted {
            let uplink = uplink(self.address);
            self.memory.host.set_uplink(network, uplink);
        }
        self.look();
    }

    /// A host that has the uplink, so that its kernel knows it.
    fn scaffold(&self) -> Host {
        let pool = "10.0.0.0/8".parse().expect("a pool");
        let name: NetworkName = "scaffold".parse().expect("a good name");
        let spec = NetworkSpec::new(name.clone(), vec![pool]);
        let network = spec.network([].iter()).expect("a network");
        let mut host = Host::new(self.mac);
        host.join(name.clone());
        host.lease(network, Vec::new());
        host.set_uplink(&name, uplink(self.address));
        host
    }
}

fn uplink(address: IpAddr) -> Uplink {
    Uplink {
        index: 2,
        name: "eth0".into(),
        mtu: 1500,
        address,
        on_link: Vec::new(),
        offload: true,
    }
}
