//! `POST /trace`: what this host's kernel has on the way of a packet. It is read anew,
//! by sockets of its own; what the agent wants there plays no part in it.

use std::{fs, net::IpAddr, os::fd::AsFd};

use axum::{Router, body::Bytes, extract::State as With, response::Response, routing::post};
use overlay::{
    datapath::{device, uplink::overhead},
    endpoint::{Endpoint, Form, link::Bridge},
    subnet::Family,
    trace::{End, Facts, Firewall, Inside, Question, Reached, Underlay, Way},
};
use socket::words::{Reason, Refusal};

use crate::{
    endpoints::{Door, sandbox},
    kernel::{
        forward::{self, Forward},
        inside,
        netlink::NetlinkError,
        nft,
        path::{Paths, shown},
    },
    knock::{SMALL, knock},
    local::json::{answer, read},
};

pub fn routes(door: Door) -> Router {
    Router::new().route("/trace", post(trace)).with_state(door)
}

async fn trace(With(door): With<Door>, body: Bytes) -> Response {
    answer(match read(&body) {
        Ok(question) => facts(&door, question).await,
        Err(refusal) => Err(refusal),
    })
}

async fn facts(door: &Door, question: Question) -> Result<Facts, Refusal> {
    are_known(door, &question).await?;
    let mut listed = door.list().await?.into_iter();
    let endpoint = listed
        .find(|shown| Some(shown.id) == question.container)
        .map(|shown| shown.endpoint);
    let looked = tokio::task::spawn_blocking(move || look(&question, endpoint.as_ref())).await;
    let broken = |why: String| Refusal::new(Reason::Kernel, why);
    let looked = looked.map_err(|error| broken(error.to_string()))?;
    looked.map_err(|error| broken(options::sentence(&error)))
}

/// Nobody has this host send to what is no part of the network.
async fn are_known(door: &Door, question: &Question) -> Result<(), Refusal> {
    let mut grounds = door.grounds().await?.into_iter();
    let ground = grounds.find(|ground| ground.vni == question.vni);
    let pools = ground.map(|ground| ground.pools).unwrap_or_default();
    for address in [question.from, question.to] {
        if !pools.iter().any(|pool| pool.holds(address)) {
            let text = format!("{address} is in no network of VNI {} here", question.vni);
            return Err(Refusal::new(Reason::NotJoined, text));
        }
    }
    Ok(())
}

fn look(question: &Question, endpoint: Option<&Endpoint>) -> Result<Facts, NetlinkError> {
    let mut paths = Paths::open()?;
    let (own, other) = match question.end {
        End::Near => (question.from, question.to),
        End::Far => (question.to, question.from),
    };
    let family = Family::of(own);
    let tunnel = paths.named(&device::name(question.vni))?;
    let link = endpoint.map(|endpoint| match endpoint.form {
        Form::Routed => endpoint.id().device(),
        Form::Bridge => Bridge::name(question.vni),
    });
    let link = link.map(|name| paths.named(&name)).transpose()?.flatten();
    let enters = match question.end {
        End::Near => link.as_ref(),
        End::Far => tunnel.as_ref(),
    };
    let forwarding = enters.map(|enters| forwarding(family, &enters.name));
    let way = paths.way(
        question.to,
        Some(question.from),
        enters.map(|enters| enters.index),
    )?;
    let mut facts = Facts {
        forwarding,
        ..Facts::default()
    };
    if let Way::Leads {
        device, gateway, ..
    } = &way
    {
        if let Some(leaves) = paths.named(device)? {
            let next = gateway.unwrap_or(question.to);
            facts.neighbour = paths.neighbour(leaves.index, next)?;
        }
        if let (Some(tunnel), Some(mac)) = (&tunnel, facts.neighbour) {
            facts.forwarding_entry = paths.behind(tunnel.index, mac)?;
        }
    }
    facts.way = way;
    let before = forward::drops(family);
    let mtu = tunnel.as_ref().map_or(1280, |tunnel| tunnel.mtu);
    let local = tunnel.as_ref().and_then(|tunnel| tunnel.vxlan?.local);
    facts.firewall = firewall(question.peer, family);
    facts.underlay = match (question.peer, local) {
        (Some(peer), Some(local)) => Some(underlay(&mut paths, question.end, local, peer, mtu)?),
        _ => None,
    };
    let reach = (question.end == End::Near).then_some((own, other, mtu));
    match endpoint {
        Some(endpoint) => {
            let (seen, reached) = inside_of(&mut paths, endpoint, other, reach)?;
            facts.inside = Some(seen);
            facts.reached = reached;
        }
        None if question.container.is_none() => {
            facts.reached = reach.map(|(own, other, mtu)| reached(own, other, mtu));
        }
        None => {}
    }
    facts.tunnel = tunnel.map(shown);
    let after = Firewall {
        drops: forward::drops(family),
        ..Firewall::default()
    };
    let earlier = Firewall {
        drops: before,
        ..Firewall::default()
    };
    facts.firewall.grown = after.grown_since(&earlier);
    facts.firewall.drops = after.drops;
    Ok(facts)
}

