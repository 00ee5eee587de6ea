//! What others have beside Weft stays as it is, to the last handle: while an agent
//! starts, works, is restarted, joins and leaves networks, and is taken out again.

#[path = "what_is_foreign_is_left_alone/listing.rs"]
mod listing;
#[path = "what_is_foreign_is_left_alone/peer.rs"]
mod peer;
#[path = "what_is_foreign_is_left_alone/plants.rs"]
mod plants;

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Agent, Lab, ping},
    wait::patiently,
};

use listing::{ensure_same, foreign};
use peer::{Peer, routes_to};
use plants::{plant, plant_on_ours};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

fn in_the_way(agent: &Agent) -> Result<Vec<String>> {
    let status = agent.status()?;
    let all = status["in_the_way"].as_array().cloned().unwrap_or_default();
    Ok(all
        .iter()
        .map(|one| one.as_str().unwrap_or_default().to_owned())
        .collect())
}

/// Waits until it has compared everything again.
fn looked(agent: &Agent) -> Result<()> {
    let looks = agent.metric("weft_agent_looks_total")?;
    patiently("it looks again", || {
        ensure!(agent.metric("weft_agent_looks_total")? > looks + 1.0);
        Ok(())
    })
}

#[test]
fn whatever_ours_does() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    lab.weft(&[
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--masquerade",
        "on",
    ])?;
    let peer = Peer::new(&lab)?;
    let host = lab.host(1);
    plant(host, &peer)?;
    let before = foreign(host, "weft1")?;
    let flags = ["--look-every", "500ms"];
    let mut agents = lab.agents(&flags)?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("an agent starts")?;

    let way = in_the_way(&agents[0])?;
    ensure!(
        way.len() == 2 && way[0].contains(&peer.v4) && way[1].contains(&peer.v6),
        "{way:?}"
    );
    ensure!(routes_to(host, &peer)? == 0);
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    for address in &other.addresses {
        patiently("a ping comes back", || {
            let pings = ping(&one, *address, 1)?;
            ensure!(pings.lost() == 0, "{}", pings.said.stdout);
            Ok(())
        })?;
    }

    plant_on_ours(host)?;
    let before = foreign(host, "weft1")?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("the timer")?;

    agents[0].kill()?;
    agents[0].start()?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("the agent is killed and started")?;

    let leases = lab.lease_to(1010..1015)?;
    patiently("they are peers", || {
        let peers = agents[0].status()?["networks"][0]["peers"]
            .as_array()
            .map(Vec::len);
        ensure!(peers == Some(7), "{peers:?}");
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("peers come")?;
    lab.release(&leases[..2])?;
    patiently("two are gone", || {
        let peers = agents[0].status()?["networks"][0]["peers"]
            .as_array()
            .map(Vec::len);
        ensure!(peers == Some(5), "{peers:?}");
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("peers go")?;

    // VNI 2, and a device of that name.
    agents[0].run(&["join", "blue"])?;
    agents[0].ready()?;
    ensure!(host.run(&["ip", "link", "show", "weft2"])?.code == 0);
    agents[0].run(&["leave", "blue"])?;
    patiently("it is gone", || {
        ensure!(host.run(&["ip", "link", "show", "weft2"])?.code != 0);
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("a network comes and goes")?;

    // Our device goes, and what others put on it with it; nothing else does.
    host.ip(&["link del weft1"])?;
    patiently("it is back", || {
        ensure!(host.run(&["ip", "link", "show", "weft1"])?.code == 0);
        agents[0].ready()
    })?;

    // Whoever stands in the way may go at last.
    let Peer {
        v4,
        v6,
        metric4,
        metric6,
    } = &peer;
    host.ip(&[
        format!("route del {v4} metric {metric4}"),
        format!("route del {v6} metric {metric6}"),
    ])?;
    patiently("ours are there instead", || {
        ensure!(routes_to(host, &peer)? == 2 && in_the_way(&agents[0])?.is_empty());
        Ok(())
    })
}

#[test]
fn also_when_ours_goes() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let peer = Peer::new(&lab)?;
    let host = lab.host(1);
    plant(host, &peer)?;
    let before = foreign(host, "weft1")?;
    let mut agents = lab.agents(&[])?;
    let state = host.directory().join("state");
    let state = state.to_str().context("a path")?;
    let cleanup = ["cleanup", "--state-dir", state];
    let refused = agents[0].run(&cleanup)?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("agent"),
        "{refused:?}"
    );
    agents[0].kill()?;
    let said = agents[0].run(&cleanup)?;
    ensure!(said.code == 0, "{said:?}");
    ensure_same(&foreign(host, "weft1")?, &before)?;
    // And of ours there is nothing.
    ensure!(host.run(&["ip", "link", "show", "weft1"])?.code != 0);
    for family in ["-4", "-6"] {
        let routes = host.done(&["ip", family, "route", "show", "table", "all", "proto", "77"])?;
        ensure!(routes.trim().is_empty(), "{routes}");
    }
    ensure!(host.run(&["nft", "list", "table", "inet", "weft"])?.code != 0);
    let again = agents[0].run(&cleanup)?;
    ensure!(again.code == 0, "{again:?}");
    ensure_same(&foreign(host, "weft1")?, &before)?;
    // The host comes back as the same node.
    agents[0].start()?;
    ensure_same(&foreign(host, "weft1")?, &before)
}
