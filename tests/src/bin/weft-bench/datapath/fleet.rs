//! One host for an agent, one for doing the same by hand, and a controller that knows
//! of many more.

use anyhow::{Context, Result};
use tests::{
    client::Client,
    controller::Controller,
    lab::{Host, Lab},
};
use tokio::runtime::Builder;

use crate::rate::measure;

/// 65,536 subnets.
const POOL: &str = "10.0.0.0/8";
/// Requests under way at once.
const AT_ONCE: usize = 256;

pub struct Fleet {
    lab: Lab,
    peers: usize,
}

impl Fleet {
    pub fn new() -> Result<Self> {
        let mut lab = Lab::new(2)?;
        lab.start_controller(&["--default-network", POOL])?;
        for controller in &mut lab.controllers {
            controller.hush();
        }
        Ok(Self { lab, peers: 0 })
    }

    pub fn peers(&self) -> usize {
        self.peers
    }

    pub fn with_agent(&self) -> &Host {
        self.lab.host(1)
    }

    pub fn by_hand(&self) -> &Host {
        self.lab.host(2)
    }

    pub fn controllers(&self) -> Result<String> {
        self.lab.controller_urls()
    }

    /// So many hosts have a lease, each with an underlay address and a MAC.
    pub fn grow(&mut self, peers: usize) -> Result<()> {
        let before = self.peers;
        self.client(async |client| {
            measure(AT_ONCE, peers - before, move |_, number| {
                let (client, number) = (client.clone(), before + number);
                async move {
                    let node = node(number);
                    client.acquire_at(&node, u32::try_from(number)?).await?;
                    Ok(())
                }
            })
            .await
        })?;
        self.peers = peers;
        Ok(())
    }

    /// Talks with the controller, from where it is.
    pub fn client<T: Send>(&self, talk: impl AsyncFnOnce(Client) -> Result<T> + Send) -> Result<T> {
        let controller: &Controller = self.lab.controllers.first().context("a controller")?;
        controller.place().inside(|| {
            // Its sockets belong where its one thread is.
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { talk(Client::new(controller.channel()?)).await })
        })
    }
}

/// The name of a peer.
pub fn node(number: usize) -> String {
    format!("peer-{number}")
}