/// IPv4 asks the device where a packet comes in, IPv6 the host.
fn forwarding(family: Family, device: &str) -> (String, String) {
    let (path, name) = match family {
        Family::V4 => (
            format!("/proc/sys/net/ipv4/conf/{device}/forwarding"),
            format!("net.ipv4.conf.{device}.forwarding"),
        ),
        Family::V6 => (
            "/proc/sys/net/ipv6/conf/all/forwarding".into(),
            "net.ipv6.conf.all.forwarding".into(),
        ),
    };
    let value = fs::read_to_string(path).unwrap_or_default();
    (name, value.trim().to_owned())
}

fn firewall(peer: Option<IpAddr>, family: Family) -> Firewall {
    let mut firewall = Firewall::default();
    let Ok(mut table) = nft::Table::open() else {
        return firewall;
    };
    if let Ok(Some(seen)) = table.look() {
        firewall.table = true;
        firewall.admits = peer.is_some_and(|peer| seen.sources.contains(&peer));
    }
    let filters = Forward::default().look(&mut table).unwrap_or_default();
    let closed = filters
        .iter()
        .filter(|(filter, seen)| filter.family == family && seen.could_drop && seen.jumps != [1]);
    firewall.passages = closed
        .map(|(filter, _)| format!("{filter}: FORWARD does not begin with the way for the overlay"))
        .collect();
    firewall
}

fn underlay(
    paths: &mut Paths,
    end: End,
    local: IpAddr,
    peer: IpAddr,
    mtu: u32,
) -> Result<Underlay, NetlinkError> {
    let way = paths.way(peer, None, None)?;
    let device = match &way {
        Way::Leads { device, .. } => paths.named(device)?.map(shown),
        Way::Refused(_) => None,
    };
    let size = mtu + overhead(Family::of(peer));
    Ok(Underlay {
        address_here: paths.addresses(None)?.contains(&local),
        way,
        device,
        reached: (end == End::Near).then(|| reached(local, peer, size)),
    })
}

type Reach = (IpAddr, IpAddr, u32);

/// The container's side, and whether it reaches the other end.
fn inside_of(
    paths: &mut Paths,
    endpoint: &Endpoint,
    other: IpAddr,
    reach: Option<Reach>,
) -> Result<(Inside, Option<Reached>), NetlinkError> {
    let link = endpoint.id().device();
    let mut seen = Inside {
        interface: endpoint.sandbox.interface.clone(),
        mac: Some(endpoint.mac),
        link_device: paths.named(&link)?.map(shown),
        link,
        ..Inside::default()
    };
    let Some(found) = sandbox::again(&endpoint.sandbox) else {
        seen.problem = Some(format!("there is no {} any more", endpoint.sandbox.path));
        return Ok((seen, None));
    };
    let looked = inside::enter(found.file.as_fd(), || {
        let mut seen = seen.clone();
        let mut paths = Paths::open()?;
        if let Some(device) = paths.named(&seen.interface)? {
            seen.addresses = paths.addresses(Some(device.index))?;
            seen.way = paths.way(other, None, None)?;
            if let Way::Leads {
                gateway: Some(gateway),
                ..
            } = seen.way
            {
                seen.gateway_mac = paths.neighbour(device.index, gateway)?;
            }
            seen.device = Some(shown(device));
        }
        Ok((
            seen,
            reach.map(|(own, other, mtu)| reached(own, other, mtu)),
        ))
    });
    Ok(looked.unwrap_or_else(|error| {
        seen.problem = Some(options::sentence(&error));
        (seen, None)
    }))
}

fn reached(from: IpAddr, to: IpAddr, size: u32) -> Reached {
    let small = knock(Some(from), to, SMALL);
    let full = match &small {
        Ok(()) => knock(Some(from), to, size),
        Err(reason) => Err(reason.clone()),
    };
    Reached { small, full, size }
}
