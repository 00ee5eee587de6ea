//! Reading the links of all endpoints, and mending what differs.

use std::{collections::BTreeSet, time::Duration};

use options::clock;
use overlay::{
    endpoint::{
        EndpointId, Form,
        book::Line,
        link::Device,
        plan::{Desired, Kind, Seen, SeenLink, ours, plan},
        step::Step,
    },
    name::NetworkName,
};
use tokio::{task::block_in_place, time::Instant};
use tracing::{info, warn};

use super::{
    super::{ground::answers_loopback, sandbox},
    Owner,
    program::Coming,
};

/// The kernel tells of many things at once: they are looked at together.
const SETTLE: Duration = Duration::from_millis(5);
/// While somebody keeps changing things, looks take no more than this share.
const BREATH: u32 = 10;
/// A namespace that is not found is looked for again after this.
const TWICE: Duration = Duration::from_secs(2);
/// An engine that has not made a container's namespace by then does not any more.
const MAKING: Duration = Duration::from_secs(120);

/// When to look.
pub(super) struct Looks {
    at: Instant,
    last: Instant,
    took: Duration,
}

impl Looks {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            at: now,
            last: now,
            took: Duration::ZERO,
        }
    }

    pub fn at(&self) -> Instant {
        self.at
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }

    pub fn soon(&mut self) {
        let soon = (Instant::now() + SETTLE).max(self.last + self.took * BREATH);
        self.at = self.at.min(soon);
    }

    fn within(&mut self, time: Duration) {
        self.at = self.at.min(Instant::now() + time);
    }
}

impl Owner {
    /// Ends what has vanished, and mends the rest.
    pub(super) async fn look(&mut self) {
        self.find_vanished().await;
        if self.unwritten {
            self.write_or_owe(&[]);
        }
        let began = Instant::now();
        self.looks.at = began + self.settings.look_every;
        let seen = match block_in_place(|| self.links.look(&self.known())) {
            Ok(seen) => seen,
            Err(error) => {
                warn!(reason = %options::sentence(&error), "cannot look at the links of containers");
                return;
            }
        };
        self.count_unknown(&seen);
        let steps = self.steps(&seen);
        block_in_place(|| {
            self.mend(&steps);
            self.keep_bounds();
        });
        if !self.vanished.is_empty() {
            self.looks.within(TWICE);
        }
        if let Err(reason) = self.publish().await {
            warn!(reason, "ports are not published");
        }
        self.looks.last = began;
        self.looks.took = began.elapsed();
    }

    /// What differs from what should be.
    pub(super) fn steps(&self, seen: &Seen) -> Vec<Step> {
        let mut steps = plan(&self.desired(), seen);
        // What an engine fetched cannot be made anew for it.
        steps.retain(|step| match step.endpoint() {
            Some(id) => !self.is_lost(id, seen),
            None => true,
        });
        steps
    }

