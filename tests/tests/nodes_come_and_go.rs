//! A node that joins is programmed by all, one that goes is kept through the grace
//! time and then dropped, one that leaves while a peer's agent is down is dropped when
//! that agent starts, when most go at once nobody believes it for a while, and a state file
//! of an earlier day takes nobody away.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Host, Lab, Pinger, ping},
    wait::patiently,
};

/// The kinds of entries that a peer needs.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Route,
    Fdb,
    Neighbour,
    Source,
}

const KINDS: [Kind; 4] = [Kind::Route, Kind::Fdb, Kind::Neighbour, Kind::Source];

/// All entries of a kind, as the system's own tools print them.
fn entries(host: &Host, device: &str, kind: Kind) -> Result<BTreeSet<String>> {
    let shown = |words: &str| host.json(&words.split(' ').collect::<Vec<_>>());
    let found = match kind {
        Kind::Route => shown(&format!("ip -j route show proto 77 dev {device}"))?,
        Kind::Fdb => shown(&format!("bridge -j fdb show dev {device}"))?,
        Kind::Neighbour => shown(&format!("ip -j neigh show dev {device} nud permanent"))?,
        Kind::Source => {
            shown("nft -s -j list set inet weft peers4")?["nftables"][1]["set"]["elem"].take()
        }
    };
    let found = found.as_array().cloned().unwrap_or_default();
    Ok(found.iter().map(Value::to_string).collect())
}

fn all_entries(host: &Host) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for kind in KINDS {
        all.extend(entries(host, "weft1", kind)?);
    }
    Ok(all)
}

/// A host holds everything for so many peers, and nothing for others.
fn holds(host: &Host, device: &str, peers: usize) -> Result<()> {
    for kind in KINDS {
        let found = entries(host, device, kind)?;
        ensure!(found.len() == peers, "{kind:?}: not {peers}: {found:?}");
    }
    Ok(())
}

/// A node's lease, as `weft` lists it.
fn lease(lab: &Lab, network: &str, node: &str) -> Result<Value> {
    let leases = lab.weft(&["lease", "list", "--network", network])?;
    let mut all = leases.as_array().into_iter().flatten();
    let lease = all.find(|lease| lease["node"] == node);
    lease
        .cloned()
        .with_context(|| format!("{node} has none: {leases}"))
}

