//! The one owner of this host's data path. It takes in what a controller tells and what
//! the kernel tells, and makes the kernel what it should be.
//!
//! Words of the controller become steps for what they change. Notifications of the
//! kernel only say "look again": then everything is read and compared. So does the
//! timer, after a failure sooner and with a growing pause.

use std::{collections::BTreeMap, time::Duration};

use options::Notify;
use overlay::{
    datapath::{host::Host, member::Member, step::Step},
    id::NodeId,
    name::{NetworkName, NodeName},
    record::Mac,
    time::WallMs,
    txn::Revision,
};
use proto::v1;
use tokio::{
    sync::{mpsc, watch},
    task::block_in_place,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::ChecksumOffload,
    endpoints::Grounds,
    kept::Kept,
    kernel::{Kernel, events::Events, uplink::UplinkAsk},
    local::Request,
    metrics::Metrics,
    probe::Summaries,
    session::{Held, Joins, Told},
};
use look::Looked;
use publish::Asker;
use trouble::Trouble;
pub use uplinks::may_offload;
pub use view::Readiness;

mod hear;
mod keep;
mod look;
mod publish;
mod status;
mod told;
mod trouble;
mod uplinks;
mod view;

/// What a reconciler begins with.
pub struct Settings {
    pub node: NodeName,
    pub id: NodeId,
    pub mac: Mac,
    pub uplink: UplinkAsk,
    pub offload: ChecksumOffload,
    pub hold_losses: Duration,
    pub look_every: Duration,
}

/// Who hears of what becomes of it all, and who is heard.
pub struct Listeners {
    /// The session: what is joined, and how it goes.
    pub joins: watch::Sender<Joins>,
    pub report: watch::Sender<v1::Report>,
    /// What endpoints need to know of the networks.
    pub grounds: watch::Sender<Grounds>,
    /// What probes of peers show.
    pub probed: watch::Receiver<Summaries>,
}

pub struct Reconciler {
    settings: Settings,
    kernel: Kernel,
    host: Host,
    kept: Kept,
    /// What the operator wants, and at which turn it was joined; a network that was
    /// deleted stays wanted.
    wanted: BTreeMap<NetworkName, u64>,
    turns: u64,
    listeners: Listeners,
    metrics: Metrics,
    notify: Notify,
    /// What is held of each network, in the kernel or on its way there.
    held: Held,
    /// What the kernel holds.
    applied: BTreeMap<NetworkName, Revision>,
    /// Since when the kernel does not hold everything that was told.
    behind: Option<Instant>,
    /// The revision that the controller had when the session began: whoever holds this much
    /// of a network has been told all that was missing.
    complete_at: Revision,
    /// Where the session is open, or why none is.
    session: Result<String, String>,
    /// Why networks are not what was asked for.
    refused: BTreeMap<NetworkName, String>,
    /// Why no uplink is found; the last one is used meanwhile.
    no_uplink: BTreeMap<NetworkName, String>,
    /// Why checksums are left to the hardware, or not.
    offload: BTreeMap<NetworkName, String>,
    /// When each peer was changed last.
    changed: BTreeMap<NetworkName, BTreeMap<NodeName, WallMs>>,
    trouble: Trouble,
    steps: Vec<Step>,
    askers: Vec<Asker>,
    look_at: Instant,
    /// What was told is in the kernel only after the next look.
    owed: bool,
    /// When the uplinks are to be found again.
    uplinks_at: Option<Instant>,
    looked: Looked,
    /// Objects of ours that others had changed, and that were put back.
    repaired: u64,
    began: Instant,
    /// When everything is to be written to disk anew.
    write_at: Option<Instant>,
    /// Why the last good state is not on disk.
    not_kept: Option<String>,
    /// What this run was told has been written, or cannot be.
    wrote: bool,
}

impl Reconciler {
    pub fn new(
        settings: Settings,
        kernel: Kernel,
        kept: Kept,
        listeners: Listeners,
        metrics: Metrics,
        notify: Notify,
    ) -> Self {
        let now = Instant::now();
        Self {
            host: Host::new(settings.mac),
            settings,
            kernel,
            kept,
            wanted: BTreeMap::new(),
            turns: 0,
            listeners,
            metrics,
            notify,
            held: Held::default(),
            applied: BTreeMap::new(),
            behind: None,
            complete_at: Revision::MAX,
            session: Err("none was tried yet".into()),
            refused: BTreeMap::new(),
            no_uplink: BTreeMap::new(),
            offload: BTreeMap::new(),
            changed: BTreeMap::new(),
            trouble: Trouble::default(),
            steps: Vec::new(),
            askers: Vec::new(),
            look_at: now,
            owed: true,
            uplinks_at: Some(now),
            looked: Looked {
                at: now,
                took: Duration::ZERO,
                settled: false,
            },
            repaired: 0,
            began: now,
            write_at: None,
            not_kept: None,
            wrote: false,
        }
    }

