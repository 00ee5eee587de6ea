//! A real weft-agent on a host of a lab.

use std::{
    ffi::OsString,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use socket::words::Attached;

use super::{Host, Lab, Namespace, Place, UPLINK};
use crate::{
    daemon::Daemon,
    process::{self, Said},
};

/// In the host's own namespace, so that all may have the same.
const OPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7442);
/// Whoever watches the fleet asks from another machine.
const EVERYWHERE: &str = "0.0.0.0:7442";

pub struct Agent {
    daemon: Daemon,
    namespace: Namespace,
    socket: PathBuf,
}

impl Agent {
    /// On its disk is what another one left there. It is not started yet.
    pub fn new(host: &Host, controllers: &str, flags: &[&str]) -> Result<Self> {
        let directory = host.directory();
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let socket = directory.join("agent.sock");
        let mut arguments: Vec<OsString> = Vec::new();
        let named = [
            ["--controller", controllers],
            ["--node", host.node()],
            ["--iface", UPLINK],
            ["--ops-listen", EVERYWHERE],
        ];
        arguments.extend(named.as_flattened().iter().map(OsString::from));
        arguments.extend(["--state-dir".into(), directory.join("state").into()]);
        arguments.extend(["--socket".into(), socket.clone().into()]);
        arguments.push("--insecure".into());
        arguments.extend(flags.iter().map(OsString::from));
        let namespace: Namespace = (**host).clone();
        let place = Place::In(namespace.clone());
        let log = directory.join("agent.log");
        Ok(Self {
            daemon: Daemon::new("weft-agent", place, arguments, OPS, log),
            namespace,
            socket,
        })
    }

    /// Joins the fleet by a token.
    pub fn join(&self, token: &str) -> Result<Said> {
        self.daemon.run(&["join", "--exit", "--token", token])
    }

    /// What it says of itself over HTTP.
    pub fn status(&self) -> Result<Value> {
        let answer = self.daemon.ops("/status")?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).with_context(|| answer.body)
    }

    /// Runs a subcommand against it to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.namespace.command(process::weft("weft-agent")?);
        command.arg("--socket").arg(&self.socket).args(arguments);
        process::said(command)
    }

    /// Runs `weft` on its host, with what asks it.
    pub fn weft(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.namespace.command(process::weft("weft")?);
        command.args(arguments).arg("--socket").arg(&self.socket);
        process::said(command)
    }

    /// Attaches a namespace, by the process that holds it.
    pub fn attach(&self, namespace: &Namespace, flags: &[&str]) -> Result<Attached> {
        let pid = namespace.pid().to_string();
        let attach = ["attach", "-o", "json", "--pid", &pid];
        let said = self.weft(&[&attach[..], flags].concat())?;
        ensure!(said.code == 0, "{flags:?}: {said:?}");
        serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Deref for Agent {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

impl Lab {
    /// Starts the agent of a host; ready.
    pub fn agent(&self, host: u32, flags: &[&str]) -> Result<Agent> {
        let mut agent = self.let_in(self.host(host), flags)?;
        agent.start()?;
        Ok(agent)
    }

    /// Starts those of all hosts at once; ready.
    pub fn agents(&self, flags: &[&str]) -> Result<Vec<Agent>> {
        let launch = |host: &Host| {
            let mut agent = self.let_in(host, flags)?;
            agent.launch()?;
            Ok(agent)
        };
        let mut agents: Vec<Agent> = self.hosts().iter().map(launch).collect::<Result<_>>()?;
        for agent in &mut agents {
            agent.ready()?;
        }
        Ok(agents)
    }

    /// The agent of a host; where certificates are used, it has joined.
    fn let_in(&self, host: &Host, flags: &[&str]) -> Result<Agent> {
        let agent = Agent::new(host, &self.controller_urls()?, flags)?;
        if self.trusted.is_some() && !host.directory().join("state/credentials.json").exists() {
            let said = agent.join(&self.token(&["--node", host.node()])?)?;
            ensure!(said.code == 0, "{said:?}");
        }
        Ok(agent)
    }

    /// A new token for a host.
    pub fn token(&self, flags: &[&str]) -> Result<String> {
        let made = self.weft(&[&["token", "create"], flags].concat())?;
        Ok(made["token"].as_str().context("a token")?.to_owned())
    }
}
