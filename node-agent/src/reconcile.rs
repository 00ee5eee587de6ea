//! The one owner of this host's data path. It takes in what a controller tells and what
//! the kernel tells, and makes the kernel what it should be.
//!
//! Words of the controller become steps for what they change. Notifications of the
//! kernel only say "look again": then everything is read and compared. So does the
//! timer, after a failure sooner and with a growing pause.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use overlay::{
    datapath::{
        host::{Host, Setting},
        member::{Known, Member},
        plan::plan,
        step::Step,
    },
    decide::lease::Vtep,
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
use tracing::{debug, info};

use crate::{
    clock,
    config::ChecksumOffload,
    kept::Kept,
    kernel::{
        Kernel, Outcome,
        events::{Events, News},
        sysctl,
        uplink::UplinkAsk,
    },
    local::Request,
    metrics::Metrics,
    notify::Notify,
    session::{Held, Joins, Told},
};
use trouble::Trouble;
pub use uplinks::may_offload;
pub use view::Readiness;

mod keep;
mod told;
mod trouble;
mod uplinks;
mod view;

/// The kernel tells of many things at once: they are looked at together.
const SETTLE: Duration = Duration::from_millis(3);
/// Looking takes no more than this share of the time, however large the tables are.
const SHARE: u32 = 100;
/// While somebody keeps changing things, the time between looks is so many times as
/// long as a look.
const BREATH: u32 = 4;
/// So many steps make more notifications than are worth hearing: afterwards everything
/// is looked at instead.
const DEAF: usize = 4_000;

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

pub struct Reconciler {
    settings: Settings,
    kernel: Kernel,
    host: Host,
    kept: Kept,
    /// What the operator wants; a network that was deleted stays wanted.
    wanted: BTreeSet<NetworkName>,
    joins: watch::Sender<Joins>,
    report: watch::Sender<v1::Report>,
    metrics: Metrics,
    notify: Notify,
    /// What is held of each network, in the kernel or on its way there.
    held: Held,
    /// What the kernel holds.
    applied: BTreeMap<NetworkName, Revision>,
    /// Since when the kernel does not hold everything that was told.
    behind: Option<Instant>,
    /// Where the session is open.
    session: Option<String>,
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
    look_at: Instant,
    /// What was told is in the kernel only after the next look.
    owed: bool,
    /// When something told of a change first, since the last look.
    uplinks_at: Option<Instant>,
    looked: Looked,
    began: Instant,
    /// When everything is to be written to disk anew.
    write_at: Option<Instant>,
    /// Why the last good state is not on disk.
    not_kept: Option<String>,
    /// What this run was told has been written, or cannot be.
    wrote: bool,
}

/// The last full look.
struct Looked {
    at: Instant,
    took: Duration,
    /// The kernel was as it should be: what differs next time was changed by others.
    settled: bool,
}

