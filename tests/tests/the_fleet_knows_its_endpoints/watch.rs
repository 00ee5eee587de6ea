//! Somebody who watches, as DNS would.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use proto::v1;
use tests::{
    client::Client,
    controller::Controller,
    wait::{eventually, within},
};
use tonic::Streaming;

pub type Seen = BTreeMap<(String, String, String), v1::Endpoint>;

pub struct Watch {
    stream: Streaming<v1::WatchEndpointsResponse>,
    pub cluster: String,
    pub revision: u64,
    pub snapshot: bool,
    pub seen: Seen,
    pub gone: Vec<String>,
    /// How many endpoints were told of.
    pub told: usize,
}

impl Watch {
    pub async fn begin(controller: &Controller) -> Result<Self> {
        Self::open(controller, "", 0).await
    }

    pub async fn open(controller: &Controller, cluster: &str, revision: u64) -> Result<Self> {
        let request = v1::WatchEndpointsRequest {
            network: String::new(),
            cluster: cluster.into(),
            revision,
        };
        let mut client = Client::new(controller.channel()?).endpoints();
        let stream = eventually("a watch begins", async || {
            Ok(client.watch(request.clone()).await?.into_inner())
        });
        Ok(Self {
            stream: stream.await?,
            cluster: String::new(),
            revision,
            snapshot: false,
            seen: Seen::new(),
            gone: Vec::new(),
            told: 0,
        })
    }

    pub async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) -> Result<()> {
        self.hear_until(what, |watch| holds(&watch.seen)).await
    }

    pub async fn hear_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !holds(self) {
            ensure!(
                began.elapsed() < Duration::from_secs(60),
                "{what}: {} seen",
                self.seen.len()
            );
            let told = within(what, self.stream.message()).await;
            let told =
                told.with_context(|| format!("{} seen at {}", self.seen.len(), self.revision))?;
            self.take(told?.context("the watch ended")?);
        }
        Ok(())
    }

    fn take(&mut self, told: v1::WatchEndpointsResponse) {
        assert!(told.revision >= self.revision || self.cluster.is_empty());
        if told.snapshot && !self.snapshot {
            self.seen.clear();
            self.snapshot = true;
        }
        self.told += told.endpoints.len() + told.gone.len();
        for endpoint in told.endpoints {
            let key = (
                endpoint.network.clone(),
                endpoint.node.clone(),
                endpoint.id.clone(),
            );
            self.seen.insert(key, endpoint);
        }
        for gone in told.gone {
            self.gone.push(gone.id.clone());
            self.seen.remove(&(gone.network, gone.node, gone.id));
        }
        (self.cluster, self.revision) = (told.cluster, told.revision);
    }
}
