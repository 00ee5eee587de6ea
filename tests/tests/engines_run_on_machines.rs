//! Debian's container engines on machines of a lab, with networks of their own: what
//! other tests rest on when a container is on an overlay, or is not.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tests::{
    engine::{Contained, Containerd, Docker, Podman, lxc, netns, nspawn, runc},
    lab::{Host, Lab, ping},
    process,
    wait::patiently,
};

/// Where `ip netns` is all that makes a network: one namespace, with a bridge to it.
fn space(host: &Host, name: &str, last: u8) -> Result<String> {
    let path = netns(host, name)?;
    host.ip(&[
        format!("link add v{last} type veth peer name eth0 netns {name}"),
        format!("link set v{last} master br0 up"),
    ])?;
    host.done(&["ip", "-n", name, "link", "set", "lo", "up"])?;
    host.done(&["ip", "-n", name, "link", "set", "eth0", "up"])?;
    let address = format!("10.9.9.{last}/24");
    host.done(&["ip", "-n", name, "addr", "add", &address, "dev", "eth0"])?;
    host.done(&[
        "ip", "-n", name, "route", "add", "default", "via", "10.9.9.1",
    ])?;
    Ok(path)
}

fn all_reach_all(all: &[&Contained]) -> Result<()> {
    for from in all {
        for to in all.iter().filter(|to| to.name != from.name) {
            let address = to.v4()?;
            assert_eq!(
                ping(from.network(), address, 2)?.lost(),
                0,
                "{} {}",
                from.name,
                to.name
            );
            assert_eq!(from.asks(address, 80)?, to.name);
        }
    }
    Ok(())
}

#[test]
fn two_docker_daemons_know_nothing_of_each_other() -> Result<()> {
    let mut lab = Lab::of_machines(2)?;
    let mut one = Docker::start(lab.host(1), &[])?;
    let other = Docker::start(lab.host(2), &[])?;
    for docker in [&one, &other] {
        let (first, second) = (
            docker.run("first", "bridge", &["-p", "8080:80"])?,
            docker.run("second", "bridge", &[])?,
        );
        all_reach_all(&[&first, &second])?;
    }
    let published = lab.host(2).v4().into();
    assert_eq!(tests::engine::ask(lab.host(1), published, 8080)?, "first");
    one.kill();
    one.restart()?;
    one.done(&["start", "first"])?;
    one.contained("first")?;
    drop(one);
    lab.reboot(1)?;
    let one = Docker::start(lab.host(1), &[])?;
    let left = one.done(&["ps", "-a", "--format", "{{.Names}}"])?;
    ensure!(left.lines().count() == 2, "its disk was lost: {left:?}");
    one.done(&["start", "first", "second"])?;
    all_reach_all(&[&one.contained("first")?, &one.contained("second")?])
}

#[test]
fn all_engines_run_on_one_machine() -> Result<()> {
    let lab = Lab::of_machines(1)?;
    let host = lab.host(1);
    host.ip(&[
        "link add br0 type bridge",
        "link set br0 up",
        "addr add 10.9.9.1/24 dev br0",
    ])?;
    let docker = Docker::start(host, &[])?;
    // dockerd lets nothing through that it does not know, also not within a bridge.
    host.sysctl("net/bridge/bridge-nf-call-iptables", "0")?;
    let podman = Podman::with_cni(host)?;
    let containerd = Containerd::start(host)?;
    // What podman's package ships is the first network of both.
    host.done(&["sh", "-c", "ln -sf /usr/lib/cni/* /opt/cni/bin/"])?;
    let pair = [
        docker.run("docker1", "bridge", &[])?,
        docker.run("docker2", "bridge", &[])?,
    ];
    all_reach_all(&[&pair[0], &pair[1]])?;
    all_reach_all(&[
        &podman.run("podman1", "podman", &[])?,
        &podman.run("podman2", "podman", &[])?,
        &containerd.run("containerd1")?,
        &containerd.run("containerd2")?,
    ])?;
    all_reach_all(&[
        &runc(host, "runc1", &space(host, "runc1", 11)?)?,
        &lxc(host, "lxc1", &space(host, "lxc1", 12)?)?,
        &nspawn(host, "nspawn1", &space(host, "nspawn1", 13)?)?,
    ])?;
    containerd.remove("containerd1")?;
    let group = host.group()?.to_owned();
    ensure!(!left_of(&group)?.is_empty(), "it has a disk and groups");
    drop((docker, containerd, pair));
    drop(lab);
    assert_eq!(left_of(&group)?, "");
    Ok(())
}

/// Its groups of processes, its disk, and processes that began there.
fn left_of(group: &str) -> Result<String> {
    let mut find = Command::new("find");
    find.args(["/sys/fs/cgroup", "-name", group]);
    let mut left = process::said(find)?.stdout;
    let disk = env::temp_dir().join(group);
    if disk.exists() {
        left.push_str(&format!("{}\n", disk.display()));
    }
    for entry in fs::read_dir("/proc")? {
        for file in ["mounts", "cmdline"] {
            let path = entry.as_ref().map(|entry| entry.path().join(file));
            let text = fs::read(path.map_err(|error| anyhow!("{error}"))?);
            if String::from_utf8_lossy(&text.unwrap_or_default()).contains(group) {
                left.push_str(&format!("{entry:?} by its {file}\n"));
            }
        }
    }
    Ok(left)
}

#[test]
fn of_a_test_that_is_killed_nothing_stays() -> Result<()> {
    let mut test = process::mortal(env::current_exe()?);
    test.args([
        "--ignored",
        "--exact",
        "is_there_until_it_is_killed",
        "--nocapture",
    ]);
    test.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut test = test.spawn()?;
    let said = BufReader::new(test.stdout.take().context("it was asked for")?).lines();
    let mut said = said.map_while(Result::ok);
    let group = said.find_map(|line| Some(line.split_once("group=")?.1.to_owned()));
    let group = group.context("the group of the machine")?;
    let lab = said.find_map(|line| Some(line.split_once("lab=")?.1.to_owned()));
    let lab = lab.context("the directory of the lab")?;
    ensure!(left_of(&group)?.contains("cmdline"), "there are processes");
    test.kill()?;
    test.wait()?;
    patiently("nothing is left", || {
        let left = left_of(&group)?;
        ensure!(left.is_empty(), "{left}");
        ensure!(!Path::new(&lab).exists(), "{lab} is left");
        Ok(())
    })
}

#[test]
#[ignore = "for the test above, which runs and kills it"]
fn is_there_until_it_is_killed() -> Result<()> {
    let lab = Lab::of_machines(1)?;
    let host = lab.host(1);
    let docker = Docker::start(host, &[])?;
    docker.run("docker1", "bridge", &[])?;
    runc(host, "runc1", &netns(host, "runc1")?)?;
    println!("\ngroup={}", host.group()?);
    println!("\nlab={}", lab.directory().display());
    thread::sleep(Duration::from_secs(120));
    Ok(())
}
