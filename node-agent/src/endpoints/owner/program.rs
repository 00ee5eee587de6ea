//! What endpoints need, brought into the kernel on both sides of their links.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
};

use overlay::endpoint::{
    Endpoint, EndpointId, Form,
    link::{Device, HOST_MAC},
    plan::{Desired, Seen, plan},
    step::Step,
};
use rustix::io::Errno;
use socket::words::{Reason, Refusal};

use super::{
    super::{ground::Ground, sandbox::Found},
    Owner,
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

/// Where a container's end waits for its engine.
pub fn waiting_name(id: EndpointId) -> String {
    format!("wt{id}")
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

impl Owner {
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
            if wanted.form == Form::Bridge {
                let loopback = self.bridge_answers_loopback(&one.endpoint.network);
                let bridge = one.ground.bridge(loopback);
                desired.bridges.insert(Device::Bridge(wanted.vni), bridge);
            }
            desired.endpoints.insert(wanted.id, wanted);
        }
        desired
    }
}

fn concerns(failure: &Failure, one: &Coming) -> bool {
    match failure.step.endpoint() {
        Some(id) => id == one.endpoint.id(),
        // A bridge's.
        None => one.endpoint.form == Form::Bridge,
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
