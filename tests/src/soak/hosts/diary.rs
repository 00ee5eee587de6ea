//! What was done to the hosts, and when: who may lose packets by it, and until when.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A thing that befalls a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    AgentKilled,
    AgentStopped,
    AgentFrozen,
    CutFromControllers,
    Partition,
    OneWayCut,
    UplinkPulled,
    SlowLink,
    AddressChanged,
    DeviceChanged,
    EntryChanged,
    FirewallChanged,
    NodeLeaves,
    NodeComes,
    ContainerComesAndGoes,
    NetworkComesAndGoes,
    NetworkDeletedInUse,
    ControllerKilled,
    ControllerStopped,
    ControllerFrozen,
    ControllersAway,
    EtcdRestarted,
    EtcdCompacted,
    EtcdPaused,
}

/// Whose packets may be lost while an act lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loses {
    Nobody,
    /// To and from this host.
    Host(u32),
    /// Between these two.
    Pair(u32, u32),
}

/// An act that was done. Times are counted from the beginning of the soak.
#[derive(Debug, Clone)]
pub struct Deed {
    pub act: Act,
    /// In words.
    pub what: String,
    /// The hosts that it is done to; none: to the controllers, and so to everybody.
    pub hosts: Vec<u32>,
    pub loses: Loses,
    pub began: Duration,
    /// When everything was right again; none while it goes on.
    pub ended: Option<Duration>,
    /// How long things took to be right after the last hand was laid on them.
    pub healed: Option<Duration>,
}

#[derive(Debug)]
pub struct Diary {
    start: Instant,
    deeds: Mutex<Vec<Deed>>,
}

/// A deed that goes on.
#[derive(Debug, Clone, Copy)]
pub struct Doing(usize);

impl Diary {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            deeds: Mutex::default(),
        }
    }

    pub fn begin(&self, act: Act, what: String, hosts: &[u32], loses: Loses) -> Doing {
        let mut deeds = self.lock();
        deeds.push(Deed {
            act,
            what,
            hosts: hosts.to_vec(),
            loses,
            began: self.start.elapsed(),
            ended: None,
            healed: None,
        });
        Doing(deeds.len() - 1)
    }

    pub fn end(&self, doing: Doing) {
        self.lock()[doing.0].ended = Some(self.start.elapsed());
    }

    /// The same, with the time from the last hand that was laid on things.
    pub fn healed(&self, doing: Doing, since: Instant) {
        self.lock()[doing.0].healed = Some(since.elapsed());
        self.end(doing);
    }

    pub fn deeds(&self) -> Vec<Deed> {
        self.lock().clone()
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Deed>> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deed {
    /// Does it go on at some time from the one to the other, or so long after it?
    pub fn lasts(&self, from: Duration, to: Duration, lingering: Duration) -> bool {
        self.began <= to && self.ended.is_none_or(|ended| from <= ended + lingering)
    }
}

impl Loses {
    /// Packets between these two hosts.
    pub fn covers(self, one: u32, other: u32) -> bool {
        match self {
            Self::Nobody => false,
            Self::Host(host) => host == one || host == other,
            Self::Pair(a, b) => (a, b) == (one, other) || (b, a) == (one, other),
        }
    }
}

impl Act {
    pub const ALL: [Self; 24] = [
        Self::AgentKilled,
        Self::AgentStopped,
        Self::AgentFrozen,
        Self::CutFromControllers,
        Self::Partition,
        Self::OneWayCut,
        Self::UplinkPulled,
        Self::SlowLink,
        Self::AddressChanged,
        Self::DeviceChanged,
        Self::EntryChanged,
        Self::FirewallChanged,
        Self::NodeLeaves,
        Self::NodeComes,
        Self::ContainerComesAndGoes,
        Self::NetworkComesAndGoes,
        Self::NetworkDeletedInUse,
        Self::ControllerKilled,
        Self::ControllerStopped,
        Self::ControllerFrozen,
        Self::ControllersAway,
        Self::EtcdRestarted,
        Self::EtcdCompacted,
        Self::EtcdPaused,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AgentKilled => "agent killed",
            Self::AgentStopped => "agent stopped",
            Self::AgentFrozen => "agent frozen",
            Self::CutFromControllers => "host cut from controllers",
            Self::Partition => "two hosts parted",
            Self::OneWayCut => "one way cut",
            Self::UplinkPulled => "uplink pulled",
            Self::SlowLink => "slow link",
            Self::AddressChanged => "underlay address changed",
            Self::DeviceChanged => "device changed by hand",
            Self::EntryChanged => "entry changed by hand",
            Self::FirewallChanged => "firewall changed by hand",
            Self::NodeLeaves => "node leaves",
            Self::NodeComes => "node comes",
            Self::ContainerComesAndGoes => "container comes and goes",
            Self::NetworkComesAndGoes => "network comes and goes",
            Self::NetworkDeletedInUse => "network deleted in use",
            Self::ControllerKilled => "controller killed",
            Self::ControllerStopped => "controller stopped",
            Self::ControllerFrozen => "controller frozen",
            Self::ControllersAway => "all controllers away",
            Self::EtcdRestarted => "etcd restarted",
            Self::EtcdCompacted => "etcd compacted",
            Self::EtcdPaused => "etcd frozen",
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let began = self.began.as_secs_f64();
        match self.ended {
            Some(ended) => write!(f, "{began:.3} - {:.3} s", ended.as_secs_f64())?,
            None => write!(f, "{began:.3} s - ...")?,
        }
        write!(f, "  {}: {}", self.act.name(), self.what)
    }
}
