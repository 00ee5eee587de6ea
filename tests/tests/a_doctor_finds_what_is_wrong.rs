//! `weft doctor` and `weft-agent doctor` find what keeps a host from being part of the overlay.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    daemon::Daemon,
    lab::{Agent, Lab, SmallDisk},
    process::Said,
    wait::patiently,
};

const POOLS: &str = "10.41.0.0/16,fd77:41::/48";

struct Scene {
    lab: Lab,
    agents: Vec<Agent>,
}

fn scene(hosts: u32, flags: &[&str]) -> Result<Scene> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(flags)?;
    let scene = Scene { lab, agents };
    scene.is_well()?;
    Ok(scene)
}

impl Scene {
    fn is_well(&self) -> Result<()> {
        patiently("every host is well", || {
            let found = self.asked(&["--all"])?;
            ensure!(bad(&found).is_empty(), "{found:#?}");
            Ok(())
        })
    }

    /// From afar.
    fn asked(&self, which: &[&str]) -> Result<Vec<Value>> {
        findings(&self.lab.weft_said(&[&["doctor"], which].concat())?)
    }

    /// This is found on h1, and this said to be done about it, and nothing else is wrong.
    fn finds(&self, [about, found, remedy]: [&str; 3]) -> Result<()> {
        patiently(found, || {
            let said = self.agents[0].weft(&["doctor", "-o", "json"])?;
            let all = findings(&said)?;
            let matches = |one: &&&Value| {
                let holds = |part: &str, text| one[part].as_str().is_some_and(|s| s.contains(text));
                one["about"] == about && holds("found", found) && holds("remedy", remedy)
            };
            let bad = bad(&all);
            ensure!(bad.iter().filter(matches).count() == 1, "{all:#?}");
            let wrong = bad.iter().any(|one| one["state"] == "wrong");
            ensure!(said.code == i32::from(wrong), "{said:?}");
            Ok(())
        })
    }
}

fn findings(said: &Said) -> Result<Vec<Value>> {
    serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
}

fn bad(findings: &[Value]) -> Vec<&Value> {
    let bad = findings.iter().filter(|one| one["state"] != "ok");
    bad.collect()
}

#[test]
fn on_the_way_to_peers() -> Result<()> {
    let scene = scene(3, &[])?;
    let h2 = scene.lab.host(2).v4().to_string();

    scene.lab.switch.cut(1, 3)?;
    scene.finds(["way to h3", "not on the underlay either", "is h3 up"])?;
    scene.lab.switch.heal()?;

    scene.lab.switch.hole(1, 3)?;
    scene.finds([
        "way to h3",
        "packets of 1450 bytes are lost, small ones pass",
        "must carry 1500 bytes",
    ])?;
    scene.lab.switch.heal()?;

    let guard = "table inet foe { chain i { type filter hook input priority -300; policy accept; \
                 ip protocol udp udp dport 4789 drop;\n}\n}";
    scene.lab.host(2).nft(guard)?;
    scene.finds([
        "way to h2",
        &format!("{h2} answers, and nothing comes back through the overlay"),
        "UDP port 4789",
    ])?;
    scene.lab.host(2).nft("delete table inet foe")?;
    scene.is_well()?;

    let Scene { lab, mut agents } = scene;
    drop(agents.remove(1));
    let scene = Scene { lab, agents };
    scene.finds([
        "way to h2",
        "no agent answers there",
        "start weft-agent on h2",
    ])?;
    // Whoever could not be asked is named, and it is no success.
    let said = scene.lab.weft_said(&["doctor", "--all"])?;
    ensure!(
        said.code == 1 && said.stderr.contains("node h2"),
        "{said:?}"
    );
    Ok(())
}

#[test]
fn on_the_host_itself() -> Result<()> {
    let scene = scene(2, &[])?;
    let h1 = scene.lab.host(1);

    h1.ip(&["link add other type vxlan id 7 dstport 4789 dev eth0"])?;
    scene.finds([
        "network default",
        "other uses UDP port 4789 as well",
        "another port",
    ])?;
    h1.ip(&["link del other"])?;

    // That it drops what it does not accept is no trouble while the overlay passes.
    let closed = "table inet site { chain i { type filter hook input priority 10; policy drop; \
                  iif lo accept\n udp dport 4789 accept\n ip protocol icmp accept\n \
                  meta l4proto ipv6-icmp accept\n ct state established accept\n iifname weft1 accept\n}\n}";
    h1.nft(closed)?;
    let found = scene.asked(&["--node", "h1"])?;
    ensure!(bad(&found).is_empty(), "{found:#?}");
    let firewall = found.iter().find(|one| one["about"] == "firewall");
    let firewall = firewall.context("the firewall was looked at")?;
    ensure!(
        firewall["found"]
            .as_str()
            .is_some_and(|found| found.starts_with("chain i of table inet site")),
        "{firewall}"
    );
    h1.nft("delete chain inet site i; add chain inet site i { type filter hook input priority -10; policy drop; }")?;
    h1.nft("add rule inet site i iif lo accept; add rule inet site i udp dport != 4789 accept; add rule inet site i meta l4proto { tcp, icmp, ipv6-icmp } accept")?;
    scene.finds(["firewall", "chain i of table inet site", "UDP port 4789"])?;
    h1.nft("delete table inet site")?;
    scene.is_well()?;

    Ok(())
}

#[test]
fn on_its_disk() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let disk = SmallDisk::of(lab.host(1))?;
    let agents = lab.agents(&[])?;
    disk.fill()?;
    let scene = Scene { lab, agents };
    scene.finds(["disk", "room for 0 MB", "make room on the disk"])
}

#[test]
fn without_a_controller_and_without_an_agent() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    // What is kept of the second came as a change.
    let agents = vec![lab.agent(1, &[])?, lab.agent(2, &[])?];
    let mut scene = Scene { lab, agents };
    scene.is_well()?;
    let said = scene.agents[0].run(&["doctor", "-o", "json"])?;
    ensure!(
        said.code == 0 && bad(&findings(&said)?).is_empty(),
        "{said:?}"
    );

    scene.lab.controllers[0].kill()?;
    scene.finds(["controller", "onnect", "is it running"])?;

    // The last known peers are tried all the same.
    scene.agents[0].kill()?;
    let host = scene.lab.host(1);
    host.sysctl("net/ipv4/ip_forward", "0")?;
    host.ip(&["link del weft1"])?;
    let listener = host.inside(|| Ok(UdpSocket::bind("0.0.0.0:4789")?))?;
    let said = scene.agents[0].weft(&["doctor"])?;
    ensure!(
        said.code == 3 && said.stderr.contains("`weft-agent doctor`"),
        "{said:?}"
    );
    let daemon: &Daemon = &scene.agents[0];
    patiently("all of it is found", || {
        let said = daemon.run(&["doctor"])?;
        ensure!(said.code == 1, "{said:?}");
        for line in [
            "agent             none answers",
            "net.ipv4.ip_forward is 0",
            "a program listens on UDP port 4789: end it",
            "way to h2",
        ] {
            ensure!(said.stdout.contains(line), "{line}: {said:?}");
        }
        Ok(())
    })?;
    drop(listener);
    Ok(())
}
