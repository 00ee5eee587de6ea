//! `GET /traffic`: what this host's kernel has counted, by network and by peer. It is read
//! anew, by sockets of its own.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use axum::{
    extract::{RawQuery, State as With},
    response::Response,
};
use overlay::{datapath::device, name::NodeName};
use rustix::time::{ClockId, clock_gettime};
use socket::words::{NetworkTraffic, PeerTraffic, Reason, Refusal, Traffic};
use tracing::{debug, warn};

use crate::{
    kernel::{
        netlink::NetlinkError,
        nft,
        traffic::{Counters, Traffic as Devices},
    },
    local::{
        Doors,
        json::{answer, broken},
    },
    status::Status,
};

/// Peers that are named where nobody says how many.
const PEERS: usize = 100;

pub async fn traffic(With(doors): With<Doors>, RawQuery(query): RawQuery) -> Response {
    answer(counted(&doors, query.as_deref()).await)
}

async fn counted(doors: &Doors, query: Option<&str>) -> Result<Traffic, Refusal> {
    let most = most(query)?;
    let containers = doors.endpoints.list().await?.len();
    let status = doors.status().await;
    let status = status.ok_or_else(|| Refusal::new(Reason::NotReady, "the agent is stopping"))?;
    let looked = tokio::task::spawn_blocking(move || look(&status, most, containers)).await;
    looked
        .map_err(|error| broken(&error.into()))?
        .map_err(|error| broken(&error))
}

/// Has the metrics show what the devices of networks have counted.
pub async fn sample(doors: &Doors) {
    // An agent that is stopping shows what it has.
    let Ok(grounds) = doors.endpoints.grounds().await else {
        return;
    };
    let read = move || -> Result<Vec<_>, NetlinkError> {
        let mut devices = Devices::open()?;
        let mut counted = Vec::new();
        for ground in grounds {
            let counters = devices.of(&device::name(ground.vni))?;
            counted.extend(counters.map(|counters| (ground.network, counters)));
        }
        Ok(counted)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(counted)) => doors.metrics.traffic.show(&counted),
        Ok(Err(error)) => debug!(%error, "cannot read what devices have counted"),
        Err(error) => warn!(%error, "reading what devices have counted broke"),
    }
}

fn look(status: &Status, most: usize, containers: usize) -> anyhow::Result<Traffic> {
    let mut devices = Devices::open()?;
    let mut networks = Vec::new();
    for network in &status.networks {
        let Some(device) = &network.device else {
            continue;
        };
        if let Some(counters) = devices.of(device)? {
            let Counters {
                rx_packets,
                tx_packets,
                rx_bytes,
                tx_bytes,
                rx_dropped,
                tx_dropped,
            } = counters;
            networks.push(NetworkTraffic {
                network: network.network.clone(),
                device: device.clone(),
                rx_bytes,
                rx_packets,
                rx_dropped,
                tx_bytes,
                tx_packets,
                tx_dropped,
            });
        }
    }
    let peers = if most == 0 {
        Vec::new()
    } else {
        peers(status, most)?
    };
    let now = clock_gettime(ClockId::Boottime);
    let at_ms = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    Ok(Traffic {
        node: status.node.clone(),
        at_ms: at_ms.unsigned_abs(),
        containers,
        networks,
        peers,
    })
}

fn peers(status: &Status, most: usize) -> anyhow::Result<Vec<PeerTraffic>> {
    let known = status.networks.iter().flat_map(|network| &network.peers);
    let names: BTreeMap<IpAddr, &NodeName> =
        known.map(|peer| (peer.underlay, &peer.node)).collect();
    let counted = nft::Table::open()?.counted()?.into_iter();
    let peer = |(underlay, counted): (IpAddr, nft::Counted)| {
        let node = (*names.get(&underlay)?).clone();
        Some(PeerTraffic {
            node,
            underlay,
            rx_bytes: counted.bytes,
            rx_packets: counted.packets,
        })
    };
    let mut peers: Vec<PeerTraffic> = counted.filter_map(peer).collect();
    peers.retain(|peer| peer.rx_packets > 0);
    peers.sort_by_key(|peer| Reverse(peer.rx_bytes));
    peers.truncate(most);
    Ok(peers)
}

fn most(query: Option<&str>) -> Result<usize, Refusal> {
    let Some(query) = query else {
        return Ok(PEERS);
    };
    let said = query
        .strip_prefix("peers=")
        .and_then(|most| most.parse().ok());
    said.ok_or_else(|| {
        let text = format!("{query:?} is not such as peers=100");
        Refusal::new(Reason::Bad, text)
    })
}
