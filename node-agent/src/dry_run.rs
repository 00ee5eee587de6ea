//! What the agent would change in the kernel, printed, and nothing changed: neither
//! there, nor on disk, nor with a controller.

use std::{fmt::Write as _, time::Duration};

use anyhow::Context;
use overlay::{
    datapath::{
        host::Host,
        member::Member,
        observed::Observed,
        plan::{Plan, plan},
        step::Step,
    },
    name::{NetworkName, NodeName},
    record::Mac,
};

use crate::{
    config::Options,
    identity::Identity,
    kept::Kept,
    kernel::Kernel,
    reconcile::may_offload,
    run::{node_name, uplink_ask},
    session::{Told, replay},
    show::print,
};
use asked::asked;

mod asked;

/// Stands for the MAC of a host that has none yet.
const NO_MAC: Mac = Mac([2, 0, 0, 0, 0, 0]);

pub async fn run(options: &Options) -> anyhow::Result<()> {
    options.check_plain_text()?;
    let node = node_name(options)?;
    let mut notes = Vec::new();
    let identity = Identity::peek(&options.state_dir)?;
    let mac = identity.map_or(NO_MAC, |identity| identity.mac());
    if mac == NO_MAC {
        notes.push(format!(
            "this host has no identity yet; {NO_MAC} stands for its MAC"
        ));
    }
    let mut host = Host::new(mac);
    for network in &options.networks {
        host.join(network.clone());
    }
    let (words, from_disk) = words(options, &node, &mut notes).await?;
    for word in words {
        if let Told::Refused { network, reason } = &word {
            notes.push(format!("network {network}: {reason}"));
        }
        believe(&mut host, &node, word);
    }
    if from_disk {
        host.doubt();
    }
    let mut kernel = Kernel::open()?;
    find_uplinks(&mut host, &mut kernel, options, &mut notes).await;
    let observed = kernel.look(&host.settings(), mac)?;
    let mut plan = plan(&host, &observed);
    if leave_out_firewall(&mut plan, &observed) {
        notes.push(
            "the table inet weft is there, for the same peers; a start replaces it if anything \
             else in it is wrong, and tries that out in the kernel, which this does not"
                .into(),
        );
    }
    print(&text(&plan, &notes, host.is_complete())).context("cannot write the plan")
}

/// What a controller would tell, or has told last and is on disk.
async fn words(
    options: &Options,
    node: &NodeName,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Vec<Told>, bool)> {
    let reason = match asked(&options.controller, node, &options.networks).await {
        Ok(told) => return Ok((told, false)),
        Err(error) => options::sentence(&error),
    };
    let (_, words) = Kept::open(&options.state_dir)?;
    notes.push(if words.is_empty() {
        format!("{reason}; and there is no last known state on disk")
    } else {
        format!("{reason}; going by the last known state on disk")
    });
    Ok((replay(words).0, true))
}

/// Takes in what concerns the networks that are joined.
fn believe(host: &mut Host, node: &NodeName, word: Told) {
    // Whatever would be held for a while is held here as well.
    let until = Duration::MAX;
    match word {
        Told::Joined { network, subnets } => {
            host.lease(network, subnets);
        }
        Told::Snapshot {
            network, mut peers, ..
        } => {
            peers.remove(node);
            host.snapshot(&network, peers, until);
        }
        Told::Changes {
            network,
            mut changes,
            ..
        } => {
            changes.set.remove(node);
            changes.gone.remove(node);
            host.change(&network, changes, until);
        }
        Told::NetworkChanged {
            name,
            network: Some(network),
        } => {
            if let Some(own) = host.member(&name).map(|member| member.own().to_vec()) {
                host.lease(network, own);
            }
        }
        Told::NetworkChanged {
            name,
            network: None,
        } => {
            host.leave(&name);
        }
        Told::Open { .. } | Told::Closed { .. } | Told::Bookmark { .. } | Told::Refused { .. } => {}
    }
}

async fn find_uplinks(
    host: &mut Host,
    kernel: &mut Kernel,
    options: &Options,
    notes: &mut Vec<String>,
) {
    let ask = uplink_ask(options).await;
    let networks: Vec<NetworkName> = host.joined().map(|(name, _)| name.clone()).collect();
    for name in networks {
        let Some(member) = host.member(&name) else {
            notes.push(format!("network {name}: this node has no lease in it yet"));
            continue;
        };
        let family = member.network().underlay;
        let offload = |device: &str| may_offload(options.checksum_offload, device).0;
        match kernel.find(&ask, family, offload) {
            Ok(uplink) => {
                host.set_uplink(&name, uplink);
                if let Some(problem) = host.member(&name).and_then(Member::problem) {
                    notes.push(format!("network {name}: {problem}"));
                }
            }
            Err(error) => notes.push(format!("network {name}: {}", options::sentence(&error))),
        }
    }
}

/// Of a table that another process installed only the peers can be told without a
/// change: where they are right, it is not known that anything is to be done.
fn leave_out_firewall(plan: &mut Plan, observed: &Observed) -> bool {
    let Some(seen) = &observed.firewall else {
        return false;
    };
    let before = plan.steps.len();
    let may_be_right =
        |step: &Step| matches!(step, Step::Firewall(wanted) if wanted.sources == seen.sources);
    plan.steps.retain(|step| !may_be_right(step));
    plan.steps.len() != before
}

/// Notes look like a shell's comments, and steps like its commands.
fn text(plan: &Plan, notes: &[String], complete: bool) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes every text");
    for note in notes {
        line(format!("# {note}"));
    }
    for route in &plan.blocked {
        let (subnet, metric, protocol) = (route.subnet, route.metric, route.protocol);
        line(format!(
            "# somebody else's route {subnet} metric {metric} proto {protocol} is where ours \
             should be; it would be left alone"
        ));
    }
    for step in &plan.steps {
        line(step.to_string());
    }
    match plan.steps.len() {
        0 if complete => line("# the kernel is as it should be".into()),
        0 => line("# no steps yet: a start would first ask for what is missing above".into()),
        1 => line("# 1 step; nothing was changed".into()),
        steps => line(format!("# {steps} steps; nothing was changed")),
    }
    text
}

#[cfg(test)]
mod tests;
