//! The disk is full, or a file of ours is torn: a clear error, or the last good state,
//! and never an empty one.

use std::fs;

use anyhow::{Context, Result, ensure};
use tests::{
    controller::{Controller, refused},
    lab::{Agent, Lab, Part, Picture, SmallDisk, ping},
    wait::patiently,
};

struct Scene {
    lab: Lab,
    agents: Vec<Agent>,
}

/// Two hosts that know each other, and have it on disk.
fn scene() -> Result<Scene> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let agents = lab.agents(&[])?;
    patiently("the first knows its peer", || {
        let routes = ["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"];
        let routes = lab.host(1).json(&routes)?;
        ensure!(routes.as_array().map(Vec::len) == Some(1), "{routes}");
        let state = fs::metadata(lab.host(1).directory().join("state/state"))?;
        ensure!(state.len() > 200, "{} bytes", state.len());
        Ok(())
    })?;
    Ok(Scene { lab, agents })
}

type Damage = fn(&[u8]) -> Vec<u8>;

#[test]
fn an_agents_state_file() -> Result<()> {
    // Of the first three nothing can be read: then nothing is known, and all stays. Of
    // the others it is what was written before the tear.
    let nothing = [Part::Routes4, Part::Fdb, Part::Neighbours];
    let damages: [(&str, Damage, &[Part]); 5] = [
        ("empty", |_| Vec::new(), &nothing),
        ("somebody else's", |_| b"precious".to_vec(), &nothing),
        ("zeroed", |kept| vec![0; kept.len()], &nothing),
        ("half", |kept| kept[..kept.len() / 2].to_vec(), &[]),
        (
            "without its end",
            |kept| kept[..kept.len() - 3].to_vec(),
            &[],
        ),
    ];
    let Scene {
        mut lab,
        mut agents,
    } = scene()?;
    let before = Picture::of(lab.host(1), "weft1")?;
    let path = lab.host(1).directory().join("state/state");
    let good = fs::read(&path)?;
    for (name, damage, entries) in damages {
        lab.controllers[0].kill()?;
        agents[0].kill()?;
        fs::write(&path, damage(&good))?;
        let tries = |agent: &Agent| agent.log().matches("failures=2 ").count();
        let tried = tries(&agents[0]);
        agents[0].launch()?;
        patiently("it has tried twice to reach a controller", || {
            ensure!(tries(&agents[0]) > tried, "{}", agents[0].log());
            Ok(())
        })?;
        let host = lab.host(1);
        for part in [&[Part::Device, Part::Addresses], entries].concat() {
            let seen = host.inside(|| part.seen("weft1"))?;
            ensure!(seen == *before.part(part), "{name}: {seen}");
        }
        lab.controllers[0].start()?;
        agents[0].ready().context(name)?;
        let host = lab.host(1);
        patiently("it is as it was", || {
            Picture::of(host, "weft1")?.ensure_same(&before)
        })
        .context(name)?;
        patiently("it is kept again", || {
            let kept = fs::metadata(&path)?.len();
            ensure!(kept > 200, "{kept} bytes");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn an_agents_identity() -> Result<()> {
    let Scene { lab, mut agents } = scene()?;
    let before = Picture::of(lab.host(1), "weft1")?;
    let path = lab.host(1).directory().join("state/identity.json");
    let good = fs::read(&path)?;
    agents[0].kill()?;
    for torn in [&good[..good.len() / 2], &[]] {
        fs::write(&path, torn)?;
        agents[0].launch()?;
        assert_eq!(agents[0].ended()?.code(), Some(1), "{}", agents[0].log());
        let log = agents[0].log();
        let last = log.lines().next_back().unwrap_or_default();
        ensure!(last.contains("identity.json is damaged"), "{log}");
        ensure!(last.contains("restore it, or delete it"), "{log}");
        // It did not make a new machine of this one.
        assert_eq!(fs::read(&path)?, torn);
        Picture::of(lab.host(1), "weft1")?.ensure_same(&before)?;
    }
    fs::write(&path, &good)?;
    agents[0].start()?;
    Picture::of(lab.host(1), "weft1")?.ensure_same(&before)
}

#[test]
fn a_full_disk_under_an_agent() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let host = lab.host(1);
    let disk = SmallDisk::of(host)?;
    disk.fill()?;
    // Without room for who it is, it is nobody.
    let mut agent = Agent::new(host, &lab.controller_urls()?, &[])?;
    agent.launch()?;
    assert_eq!(agent.ended()?.code(), Some(1), "{}", agent.log());
    let log = agent.log();
    ensure!(
        log.contains("No space left") && log.contains("identity"),
        "{log}"
    );
    let nobody = lab.weft(&["node", "list"])?;
    assert_eq!(nobody.as_array().map(Vec::len), Some(0), "{nobody}");

    disk.empty()?;
    agent.start()?;
    disk.fill()?;
    // The disk is for the next start; a new peer is for now.
    let mut other = lab.agent(2, &[])?;
    let (one, two) = (lab.container_on(1)?, lab.container_on(2)?);
    patiently("the new peer is reached", || {
        let pings = ping(&one, two.v4(), 1)?;
        ensure!(pings.lost() == 0, "{}", pings.said.stdout);
        Ok(())
    })?;
    let before = Picture::of(host, "weft1")?;
    agent.kill()?;
    agent.launch()?;
    patiently("it says what is missing", || {
        let status = agent.status()?;
        let text = status.to_string();
        ensure!(
            status["ready"] == false && text.contains("No space left"),
            "{text}"
        );
        Ok(())
    })?;
    Picture::of(host, "weft1")?.ensure_same(&before)?;
    disk.empty()?;
    agent.ready()?;
    other.ready()?;
    Picture::of(host, "weft1")?.ensure_same(&before)
}

#[test]
fn a_controllers_file() -> Result<()> {
    let mut controller = Controller::embedded(&[])?;
    let lease = controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    controller.kill()?;
    let file = controller.data().join("store.redb");
    let good = fs::read(&file)?;
    let data = controller.data();
    let data = data.to_str().context("a path")?;
    let half = good[..good.len() / 2].to_vec();
    for torn in [
        b"precious".to_vec(),
        vec![0; good.len()],
        Vec::new(),
        half.clone(),
    ] {
        fs::write(&file, &torn)?;
        let said = refused(&["--data-dir", data])?;
        assert_eq!(said.code, 1, "{said:?}");
        let last = said.stderr.lines().next_back().unwrap_or_default();
        let told = format!("{} is not a Weft store or is damaged", file.display());
        ensure!(last.contains(&told), "{said:?}");
        // Of ours, what is left may be marked as looked at.
        ensure!(
            torn == half || fs::read(&file)? == torn,
            "{told}, and changed"
        );
    }
    fs::write(&file, &good)?;
    controller.start()?;
    let after = controller.weft_json(&["lease", "show", "--node", "a"])?;
    assert_eq!(after["subnets"], lease["subnets"]);
    Ok(())
}
