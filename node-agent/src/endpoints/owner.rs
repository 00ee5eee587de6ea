//! The one owner of this host's endpoints: the book, and the links in the kernel that
//! follow from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::Context;
use options::clock;
use overlay::{
    datapath::firewall::Published,
    endpoint::{
        Endpoint, EndpointId, Form, WordError,
        book::{Book, Line},
    },
    name::NetworkName,
    time::WallMs,
};
use socket::words::{self, Attach, Attached, Reason, Refusal};
use tokio::{
    sync::{mpsc, watch},
    task::block_in_place,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    door::{Answer, Name, Request},
    ground::{Ground, Grounds},
    journal::Journal,
    remover::{Gone, Remover},
};
use crate::kernel::{
    endpoint::Links,
    events::{Events, News},
};

mod attach;
mod audit;
mod detach;
pub mod fleet;
mod look;
mod program;
mod publish;
mod show;

pub use fleet::Fleet;

/// What comes together is done together, up to so many.
const AT_ONCE: usize = 128;
/// An agent that has just begun, or a network that was just joined.
const PATIENCE: Duration = Duration::from_secs(8);

/// What an owner begins with.
pub struct Settings {
    /// The networks whose containers are ports of a bridge.
    pub bridges: BTreeSet<NetworkName>,
    /// Somebody else gives its addresses on this host.
    pub lent: Option<NetworkName>,
    pub look_every: Duration,
}

pub struct Owner {
    settings: Settings,
    book: Book,
    journal: Journal,
    /// How many links of ours no endpoint has; none: nobody has looked yet.
    unknown: Option<usize>,
    /// What is in the book and not on the disk.
    unwritten: bool,
    links: Links,
    grounds: watch::Receiver<Grounds>,
    reconciler: mpsc::Sender<crate::local::Request>,
    /// What the reconciler was told last; none: it has to be told.
    published: Option<BTreeSet<Published>>,
    fleet: Fleet,
    remover: Remover,
    /// Whose links are on their way out of the kernel.
    going: BTreeSet<EndpointId>,
    removed: mpsc::UnboundedReceiver<Gone>,
    /// Whose namespace was not found, and since when.
    vanished: BTreeMap<EndpointId, Instant>,
    failing: BTreeMap<EndpointId, String>,
    /// Some endpoint is bounded, or may have been.
    bounded: bool,
    waiting: Vec<Waiting>,
    looks: look::Looks,
}

/// An attachment to a network that is not there yet, or to what a container has that may
/// be gone.
struct Waiting {
    attach: Box<Attach>,
    answer: Answer<Attached>,
    until: Instant,
    refusal: Refusal,
}

impl Owner {
    pub fn open(
        settings: Settings,
        state_dir: &Path,
        grounds: watch::Receiver<Grounds>,
        reconciler: mpsc::Sender<crate::local::Request>,
        fleet: Fleet,
    ) -> anyhow::Result<Self> {
        let (journal, book) = Journal::open(state_dir)?;
        let endpoints = book.endpoints().count();
        if endpoints > 0 {
            info!(endpoints, "containers of before");
        }
        let (remover, removed) = Remover::start()?;
        let owner = Self {
            settings,
            book,
            journal,
            unknown: None,
            unwritten: false,
            links: Links::open()?,
            grounds,
            reconciler,
            published: None,
            fleet,
            remover,
            going: BTreeSet::new(),
            removed,
            vanished: BTreeMap::new(),
            failing: BTreeMap::new(),
            bounded: true,
            waiting: Vec::new(),
            looks: look::Looks::new(),
        };
        owner.tell_all();
        Ok(owner)
    }

