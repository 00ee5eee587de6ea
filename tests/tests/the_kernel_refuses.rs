//! A kernel that refuses, forgets, interrupts or loses answers: what can be done is
//! done, what cannot is named with the kernel's own words, and as soon as it can, it is.

use std::{
    net::UdpSocket,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Container, Host, Lab, Part, ping},
    wait::patiently,
};

/// For thousands of small subnets.
const POOLS: &str = "10.32.0.0/12,fd77:40::/48";

fn lab(hosts: u32) -> Result<Lab> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    Ok(lab)
}

/// The agent of the first host, which is not expected to be ready.
fn launched(lab: &Lab, flags: &[&str]) -> Result<Agent> {
    let mut agent = Agent::new(lab.host(1), &lab.controller_urls()?, flags)?;
    agent.launch()?;
    Ok(agent)
}

/// Everything is there for so many peers, of both families, and nothing else.
fn holds(host: &Host, peers: usize) -> Result<()> {
    let of_ours = |part: Part, seen: &Value| {
        let entries = seen.as_array().cloned().unwrap_or_default();
        let ours = entries.iter().filter(|entry| match part {
            Part::Routes4 | Part::Routes6 => entry["protocol"] == "77" && entry["dev"] == "weft1",
            _ => true,
        });
        ours.count()
    };
    host.inside(|| {
        let expected = [
            (Part::Fdb, peers),
            (Part::Neighbours, 2 * peers),
            (Part::Routes4, peers),
            (Part::Routes6, peers),
            (Part::Addresses, 2),
        ];
        for (part, expected) in expected {
            let seen = part.seen("weft1")?;
            let count = of_ours(part, &seen);
            ensure!(count == expected, "{part:?}: {count} instead of {expected}");
        }
        Ok(())
    })
}

/// In both families; a container that was made just now may need a moment.
fn reached(from: &Container, to: &Container) -> Result<()> {
    patiently("a ping comes back", || {
        for address in &to.addresses {
            let pings = ping(from, *address, 1)?;
            ensure!(pings.lost() == 0, "{}", pings.said.stdout);
        }
        Ok(())
    })
}

/// Why it is not ready.
fn reason(agent: &Agent) -> Result<String> {
    let status = agent.status()?;
    ensure!(status["ready"] == false, "{status}");
    Ok(status["reason"].as_str().unwrap_or_default().to_owned())
}

fn network<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let mut all = status["networks"].as_array().into_iter().flatten();
    let found = all.find(|network| network["network"] == name);
    found.with_context(|| format!("{name} in {status}"))
}

/// Somebody who does this again and again on a host until the work is done; how often.
fn meanwhile<T>(
    host: &Host,
    commands: &[&[&str]],
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    let (ended, times) = (AtomicBool::new(false), AtomicU64::new(0));
    let done = thread::scope(|scope| {
        let again = || {
            host.inside(|| {
                while !ended.load(Ordering::Relaxed) {
                    for command in commands {
                        let done = Command::new(command[0]).args(&command[1..]).output()?;
                        // What is not there just now cannot be done.
                        times.fetch_add(u64::from(done.status.success()), Ordering::Relaxed);
                    }
                }
                Ok(())
            })
        };
        let other = scope.spawn(again);
        let done = work();
        ended.store(true, Ordering::Relaxed);
        other.join().expect("it does not panic")?;
        done
    });
    Ok((done?, times.into_inner()))
}

#[test]
fn a_port_that_somebody_has() -> Result<()> {
    let lab = lab(2)?;
    let blue = [
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "2",
        "--port",
        "4790",
    ];
    lab.weft(&blue)?;
    let host = lab.host(1);
    let socket = host.inside(|| Ok(UdpSocket::bind("0.0.0.0:4790")?))?;
    let mut agent = launched(&lab, &["--networks", "default,blue"])?;
    let _other = lab.agent(2, &["--networks", "default,blue"])?;
    patiently("it says which and why", || {
        let status = agent.status()?;
        let failing = status["failing"].as_array().cloned().unwrap_or_default();
        let up = failing
            .iter()
            .find(|one| one["step"] == "ip link set weft2 up");
        let up = up.with_context(|| format!("{status}"))?;
        let said = up["reason"].as_str().unwrap_or_default();
        ensure!(said.contains("in use"), "{said}");
        ensure!(
            network(&status, "default")?["state"] == "programmed",
            "{status}"
        );
        ensure!(network(&status, "blue")?["state"] == "failing", "{status}");
        let reason = reason(&agent)?;
        ensure!(
            reason.contains("weft2") && reason.contains("in use"),
            "{reason}"
        );
        Ok(())
    })?;
    // The other network does not care.
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    drop(socket);
    let began = Instant::now();
    agent.ready()?;
    println!("the port is free, and used after {:?}", began.elapsed());
    let (one, other) = (lab.container_of(1, "blue")?, lab.container_of(2, "blue")?);
    reached(&one, &other)
}

