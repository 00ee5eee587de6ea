//! A node whose address, MAC or MTU changes is followed by its peers; nothing of what
//! it was before stays anywhere.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Container, Host, Lab, ping},
    wait::patiently,
};

/// A change is followed within this time.
const WITHIN: Duration = Duration::from_secs(1);

fn fdb(host: &Host) -> Result<Vec<(String, String)>> {
    let fdb = host.json(&["bridge", "-j", "fdb", "show", "dev", "weft1"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = fdb.as_array().into_iter().flatten();
    Ok(entries
        .map(|entry| (text(&entry["mac"]), text(&entry["dst"])))
        .collect())
}

fn reached(from: &Container, to: &Container) -> Result<()> {
    for address in &to.addresses {
        let pings = ping(from, *address, 1)?;
        ensure!(pings.lost() == 0, "{}", pings.said.stdout);
    }
    Ok(())
}

#[test]
fn an_address() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let _agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    // The controller is reached from both.
    let host = lab.host(2);
    host.ip(&["addr add 192.0.2.102/24 dev eth0"])?;
    let began = Instant::now();
    host.ip(&[
        "addr del 192.0.2.2/24 dev eth0",
        "addr replace 192.0.2.102/24 dev eth0",
    ])?;
    patiently("the peer follows", || {
        let entries = fdb(lab.host(1))?;
        ensure!(
            entries.len() == 1 && entries[0].1 == "192.0.2.102",
            "{entries:?}"
        );
        reached(&one, &other)
    })?;
    let took = began.elapsed();
    println!("followed within {took:?}");
    // The old session breaks with the address: what is measured is that as well.
    assert!(took < WITHIN * 10, "{took:?}");
    let peers = lab
        .host(1)
        .done(&["nft", "list", "set", "inet", "weft", "peers4"])?;
    assert!(
        peers.contains("192.0.2.102") && !peers.contains("192.0.2.2\n"),
        "{peers}"
    );
    Ok(())
}

/// While the old address still works, nothing but the change has to travel.
#[test]
fn an_address_beside_the_old_one() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let first = lab.agent(1, &[])?;
    let host = lab.host(2);
    host.ip(&["addr add 192.0.2.102/24 dev eth0"])?;
    let mut second = lab.agent(2, &["--node-ip", "192.0.2.2"])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    second.kill()?;
    drop(second);
    let began = Instant::now();
    let _second = lab.agent(2, &["--node-ip", "192.0.2.102"])?;
    patiently("the peer follows", || {
        let entries = fdb(lab.host(1))?;
        ensure!(
            entries.len() == 1 && entries[0].1 == "192.0.2.102",
            "{entries:?}"
        );
        reached(&one, &other)
    })?;
    println!(
        "an agent with another address, and its peer: {:?}",
        began.elapsed()
    );
    drop(first);
    Ok(())
}

#[test]
fn a_mac() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let _first = lab.agent(1, &[])?;
    let mut second = lab.agent(2, &[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    let before = fdb(lab.host(1))?;
    // As if its disk had been restored: the same node, another MAC.
    second.kill()?;
    let identity = lab.host(2).directory().join("state/identity.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&identity)?)?;
    kept["mac"] = "02:77:aa:bb:cc:dd".into();
    std::fs::write(&identity, serde_json::to_vec(&kept)?)?;
    second.start()?;
    patiently("the peer follows", || {
        let entries = fdb(lab.host(1))?;
        ensure!(
            entries.len() == 1 && entries[0].0 == "02:77:aa:bb:cc:dd",
            "{entries:?}"
        );
        reached(&one, &other)
    })?;
    assert_ne!(before, fdb(lab.host(1))?);
    let neighbours = lab.host(1).json(&[
        "ip",
        "-j",
        "neigh",
        "show",
        "dev",
        "weft1",
        "nud",
        "permanent",
    ])?;
    let macs = neighbours.as_array().into_iter().flatten();
    for entry in macs {
        assert_eq!(entry["lladdr"], "02:77:aa:bb:cc:dd", "{neighbours}");
    }
    Ok(())
}

#[test]
fn an_mtu() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", "10.40.0.0/16,fd77:40::/48"])?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let mtu = |expected: u64| {
        patiently("the device follows", || {
            let link = host.json(&["ip", "-j", "link", "show", "weft1"])?;
            ensure!(link[0]["mtu"] == expected, "{link}");
            Ok(())
        })
    };
    mtu(1450)?;
    for (uplink, device) in [(1400, 1350), (9000, 8950), (1500, 1450)] {
        host.ip(&[format!("link set eth0 mtu {uplink}")])?;
        mtu(device)?;
    }
    // IPv6 does not fit any more: it is left out with a word, and IPv4 goes on.
    host.ip(&["link set eth0 mtu 1300"])?;
    mtu(1250)?;
    let said = patiently("it says so", || {
        let status = agents[0].status()?;
        let reason = status["reason"].as_str().unwrap_or_default().to_owned();
        ensure!(reason.contains("IPv6"), "{status}");
        Ok(reason)
    })?;
    assert!(said.contains("1250") && said.contains("1280"), "{said}");
    host.ip(&["link set eth0 mtu 1500"])?;
    mtu(1450)?;
    patiently("IPv6 is back", || {
        let routes = host.json(&[
            "ip", "-j", "-6", "route", "show", "dev", "weft1", "proto", "77",
        ])?;
        ensure!(routes.as_array().map(Vec::len) == Some(1), "{routes}");
        Ok(())
    })?;
    agents[0].ready()
}