    /// Runs until it is dropped: at any moment everything that was answered is on disk.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) -> anyhow::Result<()> {
        let mut events = Events::open()?;
        let mut grounds = self.grounds.clone();
        loop {
            let wake = self.act().await;
            // Every arm is cancel-safe: what was not received is still in its channel
            // or socket.
            tokio::select! {
                Some(first) = requests.recv() => {
                    let mut all = vec![first];
                    while all.len() < AT_ONCE && let Ok(next) = requests.try_recv() {
                        all.push(next);
                    }
                    self.answer(all).await;
                }
                changed = grounds.changed() => {
                    // The reconciler ends the agent when it ends.
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.looks.soon();
                    self.wait_no_more().await;
                }
                () = self.fleet.news() => self.heed_fleet(),
                gone = self.removed.recv() => {
                    let gone = gone.context("the thread that removes links died")?;
                    self.removed(gone).await;
                }
                news = events.next() => self.hear(&news?),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Does what is due; tells when there is more.
    async fn act(&mut self) -> Instant {
        let now = Instant::now();
        let (late, waiting): (Vec<Waiting>, Vec<Waiting>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.until <= now);
        self.waiting = waiting;
        for waiting in late {
            reply(waiting.answer, Err(waiting.refusal));
        }
        if self.looks.is_due(now) {
            self.look().await;
        }
        let waits = self.waiting.iter().map(|waiting| waiting.until);
        waits.fold(self.looks.at(), Instant::min)
    }

    /// Somebody may have changed what is ours.
    fn hear(&mut self, news: &[News]) {
        let concerns = |news: &News| match news {
            News::Link { link, .. } => self.links.concerns(link),
            News::Seen(sighting) => self.links.concerns_sighting(sighting),
            News::Setting => false,
            News::Overrun => true,
        };
        if news.iter().any(concerns) {
            self.looks.soon();
        }
    }

    /// Attachments and detachments that come together are done together.
    async fn answer(&mut self, requests: Vec<Request>) {
        let mut attaches = Vec::new();
        let mut detaches = Vec::new();
        for request in requests {
            match request {
                Request::Attach(attach, answer) => attaches.push((attach, answer)),
                Request::Detach(detach, answer) => detaches.push((detach, answer)),
                Request::Check(check, answer) => reply(answer, self.check(&check)),
                Request::Hold(hold, answer) => reply(answer, self.hold(&hold)),
                Request::Unhold(unhold, answer) => reply(answer, self.unhold(unhold)),
                Request::Holds(answer) => reply(answer, Ok(self.holds())),
                Request::List(answer) => reply(answer, Ok(self.list())),
                Request::Use(answer) => reply(answer, Ok(self.usage())),
                Request::Audit(repair, answer) => {
                    let findings = self.audit(repair).await;
                    reply(answer, findings);
                }
                Request::Grounds(answer) => reply(answer, Ok(self.shown_grounds())),
                Request::Name(name, answer) => reply(answer, self.name(*name)),
            }
        }
        if !detaches.is_empty() {
            self.detach(detaches).await;
        }
        if !attaches.is_empty() {
            self.attach(attaches).await;
        }
    }

    /// Those whose network is there now.
    async fn wait_no_more(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let grounds = self.grounds.borrow().clone();
        let (ready, waiting): (Vec<Waiting>, Vec<Waiting>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| match grounds.get(&waiting.attach.network) {
                None => true,
                Some(ground) => {
                    let attach = &waiting.attach;
                    let id = EndpointId::of(&attach.network, &attach.key);
                    let up = ground.as_ref().is_some_and(|ground| ground.up);
                    up && !self.going.contains(&id)
                }
            });
        self.waiting = waiting;
        if !ready.is_empty() {
            let ready = ready.into_iter();
            let ready = ready.map(|waiting| (waiting.attach, waiting.answer));
            self.attach(ready.collect()).await;
        }
    }

    /// People call an endpoint so.
    fn name(&mut self, name: Name) -> Result<(), Refusal> {
        let Name { network, key, who } = name;
        let bad = |error: WordError| Refusal::new(Reason::Bad, error.to_string());
        who.check().map_err(bad)?;
        let there = self.book.endpoint(EndpointId::of(&network, &key));
        if there.is_some_and(|endpoint| endpoint.who != who) {
            self.write(&[Line::Named { network, key, who }])?;
        }
        Ok(())
    }

    fn form(&self, network: &NetworkName) -> Form {
        if self.settings.bridges.contains(network) {
            Form::Bridge
        } else {
            Form::Routed
        }
    }

    fn ground(&self, network: &NetworkName) -> Option<Ground> {
        self.grounds.borrow().get(network)?.clone()
    }

    /// Writes lines down, and then they are so.
    fn write(&mut self, lines: &[Line]) -> Result<(), Refusal> {
        if lines.is_empty() && !self.unwritten {
            return Ok(());
        }
        let written = block_in_place(|| self.journal.add(&self.book, lines));
        written.map_err(|error| {
            let text = options::sentence(&error);
            Refusal::new(Reason::Disk, text)
        })?;
        self.unwritten = false;
        self.now_so(lines);
        Ok(())
    }

    /// What has happened already is so, on a full disk as well: it is written later.
    fn write_or_owe(&mut self, lines: &[Line]) {
        let Err(error) = self.write(lines) else {
            return;
        };
        if !self.unwritten {
            warn!(reason = %error, "the list of endpoints is not on disk");
        }
        self.unwritten = true;
        self.now_so(lines);
    }

    fn now_so(&mut self, lines: &[Line]) {
        for line in lines {
            self.book.apply(line.clone());
        }
        self.tell(lines);
    }

    fn attached(&self, endpoint: &Endpoint, ground: &Ground, again: bool) -> Attached {
        let inside = ground.inside(endpoint);
        let gateways = inside.gateways.iter().map(|gateway| gateway.address);
        Attached {
            device: endpoint.id().device(),
            mtu: ground.mtu,
            gateways: gateways.collect(),
            on_link: inside.addresses,
            pools: ground.pools.clone(),
            handed: endpoint
                .sandbox
                .handed
                .then(|| program::waiting_name(endpoint.id())),
            endpoint: endpoint.clone(),
            again,
        }
    }

    fn shown_grounds(&self) -> Vec<words::Ground> {
        let grounds = self.grounds.borrow();
        let known = grounds.iter();
        known
            .filter_map(|(name, ground)| Some(ground.as_ref()?.shown(name, self.form(name))))
            .collect()
    }
}

/// Whoever asked may have gone.
fn reply<T>(answer: Answer<T>, result: Result<T, Refusal>) {
    drop(answer.send(result));
}

fn now() -> WallMs {
    WallMs(clock::now_ms())
}
