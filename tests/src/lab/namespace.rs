//! A network namespace, held by a process that does nothing else. It has no name: it
//! is gone when that process and all that run in it are.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read},
    os::fd::AsFd,
    panic,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{self, Said, keep};

/// What /sys shows is what it was mounted in; what is in /run, locks above all, is of
/// one machine.
const HOLD: &str = "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run \
    && ip link set lo up && echo held && exec sleep infinity";

#[derive(Debug, Clone)]
pub struct Namespace {
    name: Arc<str>,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    holder: Child,
    network: File,
}

/// A process in a namespace, killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Namespace {
    pub fn new(name: String) -> Result<Self> {
        let mut one = Self::several([name])?;
        one.pop().context("a namespace was asked for")
    }

    /// All at once, which is quicker.
    pub fn several(names: impl IntoIterator<Item = String>) -> Result<Vec<Self>> {
        let start = |name| Ok((name, Holder::start()?));
        let started: Result<Vec<(String, Holder)>> = names.into_iter().map(start).collect();
        let held = started?.into_iter().map(|(name, holder)| {
            let held = holder.ready().with_context(|| format!("namespace {name}"));
            Ok(Self {
                name: name.into(),
                held: Arc::new(held?),
            })
        });
        held.collect()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the process that holds it, which others name it by.
    pub fn pid(&self) -> u32 {
        self.held.holder.id()
    }

    /// A command whose process is in here, and dies with this one.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = process::mortal("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n", "-m", "--"]);
        command.arg(program);
        command
    }

    /// Runs a command to its end, whatever that is.
    pub fn run(&self, arguments: &[&str]) -> Result<Said> {
        process::said(self.of(arguments)?)
    }

    /// What a command prints that must be done.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        let said = self.run(arguments)?;
        self.succeeded(&said, &arguments.join(" "))?;
        Ok(said.stdout)
    }

    /// The same read as JSON; nothing at all is an empty list, as `ip` means it.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = self.done(arguments)?;
        if text.trim().is_empty() {
            return Ok(serde_json::Value::Array(Vec::new()));
        }
        serde_json::from_str(&text).with_context(|| format!("{arguments:?} printed {text}"))
    }

    /// Commands of `ip`, without that word, a line each.
    pub fn ip(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        self.fed(&["ip", "-batch", "-"], &lines.join("\n"))
    }

    pub fn nft(&self, script: &str) -> Result<()> {
        self.fed(&["nft", "-f", "-"], script)
    }

    /// A setting by its name with slashes, such as `net/ipv4/ip_forward`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{name}");
        let write = || std::fs::write(&path, value).with_context(|| format!("{path} = {value}"));
        self.inside(write).with_context(|| self.name.to_string())
    }

    /// Starts what runs until it is killed or dropped.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = self.of(arguments)?;
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = keep(command)?;
        Ok(Running { child })
    }

    /// On a thread that is in here; what it opens stays in here when it is back. Of
    /// /proc it must read `thread-self`: `/proc/net` is the first thread's.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let moved = || {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(self.held.network.as_fd(), network)
                .with_context(|| format!("enter the namespace {}", self.name))?;
            act()
        };
        let done = thread::scope(|scope| scope.spawn(moved).join());
        done.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }

    fn fed(&self, arguments: &[&str], input: &str) -> Result<()> {
        let said = process::said_to(self.of(arguments)?, input)?;
        self.succeeded(&said, input)
    }

    fn of(&self, arguments: &[&str]) -> Result<Command> {
        let (program, arguments) = arguments.split_first().context("a program to run")?;
        let mut command = self.command(program);
        command.args(arguments);
        Ok(command)
    }

    fn succeeded(&self, said: &Said, what: &str) -> Result<()> {
        let Said { code, stderr, .. } = said;
        ensure!(*code == 0, "in {}, code {code}: {stderr}{what}", self.name);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) -> Result<()> {
        process::signal(&self.child, signal)
    }

    /// The process itself, to wait for.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One that was started and has not said yet that it holds.
struct Holder {
    child: Child,
    stdout: ChildStdout,
}

impl Holder {
    fn start() -> Result<Self> {
        let mut command = process::mortal("unshare");
        command.args(["--net", "--mount", "sh", "-c", HOLD]);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = keep(command)?;
        let stdout = child.stdout.take().context("the output was asked for")?;
        Ok(Self { child, stdout })
    }

    fn ready(mut self) -> Result<Held> {
        let mut line = String::new();
        BufReader::new(self.stdout).read_line(&mut line)?;
        if line != "held\n" {
            drop(self.child.kill());
            let mut said = String::new();
            if let Some(stderr) = &mut self.child.stderr {
                stderr.read_to_string(&mut said)?;
            }
            drop(self.child.wait());
            bail!("the lab makes network namespaces, which only root may: {said}");
        }
        let path = format!("/proc/{}/ns/net", self.child.id());
        let network = File::open(&path).with_context(|| path)?;
        Ok(Held {
            holder: self.child,
            network,
        })
    }
}
