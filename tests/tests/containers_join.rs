//! Containers that agents attach reach each other, on one host and on several, routed
//! and behind a bridge; and what becomes of them when things are killed or deleted.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Attached, Lab, Pinger, ping, tcp, wish},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

fn lab(hosts: u32, flags: &[&str]) -> Result<(Lab, Vec<Agent>)> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(flags)?;
    Ok((lab, agents))
}

/// All devices of a host but those of its networks.
fn devices(lab: &Lab, host: u32) -> Result<Vec<String>> {
    let links = lab.host(host).json(&["ip", "-j", "link"])?;
    let links = links.as_array().context("a list of links")?;
    let names = links.iter().filter_map(|link| link["ifname"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn all_reach_all(containers: &[&Attached]) -> Result<()> {
    for from in containers {
        for to in containers {
            for &address in to.addresses() {
                let pings = ping(from, address, 3)?;
                ensure!(
                    pings.lost() == 0,
                    "{} to {} at {address}: {}",
                    from.name(),
                    to.name(),
                    pings.said.stdout
                );
                if from.name() != to.name() {
                    tcp(from, to, address, 1 << 20)?;
                }
            }
        }
    }
    Ok(())
}

fn all_reach_all_and_their_hosts(form: &[&str]) -> Result<()> {
    let (lab, agents) = lab(2, form)?;
    let before = [devices(&lab, 1)?, devices(&lab, 2)?];
    let one = agents[0].attached("one")?;
    let two = agents[0].attached("two")?;
    let far = agents[1].attached("far")?;
    all_reach_all(&[&one, &two, &far])?;
    for container in [&one, &two] {
        for &address in container.addresses() {
            let pings = ping(lab.host(1), address, 3)?;
            ensure!(
                pings.lost() == 0,
                "host to {address}: {}",
                pings.said.stdout
            );
            let pings = ping(lab.host(2), address, 3)?;
            ensure!(
                pings.lost() == 0,
                "other host to {address}: {}",
                pings.said.stdout
            );
        }
        let uplinks: [IpAddr; 2] = [lab.host(1).v4().into(), lab.host(1).v6().into()];
        for address in uplinks {
            let pings = ping(container, address, 3)?;
            ensure!(
                pings.lost() == 0,
                "to its host {address}: {}",
                pings.said.stdout
            );
        }
    }
    for (agent, container) in [(&agents[0], &one), (&agents[0], &two), (&agents[1], &far)] {
        agent.detach(container)?;
        // Once more is no harm.
        agent.detach(container)?;
        let left = container.json(&["ip", "-j", "link"])?;
        ensure!(left.as_array().map(Vec::len) == Some(1), "{left}");
    }
    for (host, before) in (1..).zip(before) {
        patiently("nothing is left on the host", || {
            let after = devices(&lab, host)?;
            ensure!(after == before, "{after:?}");
            Ok(())
        })?;
    }
    for agent in &agents {
        ensure!(findings(agent)?.is_empty());
    }
    Ok(())
}

#[test]
fn routed() -> Result<()> {
    all_reach_all_and_their_hosts(&[])
}

#[test]
fn behind_a_bridge() -> Result<()> {
    all_reach_all_and_their_hosts(&["--bridge", "default"])
}

fn findings(agent: &Agent) -> Result<Vec<Value>> {
    Ok(agent.client().ask("POST", "/ipam/check", None::<&()>)?)
}

#[test]
fn an_agent_may_be_killed_and_containers_do_not_notice() -> Result<()> {
    let (_lab, mut agents) = lab(2, &[])?;
    let near = agents[0].attached("near")?;
    // The first is written with the whole list, the next ones at its end.
    let _next = agents[0].attached("next")?;
    let far = agents[1].attached("far")?;
    let pinger = Pinger::start(&near, far.addresses()[0])?;
    let before = agents[0].endpoints()?;
    agents[0].kill()?;
    agents[0].start()?;
    assert_eq!(agents[0].endpoints()?, before);
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    ensure!(findings(&agents[0])?.is_empty());
    // What it attached before is known to it.
    let again = wish(&near, "near", |_| {})?;
    let again = agents[0].attach_words(&again)?;
    assert!(again.again);
    assert_eq!(again.endpoint, near.words.endpoint);
    let counted = agents[0].metric("weft_agent_endpoints{network=\"default\"}")?;
    assert_eq!(counted, 2.0);
    Ok(())
}

#[test]
fn what_is_deleted_comes_back() -> Result<()> {
    let (lab, agents) = lab(2, &[])?;
    let near = agents[0].attached("near")?;
    let far = agents[1].attached("far")?;
    let device = &near.words.device;
    let v4 = near.addresses()[0];
    let acts = [
        format!("route del {v4} dev {device}"),
        format!("neigh del {v4} dev {device}"),
        format!("link set {device} down"),
        format!("link set {device} mtu 1300"),
        format!("link set {device} address 02:00:00:00:00:01"),
        format!("link set {device} name other0"),
        format!("link del {device}"),
    ];
    for act in acts {
        lab.host(1).ip(&[&act])?;
        patiently(&format!("after {act}"), || {
            for &address in near.addresses() {
                let pings = ping(&far, address, 1)?;
                ensure!(pings.lost() == 0, "{address}: {}", pings.said.stdout);
            }
            ensure!(
                findings(&agents[0])?.is_empty(),
                "{:?}",
                findings(&agents[0])?
            );
            Ok(())
        })?;
    }
    // With the device of the container the rest of it came back, too.
    for &address in far.addresses() {
        ensure!(ping(&near, address, 3)?.lost() == 0, "{address}");
    }
    Ok(())
}

#[test]
fn a_container_that_is_gone_gives_its_address_back() -> Result<()> {
    let (lab, agents) = lab(1, &[])?;
    let before = devices(&lab, 1)?;
    let gone = agents[0].attached("gone")?;
    drop(gone);
    patiently("its endpoint is gone", || {
        let left = agents[0].endpoints()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })?;
    assert_eq!(devices(&lab, 1)?, before);
    Ok(())
}

#[test]
fn what_cannot_be_leaves_nothing() -> Result<()> {
    let (lab, agents) = lab(1, &[])?;
    let agent = &agents[0];
    let there = agent.attached("there")?;
    let before = (devices(&lab, 1)?, agent.endpoints()?);
    let free = lab.stranger(77)?;
    let refused = |more: &dyn Fn(&mut socket::words::Attach)| -> Result<String> {
        let asked = wish(&free, "refused", more)?;
        let refused = agent.attach_words(&asked).err().context("it is refused")?;
        Ok(refused.root_cause().to_string())
    };
    let taken = there.addresses()[0];
    assert_eq!(
        refused(&|asked| asked.addresses = vec![taken])?,
        format!("test/there has {taken} already")
    );
    let text = refused(&|asked| asked.addresses = vec!["10.99.0.1".parse().expect("one")])?;
    assert!(text.contains("is not in this node's subnet"), "{text}");
    let text = refused(&|asked| asked.network = "blue".parse().expect("one"))?;
    assert_eq!(text, "this host has not joined network blue");
    // The stranger's uplink has that name.
    let text = refused(&|_| {})?;
    assert_eq!(text, "the container has an interface eth0 already");
    let text = refused(&|asked| asked.netns = "/nowhere".into())?;
    assert!(
        text.starts_with("there is no network namespace at /nowhere"),
        "{text}"
    );
    let text = refused(&|asked| asked.netns = format!("/proc/{}/ns/net", lab.host(1).pid()))?;
    assert!(text.contains("the host's own network namespace"), "{text}");
    let text = refused(&|asked| asked.interface = "a/b".into())?;
    assert!(
        text.contains("no name for a container's interface"),
        "{text}"
    );
    assert_eq!((devices(&lab, 1)?, agent.endpoints()?), before);
    Ok(())
}

#[test]
fn many_at_once_have_addresses_of_their_own() -> Result<()> {
    let (lab, agents) = lab(1, &[])?;
    let agent = &agents[0];
    let before = devices(&lab, 1)?;
    let names = (0..40).map(|n| format!("c{n}"));
    let namespaces = tests::lab::Namespace::several(names)?;
    let attached: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = namespaces
            .iter()
            .map(|namespace| {
                scope.spawn(move || {
                    let asked = wish(namespace, namespace.name(), |_| {})?;
                    agent.attach_words(&asked)
                })
            })
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        joined.collect::<Result<Vec<_>>>()
    })?;
    let mut addresses: Vec<IpAddr> = attached
        .iter()
        .flat_map(|one| one.endpoint.addresses.clone())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 80);
    for (from, to) in namespaces.iter().zip(attached.iter().rev()) {
        ensure!(ping(from, to.endpoint.addresses[0], 1)?.lost() == 0);
    }
    drop(namespaces);
    patiently("all are gone", || {
        ensure!(agent.endpoints()?.is_empty());
        ensure!(devices(&lab, 1)? == before);
        Ok(())
    })
}

