//! Containers come.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
};

use overlay::{
    endpoint::{
        Endpoint, EndpointId, Sandbox,
        book::{Ask, Line, Refused},
        link::{Device, HOST_MAC},
        plan::{Desired, Seen, Step, plan},
    },
    name::NetworkName,
    subnet::{Family, Subnet},
};
use rustix::io::Errno;
use socket::words::{Attach, Attached, Reason, Refusal};
use tokio::{task::block_in_place, time::Instant};
use tracing::{info, warn};

use super::{
    super::{
        door::Answer,
        ground::{Ground, answers_loopback},
        sandbox::{self, Found},
    },
    Owner, PATIENCE, Waiting, now, reply,
};
use crate::kernel::{
    endpoint::{Failure, OtherEnd},
    inside,
};

/// One that is to be made, or looked after.
pub(super) struct Coming {
    pub endpoint: Endpoint,
    pub ground: Ground,
    /// None: its engine fetches the link by itself.
    pub found: Option<Found>,
    /// It was there before.
    pub again: bool,
    /// Whoever asked waits until the fleet knows.
    pub told: bool,
}

/// What is to go before links can be made.
#[derive(Default)]
struct Stale {
    ids: BTreeSet<EndpointId>,
    deletions: Vec<Step>,
}

impl Stale {
    fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Where a container's end waits for its engine.
pub fn waiting_name(id: EndpointId) -> String {
    format!("wt{id}")
}

impl Owner {
    pub(super) async fn attach(&mut self, asked: Vec<(Box<Attach>, Answer<Attached>)>) {
        let mut coming: Vec<(Coming, Answer<Attached>)> = Vec::new();
        let mut lines = Vec::new();
        for (attach, answer) in asked {
            match self.consider(&attach) {
                Ok(None) => {
                    let network = &attach.network;
                    let text =
                        format!("network {network} is not ready on this host yet; try again");
                    self.waiting.push(Waiting {
                        refusal: Refusal::new(Reason::NotReady, text),
                        attach,
                        answer,
                        until: Instant::now() + PATIENCE,
                    });
                }
                Ok(Some(one)) => {
                    if !one.again {
                        let line = Line::Attached(one.endpoint.clone());
                        // What one takes the next one must not get.
                        self.book.apply(line.clone());
                        lines.push(line);
                    }
                    coming.push((one, answer));
                }
                // A container that is gone holds what it had until it is not found twice.
                Err(refusal)
                    if matches!(refusal.reason, Reason::Taken | Reason::Exhausted)
                        && self.misses_one() =>
                {
                    self.looks.soon();
                    self.waiting.push(Waiting {
                        refusal,
                        attach,
                        answer,
                        until: Instant::now() + PATIENCE,
                    });
                }
                Err(refusal) => reply(answer, Err(refusal)),
            }
        }
        if coming.is_empty() {
            return;
        }
        if let Err(refusal) = self.write(&lines) {
            for (one, answer) in coming {
                if !one.again {
                    self.book.apply(Line::Detached {
                        network: one.endpoint.network,
                        key: one.endpoint.key,
                        at: now(),
                    });
                }
                reply(answer, Err(refusal.clone()));
            }
            return;
        }
        let (ones, answers): (Vec<Coming>, Vec<Answer<Attached>>) = coming.into_iter().unzip();
        let mut failures = block_in_place(|| self.program(&ones));
        if ones.iter().any(|one| !one.endpoint.publish.is_empty())
            && let Err(reason) = self.publish().await
        {
            for one in &ones {
                if !one.endpoint.publish.is_empty() {
                    let reason = Refusal::new(Reason::Kernel, reason.clone());
                    failures.entry(one.endpoint.id()).or_insert(reason);
                }
            }
        }
        let undone = ones.iter().filter(|one| !one.again);
        let undone = undone.filter(|one| failures.contains_key(&one.endpoint.id()));
        let undone: Vec<Endpoint> = undone.map(|one| one.endpoint.clone()).collect();
        if !undone.is_empty() {
            self.remove(&undone, Vec::new()).await;
        }
        for (one, answer) in ones.into_iter().zip(answers) {
            let id = one.endpoint.id();
            if let Some(refusal) = failures.get(&id) {
                let (network, key) = (&one.endpoint.network, &one.endpoint.key);
                warn!(%network, %key, reason = %refusal, "cannot attach");
                reply(answer, Err(refusal.clone()));
                continue;
            }
            self.failing.remove(&id);
            self.vanished.remove(&id);
            if !one.again {
                say(&one.endpoint);
            }
            let attached = self.attached(&one.endpoint, &one.ground, one.again);
            if one.told {
                self.answer_when_known(attached, answer);
            } else {
                reply(answer, Ok(attached));
            }
        }
    }

