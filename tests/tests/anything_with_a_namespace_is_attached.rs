//! `weft attach` and `weft detach`: whatever has a network namespace joins, is reached
//! from every other host, and leaves nothing.

use std::{net::IpAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket::words::Attached;
use tests::{
    lab::{Agent, Host, Lab, Namespace, after, ping, tcp},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

fn lab(hosts: u32) -> Result<(Lab, Vec<Agent>)> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&[])?;
    Ok((lab, agents))
}

/// Gives a namespace the name by which `ip netns` knows it on this host.
fn named(host: &Host, namespace: &Namespace, name: &str) -> Result<()> {
    let pid = namespace.pid().to_string();
    host.done(&["ip", "netns", "attach", name, &pid]).map(drop)
}

fn attached(agent: &Agent, arguments: &[&str]) -> Result<Attached> {
    let said = agent.weft(&[&["attach", "-o", "json"], arguments].concat())?;
    ensure!(said.code == 0, "{arguments:?}: {said:?}");
    serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
}

/// What attaching can change on a host, in the words of others.
fn everything(host: &Host) -> Result<String> {
    let mut links = host.json(&["ip", "-j", "link"])?;
    for link in links.as_array_mut().context("a list")? {
        // The kernel finds out about a cable only later.
        let link = link.as_object_mut().context("a link")?;
        link.retain(|field, _| field != "flags" && field != "operstate");
    }
    let commands = [
        &["ip", "-o", "addr"][..],
        &["ip", "-4", "route"],
        &["ip", "-6", "route"],
        &["ip", "neigh", "show", "nud", "permanent"],
        &["tc", "qdisc"],
    ];
    let said: Result<Vec<String>> = commands.iter().map(|words| host.done(words)).collect();
    Ok(format!("{links:#}\n{}", said?.join("\n")))
}

fn used(agent: &Agent) -> Result<u64> {
    let said = agent.weft(&["ipam", "show", "-o", "json"])?;
    ensure!(said.code == 0, "{said:?}");
    let rows: Vec<Value> = serde_json::from_str(&said.stdout)?;
    ensure!(rows.len() == 2, "one of each family: {said:?}");
    let used = rows.iter().map(|row| row["used"].as_u64());
    used.sum::<Option<u64>>().context("counts")
}

fn all_reach_all(ends: &[(&Namespace, Attached)]) -> Result<()> {
    for (from, _) in ends {
        for (to, there) in ends.iter().filter(|(to, _)| to.pid() != from.pid()) {
            for address in &there.endpoint.addresses {
                let pings = ping(from, *address, 3)?;
                let (from_name, to_name) = (from.name(), to.name());
                ensure!(pings.lost() == 0, "{from_name} to {to_name}: {pings:?}");
                tcp(from, to, *address, 1 << 20)?;
            }
        }
    }
    Ok(())
}

#[test]
fn by_a_name_a_path_and_a_process() -> Result<()> {
    let (lab, agents) = lab(2)?;
    let [by_name, by_pid, by_path] =
        ["name", "pid", "path"].map(|name| Namespace::new(name.into()));
    let (by_name, by_pid, by_path) = (by_name?, by_pid?, by_path?);
    named(lab.host(1), &by_name, "blue")?;
    named(lab.host(2), &by_path, "green")?;
    let pid = by_pid.pid().to_string();
    let ends = [
        (&by_name, attached(&agents[0], &["--netns", "blue"])?),
        (
            &by_pid,
            attached(&agents[0], &["--pid", &pid, "--name", "web"])?,
        ),
        (
            &by_path,
            attached(&agents[1], &["--netns", "/run/netns/green", "--told"])?,
        ),
    ];
    for (namespace, told) in &ends {
        assert_eq!(told.endpoint.addresses.len(), 2, "{told:?}");
        assert!(!told.again);
        let addresses = namespace.json(&["ip", "-j", "addr", "show", "eth0"])?;
        for on_link in &told.on_link {
            let there = format!("\"{}\"", on_link.address);
            assert!(addresses.to_string().contains(&there), "{addresses}");
        }
    }
    all_reach_all(&ends)?;

    // Whatever names it, it is the same endpoint.
    let pid = by_name.pid().to_string();
    let again = attached(&agents[0], &["--pid", &pid])?;
    assert!(again.again);
    assert_eq!(again.endpoint.key, ends[0].1.endpoint.key);
    assert_eq!(again.endpoint.addresses, ends[0].1.endpoint.addresses);
    assert_eq!(used(&agents[0])?, 4);
    Ok(())
}

#[test]
fn with_an_address_and_a_mac_of_ones_own() -> Result<()> {
    let (_lab, agents) = lab(2)?;
    let near = Namespace::new("near".into())?;
    let far = Namespace::new("far".into())?;
    let first = agents[0].attach(&near, &[])?;
    let own: Vec<IpAddr> = first
        .endpoint
        .addresses
        .iter()
        .map(|one| after(*one, 50))
        .collect();
    agents[0].weft(&["detach", "--pid", &near.pid().to_string()])?;

    let texts: Vec<String> = own.iter().map(ToString::to_string).collect();
    let flags = ["--ip", &texts.join(","), "--mac", "02:00:5e:10:00:01"];
    let told = agents[0].attach(&near, &flags)?;
    assert_eq!(told.endpoint.addresses, own);
    let link = near.json(&["ip", "-j", "link", "show", "eth0"])?;
    assert_eq!(link[0]["address"], "02:00:5e:10:00:01");
    let other = agents[1].attach(&far, &["--interface", "net0"])?;
    far.done(&["ip", "link", "show", "net0"])?;
    all_reach_all(&[(&near, told), (&far, other)])
}

