//! What `weft-agent status`, `--dry-run` and `cleanup` say is what `ip` and `nft` say.

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Agent, Host, Lab},
    process::Said,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const READY: &str = "state        ready\n";

fn lab() -> Result<(Lab, Vec<Agent>)> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&[])?;
    Ok((lab, agents))
}

/// All that Weft can have put into a kernel, in the words of others.
fn everything(host: &Host) -> Result<String> {
    let commands = [
        &["ip", "-d", "-o", "link"][..],
        &["ip", "-o", "addr"],
        &["ip", "-4", "route"],
        &["ip", "-6", "route"],
        &["bridge", "fdb"],
        &["ip", "neigh", "show", "nud", "permanent"],
        &["nft", "--stateless", "list", "ruleset"],
    ];
    let said: Result<Vec<String>> = commands.iter().map(|words| host.done(words)).collect();
    let said = said?.concat();
    // A host that forwards hears what is for all routers, and goes on forwarding.
    let routers = |line: &str| line.starts_with("33:33:");
    let lines = said.lines().filter(|line| !routers(line));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn state(host: &Host) -> Result<String> {
    let path = host.directory().join("state");
    Ok(path.to_str().context("a path is text")?.to_owned())
}

fn dry_run(agent: &Agent, host: &Host, controllers: &str) -> Result<Said> {
    let state = state(host)?;
    let flags = ["--dry-run", "--insecure", "--iface", host.uplink()];
    let place = ["--node", host.node(), "--state-dir", &state];
    agent.run(&[&flags[..], &place, &["--controller", controllers]].concat())
}

/// The line of the other host.
fn peer_of(page: &str) -> Option<&str> {
    page.lines().find(|line| line.starts_with("h2 "))
}

#[test]
fn a_page_for_people_and_json_for_programs() -> Result<()> {
    let (_lab, agents) = lab()?;
    let page = patiently("both are each other's peers", || {
        let said = agents[0].run(&["status"])?;
        let programmed = peer_of(&said.stdout).is_some_and(|peer| peer.contains("programmed"));
        ensure!(programmed && said.stdout.starts_with(READY), "{said:?}");
        Ok(said)
    })?;
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    let said = agents[0].run(&["status", "-o", "json"])?;
    let json: serde_json::Value = serde_json::from_str(&said.stdout)?;
    assert_eq!(json["networks"], agents[0].status()?["networks"]);
    Ok(())
}

#[test]
fn nobody_is_there_to_be_asked() -> Result<()> {
    let (_lab, mut agents) = lab()?;
    agents[0].kill()?;
    let said = agents[0].run(&["status"])?;
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("is it running"), "{said:?}");
    Ok(())
}

#[test]
fn a_dry_run_tells_what_is_missing_and_makes_nothing() -> Result<()> {
    let (lab, mut agents) = lab()?;
    let host = lab.host(1);
    let kept = host.directory().join("state/state");
    patiently("what was told is on disk, and both are peers", || {
        let kept = std::fs::read(&kept)?;
        ensure!(kept.windows(2).any(|bytes| bytes == b"h2"), "{kept:?}");
        Ok(())
    })?;
    let urls = lab.controller_urls()?;
    let beside = dry_run(&agents[0], host, &urls)?;
    let settled = beside.stdout.ends_with("# the kernel is as it should be\n");
    assert!(settled, "{beside:?}");

    agents[0].kill()?;
    host.ip(&["link del weft1"])?;
    let before = everything(host)?;
    let told = dry_run(&agents[0], host, &urls)?;
    let kept = dry_run(&agents[0], host, "http://127.0.0.1:1")?;
    for said in [&told, &kept] {
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stdout.contains("\nip link add weft1 "), "{said:?}");
        assert!(said.stdout.ends_with("nothing was changed\n"), "{said:?}");
    }
    assert!(
        kept.stdout.contains("the last known state on disk"),
        "{kept:?}"
    );
    let steps = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(ToString::to_string).collect()
    };
    assert_eq!(steps(&told.stdout), steps(&kept.stdout));
    assert_eq!(everything(host)?, before);
    Ok(())
}

#[test]
fn a_cleanup_leaves_the_kernel_as_it_was() -> Result<()> {
    let mut lab = Lab::new(2)?;
    let before = everything(lab.host(1))?;
    lab.start_controller(&["--default-network", POOLS])?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let state = state(host)?;
    let refused = agents[0].run(&["cleanup", "--state-dir", &state])?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("stop the agent first"),
        "{refused:?}"
    );
    assert!(everything(host)?.contains("weft1"));

    agents[0].kill()?;
    let cleaned = agents[0].run(&["cleanup", "--state-dir", &state])?;
    assert_eq!(cleaned.code, 0, "{cleaned:?}");
    assert!(
        cleaned.stdout.contains("ip link del weft1\n"),
        "{cleaned:?}"
    );
    assert_eq!(everything(host)?, before);
    assert!(host.directory().join("state/identity.json").exists());

    let again = agents[0].run(&["cleanup", "--forget", "--state-dir", &state])?;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(
        again
            .stdout
            .starts_with("nothing of Weft is in this kernel\n"),
        "{again:?}"
    );
    assert!(!host.directory().join("state/identity.json").exists());
    Ok(())
}
