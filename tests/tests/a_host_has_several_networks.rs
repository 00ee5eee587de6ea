//! Networks side by side on one host: each its own device, joined by flag or while the
//! agent runs, with its own port, underlay and encapsulation.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Container, Host, Lab, ping, tcp},
    wait::patiently,
};

fn devices(host: &Host) -> Result<Vec<String>> {
    let links = host.json(&["ip", "-j", "link", "show", "type", "vxlan"])?;
    let names = links.as_array().into_iter().flatten();
    Ok(names
        .map(|link| link["ifname"].as_str().unwrap_or_default().to_owned())
        .collect())
}

fn reach(from: &Container, to: &Container) -> Result<()> {
    for address in &to.addresses {
        patiently("a ping comes back", || {
            let pings = ping(from, *address, 1)?;
            ensure!(pings.lost() == 0, "{}", pings.said.stdout);
            Ok(())
        })?;
        tcp(from, to, *address, 100_000)?;
    }
    Ok(())
}

fn packets(host: &Host, device: &str) -> Result<u64> {
    let link = host.json(&["ip", "-j", "-s", "link", "show", device])?;
    link[0]["stats64"]["tx"]["packets"]
        .as_u64()
        .context("a count of packets")
}

#[test]
fn each_with_a_device_of_its_own() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let blue = [
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "700",
        "--port",
        "4790",
    ];
    lab.weft(&blue)?;
    let six = [
        "network",
        "create",
        "six",
        "--pool",
        "fd77:70::/48",
        "--underlay",
        "v6",
    ];
    lab.weft(&six)?;
    let _agents = lab.agents(&["--networks", "default,blue,six"])?;
    for network in ["default", "blue", "six"] {
        let (one, other) = (lab.container_of(1, network)?, lab.container_of(2, network)?);
        reach(&one, &other)?;
    }
    let mut found = devices(lab.host(1))?;
    found.sort_unstable();
    assert_eq!(found, ["weft1", "weft2", "weft700"]);
    let port = lab
        .host(1)
        .json(&["ip", "-j", "-d", "link", "show", "weft700"])?;
    assert_eq!(port[0]["linkinfo"]["info_data"]["port"], 4790, "{port}");
    Ok(())
}

#[test]
fn joined_and_left_while_the_agent_runs() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    lab.weft(&[
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "700",
    ])?;
    let agents = lab.agents(&[])?;
    for agent in &agents {
        let said = agent.run(&["join", "blue"])?;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.starts_with("joined network blue"), "{said:?}");
    }
    patiently("both have it", || {
        for agent in &agents {
            let status = agent.status()?;
            let blue = status["networks"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|network| network["network"] == "blue");
            let peers = blue
                .and_then(|blue| blue["peers"].as_array())
                .map_or(0, Vec::len);
            ensure!(peers == 1 && status["ready"] == true, "{status}");
        }
        Ok(())
    })?;
    let (one, other) = (lab.container_of(1, "blue")?, lab.container_of(2, "blue")?);
    reach(&one, &other)?;
    let said = agents[0].run(&["leave", "blue"])?;
    assert_eq!(said.code, 0, "{said:?}");
    patiently("its device is gone, and the peer's entries", || {
        ensure!(
            devices(lab.host(1))? == ["weft1"],
            "{:?}",
            devices(lab.host(1))?
        );
        let fdb = lab
            .host(2)
            .done(&["bridge", "fdb", "show", "dev", "weft700"])?;
        ensure!(fdb.trim().is_empty(), "{fdb}");
        Ok(())
    })?;
    let again = agents[0].run(&["leave", "blue"])?;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("blue"), "{again:?}");
    let nonsense = agents[0].run(&["join", "Not A Name"])?;
    assert_eq!(nonsense.code, 2, "{nonsense:?}");
    let nowhere = agents[0].run(&["join", "nowhere"])?;
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    let sentence = "there is no network nowhere; there are: blue, default";
    assert!(nowhere.stderr.contains(sentence), "{nowhere:?}");
    patiently("it is not joined", || {
        let status = agents[0].status()?;
        ensure!(status["ready"] == true, "{status}");
        Ok(())
    })?;
    Ok(())
}

/// Nothing is held any more of a network that was left, also while nobody could be told.
#[test]
fn left_and_joined_again_without_a_controller() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    lab.weft(&[
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "700",
    ])?;
    let agents = lab.agents(&["--networks", "default,blue"])?;
    let peers = |host: &Host| -> Result<usize> {
        let fdb = ["bridge", "fdb", "show", "dev", "weft700"];
        Ok(host.done(&fdb)?.lines().count())
    };
    patiently("they are peers", || {
        for host in lab.hosts() {
            ensure!(peers(host)? == 1);
        }
        Ok(())
    })?;
    lab.controllers[0].kill()?;
    assert_eq!(agents[0].run(&["leave", "blue"])?.code, 0);
    let joined = agents[0].run(&["join", "blue"])?;
    assert_eq!(joined.code, 3, "nobody tells of it: {joined:?}");
    // The other stays away from it.
    assert_eq!(agents[1].run(&["leave", "blue"])?.code, 0);
    lab.controllers[0].start()?;
    patiently(
        "the one has it and is ready, the other's lease is gone",
        || {
            let status = agents[0].status()?;
            ensure!(status["ready"] == true, "{status}");
            ensure!(peers(lab.host(1))? == 0);
            let leases = lab.weft(&["lease", "list", "--network", "blue"])?;
            ensure!(leases.as_array().map(Vec::len) == Some(1), "{leases}");
            Ok(())
        },
    )
}

