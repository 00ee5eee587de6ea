//! What operators and engines ask without changing anything, and addresses that are
//! held.

use overlay::{
    endpoint::{
        Endpoint, EndpointId,
        book::{Line, Place},
        link::Device,
        plan::plan,
    },
    subnet::Family,
};
use socket::words::{Check, Held, Hold, Reason, Refusal, Shown, State, Unhold, Use};
use std::os::fd::AsFd;

use super::{super::sandbox, Owner, attach::refusal, now};
use crate::kernel::inside;

impl Owner {
    pub(super) fn list(&self) -> Vec<Shown> {
        self.book.endpoints().map(|one| self.shown(one)).collect()
    }

    fn shown(&self, endpoint: &Endpoint) -> Shown {
        let id = endpoint.id();
        let no_ground = || {
            let network = &endpoint.network;
            let missing = self.ground(network).is_none();
            missing.then(|| format!("this host has not joined network {network}"))
        };
        let (state, reason) = if self.vanished.contains_key(&id) {
            let text = format!("there is no {} any more", endpoint.sandbox.path);
            (State::Vanished, Some(text))
        } else {
            match self.failing.get(&id).cloned().or_else(no_ground) {
                Some(reason) => (State::Failing, Some(reason)),
                None => (State::Ready, None),
            }
        };
        Shown {
            endpoint: endpoint.clone(),
            id,
            device: id.device(),
            state,
            reason,
        }
    }

    pub(super) fn usage(&self) -> Vec<Use> {
        let mut usage = Vec::new();
        for (network, ground) in self.grounds.borrow().iter() {
            let subnets = ground.iter().flat_map(|ground| &ground.subnets);
            for &subnet in subnets {
                let lot = self.book.lot(network, subnet, now());
                usage.push(Use {
                    network: network.clone(),
                    subnet,
                    used: lot.used,
                    held: lot.held,
                    cooling: lot.cooling,
                    free: lot.free,
                });
            }
        }
        usage
    }

    /// What is wrong with one endpoint, on both sides of its link.
    pub(super) fn check(&mut self, check: &Check) -> Result<Vec<String>, Refusal> {
        let id = EndpointId::of(&check.network, &check.key);
        let Some(endpoint) = self.book.endpoint(id).cloned() else {
            return Ok(vec![format!("{} is not attached", check.key)]);
        };
        let Some(ground) = self.ground(&check.network) else {
            let network = &check.network;
            return Ok(vec![format!("this host has not joined network {network}")]);
        };
        let kernel =
            |error: &dyn std::error::Error| Refusal::new(Reason::Kernel, options::sentence(error));
        let seen = self.links.look(&[Device::Endpoint(id)].into());
        let seen = seen.map_err(|error| kernel(&error))?;
        let mut desired = overlay::endpoint::plan::Desired::default();
        desired.endpoints.insert(id, ground.wanted(&endpoint));
        let steps = plan(&desired, &seen);
        let mut problems: Vec<String> = steps
            .iter()
            .map(|step| format!("missing: {step}"))
            .collect();
        let Some(found) = sandbox::again(&endpoint.sandbox) else {
            let path = &endpoint.sandbox.path;
            problems.push(format!("there is no {path} any more"));
            return Ok(problems);
        };
        // What an engine set up by itself is its own.
        if !endpoint.sandbox.handed {
            let inside = ground.inside(&endpoint);
            let more = inside::problems(found.file.as_fd(), &inside);
            problems.extend(more.map_err(|error| kernel(&error))?);
        }
        Ok(problems)
    }

    pub(super) fn hold(&mut self, hold: &Hold) -> Result<Held, Refusal> {
        let network = &hold.network;
        let Some(ground) = self.ground(network) else {
            let text = format!("this host has not joined network {network}");
            return Err(Refusal::new(Reason::NotJoined, text));
        };
        let held = self.book.hold(
            network,
            &ground.subnets,
            hold.family,
            hold.address,
            &hold.by,
            now(),
        );
        let (address, line) = held.map_err(|refused| refusal(&refused))?;
        self.write(line.as_slice())?;
        Ok(Held { address })
    }

    pub(super) fn holds(&self) -> Vec<Hold> {
        let holds = self.book.holds().map(|(place, by)| Hold {
            network: place.network.clone(),
            address: Some(place.address),
            family: Family::of(place.address),
            by: by.clone(),
        });
        holds.collect()
    }

    pub(super) fn unhold(&mut self, unhold: Unhold) -> Result<(), Refusal> {
        let Unhold { network, address } = unhold;
        let is_it = |place: &Place| place.network == network && place.address == address;
        let held = self.book.holds().any(|(place, _)| is_it(place));
        if held {
            let at = now();
            self.write_or_owe(&[Line::Released {
                network,
                address,
                at,
            }]);
        }
        Ok(())
    }
}
