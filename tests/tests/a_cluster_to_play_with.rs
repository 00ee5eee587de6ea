//! `weft-lab`: a person brings a cluster up, plays with it, and has nothing left when it
//! ends, however it ends.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    process::{self, Said, keep, mortal},
    wait::patiently,
};

struct Player {
    labs: TempDir,
    up: Child,
}

impl Player {
    /// Until the lab answers.
    fn up(shape: &[&str]) -> Result<Self> {
        let player = Self::begin(shape)?;
        patiently("the lab is up", || {
            let said = player.lab(&["status"])?;
            ensure!(said.code == 0, "{said:?}");
            Ok(())
        })?;
        Ok(player)
    }

    fn begin(shape: &[&str]) -> Result<Self> {
        let labs = tempfile::Builder::new().prefix("weft-labs-").tempdir()?;
        let mut command = mortal(process::weft("weft-lab")?);
        command.arg("--labs").arg(labs.path().join("all"));
        command.arg("up").args(shape);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let up = keep(command)?;
        Ok(Self { labs, up })
    }

    fn lab(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new(process::weft("weft-lab")?);
        command.arg("--labs").arg(self.labs.path().join("all"));
        command.args(arguments);
        process::said(command)
    }

    /// What it says to a command that must be done.
    fn done(&self, arguments: &[&str]) -> Result<String> {
        let said = self.lab(arguments)?;
        ensure!(said.code == 0, "weft-lab {arguments:?}: {said:?}");
        Ok(said.stdout)
    }

    fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.done(&["status", "-o", "json"])?,
        )?)
    }

    /// Of a machine on any link.
    fn state(&self, machine: &str) -> Result<String> {
        let status = self.status()?;
        let links = status["links"].as_array().context("links")?.iter();
        let mut machines = links.flat_map(|link| link["machines"].as_array().into_iter().flatten());
        let found = machines.find(|one| one["machine"] == machine);
        let found = found.with_context(|| format!("{machine} in {status}"))?;
        Ok(found["state"].as_str().context("a state")?.to_owned())
    }

    fn reaches(&self, from: &str, to: &str) -> Result<bool> {
        let listed = self.done(&["container", "list", "-o", "json"])?;
        let all: Value = serde_json::from_str(&listed)?;
        let mut all = all.as_array().context("containers")?.iter();
        let found = all.find(|one| one["container"] == to);
        let address = found.and_then(|one| one["addresses"][0].as_str());
        let address = address.with_context(|| listed.clone())?;
        let ping = [
            "exec", from, "--", "ping", "-c", "2", "-i", "0.1", "-W", "1", address,
        ];
        Ok(self.lab(&ping)?.code == 0)
    }

    fn nothing_is_left(&mut self, pids: &[u32]) -> Result<()> {
        let all = self.labs.path().join("all");
        patiently("nothing is left", || {
            ensure!(!all.exists(), "{} is there", all.display());
            for pid in pids {
                let stat = Path::new("/proc").join(pid.to_string());
                ensure!(!stat.exists(), "process {pid} is there");
            }
            Ok(())
        })
    }

    /// What this lab's own commands show of its processes.
    fn pids(&self, machines: &[&str]) -> Result<Vec<u32>> {
        let pids = machines.iter().map(|machine| {
            // The namespaces of a command are those of the process that holds them.
            let link = self.done(&["exec", machine, "--", "readlink", "/proc/self/ns/net"])?;
            holder(link.trim())
        });
        pids.collect()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.up.kill());
        drop(self.up.wait());
        // Its sweeper needs a moment.
        drop(self.nothing_is_left(&[]));
    }
}

/// The process that sleeps in a network namespace.
fn holder(namespace: &str) -> Result<u32> {
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())
        else {
            continue;
        };
        let of = std::fs::read_link(path.join("ns/net")).unwrap_or_default();
        let comm = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if of == Path::new(namespace) && comm == "sleep\n" {
            return Ok(pid);
        }
    }
    anyhow::bail!("nobody holds {namespace}")
}

