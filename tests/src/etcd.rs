//! A real etcd for one test: its own directory and ports, and everything that can
//! happen to it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{
    lab::{Namespace, Place},
    process::{self, keep, missing},
    wait::patiently,
};

/// How long it may take to answer after a start; a busy machine is slow.
const START: Duration = Duration::from_secs(30);

pub struct Etcd {
    directory: TempDir,
    place: Place,
    client: SocketAddrV4,
    peer: SocketAddrV4,
    token: String,
    tls: Option<ServerTls>,
    child: Option<Child>,
}

/// PEM files. The same pair is what `etcdctl` shows as a client.
#[derive(Debug, Clone)]
pub struct ServerTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Etcd {
    /// Running and answering.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Serves TLS and asks every client for a certificate.
    pub fn start_tls(tls: ServerTls) -> Result<Self> {
        Self::start_with(Some(tls))
    }

    /// In a namespace, at its address there.
    pub fn start_in(
        namespace: &Namespace,
        address: Ipv4Addr,
        tls: Option<ServerTls>,
    ) -> Result<Self> {
        let mut etcd = Self::prepare(tls)?;
        etcd.place = Place::In(namespace.clone());
        etcd.client = SocketAddrV4::new(address, 2379);
        etcd.peer = SocketAddrV4::new(address, 2380);
        etcd.run()?;
        Ok(etcd)
    }

    /// Only the place for it; [`Etcd::restart`] starts it.
    pub fn stopped() -> Result<Self> {
        Self::prepare(None)
    }

    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.client)
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill etcd")?;
            child.wait().context("wait for etcd")?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("-TERM")?;
        if let Some(mut child) = self.child.take() {
            patiently("etcd ends", || child.try_wait()?.context("it still runs"))?;
        }
        Ok(())
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// On the same ports with the same data; kills it first if it runs.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.run()
    }

    /// A new, empty one on the same ports. With another token it is another cluster;
    /// with the same one etcd gives it the same cluster id again.
    pub fn wipe(&mut self, same_token: bool) -> Result<()> {
        self.kill()?;
        fs::remove_dir_all(self.data()).context("remove etcd's data")?;
        if !same_token {
            self.token.push_str("-again");
        }
        self.run()
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("etcd does not run")?.id())
    }

    /// Forgets every revision before the newest.
    pub fn compact(&self) -> Result<()> {
        let status = self.etcdctl(["endpoint", "status", "--write-out=json"])?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let revision = &status[0]["Status"]["header"]["revision"];
        self.etcdctl(["compact", &revision.to_string()])?;
        Ok(())
    }

    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.etcdctl(["put", "--", key, value]).map(drop)
    }

    pub fn delete(&self, key: &str) -> Result<()> {
        self.etcdctl(["del", "--", key]).map(drop)
    }

    /// None: there is no such key.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        let answer = self.etcdctl(["get", "--write-out=simple", "--", key])?;
        let value = answer
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('\n'));
        Ok(value.map(|value| value.strip_suffix('\n').unwrap_or(value).to_owned()))
    }

    /// What it prints; an error if it fails.
    pub fn etcdctl<I, S>(&self, arguments: I) -> Result<String>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.place.command("etcdctl");
        command.env("ETCDCTL_API", "3");
        command.arg(format!("--endpoints={}", self.endpoint()));
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.ca);
            command.arg("--cert").arg(&tls.cert);
            command.arg("--key").arg(&tls.key);
        }
        command.args(arguments);
        let output = command
            .output()
            .map_err(|error| missing("etcdctl", error))?;
        if !output.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn start_with(tls: Option<ServerTls>) -> Result<Self> {
        // Started through setpriv, its absence would only show in the log.
        let version = Command::new("etcd").arg("--version").output();
        version.map_err(|error| missing("etcd", error))?;
        let mut etcd = Self::prepare(tls)?;
        etcd.run()?;
        Ok(etcd)
    }

    fn prepare(tls: Option<ServerTls>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("weft-etcd-").tempdir()?;
        // Both held at once, or they could be the same one.
        let client = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let peer = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            place: Place::Here,
            client: SocketAddrV4::new(Ipv4Addr::LOCALHOST, client.local_addr()?.port()),
            peer: SocketAddrV4::new(Ipv4Addr::LOCALHOST, peer.local_addr()?.port()),
            token: directory.path().display().to_string(),
            directory,
            tls,
            child: None,
        })
    }

    fn run(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let mut child = keep(self.command()?)?;
        loop {
            let Err(error) = self.answers() else {
                self.child = Some(child);
                return Ok(());
            };
            // The port may be in use for a moment by a connection of somebody else.
            if child.try_wait()?.is_some() {
                thread::sleep(Duration::from_millis(100));
                child = keep(self.command()?)?;
            }
            if Instant::now() > deadline {
                drop(child.kill());
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                bail!("etcd does not answer after {START:?}: {error:#}\n{log}");
            }
        }
    }

    fn answers(&self) -> Result<()> {
        match self.etcdctl(["endpoint", "health"]) {
            // It has passwords and is well enough to ask for one.
            Err(error) if error.to_string().contains("user name is empty") => Ok(()),
            answer => answer.map(drop),
        }
    }

    fn command(&self) -> Result<Command> {
        let client = self.endpoint();
        let peer = format!("http://{}", self.peer);
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.place.mortal("etcd");
        command.args(["--name", "etcd"]);
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &client]);
        command.args(["--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer]);
        command.args(["--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("etcd={peer}")]);
        command.args(["--initial-cluster-token", &self.token]);
        // Alone it need not wait long for others, and a ttl of 1 s is 1 s.
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.args(["--logger", "zap"]);
        if let Some(tls) = &self.tls {
            command.arg("--client-cert-auth");
            command.arg("--trusted-ca-file").arg(&tls.ca);
            command.arg("--cert-file").arg(&tls.cert);
            command.arg("--key-file").arg(&tls.key);
        }
        command.stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        process::signal(self.child.as_ref().context("etcd does not run")?, signal)
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.kill());
    }
}
