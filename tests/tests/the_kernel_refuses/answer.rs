//! What the kernel answers and tells is an error, is interrupted, or is more than can be
//! heard.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tests::wait::patiently;

use super::{holds, lab, meanwhile, reached};

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