#[test]
fn the_fleet_knows_who_is_attached() -> Result<()> {
    let (mut lab, agents) = lab(2, &[])?;
    let web = agents[0].attached_with("web", |asked| {
        asked.told = true;
        asked.who.name = Some("web".into());
        asked.who.aliases = vec!["www".into()];
        asked.publish = vec!["8080:80".parse().expect("a port")];
    })?;
    // Whoever asked to wait for it sees it at once.
    let listed = lab.weft(&["endpoint", "list"])?;
    let listed = listed.as_array().context("a list")?;
    ensure!(listed.len() == 1, "{listed:?}");
    assert_eq!(listed[0]["node"], "h1");
    assert_eq!(listed[0]["name"], "web");
    agents[1].attached_with("db", |asked| asked.told = true)?;
    // Its namespace is gone with it: so is the endpoint, soon, everywhere.
    patiently("the fleet forgets it", || {
        let listed = lab.weft(&["endpoint", "list"])?;
        ensure!(listed.as_array().map(Vec::len) == Some(1), "{listed}");
        Ok(())
    })?;
    for controller in &mut lab.controllers {
        controller.kill()?;
    }
    // Without a controller containers come all the same, but nobody else knows.
    let alone = agents[0].attached("alone")?;
    ensure!(ping(&alone, web.addresses()[0], 3)?.lost() == 0);
    let free = tests::lab::Namespace::new("untold".into())?;
    let asked = wish(&free, "untold", |asked| asked.told = true)?;
    let refused = agents[0]
        .attach_words(&asked)
        .err()
        .context("nobody was told")?;
    let text = refused.root_cause().to_string();
    assert!(text.contains("the fleet does not know yet"), "{text}");
    for controller in &mut lab.controllers {
        controller.start()?;
    }
    patiently("the fleet knows all", || {
        let listed = lab.weft(&["endpoint", "list"])?;
        ensure!(listed.as_array().map(Vec::len) == Some(3), "{listed}");
        Ok(())
    })
}

