//! A status as a page for people: first whether all is well, last what fails.

use std::borrow::Cow;

use options::{clock, table};
use overlay::{probe::window::Verdict, subnet::Subnet, time::WallMs};

use crate::status::{NetworkState, NetworkStatus, PeerState, PeerStatus, ProbeStatus, Status};

const PEER: [&str; 10] = [
    "NODE", "STATE", "SUBNETS", "UNDERLAY", "VIA", "MTU", "CHANGED", "LOSS", "RTT", "REASON",
];
/// What a narrow terminal can do without.
const SPARE: [&str; 7] = [
    "MTU", "CHANGED", "VIA", "RTT", "LOSS", "UNDERLAY", "SUBNETS",
];

pub fn page(status: &Status, now_ms: u64, width: Option<usize>) -> String {
    let mut page = head(status);
    for network in &status.networks {
        page.push_str(&block(network));
        if !network.peers.is_empty() {
            let peers = network.peers.iter();
            let rows = peers.map(|peer| cells(peer, network.mtu, now_ms));
            page.push('\n');
            page.push_str(&table::fitted(&PEER, &SPARE, rows, width));
        }
    }
    page + &failing(status, now_ms) + &in_the_way(status)
}

fn head(status: &Status) -> String {
    let state = match (&status.reason, status.ready) {
        (None, true) => "ready".to_owned(),
        (Some(remark), true) => format!("ready; {remark}"),
        (Some(reason), false) => format!("NOT READY: {reason}"),
        (None, false) => "NOT READY".to_owned(),
    };
    let controller = status.controller.as_deref();
    let (took, ago) = (status.look_us, status.looked_ms_ago);
    let mut lines = vec![
        ("state", state),
        ("node", format!("{}, id {}", status.node, status.id)),
        (
            "agent",
            format!("version {}, MAC {}", status.version, status.mac),
        ),
        ("controller", controller.unwrap_or("none").to_owned()),
        (
            "kernel",
            format!(
                "compared {} ago, read in {}, {} put back",
                clock::rough(ago),
                short(took),
                status.repaired
            ),
        ),
    ];
    if let Some(reason) = &status.not_kept {
        lines.push(("NOT ON DISK", reason.clone()));
    }
    described(lines)
}

fn block(network: &NetworkStatus) -> String {
    let name = &network.network;
    let state = match network.state {
        NetworkState::Waiting => "no controller has told of it yet",
        NetworkState::Unsynced => "its peers are not known yet",
        NetworkState::Programmed => "programmed",
        NetworkState::Failing => "FAILING",
    };
    let title = match &network.reason {
        Some(reason) => format!("network {name}: {state}: {reason}"),
        None => format!("network {name}: {state}"),
    };
    format!("\n{}", table::aligned([vec![title]])) + &described(facts(network))
}

/// What is known of a network.
fn facts(network: &NetworkStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(device) = &network.device {
        let numbers = network.vni.zip(network.port);
        let numbers = numbers.map(|(vni, port)| format!(", VNI {vni}, UDP port {port}"));
        lines.push(("device", format!("{device}{}", numbers.unwrap_or_default())));
    }
    if !network.subnets.is_empty() {
        lines.push(("subnets", joined(&network.subnets)));
    }
    if let Some((uplink, address)) = network.uplink.as_ref().zip(network.underlay) {
        lines.push(("uplink", format!("{uplink}, {address}")));
    }
    if let Some(mtu) = network.mtu {
        lines.push(("MTU", mtu.to_string()));
    }
    if let Some(masquerade) = network.masquerade {
        lines.push(("masquerade", (if masquerade { "yes" } else { "no" }).into()));
    }
    if let Some(offload) = network.checksum_offload {
        let maker = if offload {
            "by the hardware"
        } else {
            "by the kernel"
        };
        let reason = network.checksum_offload_reason.as_ref();
        let reason = reason.map(|reason| format!(": {reason}"));
        lines.push((
            "checksums",
            format!("{maker}{}", reason.unwrap_or_default()),
        ));
    }
    if network.revision != 0 {
        let applied = if network.applied_revision == network.revision {
            Cow::from("applied")
        } else {
            format!("the kernel holds {}", network.applied_revision).into()
        };
        lines.push(("revision", format!("{}, {applied}", network.revision)));
    }
    lines.push(("peers", counts(&network.peers)));
    lines
}

