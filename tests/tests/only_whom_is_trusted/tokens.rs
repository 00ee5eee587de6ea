//! What is said to who brings a token that is of no use.

use std::{fs, os::unix::fs::PermissionsExt, thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::{lab::Agent, process, trusted::token, wait::patiently};

use super::{fleet, refused};

#[test]
fn each_that_is_of_no_use_has_its_sentence() -> Result<()> {
    let lab = fleet(2, &[])?;
    let urls = lab.controller_urls()?;
    let agent = Agent::new(lab.host(1), &urls, &[])?;
    let good = lab.token(&[])?;
    let (id, rest) = good[6..].split_once('-').context("an id")?;
    let (secret, authority) = rest.split_once('-').context("a secret")?;
    let other = |digits: &str| digits.replace(['0', '1', '2', '3'], "4");

    refused(&agent.join("secret")?, "it is no token")?;
    refused(&agent.join(&good[..60])?, "cut short or mistyped")?;
    let unknown = format!("weft1-{}-{secret}-{authority}", other(id));
    refused(&agent.join(&unknown)?, "is not known here")?;
    let guessed = format!("weft1-{id}-{}-{authority}", other(secret));
    refused(&agent.join(&guessed)?, "is not known here")?;
    let elsewhere = format!("weft1-{id}-{secret}-{}", other(authority));
    refused(
        &agent.join(&elsewhere)?,
        "no certificate of this fleet's authority",
    )?;

    let short = lab.token(&["--ttl", "1s"])?;
    sleep(Duration::from_millis(1100));
    refused(&agent.join(&short)?, "expired")?;
    let revoked = lab.token(&[])?;
    lab.controllers[0].weft(&["token", "revoke", &revoked[6..22]])?;
    refused(&agent.join(&revoked)?, "was revoked")?;
    refused(
        &agent.join(&lab.token(&["--node", "h7"])?)?,
        "is for node h7, and this is node h1",
    )?;
    let operator = lab.weft(&["operator", "create", "eve"])?;
    let operator = operator["token"].as_str().context("a token")?;
    refused(&agent.join(operator)?, "is an operator's")?;
    refused(
        &lab.controllers[0].weft(&["login", "--token", &good])?,
        "is for a host",
    )?;
    // None of this has cost the good one.
    let joined = agent.join(&good)?;
    ensure!(joined.code == 0, "{joined:?}");
    // Its answer may have been lost: with the key that it kept the same host may ask again.
    let held = lab.host(1).directory().join("state/credentials.json");
    let joined: serde_json::Value = serde_json::from_slice(&fs::read(&held)?)?;
    let key = credentials::key_file(&held);
    ensure!(!key.exists(), "a key that is certified is kept once");
    fs::write(&key, joined["key"].as_str().context("a key")?)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let again = agent.join(&good)?;
    ensure!(again.code == 0, "{again:?}");
    // Whoever else has found the token has not found that key, whatever name it says.
    refused(&agent.join(&good)?, "was used already, by node h1")?;
    let another = Agent::new(lab.host(2), &urls, &[])?;
    refused(&another.join(&good)?, "was used already, by node h1")?;
    let tokens = lab.weft(&["token", "list"])?;
    let states = tokens.as_array().context("a list")?.iter();
    let mut states: Vec<&str> = states.filter_map(|token| token["state"].as_str()).collect();
    states.sort_unstable();
    ensure!(
        states == ["expired", "good", "good", "revoked", "used", "used"],
        "{tokens:#}"
    );
    ensure!(!tokens.to_string().contains(secret), "{tokens:#}");
    Ok(())
}

#[test]
fn one_for_many_is_for_so_many() -> Result<()> {
    let lab = fleet(3, &[])?;
    let urls = lab.controller_urls()?;
    let made = lab.controllers[0].weft(&["token", "create", "--uses", "2"])?;
    let made = token(&made.stdout)?;
    let joined: Vec<i32> = (1..=3)
        .map(|host| Ok(Agent::new(lab.host(host), &urls, &[])?.join(&made)?.code))
        .collect::<Result<_>>()?;
    ensure!(joined == [0, 0, 1], "{joined:?}");
    Ok(())
}

#[test]
fn the_name_of_another_machine_is_not_given_away() -> Result<()> {
    let lab = fleet(2, &[])?;
    let mut first = lab.agent(1, &[])?;
    let urls = lab.controller_urls()?;
    let state = lab.host(2).directory().join("state").display().to_string();
    let join = || {
        let mut command = lab.host(2).command(process::weft("weft-agent")?);
        command.args(["join", "--exit", "--node", "h1", "--controller", &urls]);
        command.args(["--state-dir", &state, "--token", &lab.token(&[])?]);
        process::said(command)
    };
    let said = join()?;
    refused(&said, "node name h1 belongs to machine")?;
    refused(&said, "(connected now), and this is machine")?;
    refused(&said, "weft node remove h1")?;
    first.kill()?;
    patiently("it is seen to be gone", || {
        refused(&join()?, "(connected until a moment ago)")
    })?;
    // Nor to who claims to be that very machine: its id and its MAC are no secrets.
    let identity = |host: u32| lab.host(host).directory().join("state/identity.json");
    fs::copy(identity(1), identity(2))?;
    refused(&join()?, "had a certificate already")?;
    let mut copied: serde_json::Value = serde_json::from_slice(&fs::read(identity(1))?)?;
    copied["id"] = "0b5b4a86-2d4c-4f0e-8f1c-4a5b6c7d8e9f".into();
    fs::write(identity(2), copied.to_string())?;
    let mut second = Agent::new(lab.host(2), &urls, &[])?;
    ensure!(second.join(&lab.token(&[])?)?.code == 0);
    second.launch()?;
    patiently("it is told whose MAC that is", || {
        let log = second.log();
        ensure!(
            log.contains("belongs to node h1 in network default"),
            "{log}"
        );
        Ok(())
    })
}

#[test]
fn what_is_secret_is_for_its_owner_alone() -> Result<()> {
    let lab = fleet(1, &[])?;
    let agent = lab.agent(1, &[])?;
    let trusted = lab.trusted.as_ref().context("an authority")?;
    let state = lab.host(1).directory().join("state");
    let held = state.join("credentials.json");
    for file in [&held, &trusted.admin(), &trusted.seal()] {
        let mode = fs::metadata(file)?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{}: {mode:o}", file.display());
    }
    // The store, too, holds nothing by which somebody could sign or join.
    let store = fs::read(lab.controllers[0].data().join("store.redb"))?;
    let has = |text: &str| {
        store
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    let token = lab.token(&[])?;
    let secret = token.split('-').nth(2).context("a secret")?;
    ensure!(has("BEGIN CERTIFICATE"), "the authority is there");
    ensure!(!has("PRIVATE KEY") && !has(secret), "and no secret of it");
    for log in [agent.log(), lab.controllers[0].log()] {
        ensure!(!log.contains(secret) && !log.contains("PRIVATE"), "{log}");
    }
    fs::set_permissions(&held, fs::Permissions::from_mode(0o644))?;
    drop(agent);
    let mut again = Agent::new(lab.host(1), &lab.controller_urls()?, &[])?;
    again.launch()?;
    ensure!(!again.ended()?.success());
    ensure!(again.log().contains("chmod 600"), "{}", again.log());
    Ok(())
}