#[test]
fn a_vni_that_somebody_has() -> Result<()> {
    let lab = lab(2)?;
    let host = lab.host(1);
    host.ip(&[
        "link add ext1 address 02:55:00:00:00:01 type vxlan id 1 dstport 4789 local 192.0.2.1 dev eth0",
    ])?;
    let mut agent = launched(&lab, &[])?;
    let _other = lab.agent(2, &[])?;
    let said = patiently("it says why", || {
        let reason = reason(&agent)?;
        ensure!(reason.contains("VNI"), "{reason}");
        Ok(reason)
    })?;
    println!("{said}");
    let status = agent.status()?;
    ensure!(
        network(&status, "default")?["state"] == "failing",
        "{status}"
    );
    host.ip(&["link del ext1"])?;
    agent.ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

/// A device in another namespace has its VNI where it was made.
#[test]
fn a_device_that_was_taken_elsewhere() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let host = lab.host(1);
    let pid = one.pid();
    host.ip(&[format!("link set weft1 netns {pid}")])?;
    patiently("it says why", || {
        let reason = reason(&agents[0])?;
        ensure!(reason.contains("VNI"), "{reason}");
        Ok(())
    })?;
    one.ip(&["link del weft1"])?;
    agents[0].ready()?;
    reached(&one, &other)
}

/// A narrower address of this host makes a peer's the broadcast address of its link:
/// that is no gateway.
#[test]
fn a_route_that_cannot_be() -> Result<()> {
    let lab = lab(1)?;
    let pool = ["--pool", "10.70.0.0/16", "--encap", "auto"];
    let direct = ["network", "create", "direct", "--vni", "700"];
    lab.weft(&[&direct[..], &pool].concat())?;
    for number in 66..76 {
        let (node, underlay) = (format!("n{number}"), format!("192.0.2.{number}"));
        let mac = format!("02:00:00:00:00:{number}");
        let whose = ["--node", &node, "--underlay", &underlay, "--mac", &mac];
        let lease = ["lease", "acquire", "--network", "direct"];
        lab.weft(&[&lease[..], &whose].concat())?;
    }
    let host = lab.host(1);
    host.ip(&["addr add 192.0.2.65/30 brd 192.0.2.67 dev eth0"])?;
    let mut agent = launched(&lab, &["--networks", "direct"])?;
    let why = patiently("it says who and why", || {
        let status = agent.status()?;
        let peers = network(&status, "direct")?["peers"].as_array();
        let peers = peers.cloned().unwrap_or_default();
        let is_failing = |peer: &&Value| peer["state"] == "failing";
        let failing: Vec<&Value> = peers.iter().filter(is_failing).collect();
        ensure!(peers.len() == 10 && failing.len() == 1, "{status}");
        ensure!(failing[0]["node"] == "n67", "{status}");
        let why = failing[0]["reason"].as_str().unwrap_or_default().to_owned();
        ensure!(why.contains("gateway"), "{why}");
        Ok(why)
    })?;
    println!("{why}");
    let direct_routes = || {
        let routes = host.json(&["ip", "-j", "route", "show", "proto", "77", "dev", "eth0"])?;
        Ok::<usize, anyhow::Error>(routes.as_array().map_or(0, Vec::len))
    };
    ensure!(direct_routes()? == 9);
    host.ip(&["addr del 192.0.2.65/30 dev eth0"])?;
    agent.ready()?;
    ensure!(direct_routes()? == 10);
    Ok(())
}

