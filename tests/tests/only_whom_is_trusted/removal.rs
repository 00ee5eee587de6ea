//! A removed node is out at once, everywhere, for good.

use std::thread;

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Agent, Lab},
    wait::patiently,
};

use super::refused;

#[test]
fn at_once_on_every_controller_and_its_peers_drop_it() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.trust()?;
    lab.start_controllers(2, &[])?;
    let mut agents = lab.agents(&[])?;
    let mut gone = agents.remove(2);
    patiently("all know all", || {
        for agent in &agents {
            knows(agent, 2)?;
        }
        Ok(())
    })?;
    // By the one that does not hold its session, if there is such a one.
    let nodes = lab.weft(&["node", "show", "h3"])?;
    let holder = nodes["controller"].as_str().context("who holds it")?;
    let other = lab.controllers.iter().find(|controller| {
        let id = controller.weft_json(&["status"]).ok();
        id.is_some_and(|status| status["controller"] != holder)
    });
    let other = other.context("another controller")?;
    let said = other.weft(&["node", "remove", "h3"])?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(!gone.ended()?.success(), "its agent ends");
    ensure!(gone.log().contains("node h3 was removed"), "{}", gone.log());
    patiently("its peers drop it", || {
        for agent in &agents {
            knows(agent, 1)?;
        }
        Ok(())
    })?;
    // Its certificate is within its time, and of no use: not here, not there, not later.
    for index in 0..2 {
        lab.controllers[index].kill()?;
        lab.controllers[index].start()?;
        let url = lab.controllers[index].url()?;
        let mut again = Agent::new(lab.host(3), &url, &[])?;
        again.launch()?;
        ensure!(!again.ended()?.success());
        ensure!(
            again.log().contains("was removed as node h3"),
            "{}",
            again.log()
        );
    }
    let again = Agent::new(lab.host(3), &lab.controller_urls()?, &[])?;
    let said = again.join(&lab.token(&[])?)?;
    refused(&said, "was removed as node h3")?;
    refused(&said, "cleanup --forget")
}

/// So many peers are in its kernel.
fn knows(agent: &Agent, many: usize) -> Result<()> {
    let status = agent.status()?;
    let peers = status["networks"][0]["peers"].as_array();
    ensure!(peers.is_some_and(|peers| peers.len() == many), "{status}");
    Ok(())
}

#[test]
fn an_operator_too() -> Result<()> {
    let mut lab = Lab::new(0)?;
    lab.trust()?;
    lab.start_controllers(2, &[])?;
    let token = lab.weft(&["operator", "create", "eve", "--role", "admin"])?;
    let token = token["token"].as_str().context("a token")?;
    let eve = lab
        .trusted
        .as_ref()
        .context("an authority")?
        .credentials("eve");
    let as_eve = |index: usize, words: &[&str]| {
        let eve = eve.display().to_string();
        lab.controllers[index].weft(&[words, &["--credentials", &eve]].concat())
    };
    ensure!(as_eve(0, &["login", "--token", token])?.code == 0);
    ensure!(as_eve(1, &["token", "create"])?.code == 0);
    // What was asked before ends as well, when there is something to tell.
    let watching = thread::scope(|scope| {
        let watching = scope.spawn(|| as_eve(1, &["lease", "watch"]));
        let told = patiently("a watch runs", || {
            let acquire = [
                "lease",
                "acquire",
                "--node",
                "n1",
                "--underlay",
                "192.0.2.77",
            ];
            ensure!(lab.weft_said(&acquire)?.code == 0);
            Ok(())
        });
        told?;
        ensure!(lab.weft_said(&["operator", "remove", "eve"])?.code == 0);
        let ended = patiently("it is ended", || {
            ensure!(watching.is_finished(), "it goes on");
            Ok(())
        });
        ended?;
        watching.join().expect("it does not panic")
    })?;
    refused(&watching, "eve, who was removed")?;
    patiently("both know", || {
        for index in 0..2 {
            refused(&as_eve(index, &["node", "list"])?, "eve, who was removed")?;
        }
        Ok(())
    })?;
    // Of the same name, another one.
    let token = lab.weft(&["operator", "create", "eve"])?;
    let token = token["token"].as_str().context("a token")?;
    ensure!(as_eve(1, &["login", "--token", token])?.code == 0);
    ensure!(as_eve(1, &["node", "list"])?.code == 0);
    refused(
        &as_eve(1, &["token", "create"])?,
        "operators with the role admin",
    )
}