#[test]
fn everything_that_help_promises() -> Result<()> {
    let mut player = Player::up(&["--hosts", "2", "--containers", "1"])?;
    assert!(player.reaches("c1", "c2")?);
    let peers = player.done(&["exec", "h1", "--", "weft-agent", "status"])?;
    assert!(peers.contains("h2"), "{peers}");
    let leases = player.done(&["exec", "h2", "--", "weft", "lease", "list", "-o", "json"])?;
    let leases: Value = serde_json::from_str(&leases)?;
    assert_eq!(leases.as_array().map(Vec::len), Some(2));
    for family in [&["ping"][..], &["ping", "-6"]] {
        let matrix = player.done(family)?;
        assert!(!matrix.contains("lost"), "{matrix}");
    }

    player.done(&["kill", "h1"])?;
    player.done(&["kill", "controllers"])?;
    assert_eq!(player.state("h1")?, "down");
    assert_eq!(player.state("controller-1")?, "down");
    assert!(player.reaches("c1", "c2")?, "the data path goes on");
    player.done(&["container", "add", "h1", "late"])?;
    assert!(
        player.reaches("late", "c2")?,
        "without agent and controller"
    );
    player.done(&["start", "controllers"])?;
    player.done(&["start", "h1"])?;
    patiently("all are ready", || {
        for machine in ["h1", "h2", "controller-1"] {
            ensure!(player.state(machine)? == "ready", "{machine}");
        }
        Ok(())
    })?;
    player.done(&["pause", "h2"])?;
    assert_eq!(player.state("h2")?, "paused");
    player.done(&["resume", "h2"])?;

    player.done(&["partition", "h1", "h2", "--one-way"])?;
    assert!(!player.reaches("c1", "c2")?);
    player.done(&["heal"])?;
    assert!(player.reaches("c1", "c2")?);
    player.done(&["unplug", "h2"])?;
    let matrix = player.lab(&["ping"])?;
    assert_eq!(matrix.code, 1, "{matrix:?}");
    assert!(matrix.stdout.contains("lost"), "{matrix:?}");
    player.done(&["slow", "h1", "10mbit"])?;
    let drawn = player.done(&["status"])?;
    assert!(
        drawn.contains("h2 is unplugged; h1 carries 10mbit"),
        "{drawn}"
    );
    player.done(&["heal"])?;
    assert!(!player.done(&["status"])?.contains("faults"));

    player.done(&["container", "remove", "late"])?;
    assert!(!player.done(&["container", "list"])?.contains("late"));
    let pids = player.pids(&["h1", "c1", "controller-1"])?;
    player.done(&["down"])?;
    player.nothing_is_left(&pids)
}

#[test]
fn what_cannot_be_is_said_in_a_sentence() -> Result<()> {
    let mut player = Player::up(&["--hosts", "1"])?;
    for (arguments, code, sentence) in [
        (&["kill", "h7"][..], 1, "there is no host h7"),
        (&["kill", "etcd"], 1, "this lab has no etcd"),
        (&["start", "h1"], 1, "the agent of h1 runs already"),
        (&["kill", "c1"], 1, "c1 is not h1"),
        (&["exec", "c9", "--", "true"], 1, "no container c9"),
        (&["container", "add", "c1"], 1, "c1 is not a host"),
        (
            &["container", "add", "h1", "c1"],
            1,
            "a container c1 already",
        ),
        (
            &["container", "add", "h1", "etcd"],
            1,
            "choose another name",
        ),
        (&["partition", "h1", "h1"], 1, "from itself"),
        (&["slow", "h1", "fast"], 2, "a rate is such as"),
        (&["up"], 1, "is up already"),
        (&["--name", "a/b", "up"], 2, "letters, digits and dashes"),
        (
            &["--name", "other", "up", "--controllers", "3"],
            2,
            "need --store etcd",
        ),
        (&["--name", "other", "down"], 3, "no lab \"other\" is up"),
    ] {
        let said = player.lab(arguments)?;
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(sentence), "{arguments:?}: {said:?}");
    }
    let said = player.lab(&["exec", "h1", "--", "sh", "-c", "exit 7"])?;
    assert_eq!(said.code, 7, "as the command ends");
    player.done(&["down"])?;
    player.nothing_is_left(&[])
}

#[test]
fn several_with_routers_and_etcd() -> Result<()> {
    let shape = ["--hosts", "3", "--store", "etcd", "--controllers", "2"];
    let mut player = Player::up(&[&shape[..], &["--underlay", "v6", "--routers"]].concat())?;
    assert!(player.reaches("c1", "c2")?, "across the router");
    assert!(player.reaches("c1", "c3")?, "on one link");
    player.done(&["kill", "controller-1"])?;
    player.done(&["kill", "etcd"])?;
    player.done(&["start", "etcd"])?;
    player.done(&["start", "controller-1"])?;
    patiently("both are ready", || {
        for machine in ["controller-1", "controller-2"] {
            ensure!(player.state(machine)? == "ready", "{machine}");
        }
        Ok(())
    })?;
    let second = ["--name", "second", "up", "--hosts", "2", "--detach"];
    player.done(&second)?;
    let listed = player.done(&["list"])?;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    player.done(&["--name", "second", "down"])?;
    player.done(&["down"])?;
    player.nothing_is_left(&[])
}

#[test]
fn interrupted_or_killed_it_leaves_nothing() -> Result<()> {
    for signal in ["-INT", "-TERM", "-KILL"] {
        let mut player = Player::up(&["--hosts", "2"])?;
        let pids = player.pids(&["h1", "c2", "controller-1"])?;
        process::signal(&player.up, signal)?;
        player.nothing_is_left(&pids)?;
    }
    // On its way up, wherever it is.
    for wait in [1, 2, 3, 5, 8, 60, 150, 300] {
        let mut player = Player::begin(&["--hosts", "4"])?;
        std::thread::sleep(Duration::from_millis(wait));
        process::signal(&player.up, "-INT")?;
        player.up.wait()?;
        player.nothing_is_left(&[])?;
    }
    Ok(())
}