/// The controller that heard of it could do nothing about it, and is no more.
#[test]
fn left_while_the_store_was_away() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controllers(1, &[])?;
    lab.weft(&["network", "create", "blue", "--pool", "10.70.0.0/16"])?;
    let agent = lab.agent(1, &["--networks", "default,blue"])?;
    lab.etcd.as_ref().context("an etcd")?.pause()?;
    patiently("the controller is cut off", || {
        let answer = lab.controllers[0].ops("/readyz")?;
        ensure!(answer.status == 503, "{answer:?}");
        Ok(())
    })?;
    assert_eq!(agent.run(&["leave", "blue"])?.code, 0);
    lab.controllers[0].kill()?;
    lab.etcd.as_ref().context("an etcd")?.resume()?;
    lab.controllers[0].start()?;
    patiently("its lease is gone", || {
        let leases = lab.weft(&["lease", "list"])?;
        let networks = leases.as_array().into_iter().flatten();
        let networks: Vec<_> = networks.map(|lease| &lease["network"]).collect();
        ensure!(networks == ["default"], "{leases}");
        Ok(())
    })
}

/// What does not exist yet is waited for, and does not keep the others.
#[test]
fn one_that_is_made_later() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let mut agent = tests::lab::Agent::new(
        lab.host(1),
        &lab.controller_urls()?,
        &["--networks", "default,later"],
    )?;
    agent.launch()?;
    patiently("the other is there", || {
        ensure!(devices(lab.host(1))? == ["weft1"]);
        let status = agent.status()?;
        let reason = status["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("later"), "{status}");
        Ok(())
    })?;
    lab.weft(&["network", "create", "later", "--pool", "10.80.0.0/16"])?;
    agent.ready()?;
    assert_eq!(devices(lab.host(1))?.len(), 2);
    Ok(())
}

/// A device is named by its VNI: of two networks that share one, the first has it.
#[test]
fn two_with_one_vni_are_told_apart() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    lab.weft(&[
        "network",
        "create",
        "zwei",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "1",
        "--port",
        "4790",
    ])?;
    let mut agent = tests::lab::Agent::new(
        lab.host(1),
        &lab.controller_urls()?,
        &["--networks", "default,zwei"],
    )?;
    agent.launch()?;
    patiently("it says why not", || {
        let status = agent.status()?;
        let reason = status["reason"].as_str().unwrap_or_default();
        ensure!(
            reason.contains("VNI 1") && reason.contains("zwei"),
            "{status}"
        );
        ensure!(devices(lab.host(1))? == ["weft1"]);
        Ok(())
    })?;
    agent.kill()
}

/// Peers on the same link are routed without a tunnel when the network says so; when
/// they are not on it any more, through the tunnel.
#[test]
fn directly_where_that_goes() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let direct = [
        "network",
        "create",
        "direct",
        "--pool",
        "10.70.0.0/16",
        "--encap",
        "auto",
        "--vni",
        "700",
    ];
    lab.weft(&direct)?;
    let agents = lab.agents(&["--networks", "direct"])?;
    let (one, other) = (
        lab.container_of(1, "direct")?,
        lab.container_of(2, "direct")?,
    );
    reach(&one, &other)?;
    assert_eq!(packets(lab.host(1), "weft700")?, 0);
    let via = |agent: &tests::lab::Agent| -> Result<Value> {
        Ok(agent.status()?["networks"][0]["peers"][0]["via"].clone())
    };
    assert_eq!(via(&agents[0])?, "direct");
    // A narrower prefix: the peer is behind a router now.
    for host in lab.hosts() {
        let (v4, number) = (host.v4(), host.number);
        let far = 3 - number;
        host.ip(&[
            format!("addr add {v4}/32 dev eth0"),
            "route add 192.0.2.250/32 dev eth0".to_owned(),
            format!("route add 192.0.2.{far}/32 dev eth0"),
            format!("addr del {v4}/24 dev eth0"),
            // The first address takes its routes with it.
            format!("addr replace {v4}/32 dev eth0"),
            "route replace 192.0.2.250/32 dev eth0".to_owned(),
            format!("route replace 192.0.2.{far}/32 dev eth0"),
        ])?;
    }
    patiently("through the tunnel", || {
        for agent in &agents {
            let via = via(agent)?;
            ensure!(via == "vxlan", "{}", agent.status()?);
        }
        Ok(())
    })?;
    reach(&one, &other)?;
    assert!(packets(lab.host(1), "weft700")? > 0);
    Ok(())
}