    /// None: its network is not there yet.
    fn consider(&self, attach: &Attach) -> Result<Option<Coming>, Refusal> {
        let bad = |error: &dyn std::error::Error| Refusal::new(Reason::Bad, error.to_string());
        sandbox::check_interface(&attach.interface)?;
        attach.who.check().map_err(|error| bad(&error))?;
        for publish in &attach.publish {
            publish.check().map_err(|error| bad(&error))?;
        }
        self.check_carriers(&attach.publish)?;
        let network = &attach.network;
        if self.settings.lent.as_ref() == Some(network) {
            let text = format!(
                "flannel's plugin gives the addresses of network {network} on this host, as --subnet-env says; Weft would give the same ones"
            );
            return Err(Refusal::new(Reason::Bad, text));
        }
        let ground = match self.grounds.borrow().get(network) {
            None => {
                let text = format!("this host has not joined network {network}");
                return Err(Refusal::new(Reason::NotJoined, text));
            }
            Some(None) => return Ok(None),
            Some(Some(ground)) if !ground.up => return Ok(None),
            Some(Some(ground)) => ground.clone(),
        };
        // The kernel is about to lose the link of the last one with this key.
        let id = EndpointId::of(&attach.network, &attach.key);
        if self.going.contains(&id) {
            return Ok(None);
        }
        let found = if attach.hand {
            None
        } else {
            Some(sandbox::open(&attach.netns)?)
        };
        let ask = self.ask(attach, found.as_ref());
        let made = self.book.attach(&ask, &families(attach, &ground), now());
        let made = made.map_err(|refused| refusal(&refused))?;
        let again = made.is_none();
        let endpoint = made.or_else(|| self.book.endpoint(id).cloned());
        Ok(endpoint.map(|endpoint| Coming {
            endpoint,
            ground,
            found,
            again,
            told: attach.told,
        }))
    }

    fn ask(&self, attach: &Attach, found: Option<&Found>) -> Ask {
        Ask {
            network: attach.network.clone(),
            key: attach.key.clone(),
            addresses: attach.addresses.clone(),
            mac: attach.mac,
            form: self.form(&attach.network),
            sandbox: Sandbox {
                path: attach.netns.clone(),
                inode: found.map_or(0, |found| found.inode),
                born: found.map_or(0, |found| found.born),
                interface: attach.interface.clone(),
                handed: attach.hand,
            },
            who: attach.who.clone(),
            publish: attach.publish.clone(),
            bandwidth: attach.bandwidth,
        }
    }

    /// Makes the kernel what these need, both sides of their links.
    pub(super) fn program(&mut self, ones: &[Coming]) -> BTreeMap<EndpointId, Refusal> {
        let mut failures = BTreeMap::new();
        // One that was there before may lack anything; a new one lacks everything.
        let seen = if ones.iter().any(|one| one.again) {
            match self.links.look(&self.known()) {
                Ok(seen) => seen,
                Err(error) => {
                    let refusal = Refusal::new(Reason::Kernel, options::sentence(&error));
                    let all = ones.iter().map(|one| (one.endpoint.id(), refusal.clone()));
                    return all.collect();
                }
            }
        } else {
            Seen::default()
        };
        let steps = plan(&self.desired_of(ones), &seen);
        let ends: BTreeMap<EndpointId, (&Coming, String)> = ones
            .iter()
            .map(|one| {
                let id = one.endpoint.id();
                let name = if one.endpoint.sandbox.handed {
                    waiting_name(id)
                } else {
                    one.endpoint.sandbox.interface.clone()
                };
                (id, (one, name))
            })
            .collect();
        let other_end = |id| {
            let (one, name) = ends.get(&id)?;
            Some(OtherEnd {
                name: name.as_str(),
                mac: one.endpoint.mac,
                mtu: one.ground.mtu,
                namespace: one.found.as_ref().map(|found| found.file.as_fd()),
            })
        };
        let mut failed = self.links.apply(&steps, other_end);
        let stale = self.stale(ones, &failed);
        if !stale.is_empty() {
            self.links.apply(&stale.deletions, |_| None);
            let of_them = |step: &Step| step.endpoint().is_some_and(|id| stale.ids.contains(&id));
            failed.retain(|failure| !of_them(&failure.step));
            let again: Vec<Step> = steps.iter().filter(|step| of_them(step)).cloned().collect();
            failed.extend(self.links.apply(&again, other_end));
        }
        for failure in failed {
            for one in ones.iter().filter(|one| concerns(&failure, one)) {
                let refusal = explain(&failure, one);
                failures.entry(one.endpoint.id()).or_insert(refusal);
            }
        }
        for one in ones {
            let id = one.endpoint.id();
            if failures.contains_key(&id) {
                continue;
            }
            if let Some(found) = &one.found {
                let inside = one.ground.inside(&one.endpoint);
                if let Err(error) = inside::set(found.file.as_fd(), &inside) {
                    let text = options::sentence(&error);
                    failures.insert(id, Refusal::new(Reason::Kernel, text));
                    continue;
                }
            }
            let bandwidth = &one.endpoint.bandwidth;
            if !bandwidth.is_unbound()
                && let Err(error) = self.links.shape(id, bandwidth, one.ground.mtu)
            {
                failures.insert(id, Refusal::new(Reason::Kernel, options::sentence(&error)));
            }
        }
        failures
    }

