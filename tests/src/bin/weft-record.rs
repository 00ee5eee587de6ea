//! weft-record: what this build says and keeps, for the builds after it to understand.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;
use tests::{
    carried,
    lab::{Agent, Lab, Namespace},
    process::Said,
    recorded::{self, Asked},
    wait::patiently,
    wire,
};

/// Where the agent finds the relay, in its own namespace.
const RELAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7447);

/// Records a fleet of three hosts: sessions, store, state files, and the agent's socket.
#[derive(Debug, Parser)]
#[command(
    name = "weft-record",
    version,
    after_help = "\
Example:
  weft-record tests/recorded/0.1.0

Hosts are network namespaces, so it needs root; nothing of them stays."
)]
struct Options {
    /// The directory of the recording, which is made anew
    directory: PathBuf,
}

fn main() -> Result<()> {
    let Options { directory } = Options::parse();
    let mut lab = Lab::new(3)?;
    lab.start_controller(&["--default-network", "10.32.0.0/16,fd77:32::/48"])?;
    let notes = Arc::new(Mutex::new(Vec::new()));
    relay(&lab, notes.clone())?;
    let mut agent = Agent::new(lab.host(1), &format!("http://{RELAY}"), &[])?;
    agent.start()?;
    let mut other = lab.agent(2, &[])?;
    let mut gone = lab.agent(3, &[])?;
    peers(&agent, 2)?;

    let namespace = Namespace::new("web".into())?;
    let attached = agent.attach(
        &namespace,
        &["--name", "web", "--publish", "8080:80", "--told"],
    )?;
    let mut asked = vec![Asked {
        asked: "POST /endpoints".into(),
        answered: serde_json::to_value(&attached)?,
    }];
    for (path, words) in [
        (
            "GET /endpoints",
            &["endpoint", "list", "--here", "-o", "json"][..],
        ),
        ("GET /ipam", &["ipam", "show", "-o", "json"]),
    ] {
        asked.push(Asked {
            asked: path.into(),
            answered: json(&agent.weft(words)?)?,
        });
    }
    asked.push(Asked {
        asked: "GET /status".into(),
        answered: agent.status()?,
    });

    lab.weft(&["network", "create", "backend", "--pool", "10.96.0.0/16"])?;
    let joined = agent.run(&["join", "backend"])?;
    ensure!(joined.code == 0, "{joined:?}");
    gone.kill()?;
    lab.weft_said(&["node", "remove", "h3"])?;
    peers(&agent, 1)?;
    let left = agent.run(&["leave", "backend"])?;
    ensure!(left.code == 0, "{left:?}");
    // One that resumes.
    agent.kill()?;
    agent.start()?;

    let leases = lab.weft(&["lease", "list"])?;
    let data = lab.controllers[0].data();
    let place = lab.controllers[0].place().clone();
    agent.terminate()?;
    agent.ended()?;
    fs::create_dir_all(directory.join(recorded::STATE))?;
    let path = |name: &str| directory.join(name);
    let (store, data) = (path(recorded::STORE), data.display().to_string());
    let store = std::path::absolute(store)?.display().to_string();
    carried::done(&place, &["backup", &store, "--data-dir", &data])?;
    lines(
        &path(recorded::SESSIONS),
        &notes.lock().expect("nobody panics"),
    )?;
    lines(&path(recorded::SOCKET), &asked)?;
    fs::write(path(recorded::LEASES), format!("{leases:#}\n"))?;
    for name in ["identity.json", "state", "endpoints"] {
        let from = lab.host(1).directory().join("state").join(name);
        fs::copy(&from, path(recorded::STATE).join(name))
            .with_context(|| from.display().to_string())?;
    }
    for agent in [&mut agent, &mut other, &mut gone] {
        agent.hush();
    }
    lab.controllers[0].hush();
    println!("recorded in {}", directory.display());
    Ok(())
}

/// In the agent's namespace, for as long as this process lives.
fn relay(lab: &Lab, notes: Arc<Mutex<Vec<recorded::Line>>>) -> Result<()> {
    let url = lab.controller_urls()?;
    let namespace: Namespace = (**lab.host(1)).clone();
    let listener = namespace.inside(|| Ok(std::net::TcpListener::bind(RELAY)?))?;
    listener.set_nonblocking(true)?;
    thread::spawn(move || {
        namespace.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                wire::serve(listener, recorded::relay(url, notes)).await
            })
        })
    });
    Ok(())
}

fn peers(agent: &Agent, count: usize) -> Result<()> {
    patiently("it knows its peers", || {
        let status = agent.status()?;
        let mut networks = status["networks"].as_array().into_iter().flatten();
        let default = networks.find(|network| network["network"] == "default");
        let peers = default.and_then(|network| network["peers"].as_array());
        ensure!(peers.map(Vec::len) == Some(count), "{status}");
        Ok(())
    })
}

fn json(said: &Said) -> Result<Value> {
    ensure!(said.code == 0, "{said:?}");
    Ok(serde_json::from_str(&said.stdout)?)
}

fn lines(path: &Path, lines: &[impl serde::Serialize]) -> Result<()> {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| Ok(serde_json::to_string(line)? + "\n"))
        .collect::<Result<_>>()?;
    fs::write(path, lines.concat()).with_context(|| path.display().to_string())
}
