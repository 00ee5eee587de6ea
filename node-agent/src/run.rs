//! Puts the agent together: identity, session, and what is told.

use std::{collections::BTreeMap, fs};

use anyhow::Context;
use overlay::{
    feed::Peers,
    name::{NetworkName, NodeName},
};
use proto::v1;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    config::Options,
    identity::Identity,
    lock::StateLock,
    session::{Member, Told, keep},
};

/// What was told and is yet to be taken in.
const BACKLOG: usize = 64;

pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let node = node_name(&options)?;
    let _alone = StateLock::take(&options.state_dir)?;
    let mut identity = Identity::open(&options.state_dir)?;
    info!(%node, id = %identity.id(), networks = options.networks.len(), "starting");
    let join = |network: &NetworkName| v1::Join {
        network: network.to_string(),
        underlay: options.node_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        mac: identity.mac().to_string(),
        revision: 0,
    };
    let member = Member {
        joins: options.networks.iter().map(join).collect(),
        node,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let (told, mut heard) = mpsc::channel(BACKLOG);
    let follow = async {
        let mut peers: BTreeMap<NetworkName, Peers> = BTreeMap::new();
        while let Some(word) = heard.recv().await {
            take_in(word, &member.node, &mut peers);
        }
    };
    // Whatever ends first ends the agent; what was not taken in yet is told again.
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = keep(&options.controller, &member, &mut identity, &told) => Err(error.into()),
        () = follow => Ok(()),
    }
}

/// The feed tells of every node, this one among them: a peer is another.
fn take_in(word: Told, own: &NodeName, all: &mut BTreeMap<NetworkName, Peers>) {
    match word {
        Told::Joined { lease, .. } => {
            info!(network = %lease.network, subnets = lease.subnets.join(","), "leased");
        }
        Told::Snapshot {
            network,
            revision,
            mut peers,
        } => {
            peers.remove(own);
            info!(%network, revision, peers = peers.len(), "in sync");
            all.insert(network, peers);
        }
        Told::Changes {
            network,
            revision,
            changes,
        } => {
            let peers = all.entry(network.clone()).or_default();
            changes.apply(peers);
            peers.remove(own);
            info!(%network, revision, set = changes.set.len(), gone = changes.gone.len(), peers = peers.len(), "peers changed");
        }
        Told::NetworkChanged { name, network } => match network {
            Some(network) => {
                info!(network = %name, pools = network.pools.join(","), "the network changed");
            }
            None => warn!(network = %name, "the network was deleted"),
        },
        Told::Refused { network, reason } => warn!(network, reason, "the controller refused"),
    }
}

fn node_name(options: &Options) -> anyhow::Result<NodeName> {
    if let Some(node) = &options.node {
        return Ok(node.clone());
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .context("cannot read the host's name; give --node")?;
    name.trim()
        .parse()
        .context("the host's name cannot be a node's; give --node")
}