#[test]
fn a_container_made_anew_takes_the_place_of_the_old_one() -> Result<()> {
    let (lab, agents) = lab(1, &[])?;
    let old = agents[0].attached("c")?;
    let new = agents[0].attached("c")?;
    assert_eq!(new.addresses(), old.addresses());
    assert!(new.words.endpoint.seq > old.words.endpoint.seq);
    for &address in new.addresses() {
        ensure!(ping(lab.host(1), address, 3)?.lost() == 0, "{address}");
    }
    // Whoever means the old one ends nothing.
    let refused = agents[0].detach(&old).err().context("it is stale")?;
    let text = refused.root_cause().to_string();
    assert!(text.contains("was attached again since"), "{text}");
    ensure!(findings(&agents[0])?.is_empty());
    Ok(())
}

#[test]
fn a_namespace_of_the_same_name_is_another_one() -> Result<()> {
    let (lab, agents) = lab(1, &[])?;
    let host = lab.host(1);
    let asked = |key: &str| -> Result<_> {
        let mut asked = wish(host, key, |_| {})?;
        asked.netns = "/run/netns/c".into();
        Ok(asked)
    };
    host.done(&["ip", "netns", "add", "c"])?;
    agents[0].attach_words(&asked("old")?)?;
    // Its number is most likely the same again.
    host.done(&["ip", "netns", "del", "c"])?;
    host.done(&["ip", "netns", "add", "c"])?;
    patiently("the old one is gone", || {
        let left = agents[0].endpoints()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })?;
    let inside = host.json(&["ip", "-j", "-n", "c", "link"])?;
    ensure!(inside.as_array().map(Vec::len) == Some(1), "{inside}");
    Ok(())
}

#[test]
fn cleanup_takes_containers_links_too() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let before = devices(&lab, 1)?;
    for form in [&[][..], &["--bridge", "default"]] {
        let mut agent = lab.agent(1, form)?;
        let c = agent.attached_with("c", |asked| {
            asked.bandwidth = "100M".parse().expect("a rate");
        })?;
        agent.kill()?;
        let state = lab.host(1).directory().join("state");
        let said = agent.run(&["--state-dir", &state.display().to_string(), "cleanup"])?;
        ensure!(said.code == 0, "{said:?}");
        assert_eq!(devices(&lab, 1)?, before, "{said:?}");
        drop(c);
    }
    Ok(())
}
