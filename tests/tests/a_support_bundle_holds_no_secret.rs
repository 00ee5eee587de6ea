//! `weft support-bundle`: all that helps to find a fault, of whoever still answers, and no
//! secret of the fleet.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    controller::Controller,
    etcd::Etcd,
    lab::{Lab, Namespace},
    process::{self, Said, keep},
    trusted::token,
    wait::patiently,
};

/// What was unpacked, by its path below the one directory that there is.
type Files = BTreeMap<String, String>;

fn unpacked(archive: &Path, into: &Path) -> Result<Files> {
    fs::create_dir(into)?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(into);
    let said = process::said(tar)?;
    ensure!(said.code == 0, "{said:?}");
    let top: Vec<PathBuf> = listed(into)?;
    ensure!(top.len() == 1, "{top:?}");
    let mut files = Files::new();
    let mut left = top.clone();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(listed(&path)?);
            continue;
        }
        let name = path.strip_prefix(&top[0])?.display().to_string();
        files.insert(name, String::from_utf8(fs::read(&path)?)?);
    }
    Ok(files)
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Exactly what its own list says is in it.
fn ensure_as_listed(files: &Files) -> Result<()> {
    let readme = &files["README.txt"];
    let (_, list) = readme.split_once("In it:\n").context("a list")?;
    let list = list.lines().take_while(|line| line.starts_with("  "));
    let mut list: Vec<&str> = list.map(str::trim).collect();
    list.push("README.txt");
    list.sort_unstable();
    let there: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(there, list, "{readme}");
    Ok(())
}

/// Nothing of these is anywhere in it.
fn ensure_without(files: &Files, secrets: &[String]) -> Result<()> {
    ensure!(!secrets.is_empty(), "nothing to look for");
    for secret in secrets {
        ensure!(
            secret.len() >= 12,
            "{secret:?} is too short to be looked for"
        );
        for (name, text) in files {
            ensure!(!text.contains(secret.as_str()), "{secret} is in {name}");
        }
    }
    Ok(())
}

/// The lines of a file that hold nothing but a key or a certificate.
fn lines_of(path: &Path) -> Result<Vec<String>> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    let text = String::from_utf8_lossy(&text).replace("\\n", "\n");
    let lines = text.split(|c: char| c.is_whitespace() || c == '"');
    let lines: Vec<String> = lines
        .filter(|line| line.len() >= 24 && !line.contains("-----") && !line.contains("://"))
        .map(ToOwned::to_owned)
        .collect();
    ensure!(!lines.is_empty(), "{} holds nothing secret", path.display());
    Ok(lines)
}

fn bundle(lab: &Lab, to: &Path, more: &[&str]) -> Result<Said> {
    let to = to.to_str().context("a path")?;
    lab.weft_said(&[&["support-bundle", "--to", to], more].concat())
}

#[test]
fn of_a_fleet_with_certificates_a_dead_node_and_a_dead_controller() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.trust()?;
    lab.start_controllers(2, &[])?;
    let mut agents = lab.agents(&[])?;
    let secret = lab.token(&["--node", "h9"])?;
    let used = lab.token(&[])?;
    let container = Namespace::new("c1".into())?;
    // Somebody put it where it does not belong: in the name of a container.
    agents[0].attach(&container, &["--told", "--name", &secret])?;
    let shown = lab.weft(&["endpoint", "list"])?.to_string();
    ensure!(shown.contains(&secret), "{shown}");

    lab.controllers[1].kill()?;
    agents[2].kill()?;
    patiently("the others are with the controller that is left", || {
        for node in ["h1", "h2"] {
            let said = lab.controllers[0].weft(&["node", "ask", node, "/readyz"])?;
            ensure!(said.code == 0, "{said:?}");
        }
        Ok(())
    })?;
    let archive = lab.directory().join("bug.tar");
    let said = bundle(&lab, &archive, &[])?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(said.stderr.contains("asking 3 nodes"), "{said:?}");
    let made: Value = serde_json::from_str(&said.stdout)?;
    let missing = made["missing"].to_string();
    let dead = lab.controllers[1].url()?;
    ensure!(
        missing.contains("node h3") && missing.contains(&dead),
        "{missing}"
    );
    let mode = fs::metadata(&archive)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let files = unpacked(&archive, &lab.directory().join("bug"))?;
    assert_eq!(made["files"], files.len());
    ensure_as_listed(&files)?;
    ensure!(
        files["README.txt"].contains(&dead),
        "{}",
        files["README.txt"]
    );
    let trusted = lab.trusted.as_ref().context("an authority")?;
    let mut secrets = vec![secret, used];
    for path in listed(trusted.directory())? {
        secrets.extend(lines_of(&path)?);
    }
    for flag in trusted.to_etcd().chunks(2) {
        secrets.extend(lines_of(Path::new(&flag[1]))?);
    }
    for host in lab.hosts() {
        secrets.extend(lines_of(&host.directory().join("state/credentials.json"))?);
    }
    ensure_without(&files, &secrets)?;

    // What is in it is what is there.
    let here = lab.controllers[0].ops_address()?.ip();
    let options = &files[&format!("controllers/{here}_7440/options.toml")];
    ensure!(options.contains("seal.key"), "{options}");
    ensure!(files[&format!("controllers/{here}_7440/metrics.txt")].contains("weft_sessions"));
    ensure!(files["nodes/h1/metrics.txt"].contains("weft_agent_ready"));
    ensure!(files["nodes/h1/options.toml"].contains("state-dir"));
    let kernel = &files["nodes/h1/kernel.txt"];
    let routes = ["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"];
    let routes = lab.host(1).json(&routes)?;
    let routes = routes.as_array().context("routes")?;
    ensure!(routes.len() == 2, "{routes:?}");
    for route in routes {
        let to = route["dst"].as_str().context("where to")?;
        let via = route["gateway"].as_str().context("by whom")?;
        let line = format!("{to} via {via} dev weft1 onlink proto 77");
        ensure!(kernel.contains(&line), "{line}: {kernel}");
    }
    let events: Value = serde_json::from_str(&files["fleet/events.json"])?;
    let events = events.as_array().context("a list")?;
    for (kind, what) in [("controller", "a node joined"), ("node", "in sync")] {
        let of = |event: &&Value| event["kind"] == kind && event["what"] == what;
        ensure!(events.iter().any(|event| of(&event)), "{what}: {events:#?}");
    }
    let tokens: Value = serde_json::from_str(&files["fleet/tokens.json"])?;
    ensure!(
        tokens.as_array().is_some_and(|tokens| tokens.len() >= 5),
        "{tokens}"
    );

    // Nothing is replaced unasked, and nothing else is left.
    let before = fs::read(&archive)?;
    let again = bundle(&lab, &archive, &[])?;
    ensure!(
        again.code == 1 && again.stderr.contains("--force"),
        "{again:?}"
    );
    assert_eq!(fs::read(&archive)?, before);
    let forced = bundle(&lab, &archive, &["--force", "--node", "h2"])?;
    ensure!(forced.code == 0, "{forced:?}");
    let files = unpacked(&archive, &lab.directory().join("forced"))?;
    ensure_as_listed(&files)?;
    let nodes = files.keys().filter(|name| name.starts_with("nodes/"));
    ensure!(nodes.clone().count() > 4 && nodes.clone().all(|name| name.starts_with("nodes/h2/")));

    // Tokens are for admins; the rest is for every operator.
    let made = lab.controllers[0].weft(&["operator", "create", "eve"])?;
    let eve = trusted.credentials("eve").display().to_string();
    let login = ["login", "--credentials", &eve, "--token"];
    let said = lab.controllers[0].weft(&[&login[..], &[&token(&made.stdout)?]].concat())?;
    ensure!(said.code == 0, "{said:?}");
    let as_eve = ["--credentials", &eve, "--node", "h2"];
    let said = bundle(&lab, &lab.directory().join("eve.tar"), &as_eve)?;
    let made: Value = serde_json::from_str(&said.stdout)?;
    let missing = made["missing"].to_string();
    ensure!(missing.contains("fleet/tokens.json"), "{missing}");
    ensure!(
        !missing.contains("h2") && !missing.contains("leases"),
        "{missing}"
    );
    let parts = listed(lab.directory())?;
    ensure!(
        !parts
            .iter()
            .any(|path| path.to_string_lossy().ends_with(".part")),
        "{parts:?}"
    );
    Ok(())
}

