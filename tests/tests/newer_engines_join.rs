//! Engines of a newer Debian than this machine's, with its files: Docker 28, and Podman
//! 5 with its networks by netavark. `make test-engines` makes those files and runs this.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tests::{
    engine::{Contained, Docker, Podman, ask},
    lab::{Agent, Host, Lab, Pinger, ping},
    process,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// Where its files are.
fn newer() -> Result<PathBuf> {
    let path = env::var_os("WEFT_NEWER_DEBIAN");
    Ok(path
        .context("run `make test-engines`, which makes them")?
        .into())
}

fn lab(systems: &[Option<&Path>]) -> Result<(Lab, Vec<Agent>)> {
    let mut lab = Lab::of_systems(systems)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&["--docker"])?;
    Ok((lab, agents))
}

fn docker(host: &Host) -> Result<Docker> {
    let docker = Docker::start(host, &[])?;
    let create = ["network", "create", "-d", "weft", "--ipam-driver", "weft"];
    docker.done(&[&create[..], &["--ipv6", "weft"]].concat())?;
    Ok(docker)
}

fn netavark(host: &Host, agent: &Agent) -> Result<Podman> {
    let program = process::weft("weft-cni")?;
    let (program, socket) = (program.to_string_lossy(), agent.socket().to_string_lossy());
    host.done(&[&program, "install", "--netavark"])?;
    let podman = Podman::with_netavark(host)?;
    let socket = format!("socket={socket}");
    let create = ["network", "create", "-d", "weft", "-o", "network=default"];
    podman.done(&[&create[..], &["-o", &socket, "weft"]].concat())?;
    Ok(podman)
}

fn all_reach_all(all: &[&Contained]) -> Result<()> {
    for from in all {
        for to in all.iter().filter(|to| to.name != from.name) {
            let addresses = to.addresses()?;
            ensure!(addresses.len() == 2, "{} has {addresses:?}", to.name);
            for address in addresses {
                let pings = ping(from.network(), address, 2)?;
                ensure!(
                    pings.lost() == 0,
                    "{} {}: {}",
                    from.name,
                    to.name,
                    pings.said.stdout
                );
                assert_eq!(from.asks(address, 80)?, to.name);
            }
        }
    }
    Ok(())
}

fn nothing_is_left(agents: &[Agent]) -> Result<()> {
    patiently("nothing is left", || {
        for agent in agents {
            let left = agent.endpoints()?;
            ensure!(left.is_empty(), "{left:?}");
            let said = agent.weft(&["ipam", "check"])?;
            ensure!(said.code == 0, "{said:?}");
        }
        Ok(())
    })
}

/// The number before the first dot of what is a version.
fn major(version: &str) -> Result<u32> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits = digits.split('.').next().unwrap_or_default();
    digits.parse().with_context(|| version.to_owned())
}

#[test]
#[ignore = "long, with files of another system: make test-engines"]
fn old_and_new_docker_and_podman_are_one_network() -> Result<()> {
    let newer = newer()?;
    let (lab, mut agents) = lab(&[Some(&newer), None])?;
    let (new, old) = (docker(lab.host(1))?, docker(lab.host(2))?);
    ensure!(major(&new.done(&["version", "-f", "{{.Server.Version}}"])?)? >= 28);
    let podman = netavark(lab.host(1), &agents[0])?;
    ensure!(major(&podman.done(&["--version"])?)? >= 5);
    let mut all = [
        new.run("docker1", "weft", &["-p", "8080:80"])?,
        new.run("other1", "weft", &[])?,
        podman.run("podman1", "weft", &["-p", "8081:80"])?,
        old.run("docker2", "weft", &[])?,
    ];
    all_reach_all(&all.iter().collect::<Vec<_>>())?;
    for (port, name) in [(8080, "docker1"), (8081, "podman1")] {
        assert_eq!(ask(lab.host(2), lab.host(1).v4().into(), port)?, name);
        assert_eq!(ask(lab.host(1), lab.host(1).v4().into(), port)?, name);
        assert_eq!(ask(lab.host(2), lab.host(1).v6().into(), port)?, name);
    }
    let pinger = Pinger::start(all[3].network(), all[2].v4()?)?;
    agents[0].kill()?;
    agents[0].start()?;
    assert_eq!(pinger.finish()?.lost(), 0);

    podman.done(&["restart", "-t", "0", "podman1"])?;
    all[2] = podman.contained("podman1")?;
    all_reach_all(&all.iter().collect::<Vec<_>>())?;
    podman.done(&["rm", "-f", "-t", "0", "podman1"])?;
    podman.done(&["network", "rm", "weft"])?;
    new.done(&["rm", "-f", "docker1", "other1"])?;
    old.done(&["rm", "-f", "docker2"])?;
    for docker in [&new, &old] {
        docker.done(&["network", "rm", "weft"])?;
    }
    nothing_is_left(&agents)
}

#[test]
#[ignore = "long, with files of another system: make test-engines"]
fn a_new_docker_is_killed_and_booted_again() -> Result<()> {
    let newer = newer()?;
    let (mut lab, mut agents) = lab(&[Some(&newer), Some(&newer)])?;
    let mut one = docker(lab.host(1))?;
    let other = docker(lab.host(2))?;
    let always = ["--restart", "always", "-p", "8080:80"];
    one.run("one", "weft", &always)?;
    let far = other.run("far", "weft", &always)?;
    one.kill();
    one.restart()?;
    patiently("it is there again", || {
        all_reach_all(&[&one.contained("one")?, &far])
    })?;
    drop((one, other, far));
    agents.clear();
    for number in 1..=2 {
        lab.reboot(number)?;
    }
    agents = lab.agents(&["--docker"])?;
    let dockers = [
        Docker::start(lab.host(1), &[])?,
        Docker::start(lab.host(2), &[])?,
    ];
    patiently("both are there again", || {
        all_reach_all(&[&dockers[0].contained("one")?, &dockers[1].contained("far")?])
    })?;
    assert_eq!(ask(lab.host(2), lab.host(1).v4().into(), 8080)?, "one");
    dockers[0].done(&["rm", "-f", "one"])?;
    dockers[1].done(&["rm", "-f", "far"])?;
    nothing_is_left(&agents)
}