    /// The links that endpoints of before left where those of these should be: their
    /// containers were made anew.
    fn stale(&mut self, ones: &[Coming], failed: &[Failure]) -> Stale {
        let mut stale = Stale::default();
        for failure in failed {
            let Step::Make(id) = failure.step else {
                continue;
            };
            let one = ones.iter().find(|one| one.endpoint.id() == id);
            let in_the_way = one.is_some_and(has_interface);
            if failure.errno != Some(Errno::EXIST) || in_the_way {
                continue;
            }
            let name = id.device();
            if let Ok(Some(link)) = self.links.link(&name)
                && link.mac == Some(HOST_MAC)
            {
                let index = link.index;
                stale.deletions.push(Step::Delete { index, name });
                stale.ids.insert(id);
            }
        }
        stale
    }

    /// These alone, and the bridges that they need.
    fn desired_of(&self, ones: &[Coming]) -> Desired {
        let mut desired = Desired::default();
        for one in ones {
            let wanted = one.ground.wanted(&one.endpoint);
            if wanted.form == overlay::endpoint::Form::Bridge {
                let loopback = self.bridge_answers_loopback(&one.endpoint.network);
                let bridge = one.ground.bridge(loopback);
                desired.bridges.insert(Device::Bridge(wanted.vni), bridge);
            }
            desired.endpoints.insert(wanted.id, wanted);
        }
        desired
    }

    pub(super) fn bridge_answers_loopback(&self, network: &NetworkName) -> bool {
        let mut endpoints = self.book.endpoints();
        endpoints
            .any(|endpoint| endpoint.network == *network && answers_loopback(&endpoint.publish))
    }
}

/// An engine that sets its containers up gives them what it asked for, and no more.
fn families(attach: &Attach, ground: &Ground) -> Vec<Subnet> {
    let subnets = ground.subnets.iter().copied();
    let asked = |subnet: &Subnet| {
        let mut addresses = attach.addresses.iter();
        addresses.any(|address| Family::of(*address) == subnet.family())
    };
    subnets
        .filter(|subnet| !attach.hand || asked(subnet))
        .collect()
}

fn say(endpoint: &Endpoint) {
    let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
    info!(
        network = %endpoint.network,
        key = %endpoint.key,
        name = endpoint.who.name,
        addresses = addresses.join(","),
        "attached"
    );
}

fn concerns(failure: &Failure, one: &Coming) -> bool {
    match failure.step.endpoint() {
        Some(id) => id == one.endpoint.id(),
        // A bridge's.
        None => one.endpoint.form == overlay::endpoint::Form::Bridge,
    }
}

fn explain(failure: &Failure, one: &Coming) -> Refusal {
    let name = &one.endpoint.sandbox.interface;
    let is_made = matches!(failure.step, Step::Make(_));
    if is_made && failure.errno == Some(Errno::EXIST) && has_interface(one) {
        let text = format!("the container has an interface {name} already");
        return Refusal::new(Reason::InterfaceTaken, text);
    }
    let text = format!("{}: {}", failure.step, failure.reason);
    Refusal::new(Reason::Kernel, text)
}

fn has_interface(one: &Coming) -> bool {
    let name = &one.endpoint.sandbox.interface;
    let found = one.found.as_ref();
    found.is_some_and(|found| inside::has_interface(found.file.as_fd(), name).unwrap_or(false))
}

pub(super) fn refusal(refused: &Refused) -> Refusal {
    let reason = match refused {
        Refused::Twice(..)
        | Refused::NoFamily(..)
        | Refused::Reserved(..)
        | Refused::BadMac(_)
        | Refused::PortsCollide(..) => Reason::Bad,
        Refused::NotOurs(..) => Reason::NotOurs,
        Refused::Taken(..)
        | Refused::Held(..)
        | Refused::MacTaken(..)
        | Refused::PortTaken(..)
        | Refused::Otherwise { .. } => Reason::Taken,
        Refused::Exhausted { .. } => Reason::Exhausted,
        Refused::NoSubnet(_) => Reason::NotReady,
    };
    Refusal::new(reason, refused.to_string())
}