/// The bounds are wide: a bench measures how near it is.
#[test]
fn it_is_as_fast_as_it_may_be_both_ways() -> Result<()> {
    const BITS: u64 = 40_000_000;
    let (_lab, agents) = lab(2)?;
    let bounded = Namespace::new("bounded".into())?;
    let free = Namespace::new("free".into())?;
    let here = agents[0].attach(&bounded, &["--bandwidth", "40M"])?;
    let there = agents[1].attach(&free, &[])?;
    // Long enough for TCP to find its pace.
    let bytes = BITS / 8 * 2;
    for family in 0..2 {
        for (from, to, ends) in [(&bounded, &free, &there), (&free, &bounded, &here)] {
            let address = ends.endpoint.addresses[family];
            let began = Instant::now();
            tcp(from, to, address, bytes)?;
            let rate = bytes as f64 * 8.0 / began.elapsed().as_secs_f64();
            let wide = BITS as f64 / 2.0..BITS as f64 * 2.0;
            assert!(
                wide.contains(&rate),
                "{} to {address}: {rate:.0}",
                from.name()
            );
        }
    }
    Ok(())
}

#[test]
fn a_detached_one_leaves_nothing() -> Result<()> {
    let (lab, agents) = lab(1)?;
    let (host, agent) = (lab.host(1), &agents[0]);
    let container = Namespace::new("container".into())?;
    named(host, &container, "blue")?;
    let (before, inside) = (everything(host)?, container.done(&["ip", "-j", "link"])?);
    for _ in 0..2 {
        let said = agent.weft(&["attach", "--netns", "blue", "--bandwidth", "100M/50M"])?;
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
        assert!(said.stdout.contains("100M/50M"), "{said:?}");
        assert_ne!(everything(host)?, before);
        for _ in 0..2 {
            let said = agent.weft(&["detach", "--netns", "blue"])?;
            assert_eq!(said.code, 0, "{said:?}");
            assert_eq!(said.stdout, "blue is detached from default\n");
        }
        assert_eq!(everything(host)?, before);
        assert_eq!(container.done(&["ip", "-j", "link"])?, inside);
        let said = agent.weft(&["ipam", "check"])?;
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(used(agent)?, 0);
    }
    Ok(())
}

#[test]
fn one_whose_namespace_is_gone_is_detached_by_what_named_it() -> Result<()> {
    let (lab, agents) = lab(1)?;
    let (host, agent) = (lab.host(1), &agents[0]);
    let before = everything(host)?;
    let container = Namespace::new("container".into())?;
    named(host, &container, "blue")?;
    attached(agent, &["--netns", "blue"])?;
    host.done(&["ip", "netns", "del", "blue"])?;
    drop(container);
    let said = agent.weft(&["detach", "--netns", "blue"])?;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(used(agent)?, 0);
    patiently("the kernel is as it was", || {
        let now = everything(host)?;
        ensure!(now == before, "{now}");
        Ok(())
    })
}

#[test]
fn what_cannot_be_is_one_sentence_and_leaves_nothing() -> Result<()> {
    let (lab, agents) = lab(1)?;
    let (host, agent) = (lab.host(1), &agents[0]);
    let container = Namespace::new("container".into())?;
    let other = Namespace::new("other".into())?;
    container.ip(&["link add x0 type veth peer name x1"])?;
    let taken = agent.attach(&other, &[])?.endpoint.addresses[0].to_string();
    let pid = container.pid().to_string();
    let own = host.pid().to_string();
    let before = everything(host)?;
    let inside = container.done(&["ip", "-j", "link"])?;
    let said_of = |flags: &[&str], code: i32, word: &str| -> Result<()> {
        let said = agent.weft(&[&["attach"], flags].concat())?;
        assert_eq!(said.code, code, "{flags:?}: {said:?}");
        assert_eq!(said.stdout, "", "{flags:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{flags:?}: {said:?}");
        assert!(said.stderr.starts_with("weft: "), "{said:?}");
        assert!(said.stderr.contains(word), "{flags:?}: {said:?}");
        assert_eq!(everything(host)?, before, "{flags:?}");
        assert_eq!(container.done(&["ip", "-j", "link"])?, inside, "{flags:?}");
        assert_eq!(used(agent)?, 2, "{flags:?}");
        Ok(())
    };
    said_of(&["--netns", "nobody"], 1, "nobody")?;
    said_of(&["--netns", "/etc/hostname"], 1, "/etc/hostname")?;
    said_of(&["--pid", &own], 1, "the host's own")?;
    said_of(&["--pid", "4194305"], 1, "4194305")?;
    said_of(&["--container", "nobody"], 1, "nobody")?;
    said_of(&["--pid", &pid, "--network", "blue"], 1, "blue")?;
    said_of(&["--pid", &pid, "--ip", "192.0.2.77"], 1, "192.0.2.77")?;
    said_of(&["--pid", &pid, "--ip", &taken], 1, &taken)?;
    said_of(&["--pid", &pid, "--interface", "lo"], 2, "lo")?;
    said_of(&["--pid", &pid, "--interface", "x0"], 1, "x0")?;
    Ok(())
}

#[test]
fn nobody_is_there_to_be_asked() -> Result<()> {
    let (_lab, mut agents) = lab(1)?;
    let container = Namespace::new("container".into())?;
    agents[0].kill()?;
    for asked in ["attach", "detach"] {
        let said = agents[0].weft(&[asked, "--pid", &container.pid().to_string()])?;
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.stderr.contains("is it running"), "{said:?}");
    }
    let said = agents[0].weft(&["ipam", "show"])?;
    assert_eq!(said.code, 3, "{said:?}");
    Ok(())
}
