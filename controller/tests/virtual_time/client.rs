//! Those who ask the API: leases for hosts without an agent, reservations, networks.

use std::{sync::Arc, time::Duration};

use proto::v1::{
    self, lease_service_client::LeaseServiceClient, network_service_client::NetworkServiceClient,
    node_service_client::NodeServiceClient,
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::{
    dice::Dice,
    judge::Asked,
    line::Line,
    world::{CLIENTS, World},
};

/// A second network, in which there is not enough for everybody.
pub const SMALL: &str = "small";
const NODES: usize = 5;
const WITHIN: Duration = Duration::from_secs(12);

pub async fn ask(world: Arc<World>, number: usize, mut dice: Dice) {
    let mut held: Vec<v1::Lease> = Vec::new();
    loop {
        sleep(dice.pause(Duration::from_secs(4))).await;
        let place = dice.below(world.controllers());
        let Ok(line) = world.connect(CLIENTS + number, place, &mut dice).await else {
            continue;
        };
        let asked = timeout(WITHIN, one(&world, line, &mut held, &mut dice)).await;
        match asked {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(status)) => {
                world.trace.say(format_args!("client {number}: {status:?}"));
                let odd = [Code::Internal, Code::Unknown, Code::InvalidArgument];
                if odd.contains(&status.code()) {
                    world
                        .trace
                        .wrong(format_args!("client {number} is told {status:?}"));
                }
            }
        }
    }
}

async fn one(
    world: &World,
    line: Line,
    held: &mut Vec<v1::Lease>,
    dice: &mut Dice,
) -> Result<(), Status> {
    let mut leases = LeaseServiceClient::new(line.clone());
    let network = dice.pick(&["default", SMALL]).copied().unwrap_or_default();
    let node = format!("api-{}", dice.below(NODES));
    match dice.below(12) {
        0..=3 => {
            let ask = v1::AcquireRequest {
                network: network.into(),
                node,
                underlay: String::new(),
                ttl_seconds: 2 + dice.below(10) as u64,
                ..v1::AcquireRequest::default()
            };
            let lease = leases.acquire(ask).await?.into_inner();
            world.told_lease(&lease);
            held.push(lease);
        }
        4..=6 => {
            let Some(lease) = dice.pick(held).cloned() else {
                return Ok(());
            };
            let ask = v1::RenewRequest {
                network: lease.network,
                node: lease.node,
                life: lease.life,
                ttl_seconds: 2 + dice.below(10) as u64,
            };
            world.told_lease(&leases.renew(ask).await?.into_inner());
        }
        7 | 8 => {
            let Some(lease) = dice.pick(held).cloned() else {
                return Ok(());
            };
            world.asked(Asked::Release {
                life: lease.life.clone(),
            });
            let ask = v1::ReleaseRequest {
                network: lease.network,
                node: lease.node,
                life: lease.life,
            };
            leases.release(ask).await?;
        }
        9 => {
            let ask = v1::ReserveRequest {
                network: network.into(),
                node,
                subnets: vec![match network {
                    SMALL => format!("10.64.{}.0/24", dice.below(8)),
                    _ => format!("10.32.{}.0/24", dice.below(16)),
                }],
            };
            leases.reserve(ask).await?;
        }
        10 => {
            let ask = v1::UnreserveRequest {
                network: network.into(),
                node,
            };
            leases.unreserve(ask).await?;
        }
        _ => {
            world.asked(Asked::Remove { node: node.clone() });
            let ask = v1::RemoveNodeRequest { name: node };
            NodeServiceClient::new(line).remove(ask).await?;
        }
    }
    Ok(())
}

/// Makes the second network, whatever it takes. The first is the controllers' to make.
pub async fn make_small(world: Arc<World>, mut dice: Dice) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let records = world.value.loaded().entries;
        if !records.iter().any(|record| record.key == "net/default") {
            continue;
        }
        let place = dice.below(world.controllers());
        let Ok(line) = world.connect(CLIENTS, place, &mut dice).await else {
            continue;
        };
        let ask = v1::CreateNetworkRequest {
            name: SMALL.into(),
            pools: vec!["10.64.0.0/21".into()],
            lapse_seconds: Some(3),
            ..v1::CreateNetworkRequest::default()
        };
        let made = NetworkServiceClient::new(line).create(ask).await;
        match made {
            Err(status) if status.code() != Code::AlreadyExists => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Takes a node out.
pub async fn remove(world: &World, node: String, dice: &mut Dice) {
    let place = dice.below(world.controllers());
    world.asked(Asked::Remove { node: node.clone() });
    if let Ok(line) = world.connect(CLIENTS, place, dice).await {
        let ask = v1::RemoveNodeRequest { name: node };
        let mut nodes = NodeServiceClient::new(line);
        let removed = nodes.remove(ask);
        // It may be done, or not.
        let _ = timeout(WITHIN, removed).await;
    }
}
