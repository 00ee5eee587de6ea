//! The steps of a change: what some keys had before it, and what they have now.

use std::net::IpAddr;

use super::Member;
use crate::{
    datapath::{
        entry::{self, Entries, Keys, Via, metric},
        step::{Doomed, Step},
    },
    record::Mac,
    subnet::Subnet,
};

impl Member {
    pub(super) fn steps(&self, keys: &Keys, before: &Before) -> Vec<Step> {
        let vni = self.network.vni;
        let now = &self.entries;
        let mut steps = Vec::new();
        let mut last = Vec::new();
        for (&address, before) in keys.sources.iter().zip(&before.sources) {
            match (before, now.sources.get(&address).is_some()) {
                (false, true) => steps.push(Step::Admit(address)),
                (true, false) => last.push(Step::Bar(address)),
                (true, true) | (false, false) => {}
            }
        }
        let mut drop_fdb = Vec::new();
        for (&mac, before) in keys.fdb.iter().zip(&before.fdb) {
            match now.fdb.get(&mac).copied() {
                to if to == *before => {}
                Some(to) => steps.push(Step::SetFdb { vni, mac, to }),
                None => drop_fdb.push(Step::DropFdb { vni, mac }),
            }
        }
        let mut drop_neighbours = Vec::new();
        for (&address, before) in keys.neighbours.iter().zip(&before.neighbours) {
            match now.neighbours.get(&address).copied() {
                mac if mac == *before => {}
                Some(mac) => steps.push(Step::SetNeighbour { vni, address, mac }),
                None => drop_neighbours.push(Step::DropNeighbour { vni, address }),
            }
        }
        let mut drop_routes = Vec::new();
        for (&subnet, before) in keys.routes.iter().zip(&before.routes) {
            match now.routes.get(&subnet).copied() {
                via if via == *before => {}
                Some(via) => steps.push(Step::SetRoute(self.route(subnet, via))),
                None => drop_routes.push(drop_route(subnet)),
            }
        }
        steps.append(&mut drop_routes);
        steps.append(&mut drop_neighbours);
        steps.append(&mut drop_fdb);
        steps.append(&mut last);
        steps
    }
}

fn drop_route(subnet: Subnet) -> Step {
    Step::DropRoute(Doomed {
        subnet,
        metric: metric(subnet),
        protocol: entry::PROTOCOL,
        unreachable: false,
    })
}

/// What some keys had before a change.
pub(super) struct Before {
    fdb: Vec<Option<IpAddr>>,
    neighbours: Vec<Option<Mac>>,
    routes: Vec<Option<Via>>,
    sources: Vec<bool>,
}

impl Before {
    pub(super) fn of(entries: &Entries, keys: &Keys) -> Self {
        let fdb = keys.fdb.iter().map(|key| entries.fdb.get(key).copied());
        let neighbours = keys.neighbours.iter();
        let routes = keys.routes.iter();
        let sources = keys.sources.iter();
        Self {
            fdb: fdb.collect(),
            neighbours: neighbours
                .map(|key| entries.neighbours.get(key).copied())
                .collect(),
            routes: routes.map(|key| entries.routes.get(key).copied()).collect(),
            sources: sources
                .map(|key| entries.sources.get(key).is_some())
                .collect(),
        }
    }
}
