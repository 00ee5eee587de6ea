//! What an agent of a fleet says of its endpoints.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::{
    decide::{
        Refusal, View,
        endpoint::{self, Extent, News, Teller},
    },
    endpoint::{EndpointId, Key, Public, Who},
    record::{Lease, Mac},
    time::WallMs,
    txn::Transaction,
};

use super::{Fleet, network, node};

impl Fleet {
    pub fn teller(&self, view: &View<'_>, number: u8) -> Result<Teller, Refusal> {
        let (network, node) = (network(), node(number));
        let lease = leased(view, number)?;
        Ok(Teller {
            sid: self.sid(number),
            life: lease.life,
            network,
            node,
        })
    }

    pub(super) fn attach(
        &self,
        view: &View<'_>,
        number: u8,
        which: &[u8],
    ) -> Result<Transaction, Refusal> {
        let teller = self.teller(view, number)?;
        let set = endpoints(leased(view, number)?, which);
        let news = News {
            extent: Extent::Whole(set.keys().copied().collect()),
            set,
            gone: Default::default(),
        };
        let plan = endpoint::plan(view, &teller, &news)?;
        assert!(plan.refused.is_empty(), "{plan:?}");
        let part = plan.parts.first().ok_or(Refusal::NothingToDo)?;
        endpoint::keep(view, &teller, part).map(|decision| decision.txn)
    }
}

fn leased<'a>(view: &View<'a>, number: u8) -> Result<&'a Lease, Refusal> {
    let (network, node) = (network(), node(number));
    let lease = view.registry.lease(&network, &node);
    let lease = lease.ok_or(Refusal::NoLease { network, node })?;
    Ok(&lease.value)
}

pub fn endpoint_id(number: u8) -> EndpointId {
    EndpointId::of(&network(), &key(number))
}

fn key(number: u8) -> Key {
    format!("test/{number}").parse().unwrap()
}

/// Endpoints with addresses of this lease.
pub fn endpoints(lease: &Lease, which: &[u8]) -> BTreeMap<EndpointId, Arc<Public>> {
    let one = |number: &u8| {
        let public = Public {
            key: key(*number),
            addresses: lease
                .subnets()
                .map(|subnet| above(subnet.address(), *number))
                .collect(),
            mac: Mac([2, 0, 0, 0, 1, *number]),
            who: Who {
                name: Some(format!("c{number}")),
                ..Who::default()
            },
            publish: Vec::new(),
            since: WallMs(7),
        };
        (endpoint_id(*number), Arc::new(public))
    };
    which.iter().map(one).collect()
}

fn above(base: IpAddr, number: u8) -> IpAddr {
    match base {
        IpAddr::V4(base) => IpAddr::V4((u32::from(base) + u32::from(number)).into()),
        IpAddr::V6(base) => IpAddr::V6((u128::from(base) + u128::from(number)).into()),
    }
}