/// `120`, `120 (2 failing, 1 held)`
fn counts(peers: &[PeerStatus]) -> String {
    let troubled = [PeerState::Failing, PeerState::Contested, PeerState::Held];
    let count = |state| peers.iter().filter(|peer| peer.state == state).count();
    let troubled = troubled.map(|state| (count(state), word(state)));
    let troubled = troubled.iter().filter(|(count, _)| *count != 0);
    let words: Vec<String> = troubled
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match words.as_slice() {
        [] => peers.len().to_string(),
        words => format!("{} ({})", peers.len(), words.join(", ")),
    }
}

fn cells(peer: &PeerStatus, mtu: Option<u32>, now_ms: u64) -> Vec<String> {
    let WallMs(changed) = peer.changed_at_ms;
    let probe = peer.probe.as_ref();
    vec![
        peer.node.to_string(),
        word(peer.state).into(),
        joined(&peer.subnets),
        peer.underlay.to_string(),
        peer.via.clone(),
        mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
        clock::from_now(changed, now_ms),
        probe.map(loss).unwrap_or_default(),
        probe
            .and_then(|probe| probe.rtt_us)
            .map(|us| short(us.into()))
            .unwrap_or_default(),
        peer.reason
            .clone()
            .or_else(|| probe.and_then(what_probes_show))
            .unwrap_or_default(),
    ]
}

/// `0%`, `12%`
fn loss(probe: &ProbeStatus) -> String {
    match probe.verdict {
        Verdict::New => String::new(),
        _ => format!("{:.0}%", probe.loss * 100.0),
    }
}

fn what_probes_show(probe: &ProbeStatus) -> Option<String> {
    let (verdict, family) = (probe.verdict, probe.family);
    let word = verdict
        .is_trouble()
        .then(|| verdict.as_str().to_uppercase());
    word.map(|word| format!("{word} ({family})"))
}

/// A peer's state; what is not well is seen from afar.
fn word(state: PeerState) -> &'static str {
    match state {
        PeerState::Waiting => "waiting",
        PeerState::Programmed => "programmed",
        PeerState::Failing => "FAILING",
        PeerState::Contested => "CONTESTED",
        PeerState::Held => "HELD",
    }
}

fn failing(status: &Status, now_ms: u64) -> String {
    if status.failing.is_empty() {
        return String::new();
    }
    let rows = status.failing.iter().map(|failing| {
        vec![
            clock::from_now(failing.since_ms.0, now_ms),
            failing.times.to_string(),
            failing.step.clone(),
            failing.reason.clone(),
        ]
    });
    let heads = ["SINCE", "TIMES", "STEP", "REASON"];
    let table = table::fitted(&heads, &[], rows, None);
    format!("\nwhat the kernel refuses\n{table}")
}

fn in_the_way(status: &Status) -> String {
    if status.in_the_way.is_empty() {
        return String::new();
    }
    let routes = table::aligned(status.in_the_way.iter().map(|route| vec![route.clone()]));
    format!("\nroutes of others where ours should be\n{routes}")
}

fn described(lines: Vec<(&'static str, String)>) -> String {
    let rows = lines.into_iter();
    table::aligned(rows.map(|(name, text)| vec![name.into(), text]))
}

fn joined(subnets: &[Subnet]) -> String {
    let texts: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// `1.2ms`, `730us`
fn short(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        _ => format!("{}.{}ms", us / 1_000, us % 1_000 / 100),
    }
}

#[cfg(test)]
mod tests;