#[test]
fn one_that_joins_is_everywhere() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controller(&[])?;
    let _first = lab.agent(1, &[])?;
    let _second = lab.agent(2, &[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    patiently("pings come back", || {
        let pings = ping(&one, other.v4(), 2)?;
        ensure!(pings.lost() == 0, "{}", pings.said.stdout);
        holds(lab.host(1), "weft1", 1)
    })?;
    let _third = lab.agent(3, &[])?;
    for host in lab.hosts() {
        patiently("all know all", || holds(host, "weft1", 2))?;
    }
    Ok(())
}

#[test]
fn one_that_is_gone_is_kept_until_its_lease_is() -> Result<()> {
    let mut lab = Lab::new(3)?;
    let quick = [
        "--session-ttl",
        "2s",
        "--grace",
        "1s",
        "--clock-skew",
        "1s",
        "--reclaim-hold",
        "1s",
    ];
    lab.start_controller(&quick)?;
    lab.weft(&[
        "network",
        "create",
        "short",
        "--pool",
        "10.60.0.0/16",
        "--lapse",
        "4s",
    ])?;
    let mut agents = lab.agents(&["--networks", "short"])?;
    let device = lab.weft(&["network", "list"])?;
    let vni = device
        .as_array()
        .into_iter()
        .flatten()
        .find(|network| network["name"] == "short");
    let vni = vni
        .map(|network| network["vni"].to_string())
        .unwrap_or_default();
    let name = format!("weft{vni}");
    let host = lab.host(1);
    patiently("both peers are there", || holds(host, &name, 2))?;
    agents[2].kill()?;
    patiently("the lease has lapsed, and the entries are there", || {
        let lease = lease(&lab, "short", "h3")?;
        ensure!(lease["state"] == "lapsed", "{lease}");
        holds(host, &name, 2)
    })?;
    let mut early = None;
    patiently("they are gone with the lease", || {
        // Asked in this order: entries that are gone while the lease is there went early.
        if holds(host, &name, 2).is_err()
            && let Ok(lease) = lease(&lab, "short", "h3")
        {
            early = Some(lease);
        }
        holds(host, &name, 1)
    })?;
    assert_eq!(early, None, "the lease was still there");
    assert!(lease(&lab, "short", "h3").is_err());
    Ok(())
}

#[test]
fn one_leaves_while_a_peers_agent_is_down() -> Result<()> {
    let mut lab = Lab::new(4)?;
    lab.start_controller(&[])?;
    let mut agents = lab.agents(&[])?;
    patiently("all know all", || holds(lab.host(1), "weft1", 3))?;
    let before = all_entries(lab.host(1))?;
    agents[0].kill()?;
    agents[3].kill()?;
    let gone = lease(&lab, "default", "h4")?;
    let removed = lab.weft_said(&["node", "remove", "h4"])?;
    assert_eq!(removed.code, 0, "{removed:?}");
    // Nobody tells the host whose agent is down.
    patiently("a peer with an agent follows", || {
        holds(lab.host(2), "weft1", 2)
    })?;
    assert_eq!(all_entries(lab.host(1))?, before);
    agents[0].start()?;
    patiently("as many go as should", || holds(lab.host(1), "weft1", 2))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subnet = text(&gone["subnets"][0]);
    let base = subnet.split('/').next().unwrap_or_default();
    let (mac, underlay) = (text(&gone["mac"]), text(&gone["underlay"]));
    let its = |entry: &String| {
        [base, &mac, &underlay]
            .iter()
            .any(|word| entry.contains(&format!("\"{word}")))
    };
    let after = all_entries(lab.host(1))?;
    let went: Vec<&String> = before.difference(&after).collect();
    assert_eq!(went.len(), 4, "{went:?}");
    assert!(went.iter().all(|entry| its(entry)), "{went:?}");
    assert!(after.is_subset(&before), "{after:?}");
    Ok(())
}

/// Somebody sets /var/lib/weft back to yesterday's.
#[test]
fn an_older_state_file_takes_nothing_from_the_kernel() -> Result<()> {
    let mut lab = Lab::new(4)?;
    lab.start_controller(&[])?;
    let mut agents: Vec<Agent> = [1, 2, 4]
        .into_iter()
        .map(|number| lab.agent(number, &[]))
        .collect::<Result<_>>()?;
    patiently("all know all", || holds(lab.host(1), "weft1", 2))?;
    let state = lab.host(1).directory().join("state/state");
    let written = || -> Result<Vec<u8>> {
        let state = fs::read(&state)?;
        let names = [b"h2", b"h4"].map(|name| state.windows(2).any(|word| word == name));
        ensure!(names == [true, true], "{}", state.escape_ascii());
        Ok(state)
    };
    let yesterday = patiently("both are on disk", written)?;

    agents.push(lab.agent(3, &[])?);
    agents[2].kill()?;
    let removed = lab.weft_said(&["node", "remove", "h4"])?;
    assert_eq!(removed.code, 0, "{removed:?}");
    patiently("h3 is there, and h4 is not", || {
        holds(lab.host(1), "weft1", 2)?;
        ensure!(
            !entries(lab.host(1), "weft1", Kind::Source)?
                .iter()
                .any(|entry| { entry.contains(&lab.host(4).v4().to_string()) })
        );
        Ok(())
    })?;
    let before = all_entries(lab.host(1))?;
    let (one, newer) = (lab.container_on(1)?, lab.container_on(3)?);
    let pinger = Pinger::start(&one, newer.v4())?;
    patiently("pings come back", || {
        ensure!(pinger.received() > 20);
        Ok(())
    })?;

    lab.controllers[0].kill()?;
    agents[0].kill()?;
    fs::write(&state, yesterday)?;
    agents[0].launch()?;
    patiently("the state of yesterday is used: h4 is back", || {
        holds(lab.host(1), "weft1", 3)
    })?;
    let restored = all_entries(lab.host(1))?;
    assert!(before.is_subset(&restored), "{before:?} {restored:?}");
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    // Whatever makes it look again, h3 stays, and what it knows is put back.
    lab.host(1).ip(&["route flush proto 77 dev weft1"])?;
    patiently("the known routes are back", || {
        let routes = entries(lab.host(1), "weft1", Kind::Route)?;
        ensure!(routes.len() == 2, "{routes:?}");
        Ok(())
    })?;
    for kind in [Kind::Fdb, Kind::Neighbour, Kind::Source] {
        assert_eq!(entries(lab.host(1), "weft1", kind)?.len(), 3, "{kind:?}");
    }
    let status = agents[0].status()?;
    assert_eq!(status["ready"], false, "{status}");

    lab.controllers[0].start()?;
    agents[0].ready()?;
    patiently("all is as a controller says", || {
        let now = all_entries(lab.host(1))?;
        ensure!(now == before, "{now:?} is not {before:?}");
        Ok(())
    })
}

fn peers_in_state(agent: &Agent, state: &str) -> Result<usize> {
    let status = agent.status()?;
    let peers = status["networks"][0]["peers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(peers.iter().filter(|peer| peer["state"] == state).count())
}

/// As when a store is wiped, or the wrong prefix is served.
#[test]
fn most_go_at_once_and_are_kept_for_a_while() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    // Nodes that need no host.
    for number in 10..20 {
        let node = format!("n{number}");
        let (underlay, mac) = (
            format!("192.0.2.{number}"),
            format!("02:00:00:00:00:{number}"),
        );
        lab.weft(&[
            "lease",
            "acquire",
            "--node",
            &node,
            "--underlay",
            &underlay,
            "--mac",
            &mac,
        ])?;
    }
    let mut agent = lab.agent(1, &["--hold-losses", "4s"])?;
    holds(lab.host(1), "weft1", 10)?;
    // The store is wiped: another fleet answers at the same place.
    let controller = &mut lab.controllers[0];
    controller.kill()?;
    fs::remove_dir_all(controller.data())?;
    controller.start()?;
    patiently("the loss is noticed", || {
        let held = peers_in_state(&agent, "held")?;
        ensure!(held == 10, "{held} are held: {}", agent.status()?);
        Ok(())
    })?;
    holds(lab.host(1), "weft1", 10)?;
    let reason: Value = agent.status()?["reason"].clone();
    assert!(
        reason
            .as_str()
            .is_some_and(|reason| reason.contains("10 peers")),
        "{reason}"
    );
    // An agent that is killed meanwhile does not forget why they are there.
    agent.kill()?;
    agent.start()?;
    holds(lab.host(1), "weft1", 10)?;
    // One that comes is served at once all the same.
    let taken = [
        "--node",
        "new",
        "--underlay",
        "192.0.2.10",
        "--mac",
        "02:00:00:00:00:99",
    ];
    lab.weft(&[&["lease", "acquire"], &taken[..]].concat())?;
    patiently("it takes the place of the one that had its address", || {
        let fdb = lab
            .host(1)
            .done(&["bridge", "fdb", "show", "dev", "weft1"])?;
        ensure!(fdb.contains("02:00:00:00:00:99 dst 192.0.2.10"), "{fdb}");
        ensure!(!fdb.contains("02:00:00:00:00:10"), "{fdb}");
        Ok(())
    })?;
    patiently("at last they are let go", || holds(lab.host(1), "weft1", 1))
}
