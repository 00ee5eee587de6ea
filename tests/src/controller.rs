//! A real weft-controller for one test: its own directory and ports, and everything
//! that can happen to it.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{
    etcd::Etcd,
    ops::{self, Answer},
    port::Port,
    process::{self, keep},
    wait::patiently,
};

/// Lines of a log that are shown.
const TAIL: usize = 150;

#[derive(Debug)]
pub struct Controller {
    directory: TempDir,
    listen: Port,
    ops: Port,
    arguments: Vec<OsString>,
    child: Option<Child>,
    quiet: bool,
}

/// What a program said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Controller {
    /// On the embedded store in a directory of its own; ready.
    pub fn embedded(flags: &[&str]) -> Result<Self> {
        let mut controller = Self::prepare(flags)?;
        let data = controller.data();
        controller
            .arguments
            .extend(["--data-dir".into(), data.into()]);
        controller.start()?;
        Ok(controller)
    }

    /// On an etcd, beside any number of others; ready.
    pub fn etcd(etcd: &Etcd, flags: &[&str]) -> Result<Self> {
        let mut controller = Self::prepare(flags)?;
        let store = ["--store", "etcd", "--etcd-endpoints", &etcd.endpoint()];
        controller.arguments.extend(store.map(OsString::from));
        controller.start()?;
        Ok(controller)
    }

    /// After a death: the same place, the same ports; ready.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.ready()
    }

    /// The same without waiting for it.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the controller runs already");
        self.child = Some(keep(self.command()?)?);
        Ok(())
    }

    /// Waits until it decides.
    pub fn ready(&mut self) -> Result<()> {
        let address = self.ops_address()?;
        let (log, child) = (self.log_path(), &mut self.child);
        let waited = patiently("the controller is ready", || {
            if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok()?) {
                return Ok(Some(status));
            }
            let answer = ops::get(address, "/readyz")?;
            ensure!(answer.status == 200, "{}", answer.body);
            Ok(None)
        });
        match waited {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("the controller ended, {status}:\n{}", tail(&log)),
            Err(error) => Err(error.context(tail(&log))),
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().context("kill the controller")?;
            child.wait().context("wait for the controller")?;
        }
        Ok(())
    }

    /// SIGTERM, without waiting for the end.
    pub fn terminate(&self) -> Result<()> {
        self.signal("-TERM")
    }

    /// Waits for it to end by itself.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        let log = self.log_path();
        let child = self.child.as_mut().context("the controller does not run")?;
        let status = patiently("the controller ends", || {
            child.try_wait()?.with_context(|| tail(&log))
        })?;
        self.child = None;
        Ok(status)
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    pub fn pid(&self) -> Result<u32> {
        let child = self.child.as_ref().context("the controller does not run")?;
        Ok(child.id())
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes = kilobytes.context("VmRSS in /proc")?.parse::<u64>()?;
        Ok(kilobytes * 1024)
    }

    pub fn url(&self) -> Result<String> {
        Ok(format!("http://{}", self.listen.address()?))
    }

    /// A connection that comes back when the controller does.
    pub fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(self.url()?)?.connect_timeout(Duration::from_secs(2));
        Ok(endpoint.connect_lazy())
    }

    pub fn ops_address(&self) -> Result<SocketAddr> {
        self.ops.address()
    }

    /// What the operator's side answers.
    pub fn ops(&self, path: &str) -> Result<Answer> {
        ops::get(self.ops_address()?, path)
    }

    pub fn metric(&self, name: &str) -> Result<f64> {
        ops::metric(self.ops_address()?, name)
    }

    /// What `weft` says, asking this controller.
    pub fn weft(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = Command::new(process::weft("weft")?);
        command.args(arguments).env("WEFT_CONTROLLER", self.url()?);
        said(command)
    }

    /// The same as JSON, of a command that must be done.
    pub fn weft_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let said = self.weft(&[arguments, &["-o", "json"]].concat())?;
        ensure!(said.code == 0, "weft {arguments:?}: {said:?}");
        serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&self.log_path())
    }

    /// Its log need not be shown when it is dropped.
    pub fn hush(&mut self) {
        self.quiet = true;
    }

    fn prepare(flags: &[&str]) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("weft-controller-")
            .tempdir()?;
        Ok(Self {
            directory,
            listen: Port::reserve()?,
            ops: Port::reserve()?,
            arguments: flags.iter().map(OsString::from).collect(),
            child: None,
            quiet: false,
        })
    }

    fn command(&self) -> Result<Command> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = process::mortal(process::weft("weft-controller")?);
        command.args(["--listen", &self.listen.address()?.to_string()]);
        command.args(["--ops-listen", &self.ops.address()?.to_string()]);
        command.args(&self.arguments);
        command.stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let child = self.child.as_ref().context("the controller does not run")?;
        process::signal(child, signal)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        drop(self.kill());
        // Of a test, only one that failed has its output shown.
        if !self.quiet {
            eprintln!("--- {}\n{}", self.directory.path().display(), self.log());
        }
    }
}

/// Runs a controller that is not expected to stay, on free ports.
pub fn refused(arguments: &[&str]) -> Result<Said> {
    let ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    run(&[&ports[..], arguments].concat())
}

/// Runs a controller to its end.
pub fn run(arguments: &[&str]) -> Result<Said> {
    let mut command = process::mortal(process::weft("weft-controller")?);
    command.args(arguments);
    said(command)
}

fn said(mut command: Command) -> Result<Said> {
    command.stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said {
        // As a shell counts a death by signal.
        code: output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