#[test]
fn of_a_controller_that_gives_etcd_a_password() -> Result<()> {
    const PASSWORD: &str = "correct-horse-battery";
    let etcd = Etcd::start()?;
    let user = format!("user add weft:{PASSWORD}");
    for command in [
        "user add root:secret",
        &user,
        "role add weft",
        "role grant-permission weft --prefix=true readwrite /weft/",
        "user grant-role weft weft",
        "user grant-role root root",
        "auth enable",
    ] {
        etcd.etcdctl(command.split(' '))?;
    }
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("password");
    fs::write(&file, PASSWORD)?;
    let file = file.to_str().context("a path")?;
    let flags = ["--etcd-user", "weft", "--etcd-password-file", file];
    let controller = Controller::etcd(&etcd, &flags)?;
    let archive = directory.path().join("bug.tar");
    let to = archive.to_str().context("a path")?;
    let said = controller.weft(&["support-bundle", "--to", to])?;
    ensure!(
        said.code == 0 && said.stdout.contains("bug.tar"),
        "{said:?}"
    );
    let files = unpacked(&archive, &directory.path().join("bug"))?;
    ensure_as_listed(&files)?;
    ensure_without(&files, &[PASSWORD.into()])?;
    let mut options = files
        .iter()
        .filter(|(name, _)| name.ends_with("options.toml"));
    ensure!(options.any(|(_, text)| text.contains(file)), "{files:#?}");
    Ok(())
}

#[test]
fn where_nobody_answers_or_nothing_can_be_written_nothing_is_left() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut controller = Controller::embedded(&[])?;
    let missing = directory.path().join("missing/bug.tar");
    let missing = missing.to_str().context("a path")?;
    let said = controller.weft(&["support-bundle", "--to", missing])?;
    ensure!(
        said.code == 1 && said.stderr.contains("bug.tar"),
        "{said:?}"
    );
    // It waits for an answer when it is told to stop.
    controller.pause()?;
    let place = directory.path().join("interrupted");
    fs::create_dir(&place)?;
    let mut command = controller.place().mortal(process::weft("weft")?);
    command.args(["support-bundle", "--controller", &controller.url()?, "--to"]);
    command.arg(place.join("bug.tar"));
    let mut asking = keep(command)?;
    patiently("it has begun", || {
        ensure!(!listed(&place)?.is_empty(), "nothing is there");
        Ok(())
    })?;
    process::signal(&asking, "-INT")?;
    let status = patiently("it ends", || asking.try_wait()?.context("it runs"))?;
    assert_eq!(status.code(), Some(1));
    assert_eq!(listed(&place)?, Vec::<PathBuf>::new());
    fs::remove_dir(&place)?;
    controller.resume()?;
    controller.kill()?;
    let to = directory.path().join("bug.tar");
    let to = to.to_str().context("a path")?;
    let said = controller.weft(&["support-bundle", "--to", to])?;
    ensure!(said.code == 3, "{said:?}");
    assert_eq!(listed(directory.path())?, Vec::<PathBuf>::new());
    Ok(())
}