    /// Links of ours that no endpoint has.
    pub(super) fn unknown_of<'a>(
        &self,
        seen: &'a Seen,
    ) -> impl Iterator<Item = &'a SeenLink> + use<'a> {
        let known: BTreeSet<String> = self.known().into_iter().map(Device::name).collect();
        let links = seen.links.iter();
        links.filter(move |link| ours(link) && !known.contains(&link.name))
    }

    /// A torn book lacks nothing that matters once all that is in the kernel is in it.
    fn count_unknown(&mut self, seen: &Seen) {
        let unknown = self.unknown_of(seen);
        let unknown = unknown.filter(|link| link.kind == Kind::Veth).count();
        if self.book.is_torn() && self.unknown != Some(unknown) {
            if unknown == 0 {
                info!("all links of containers are known");
                self.write_or_owe(&[Line::Torn(false)]);
            } else {
                warn!(
                    links = unknown,
                    "links of unknown containers: nothing new is attached until they are gone, or `weft ipam repair` removes them"
                );
            }
        }
        self.unknown = Some(unknown);
    }

    /// Every device that an endpoint of the book has.
    pub(super) fn known(&self) -> BTreeSet<Device> {
        self.desired().known
    }

    fn desired(&self) -> Desired {
        let mut desired = Desired {
            whole: !self.book.is_torn(),
            ..Desired::default()
        };
        let going = self.going.iter().copied();
        desired.known.extend(going.map(Device::Endpoint));
        let loopback: BTreeSet<&NetworkName> = self
            .book
            .endpoints()
            .filter(|endpoint| answers_loopback(&endpoint.publish))
            .map(|endpoint| &endpoint.network)
            .collect();
        for endpoint in self.book.endpoints() {
            let id = endpoint.id();
            desired.known.insert(Device::Endpoint(id));
            let Some(ground) = self.ground(&endpoint.network) else {
                // Whose bridge is whose cannot be told.
                desired.whole = false;
                continue;
            };
            if self.vanished.contains_key(&id) {
                continue;
            }
            let wanted = ground.wanted(endpoint);
            if wanted.form == Form::Bridge {
                let device = Device::Bridge(wanted.vni);
                let loopback = loopback.contains(&endpoint.network);
                desired.known.insert(device);
                desired.bridges.insert(device, ground.bridge(loopback));
            }
            desired.endpoints.insert(id, wanted);
        }
        desired
    }

    /// Its link is gone, and only its engine could bring it back.
    fn is_lost(&self, id: EndpointId, seen: &Seen) -> bool {
        let handed = self
            .book
            .endpoint(id)
            .is_some_and(|endpoint| endpoint.sandbox.handed);
        handed && !seen.links.iter().any(|link| link.name == id.device())
    }

    /// Namespaces that are gone twice in a row take their endpoints with them.
    async fn find_vanished(&mut self) {
        let now = Instant::now();
        self.find_made();
        let mut gone = Vec::new();
        for endpoint in self.book.endpoints() {
            let id = endpoint.id();
            let in_the_making =
                endpoint.sandbox.inode == 0 && clock::now_ms() < endpoint.since.after(MAKING).0;
            if in_the_making {
                continue;
            }
            if sandbox::is_there(&endpoint.sandbox) {
                self.vanished.remove(&id);
            } else if now >= *self.vanished.entry(id).or_insert(now) + TWICE {
                gone.push(endpoint.clone());
            }
        }
        if gone.is_empty() {
            return;
        }
        for endpoint in &gone {
            info!(
                network = %endpoint.network,
                key = %endpoint.key,
                netns = endpoint.sandbox.path,
                "its namespace is gone: detached"
            );
        }
        self.remove(&gone, Vec::new()).await;
    }

    /// Is there one whose namespace is not?
    pub(super) fn misses_one(&self) -> bool {
        self.book
            .endpoints()
            .any(|endpoint| endpoint.sandbox.inode != 0 && !sandbox::is_there(&endpoint.sandbox))
    }

    /// Namespaces that engines have made since they asked.
    fn find_made(&mut self) {
        let made = self.book.endpoints().filter_map(|endpoint| {
            if endpoint.sandbox.inode != 0 {
                return None;
            }
            let found = sandbox::open(&endpoint.sandbox.path).ok()?;
            let mut endpoint = endpoint.clone();
            endpoint.sandbox.inode = found.inode;
            endpoint.sandbox.born = found.born;
            Some(Line::Attached(endpoint))
        });
        let made: Vec<Line> = made.collect();
        if !made.is_empty() {
            self.write_or_owe(&made);
        }
    }

    fn keep_bounds(&mut self) {
        // Of a network that is not there now nothing is known that could be bounded.
        let all: Vec<_> = self
            .book
            .endpoints()
            .map(|endpoint| {
                let ground = self.ground(&endpoint.network);
                let mtu = ground.map_or(0, |ground| ground.mtu);
                (endpoint.id(), endpoint.bandwidth, mtu)
            })
            .collect();
        let bounded = all.iter().any(|(_, bandwidth, _)| !bandwidth.is_unbound());
        let nothing = !bounded && !self.bounded;
        if nothing || all.iter().any(|(_, _, mtu)| *mtu == 0) {
            return;
        }
        self.bounded = bounded;
        match self.links.keep_bounds(all.into_iter()) {
            Ok(failed) => {
                for (id, error) in failed {
                    self.failing.insert(id, options::sentence(&error));
                }
            }
            Err(error) => warn!(reason = %options::sentence(&error), "bounds cannot be kept"),
        }
    }

    fn mend(&mut self, steps: &[Step]) {
        let made: BTreeSet<EndpointId> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Make(id) => Some(*id),
                _ => None,
            })
            .collect();
        // A link that is to be made has two sides.
        let remade: Vec<Coming> = self
            .book
            .endpoints()
            .filter(|endpoint| made.contains(&endpoint.id()))
            .filter_map(|endpoint| {
                Some(Coming {
                    endpoint: endpoint.clone(),
                    ground: self.ground(&endpoint.network)?,
                    found: Some(sandbox::again(&endpoint.sandbox)?),
                    again: true,
                    told: false,
                })
            })
            .collect();
        let rest: Vec<Step> = steps
            .iter()
            .filter(|step| step.endpoint().is_none_or(|id| !made.contains(&id)))
            .cloned()
            .collect();
        if let Some(first) = steps.first() {
            info!(steps = steps.len(), %first, "links of containers are not as they should be: mending");
        }
        let mut failing = std::mem::take(&mut self.failing);
        self.failing.clear();
        for failure in self.links.apply(&rest, |_| None) {
            let reason = format!("{}: {}", failure.step, failure.reason);
            if let Some(id) = failure.step.endpoint() {
                if failing.remove(&id).as_ref() != Some(&reason) {
                    warn!(reason, "the kernel refused");
                }
                self.failing.insert(id, reason);
            }
        }
        for (id, refusal) in self.program(&remade) {
            if failing.remove(&id).as_ref() != Some(&refusal.message) {
                warn!(
                    reason = refusal.message,
                    "a container's link cannot be made again"
                );
            }
            self.failing.insert(id, refusal.message);
        }
    }
}