    /// Runs until it is told to stop. What is in the kernel then stays there.
    pub async fn run(
        mut self,
        mut told: mpsc::Receiver<Told>,
        mut requests: mpsc::Receiver<Request>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut events = Some(Events::open()?);
        let mut firewall = self.kernel.watch_firewall()?;
        let mut probed = self.listeners.probed.clone();
        self.notify.ready();
        loop {
            self.act(&mut events);
            let ears = match &mut events {
                Some(events) => events,
                None => events.insert(Events::open()?),
            };
            // Every arm is cancel-safe: what was not received is still in its channel
            // or socket, and a time that has come is found to have come again.
            tokio::select! {
                () = stop.cancelled() => break,
                // Without a session its task says why, and the agent ends with that.
                Some(word) = told.recv() => {
                    self.take_in(word);
                    // What came together is done together.
                    while let Ok(word) = told.try_recv() {
                        self.take_in(word);
                    }
                }
                news = ears.next() => self.hear(news?),
                changed = firewall.changed() => {
                    changed?;
                    self.look_soon();
                }
                Some(request) = requests.recv() => self.answer(request),
                // They are part of what is reported.
                Ok(()) = probed.changed() => {}
                () = sleep_until(self.wake_at()) => self.notify.alive(),
            }
        }
        self.notify.stopping();
        if self.write_at.is_some() {
            self.write_anew();
        }
        Ok(())
    }

    /// Joins a network: with the next session, or in this one.
    pub fn join(&mut self, network: NetworkName) {
        self.turns += 1;
        self.wanted.entry(network.clone()).or_insert(self.turns);
        self.host.join(network);
        self.publish();
        self.owe_look();
    }

    pub fn leave(&mut self, network: &NetworkName) -> bool {
        let was = self.wanted.remove(network).is_some();
        self.host.leave(network);
        self.forget(network);
        self.publish();
        self.owe_look();
        was
    }

    /// Does whatever is due.
    fn act(&mut self, events: &mut Option<Events>) {
        let now = Instant::now();
        if self.uplinks_at.is_some_and(|at| at <= now) {
            self.uplinks_at = None;
            block_in_place(|| self.follow_uplinks());
        }
        let let_go = self.host.let_go(self.began.elapsed());
        self.steps.extend(let_go);
        if self.look_at <= now {
            self.look(events);
        } else if !self.steps.is_empty() && !self.owed {
            let steps = std::mem::take(&mut self.steps);
            self.perform(&steps, false, events);
        } else if !self.owed && !self.trouble.is_any() {
            // What was told changed nothing here.
            self.caught_up();
        }
        if self.write_at.is_some_and(|at| at <= now) {
            self.write_anew();
        }
        self.answer_askers();
        self.tell();
    }

    fn wake_at(&self) -> Instant {
        if !self.steps.is_empty() && !self.owed {
            return Instant::now();
        }
        let let_go = self.host.holds_until().map(|until| self.began + until);
        let others = [self.uplinks_at, let_go, self.write_at, self.notify.next()];
        others
            .into_iter()
            .flatten()
            .fold(self.look_at, Instant::min)
    }

    fn forget(&mut self, network: &NetworkName) {
        self.held.revisions.remove(network);
        self.applied.remove(network);
        self.refused.remove(network);
        self.no_uplink.remove(network);
        self.offload.remove(network);
        self.changed.remove(network);
    }
}

/// Are a network's peers known, if only from disk?
fn is_known(member: &Member) -> bool {
    member.known().peers().is_some()
}

/// Whoever listens is woken only by what is new.
fn tell_if_new<T: PartialEq>(listeners: &watch::Sender<T>, value: T) {
    listeners.send_if_modified(|last| {
        let is_new = *last != value;
        if is_new {
            *last = value;
        }
        is_new
    });
}