impl Reconciler {
    pub fn new(
        settings: Settings,
        kernel: Kernel,
        kept: Kept,
        joins: watch::Sender<Joins>,
        report: watch::Sender<v1::Report>,
        metrics: Metrics,
        notify: Notify,
    ) -> Self {
        let now = Instant::now();
        Self {
            host: Host::new(settings.mac),
            settings,
            kernel,
            kept,
            wanted: BTreeSet::new(),
            joins,
            report,
            metrics,
            notify,
            held: Held::default(),
            applied: BTreeMap::new(),
            behind: None,
            session: None,
            refused: BTreeMap::new(),
            no_uplink: BTreeMap::new(),
            offload: BTreeMap::new(),
            changed: BTreeMap::new(),
            trouble: Trouble::default(),
            steps: Vec::new(),
            look_at: now,
            owed: true,
            uplinks_at: Some(now),
            looked: Looked {
                at: now,
                took: Duration::ZERO,
                settled: false,
            },
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
        self.notify.ready();
        loop {
            self.act(&mut events).await?;
            let ears = match &mut events {
                Some(events) => events,
                None => events.insert(Events::open()?),
            };
            // Every arm is cancel-safe: what was not received is still in its channel
            // or socket, and a time that has come is found to have come again.
            tokio::select! {
                () = stop.cancelled() => break,
                word = told.recv() => {
                    let Some(word) = word else { break };
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
                () = sleep_until(self.wake_at()) => self.notify.alive(),
            }
        }
        if self.write_at.is_some() {
            self.write_anew();
        }
        Ok(())
    }

    /// Joins a network: with the next session, or in this one.
    pub fn join(&mut self, network: NetworkName) {
        self.wanted.insert(network.clone());
        self.host.join(network);
        self.publish();
        self.owe_look();
    }

    pub fn leave(&mut self, network: &NetworkName) -> bool {
        let was = self.wanted.remove(network);
        self.host.leave(network);
        self.forget(network);
        self.publish();
        self.owe_look();
        was
    }

    /// Does whatever is due.
    async fn act(&mut self, events: &mut Option<Events>) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.uplinks_at.is_some_and(|at| at <= now) {
            self.uplinks_at = None;
            block_in_place(|| self.follow_uplinks());
        }
        let let_go = self.host.let_go(self.began.elapsed());
        self.steps.extend(let_go);
        if self.look_at <= now {
            self.look(events);
        } else if !self.steps.is_empty() {
            let steps = std::mem::take(&mut self.steps);
            let outcome = self.apply(&steps, events);
            self.settle(&outcome, false);
        } else if !self.owed && !self.trouble.is_any() {
            // What was told changed nothing here.
            self.caught_up();
        }
        if self.write_at.is_some_and(|at| at <= now) {
            self.write_anew();
        }
        self.tell();
        Ok(())
    }

    /// Reads everything, and mends what differs.
    fn look(&mut self, events: &mut Option<Events>) {
        // Whatever they were, they are part of the difference.
        self.steps = Vec::new();
        let began = Instant::now();
        let settings = self.host.settings();
        if let Some(frame) = self.host.frame()
            && let Err(error) = block_in_place(|| self.kernel.recognise_firewall(&frame))
        {
            // Then it is installed again.
            debug!(%error);
        }
        let observed = match block_in_place(|| self.kernel.look(&settings, self.host.mac())) {
            Ok(observed) => observed,
            Err(error) => {
                self.trouble.look_failed(&options::sentence(&error));
                self.look_at = Instant::now() + self.trouble.pause();
                return;
            }
        };
        let plan = plan(&self.host, &observed);
        drop(observed);
        self.looked.at = began;
        self.looked.took = began.elapsed();
        self.metrics.looks.inc();
        self.metrics
            .look_seconds
            .observe(self.looked.took.as_secs_f64());
        if self.looked.settled && !plan.steps.is_empty() {
            self.count_drift(&plan.steps);
        }
        let outcome = self.apply(&plan.steps, events);
        self.trouble.blocked(&plan.blocked);
        self.settle(&outcome, true);
    }

    fn apply(&mut self, steps: &[Step], events: &mut Option<Events>) -> Outcome {
        if steps.is_empty() {
            return Outcome::default();
        }
        if steps.len() > DEAF {
            *events = None;
            self.looked.settled = false;
        }
        for step in steps {
            debug!(%step);
        }
        let began = Instant::now();
        let outcome = block_in_place(|| self.kernel.apply(steps));
        let took = began.elapsed();
        self.metrics.count_steps(steps, &outcome, took);
        if steps.len() > DEAF {
            info!(
                steps = steps.len(),
                failed = outcome.failures.len(),
                ?took,
                "the kernel is programmed"
            );
            self.look_soon();
        }
        outcome
    }

    /// After steps: when to look again, and what the kernel holds now.
    fn settle(&mut self, outcome: &Outcome, everything: bool) {
        self.trouble.after(outcome, everything);
        let now = Instant::now();
        if self.trouble.is_any() || outcome.uncertain {
            self.looked.settled = false;
            self.look_at = self.look_at.min(now + self.trouble.pause());
            if everything {
                self.look_at = now + self.trouble.pause();
            }
            return;
        }
        if everything {
            self.owed = false;
            self.looked.settled = true;
            let pause = self.settings.look_every.max(self.looked.took * SHARE);
            self.look_at = now + pause;
        }
        if !self.owed {
            self.caught_up();
        }
    }

    fn caught_up(&mut self) {
        if self.behind.take().is_some() || self.applied.len() != self.held.revisions.len() {
            self.applied.clone_from(&self.held.revisions);
        }
    }

    /// The kernel has to follow something that only a look can bring about.
    fn owe_look(&mut self) {
        self.owed = true;
        self.looked.settled = false;
        self.look_soon();
    }

    /// Looks again in a moment, when there is no more to be heard.
    fn look_soon(&mut self) {
        let breath = self.looked.at + self.looked.took * BREATH;
        let soon = (Instant::now() + SETTLE).max(breath);
        self.look_at = self.look_at.min(soon);
    }

    fn wake_at(&self) -> Instant {
        if !self.steps.is_empty() {
            return Instant::now();
        }
        let let_go = self.host.holds_until().map(|until| self.began + until);
        let others = [self.uplinks_at, let_go, self.write_at, self.notify.next()];
        others
            .into_iter()
            .flatten()
            .fold(self.look_at, Instant::min)
    }

    /// What the kernel tells.
    fn hear(&mut self, news: Vec<News>) {
        for news in news {
            match news {
                News::Seen(sighting) => {
                    self.heed_address(&sighting);
                    if !self.host.expects(&sighting, self.kernel.devices()) {
                        self.look_soon();
                    }
                }
                News::Link { link, .. } => {
                    let ours = self.kernel.devices().contains_key(&link.index);
                    if ours || link.vxlan.is_some() {
                        self.look_soon();
                    }
                    self.heed_link(&link);
                }
                News::Setting => {
                    let is_due = |setting: &Setting| {
                        let value = sysctl::read(&setting.sysctl).unwrap_or_default();
                        setting.is_due(value.as_deref())
                    };
                    if self.host.settings().iter().any(is_due) {
                        self.look_soon();
                    }
                }
                News::Overrun => {
                    self.metrics.overruns.inc();
                    self.look_soon();
                    self.uplinks_soon();
                }
            }
        }
    }

    fn count_drift(&self, steps: &[Step]) {
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for step in steps {
            *kinds.entry(step.kind()).or_default() += 1;
        }
        for (kind, count) in &kinds {
            self.metrics.drift(kind, *count);
        }
        let first = steps.first().map(ToString::to_string);
        info!(
            steps = steps.len(),
            first, "somebody changed what is ours: putting it back"
        );
    }

    /// Tells the controller, systemd and the log what has become of it all.
    fn tell(&mut self) {
        let readiness = self.readiness();
        let report = self.report_of(&readiness);
        self.report.send_if_modified(|last| {
            let differs = *last != report;
            if differs {
                *last = report;
            }
            differs
        });
        self.notify.status(&readiness);
        let lag = self.behind.map(|since| since.elapsed());
        self.metrics.sample(&self.host, readiness.is_ready(), lag);
    }

    /// What a controller is to know of us in each network.
    fn publish(&self) {
        let vtep = |network: &NetworkName| Vtep {
            underlay: self
                .host
                .member(network)
                .and_then(Member::uplink)
                .map(|uplink| uplink.address),
            mac: Some(self.host.mac()),
        };
        let joins: Joins = self
            .wanted
            .iter()
            .map(|network| (network.clone(), vtep(network)))
            .map(|(network, vtep)| match vtep.underlay {
                Some(_) => (network, vtep),
                // A VTEP is both or neither.
                None => (network, Vtep::default()),
            })
            .collect();
        self.joins.send_if_modified(|last| {
            let differs = *last != joins;
            if differs {
                *last = joins;
            }
            differs
        });
    }

    fn forget(&mut self, network: &NetworkName) {
        self.held.revisions.remove(network);
        self.applied.remove(network);
        self.refused.remove(network);
        self.changed.remove(network);
    }

    fn wall(&self) -> WallMs {
        clock::now()
    }
}

/// Is everything known of a network's peers?
fn is_synced(member: &Member) -> bool {
    matches!(member.known(), Known::Synced(_))
}
