//! `weft trace` reads both kernels, and names the first thing that is wrong on the way.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Attached, Lab, Namespace},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// The host's end of every link.
const GATEWAY: &str = "02:77:ee:ee:ee:ee";

struct Scene {
    lab: Lab,
    agents: Vec<Agent>,
    c1: Attached,
    c2: Attached,
}

fn scene() -> Result<Scene> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    // What is not told by the kernel stays as somebody made it.
    let agents = lab.agents(&["--look-every", "10m"])?;
    let named = |agent: &Agent, name: &str| {
        agent.attached_with(name, |attach| {
            attach.who.name = Some(name.into());
            attach.told = true;
        })
    };
    let (c1, c2) = (named(&agents[0], "c1")?, named(&agents[1], "c2")?);
    let scene = Scene {
        lab,
        agents,
        c1,
        c2,
    };
    patiently("they reach each other", || {
        let traced = scene.trace(&["c1", "c2"])?;
        ensure!(traced["wrong"].is_null(), "{traced:#}");
        Ok(())
    })?;
    Ok(scene)
}

impl Scene {
    fn trace(&self, ends: &[&str]) -> Result<Value> {
        let said = self.lab.weft_said(&[&["trace"], ends].concat())?;
        let traced: Value =
            serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))?;
        let code = i32::from(!traced["wrong"].is_null());
        ensure!(said.code == code, "{said:?}");
        Ok(traced)
    }

    /// Makes a fault, sees it named first, and undoes it.
    fn names(
        &self,
        [node, object]: [&str; 2],
        fault: impl FnOnce() -> Result<()>,
        undo: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        fault()?;
        let traced = self.trace(&["c1", "c2"])?;
        let wrong = &traced["wrong"];
        let said = wrong["object"].as_str().unwrap_or_default();
        ensure!(
            wrong["node"] == node && said.starts_with(object),
            "{object} of {node} is expected: {traced:#}"
        );
        undo()?;
        patiently("all is well again", || {
            let traced = self.trace(&["c1", "c2"])?;
            ensure!(traced["wrong"].is_null(), "{object}: {traced:#}");
            Ok(())
        })
    }
}

fn does(place: &Namespace, command: &str) -> Result<()> {
    let words: Vec<&str> = command.split_whitespace().collect();
    place.done(&words).map(drop)
}

/// What adds the routes of a container again, those to gateways last.
fn routes(container: &Namespace) -> Result<Vec<String>> {
    let said = container.done(&["ip", "-4", "route", "show"])?;
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_by_key(|line| line.contains("via"));
    Ok(lines
        .iter()
        .map(|line| format!("route add {line}"))
        .collect())
}

#[test]
fn inside_containers_and_on_hosts() -> Result<()> {
    let scene = scene()?;
    let (h1, c1, c2) = (scene.lab.host(1), &scene.c1, &scene.c2);
    let address = c2.addresses()[0];
    let link = &c1.words.device;

    let (routes1, routes2) = (routes(c1)?, routes(c2)?);
    scene.names(
        ["h1", "route in the container"],
        || does(c1, "ip -4 route flush dev eth0"),
        || c1.ip(&routes1),
    )?;
    let neighbour = |place: &Namespace, mac: &str| {
        does(
            place,
            &format!("ip neigh replace 169.254.1.1 lladdr {mac} dev eth0 nud permanent"),
        )
    };
    scene.names(
        ["h1", "neighbour 169.254.1.1"],
        || neighbour(c1, "02:00:00:00:00:99"),
        || neighbour(c1, GATEWAY),
    )?;
    scene.names(
        ["h2", &format!("address {address}")],
        || does(c2, &format!("ip addr del {address}/32 dev eth0")),
        || {
            does(c2, &format!("ip addr add {address}/32 dev eth0"))?;
            c2.ip(&routes2)?;
            // It went with the last address.
            neighbour(c2, GATEWAY)
        },
    )?;
    let setting = format!("net.ipv4.conf.{link}.forwarding");
    scene.names(
        ["h1", &setting],
        || h1.sysctl(&setting.replace('.', "/"), "0"),
        || h1.sysctl(&setting.replace('.', "/"), "1"),
    )?;
    scene.names(
        ["h1", &format!("route to {address}")],
        || {
            does(h1, "ip route add blackhole default table 99")?;
            does(
                h1,
                &format!("ip rule add to {address} lookup 99 priority 100"),
            )
        },
        || does(h1, "ip rule del priority 100"),
    )
}

#[test]
fn on_the_underlay() -> Result<()> {
    let scene = scene()?;
    let h1 = scene.lab.host(1);
    let far = scene.lab.host(2).v4();
    let route = format!("underlay route to {far}");
    scene.names(
        ["h1", &route],
        || does(h1, &format!("ip route add blackhole {far}/32")),
        || does(h1, &format!("ip route del blackhole {far}/32")),
    )?;
    scene.names(
        ["h1", &route],
        || does(h1, &format!("ip route add {far}/32 dev eth0 mtu 1200")),
        || does(h1, &format!("ip route del {far}/32 dev eth0")),
    )?;
    scene.names(
        ["h1", &format!("underlay to {far}, a small packet")],
        || scene.lab.switch.cut(1, 2),
        || scene.lab.switch.heal(),
    )
}

#[test]
fn in_other_peoples_firewalls() -> Result<()> {
    let scene = scene()?;
    let (from, to) = (scene.c1.addresses()[0], scene.c2.addresses()[0]);
    for (number, node, chain) in [(2, "h2", "INPUT"), (1, "h1", "OUTPUT")] {
        let host = scene.lab.host(number);
        let rule = format!("{chain} -p udp --dport 4789 -j DROP");
        scene.names(
            [node, "iptables-"],
            || does(host, &format!("iptables -I {rule}")),
            || does(host, &format!("iptables -D {rule}")),
        )?;
    }
    // What has no counter is not named, and still it is not well.
    let h2 = scene.lab.host(2);
    scene.names(
        ["h1", &format!("{from} to {to}, a small packet")],
        || {
            h2.nft(
                "table inet foe { chain f { type filter hook forward priority 0; policy drop;\n}\n}",
            )
        },
        || h2.nft("delete table inet foe"),
    )
}

#[test]
fn who_cannot_be_asked_or_is_nobody() -> Result<()> {
    let mut scene = scene()?;
    for ends in [["h1", "c2"], ["c1", "h2"], ["c2", "c1"]] {
        let traced = scene.trace(&ends)?;
        assert!(traced["wrong"].is_null(), "{traced:#}");
    }
    let traced = scene.trace(&["c1", "c2", "-6"])?;
    assert!(traced["wrong"].is_null(), "{traced:#}");

    let nobody = scene.lab.weft_said(&["trace", "c1", "c9"])?;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.stderr.contains("c9 is no container"), "{nobody:?}");
    let outside = scene.lab.weft_said(&["trace", "c1", "203.0.113.7"])?;
    assert!(outside.stderr.contains("no node's subnet"), "{outside:?}");

    scene.agents[1].kill()?;
    patiently("its agent cannot be asked", || {
        let traced = scene.trace(&["c1", "c2"])?;
        let wrong = &traced["wrong"];
        ensure!(
            wrong["node"] == "h2" && wrong["object"] == "agent",
            "{traced:#}"
        );
        Ok(())
    })
}
