//! Certificates: renewed in time, found out when they are not good.

use std::{fs, thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::{
    certificates::Authority,
    controller,
    lab::{Agent, Lab},
    wait::patiently,
};

use super::{fleet, refused, seal};

#[test]
fn one_is_renewed_and_no_reconnect_is_seen() -> Result<()> {
    let lab = fleet(1, &["--cert-ttl", "6s"])?;
    let mut agent = lab.agent(1, &[])?;
    let file = lab.host(1).directory().join("state/credentials.json");
    let expires = || -> Result<u64> {
        let held: serde_json::Value = serde_json::from_slice(&fs::read(&file)?)?;
        held["expires_at"].as_u64().context("when it expires")
    };
    let (first, mut seen) = (expires()?, vec![expires()?]);
    patiently("it is renewed twice, and the first is over", || {
        let now = expires()?;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        ensure!(seen.len() > 3, "{seen:?}");
        Ok(())
    })?;
    ensure!(seen[seen.len() - 1] > first + 6000, "{seen:?}");
    ensure!(
        agent.log().matches("session open").count() == 1,
        "{}",
        agent.log()
    );
    ensure!(agent.complaints()?.is_empty(), "{:?}", agent.complaints()?);
    // A host that was off for longer than its certificate is good comes back by itself.
    agent.kill()?;
    sleep(Duration::from_secs(7));
    agent.start()?;
    patiently("its session is open again", || {
        ensure!(agent.log().matches("session open").count() == 2);
        Ok(())
    })
}

#[test]
fn an_authority_of_ones_own() -> Result<()> {
    let own = Authority::new()?;
    let (certificate, key) = (own.ca(), own.ca_key());
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let files = ["--ca-cert", certificate.as_str(), "--ca-key", key.as_str()];
    let mut lab = Lab::new(1)?;
    lab.trust_by(&files)?;
    lab.start_controller(&[])?;
    let agent = lab.agent(1, &[])?;
    ensure!(agent.status()?["ready"] == true);
    let other = Authority::new()?;
    let other = other.ca_key().display().to_string();
    let said = controller::refused(&["--ca-cert", &certificate, "--ca-key", &other])?;
    refused(&said, "is not that of the certificate")
}

#[test]
fn a_controller_that_does_not_fit_the_fleet_ends_with_a_sentence() -> Result<()> {
    let mut lab = fleet(0, &[])?;
    let data = lab.controllers[0].data().display().to_string();
    let seal = seal(&lab)?;
    let directory = lab.trusted.as_ref().context("an authority")?.directory();
    let wrong = directory.join("wrong").display().to_string();
    let short = directory.join("short").display().to_string();
    fs::write(&wrong, "another passphrase")?;
    fs::write(&short, "short")?;
    lab.controllers[0].kill()?;
    for (flags, sentence) in [
        (
            vec![],
            "this fleet has a certificate authority: give --seal-file",
        ),
        (vec!["--insecure"], "this fleet has a certificate authority"),
        (
            vec!["--seal-file", &wrong],
            "does not open the authority's key",
        ),
        (
            vec!["--seal-file", &short],
            "a key or passphrase of 12 or more",
        ),
        (vec!["--seal-file", "/nowhere"], "--seal-file /nowhere"),
        (
            vec!["--seal-file", &seal, "--cert-ttl", "1s"],
            "3s is the least",
        ),
    ] {
        let flags = [&["--data-dir", &data], &flags[..]].concat();
        refused(&controller::refused(&flags)?, sentence)?;
    }
    let empty = directory.join("empty").display().to_string();
    let flags = ["--data-dir", &empty, "--seal-file", &seal];
    refused(
        &controller::refused(&flags)?,
        "run `weft-controller init` first",
    )?;
    // Nobody is served in plain text because a flag was forgotten.
    let open = ["--listen", "0.0.0.0:0", "--ops-listen", "127.0.0.1:0"];
    let said = controller::run(&[&["--data-dir", &empty], &open[..]].concat())?;
    refused(&said, "weft-controller init")
}

#[test]
fn a_fleet_that_runs_gets_certificates_one_host_after_the_other() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let plain = lab.agents(&[])?;
    let before = lab.weft(&["lease", "list"])?;
    // The controller is stopped, the authority made, and it begins to speak both.
    lab.begin_to_trust(&["--insecure"])?;
    ensure!(
        plain
            .iter()
            .all(|agent| agent.metric("weft_agent_ready").is_ok())
    );
    drop(plain);
    let agents = lab.agents(&[])?;
    patiently("both are there, by certificate", || {
        let nodes = lab.weft(&["node", "list"])?;
        let connected = nodes.as_array().context("a list")?.iter();
        ensure!(
            connected
                .filter(|node| node["state"] == "connected")
                .count()
                == 2
        );
        Ok(())
    })?;
    let after = lab.weft(&["lease", "list"])?;
    let subnets = |leases: &serde_json::Value| -> Vec<String> {
        let leases = leases.as_array().into_iter().flatten();
        leases.map(|lease| lease["subnets"].to_string()).collect()
    };
    ensure!(subnets(&before) == subnets(&after), "{before:#} {after:#}");
    for agent in &agents {
        ensure!(agent.log().contains("https://"), "{}", agent.log());
    }
    // And then certificates alone.
    lab.begin_to_trust(&[])?;
    let mut stranger = Agent::new(lab.host(1), "http://192.0.2.250:7440", &[])?;
    drop(agents);
    stranger.launch()?;
    patiently("it is told", || {
        ensure!(
            stranger.log().contains("say https://"),
            "{}",
            stranger.log()
        );
        Ok(())
    })
}
