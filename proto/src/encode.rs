//! What goes out.

use std::net::IpAddr;

use overlay::{
    endpoint::{EndpointId, Public, Publish},
    event::Event,
    feed::{Peer, PeerChanges, Peers},
    name::{NetworkName, NodeName},
    network::Network,
    record::{Lease, LeaseKind, Reservation},
    registry::{Present, Space, Stored},
    subnet::{Family, Subnet},
    time::WallMs,
    txn::Revision,
};

use crate::{v1, v1::controller_message::Message};

/// Peers in one message: well under a megabyte.
const PEERS_PER_MESSAGE: usize = 2_000;

/// A network as the store has it, with how full its pools are where that is known.
pub fn network(network: &Stored<Network>, space: Option<&Space>) -> v1::Network {
    let pools = Family::BOTH
        .into_iter()
        .filter_map(|family| space?.pool_use(family));
    v1::Network {
        revision: network.revision,
        r#use: pools
            .map(|pool| v1::PoolUse {
                pool: pool.pool.to_string(),
                total: saturate(pool.total),
                leased: saturate(pool.leased),
                reserved: saturate(pool.reserved),
                free: saturate(pool.free()),
            })
            .collect(),
        ..network_alone(&network.value)
    }
}

/// The network itself.
pub fn network_alone(value: &Network) -> v1::Network {
    v1::Network {
        name: value.name.to_string(),
        vni: value.vni.into(),
        port: value.port.into(),
        pools: value.pools().map(|pool| pool.to_string()).collect(),
        subnet_len4: value.len4.into(),
        subnet_len6: value.len6.into(),
        underlay: value.underlay.to_string(),
        encap: value.encap.as_str().into(),
        masquerade: value.masquerade,
        lapse_seconds: value.lapse_s,
        state: value.state.as_str().into(),
        ..v1::Network::default()
    }
}

pub fn lease(
    network: &NetworkName,
    node: &NodeName,
    lease: &Stored<Lease>,
    now: WallMs,
) -> v1::Lease {
    let Stored { revision, value } = lease;
    let state = if value.lapsed(now) {
        v1::LeaseState::Lapsed
    } else {
        v1::LeaseState::Alive
    };
    let kind = match value.kind {
        LeaseKind::Agent => v1::LeaseKind::Agent,
        LeaseKind::Api => v1::LeaseKind::Api,
    };
    v1::Lease {
        network: network.to_string(),
        node: node.to_string(),
        node_id: value.node_id.to_string(),
        life: value.life.to_string(),
        subnets: texts(value.subnets()),
        underlay: value
            .underlay
            .map(|address| address.to_string())
            .unwrap_or_default(),
        mac: value.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        kind: kind.into(),
        state: state.into(),
        expires_at_ms: value.expires_at.map_or(0, |at| at.0),
        revision: *revision,
    }
}

pub fn reservation(
    network: &NetworkName,
    node: &NodeName,
    reservation: &Reservation,
    revision: Revision,
) -> v1::Reservation {
    v1::Reservation {
        network: network.to_string(),
        node: node.to_string(),
        subnets: texts(reservation.subnets()),
        revision,
    }
}

pub fn peer((node, peer): (&NodeName, &Peer)) -> v1::Peer {
    v1::Peer {
        node: node.to_string(),
        subnets: texts(peer.subnets()),
        underlay: peer.underlay.to_string(),
        mac: peer.mac.to_string(),
    }
}

/// All peers of a network, in as many messages as it takes.
pub fn snapshot(network: &NetworkName, revision: Revision, peers: &Peers) -> Vec<Message> {
    let all: Vec<v1::Peer> = peers.iter().map(peer).collect();
    let parts = all.len().div_ceil(PEERS_PER_MESSAGE).max(1);
    let mut rest = all.into_iter();
    (1..=parts)
        .map(|part| {
            Message::Snapshot(v1::Snapshot {
                network: network.to_string(),
                revision,
                peers: rest.by_ref().take(PEERS_PER_MESSAGE).collect(),
                last: part == parts,
            })
        })
        .collect()
}

/// The changes of one revision, in as many messages as it takes.
pub fn changes(network: &NetworkName, revision: Revision, changes: &PeerChanges) -> Vec<Message> {
    let parts = changes.set.len().max(changes.gone.len());
    let parts = parts.div_ceil(PEERS_PER_MESSAGE).max(1);
    let mut set = changes.set.iter().map(peer);
    let mut gone = changes.gone.iter().map(NodeName::to_string);
    (1..=parts)
        .map(|part| {
            Message::Changes(v1::Changes {
                network: network.to_string(),
                revision,
                set: set.by_ref().take(PEERS_PER_MESSAGE).collect(),
                gone: gone.by_ref().take(PEERS_PER_MESSAGE).collect(),
                partial: part < parts,
            })
        })
        .collect()
}

pub fn event(event: Event) -> v1::Event {
    v1::Event {
        seq: event.seq,
        at_ms: event.at.0,
        level: event.level.to_string(),
        what: event.what,
        fields: event.fields,
    }
}

/// An endpoint as its node says it.
pub fn endpoint_alone(id: EndpointId, public: &Public) -> v1::Endpoint {
    let Public {
        key,
        addresses,
        mac,
        who,
        publish,
        since,
    } = public;
    v1::Endpoint {
        id: id.to_string(),
        key: key.to_string(),
        addresses: addresses.iter().map(IpAddr::to_string).collect(),
        mac: mac.to_string(),
        container: who.container.clone().unwrap_or_default(),
        name: who.name.clone().unwrap_or_default(),
        aliases: who.aliases.clone(),
        labels: who.labels.clone(),
        ports: publish.iter().map(published).collect(),
        since_ms: since.0,
        ..v1::Endpoint::default()
    }
}

/// An endpoint as the fleet sees it.
pub fn endpoint(
    network: &NetworkName,
    node: &NodeName,
    id: EndpointId,
    present: &Present,
) -> v1::Endpoint {
    let Present { endpoint, lapsed } = present;
    let state = if *lapsed {
        v1::LeaseState::Lapsed
    } else {
        v1::LeaseState::Alive
    };
    v1::Endpoint {
        network: network.to_string(),
        node: node.to_string(),
        state: state.into(),
        revision: endpoint.revision,
        ..endpoint_alone(id, &endpoint.value.public)
    }
}

fn published(port: &Publish) -> v1::PublishedPort {
    v1::PublishedPort {
        protocol: port.protocol.to_string(),
        host_address: port.at.map(|at| at.to_string()).unwrap_or_default(),
        host_port: port.host_port.into(),
        port: port.port.into(),
        count: port.count.into(),
    }
}

fn texts(subnets: impl Iterator<Item = Subnet>) -> Vec<String> {
    subnets.map(|subnet| subnet.to_string()).collect()
}

fn saturate(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
