//! The IPAM half: Docker asks for pools and addresses. Addresses are held until Docker
//! gives them back; whoever joins attaches with the one it holds.

use std::{collections::BTreeMap, net::IpAddr};

use overlay::{
    endpoint::Form,
    hash::fnv1a,
    subnet::{Family, Subnet},
};
use socket::words::{Ground, Held, Hold, Reason, Refusal, Unhold};

use super::{
    CallError, Driver,
    key::{self, BEFORE},
    pool::{self, Pool, PoolError},
    words::{
        GATEWAY, GivenAddress, GivenPool, ReleaseAddress, ReleasePool, RequestAddress, RequestPool,
    },
};

impl Driver {
    pub(super) async fn request_pool(&self, ask: &RequestPool) -> Result<GivenPool, CallError> {
        let chosen = self.grounded(|grounds| pool::choose(ask, grounds)).await?;
        if let Some(compared) = chosen.compared
            && !self.notes.offer(chosen.pool.clone()).await?
        {
            let network = chosen.pool.network;
            let pool = compared;
            return Err(PoolError::Overlaps { pool, network }.into());
        }
        Ok(GivenPool {
            pool_id: chosen.pool.to_string(),
            pool: chosen.told,
            data: BTreeMap::from([(GATEWAY.to_owned(), chosen.gateway)]),
        })
    }

    pub(super) async fn release_pool(&self, ask: &ReleasePool) -> Result<(), CallError> {
        if let Ok(pool) = ask.pool_id.parse() {
            self.notes.settle(pool).await?;
        }
        Ok(())
    }

    pub(super) async fn request_address(
        &self,
        ask: &RequestAddress,
    ) -> Result<GivenAddress, CallError> {
        let pool: Pool = ask.pool_id.parse()?;
        let asked = match ask.address.as_str() {
            "" => None,
            text => Some(address(text)?),
        };
        let found = |grounds: &[Ground]| {
            let ground = pool::find(&pool.network, grounds)?;
            let own = pool::own(ground, pool.family)?;
            Ok((own, ground.form))
        };
        let (own, form) = self.grounded(found).await?;
        if ask.is_gateway() {
            return gateway(ask, asked, own);
        }
        let address = match (ask.mac(), asked) {
            (None, Some(asked)) => self.hold_again(&pool, asked).await?,
            (None, None) => self.hold(&pool, None, BEFORE).await?.address,
            (Some(mac), Some(asked)) => self.hold(&pool, Some(asked), mac).await?.address,
            (Some(mac), None) => match pool.range {
                None => self.hold(&pool, None, mac).await?.address,
                Some(range) => self.hold_in(&pool, range, own, mac).await?,
            },
        };
        Ok(given(address, on_link(form, own)))
    }

    pub(super) async fn release_address(&self, ask: &ReleaseAddress) -> Result<(), CallError> {
        // What cannot be one of ours was never given.
        let (Ok(pool), Ok(address)) = (ask.pool_id.parse::<Pool>(), address(&ask.address)) else {
            return Ok(());
        };
        let network = pool.network;
        match self.door.unhold(Unhold { network, address }).await {
            Err(refusal) if refusal.reason != Reason::NotJoined => Err(refusal.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What Docker had before it was restarted, or is to give to nobody.
    async fn hold_again(&self, pool: &Pool, asked: IpAddr) -> Result<IpAddr, CallError> {
        match self.hold(pool, Some(asked), BEFORE).await {
            Ok(held) => Ok(held.address),
            // Held or attached still; and another host's is given to nobody here.
            Err(refusal) if matches!(refusal.reason, Reason::Taken | Reason::NotOurs) => Ok(asked),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn hold_in(
        &self,
        pool: &Pool,
        range: Subnet,
        own: Subnet,
        mac: &str,
    ) -> Result<IpAddr, CallError> {
        for candidate in pool::candidates(range, own, fnv1a(mac.as_bytes())) {
            match self.hold(pool, Some(candidate), mac).await {
                Ok(held) => return Ok(held.address),
                // Somebody's, or nobody's to have.
                Err(refusal) if matches!(refusal.reason, Reason::Taken | Reason::Bad) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let message = format!("no address is left in {range}, the --ip-range of this network");
        Err(Refusal::new(Reason::Exhausted, message).into())
    }

    async fn hold(&self, pool: &Pool, asked: Option<IpAddr>, by: &str) -> Result<Held, Refusal> {
        let by =
            key::of(by).map_err(|error| Refusal::new(Reason::Bad, format!("{by:?}: {error}")))?;
        let hold = Hold {
            network: pool.network.clone(),
            address: asked,
            family: pool.family,
            by,
        };
        self.patiently(|| self.door.hold(hold.clone())).await
    }
}

fn gateway(
    ask: &RequestAddress,
    asked: Option<IpAddr>,
    own: Subnet,
) -> Result<GivenAddress, CallError> {
    let gateway = pool::gateway(own);
    // Docker names the one of a subnet that this host had once; there is none there.
    match asked {
        Some(asked) if own.holds(asked) && asked != gateway => {
            Err(PoolError::Gateway { own, gateway }.into())
        }
        Some(asked) if Family::of(asked) != own.family() => {
            Err(PoolError::Address(ask.address.clone()).into())
        }
        asked => Ok(given(asked.unwrap_or(gateway), own.length())),
    }
}

/// How many bits of an address are on a container's link.
fn on_link(form: Form, own: Subnet) -> u8 {
    match form {
        Form::Routed => own.family().bits(),
        Form::Bridge => own.length(),
    }
}

fn given(address: IpAddr, length: u8) -> GivenAddress {
    GivenAddress {
        address: format!("{address}/{length}"),
        data: BTreeMap::new(),
    }
}

fn address(text: &str) -> Result<IpAddr, PoolError> {
    let address = text.split('/').next().unwrap_or(text);
    address
        .parse()
        .map_err(|_| PoolError::Address(text.to_owned()))
}
