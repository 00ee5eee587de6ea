//! `weft test` and `weft perf` put up endpoints on nodes, send between them, and leave nothing.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use overlay::trial::{Open, Opened, Place, Reach, Reached};
use serde_json::Value;
use tests::{
    lab::{Agent, Lab},
    wait::patiently,
};

const POOLS: &str = "10.42.0.0/16,fd77:42::/48";

struct Scene {
    lab: Lab,
    agents: Vec<Agent>,
}

fn scene(hosts: u32) -> Result<Scene> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&["--look-every", "1s"])?;
    Ok(Scene { lab, agents })
}

impl Scene {
    /// All ways that were tried, and those of them that were lost: from, to, what.
    fn test(&self, flags: &[&str]) -> Result<(usize, Vec<[String; 3]>)> {
        let said = self.lab.weft_said(&[&["test"], flags].concat())?;
        let pairs: Vec<Value> =
            serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))?;
        let lost = pairs.iter().filter(|pair| pair["passes"] == false);
        let named = |pair: &Value| {
            ["from", "to", "lost"].map(|part| pair[part].as_str().unwrap_or_default().to_owned())
        };
        let mut lost: Vec<[String; 3]> = lost.map(named).collect();
        // By both families the same.
        lost.dedup();
        let good = lost.is_empty() && said.stderr.is_empty();
        ensure!(said.code == i32::from(!good), "{said:?}");
        Ok((pairs.len(), lost))
    }

    /// Of what was put up nothing is left, on no host.
    fn is_clean(&self) -> Result<()> {
        patiently("nothing is left", || {
            let known = self.lab.weft(&["endpoint", "list"])?;
            ensure!(known.as_array().is_some_and(Vec::is_empty), "{known}");
            for host in self.lab.hosts() {
                let links = host.done(&["ip", "-br", "link"])?;
                ensure!(!links.contains("wv"), "{links}");
            }
            for agent in &self.agents {
                for thread in fs::read_dir(format!("/proc/{}/task", agent.pid()?))? {
                    let children = fs::read_to_string(thread?.path().join("children"))?;
                    ensure!(children.is_empty(), "{children}");
                }
            }
            Ok(())
        })
    }
}

fn is(from: &str, to: &str, what: &str) -> [String; 3] {
    [from, to, what].map(ToOwned::to_owned)
}

#[test]
fn by_packets_of_both_sizes_and_families() -> Result<()> {
    let mut scene = scene(3)?;
    patiently("all reach all", || {
        let (ways, lost) = scene.test(&[])?;
        ensure!(ways == 12 && lost.is_empty(), "{ways}: {lost:?}");
        Ok(())
    })?;
    scene.is_clean()?;

    scene.lab.switch.cut(1, 3)?;
    let (_, lost) = scene.test(&[])?;
    let everything = [is("h1", "h3", "everything"), is("h3", "h1", "everything")];
    ensure!(lost == everything, "{lost:?}");
    let (ways, lost) = scene.test(&["--node", "h1,h2"])?;
    ensure!(ways == 4 && lost.is_empty(), "{lost:?}");
    scene.lab.switch.heal()?;

    scene.lab.switch.hole(1, 3)?;
    let (_, lost) = scene.test(&[])?;
    ensure!(
        lost == [is("h1", "h3", "packets of 1450 bytes")],
        "{lost:?}"
    );
    scene.lab.switch.heal()?;
    scene.is_clean()?;

    // Who cannot take part is named, and the others are tried.
    drop(scene.agents.remove(2));
    let said = patiently("it is known to be gone", || {
        let said = scene.lab.weft_said(&["test"])?;
        ensure!(
            said.stderr.contains("node h3 did not take part"),
            "{said:?}"
        );
        Ok(said)
    })?;
    let pairs: Vec<Value> = serde_json::from_str(&said.stdout)?;
    ensure!(said.code == 1 && pairs.len() == 4, "{said:?}");
    ensure!(
        pairs.iter().all(|pair| pair["passes"] == true),
        "{pairs:#?}"
    );
    Ok(())
}

#[test]
fn what_a_killed_agent_put_up_ends_by_itself() -> Result<()> {
    let mut scene = scene(1)?;
    let open = |place, life: Duration| Open {
        network: "default".parse().expect("it is a name"),
        place,
        life_ms: u64::try_from(life.as_millis()).expect("it is short"),
    };
    let short = open(Place::Endpoint, Duration::from_secs(2));
    let _: Opened = scene.agents[0]
        .client()
        .ask("POST", "/trials", Some(&short))?;
    scene.is_clean()?;

    let long = open(Place::Endpoint, Duration::from_secs(4));
    let _: Opened = scene.agents[0]
        .client()
        .ask("POST", "/trials", Some(&long))?;
    scene.agents[0].kill()?;
    scene.agents[0].start()?;
    ensure!(
        scene.agents[0].endpoints()?.len() == 1,
        "it lives on for its time"
    );
    scene.is_clean()?;

    // Nobody has a host send to whomever they like.
    let held: Opened = scene.agents[0]
        .client()
        .ask("POST", "/trials", Some(&short))?;
    let mut stranger = held.targets[0];
    stranger.address = [192, 0, 2, 99].into();
    let path = format!("/trials/{}/reach", held.id);
    let reach = Reach { to: vec![stranger] };
    let reached = scene.agents[0]
        .client()
        .ask::<Vec<Reached>>("POST", &path, Some(&reach));
    let refused = reached.map(|_| ()).expect_err("it is no peer").to_string();
    ensure!(refused.contains("is no peer's"), "{refused}");
    scene.is_clean()?;

    // A host bounds how many there are.
    for _ in 0..8 {
        let _: Opened = scene.agents[0]
            .client()
            .ask("POST", "/trials", Some(&short))?;
    }
    let ninth = scene.agents[0]
        .client()
        .ask::<Opened>("POST", "/trials", Some(&short));
    let refused = ninth.map(|_| ()).expect_err("there are eight").to_string();
    ensure!(refused.contains("they end by themselves"), "{refused}");
    scene.is_clean()
}

#[test]
fn and_measured_over_the_overlay_and_beside_it() -> Result<()> {
    let scene = scene(2)?;
    let perf = || {
        let said = scene.lab.weft_said(&["perf", "h1", "h2", "--time", "1s"])?;
        ensure!(said.code == 0, "{said:?}");
        Ok(serde_json::from_str::<Value>(&said.stdout)?)
    };
    let measured: Value = patiently("the nodes know each other", perf)?;
    for way in ["underlay", "overlay"] {
        let of = |part: &str| measured[way][part].as_f64().unwrap_or_default();
        ensure!(of("bits_per_second") > 1e6, "{measured:#}");
        ensure!(of("packets_per_second") > 100.0, "{measured:#}");
        ensure!(of("latency_us") > 0.0 && of("lost") < 1.0, "{measured:#}");
    }
    scene.is_clean()?;

    // Where a firewall lets through nothing but the overlay's port, that is measured.
    let closed = "table inet site { chain i { type filter hook input priority -10; policy accept; \
                  iifname eth0 tcp dport > 1024 ct state new drop;\n}\n}";
    scene.lab.host(2).nft(closed)?;
    let measured = perf()?;
    ensure!(
        measured["underlay"]["bits_per_second"].is_null(),
        "{measured:#}"
    );
    ensure!(
        measured["overlay"]["bits_per_second"].as_f64() > Some(1e6),
        "{measured:#}"
    );
    scene.is_clean()
}