#[test]
fn a_device_that_vanishes_again_and_again() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let gone: &[&str] = &["ip", "link", "del", "weft1"];
    let ((), times) = meanwhile(host, &[gone], || {
        for first in (3000..3300).step_by(50) {
            lab.lease_to(first..first + 50)?;
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })?;
    println!("deleted {times} times");
    ensure!(times > 5, "{times}");
    patiently("everything is there", || holds(host, 301))?;
    agents[0].ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

#[test]
fn a_device_that_is_set_down_again_and_again() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let kept = lab.lease_to(3000..3020)?.len();
    let down: &[&str] = &["ip", "link", "set", "weft1", "down"];
    let ((), times) = meanwhile(host, &[down], || {
        for first in (3100..3200).step_by(20) {
            let leases = lab.lease_to(first..first + 20)?;
            thread::sleep(Duration::from_millis(100));
            lab.release(&leases[..10])?;
        }
        Ok(())
    })?;
    println!("set down {times} times");
    ensure!(times > 5, "{times}");
    patiently("everything is there", || holds(host, kept + 50 + 1))?;
    agents[0].ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

/// Calls of the agent that fail now and then, as a kernel without memory has it, or one
/// that was interrupted.
#[test]
fn calls_that_fail() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let pid = agents[0].pid()?;
    let faults = [
        "sendto:error=ENOBUFS:when=5+7",
        "sendto:error=EINTR:when=2+3",
        "recvfrom:error=ENOBUFS:when=5+7",
        "recvfrom:error=EINTR:when=2+3",
        "sendmsg:error=ENOMEM:when=3+5",
        "recvmsg:error=ENOBUFS:when=3+5",
    ];
    let mut peers = 1;
    for (fault, first) in faults.into_iter().zip((4000..).step_by(100)) {
        let inject = format!("inject={fault}");
        let pid = pid.to_string();
        let strace = ["strace", "-f", "-o", "/dev/null", "-e", &inject, "-p", &pid];
        let mut strace = host.spawn(&strace)?;
        patiently("it is traced", || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            ensure!(!status.contains("TracerPid:\t0\n"));
            Ok(())
        })?;
        let leases = lab.lease_to(first..first + 30)?;
        host.ip(&["link set weft1 address 02:00:00:00:00:55"]).ok();
        thread::sleep(Duration::from_millis(400));
        lab.release(&leases[..10])?;
        peers += 20;
        host.ip(&["link del weft1"]).ok();
        thread::sleep(Duration::from_millis(400));
        strace.signal("-INT")?;
        strace.child().wait()?;
        let began = Instant::now();
        patiently("everything is there", || holds(host, peers))
            .with_context(|| fault.to_owned())?;
        agents[0].ready()?;
        println!("{fault}: right after {:?}", began.elapsed());
    }
    ensure!(agents[0].pid()? == pid);
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

/// Lists are read while what they list changes.
#[test]
fn lists_that_are_interrupted() -> Result<()> {
    let lab = lab(2)?;
    lab.lease_to(3000..3400)?;
    let agents = lab.agents(&["--look-every", "10ms"])?;
    let host = lab.host(1);
    host.ip(&["link add br7 type bridge", "link set br7 up"])?;
    let batch = lab.directory().join("batch");
    let mut lines = String::new();
    for verb in ["add", "del"] {
        for number in 0..200 {
            lines += &format!("addr {verb} 10.99.{number}.1/24 dev br7\n");
            lines += &format!("neigh {verb} 10.99.{number}.2 lladdr 02:00:00:00:00:01 dev br7\n");
            lines += &format!("addr {verb} fd99:{number}::1/64 dev br7 nodad\n");
            lines += &format!("route {verb} 10.98.{number}.0/24 dev br7\n");
        }
    }
    std::fs::write(&batch, lines)?;
    let batch = batch.to_str().context("a path")?;
    let churn: &[&str] = &["ip", "-force", "-batch", batch];
    let looks = agents[0].metric("weft_agent_looks_total")?;
    let (healed, _) = meanwhile(host, &[churn], || {
        let began = Instant::now();
        let mut times = 0;
        while began.elapsed() < Duration::from_secs(3) {
            host.ip(&["link set weft1 address 02:00:00:00:00:55"])?;
            patiently("everything is there", || holds(host, 401))?;
            times += 1;
        }
        Ok(times)
    })?;
    let looks = agents[0].metric("weft_agent_looks_total")? - looks;
    println!("right again {healed} times in 3 s, with {looks} looks");
    holds(host, 401)?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

/// A MAC that is changed takes all neighbours with it: two notifications for each.
#[test]
fn more_news_than_anybody_can_hear() -> Result<()> {
    let lab = lab(1)?;
    lab.lease_to(5000..7000)?;
    let agent = lab.agent(1, &[])?;
    let host = lab.host(1);
    patiently("everything is there", || holds(host, 2000))?;
    for _ in 0..3 {
        let began = Instant::now();
        host.ip(&["link set weft1 address 02:00:00:00:00:55"])?;
        patiently("everything is there", || holds(host, 2000))?;
        println!("2000 peers are right again after {:?}", began.elapsed());
    }
    println!(
        "overruns: {}",
        agent.metric("weft_agent_netlink_overruns_total")?
    );
    Ok(())
}
