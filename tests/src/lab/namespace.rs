//! A network namespace, held by a process that does nothing else. It has no name: it
//! is gone when that process and all that run in it are.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::fd::AsFd,
    panic,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{self, Said, keep};

/// What /sys shows is what it was mounted in; what is in /run, locks above all, is of
/// one machine.
const HOLD: &str = "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run \
    && ip link set lo up && echo held $$ && exec sleep infinity";

#[derive(Debug, Clone)]
pub struct Namespace {
    name: Arc<str>,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    by: By,
    network: File,
}

#[derive(Debug)]
enum By {
    Holder(Child),
    /// The first process of a machine, and the one that waits for it.
    Machine {
        first: u32,
        holder: Mutex<Child>,
    },
    /// Somebody else, who is found by this path.
    Other(PathBuf),
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
            let (_, child) = holder
                .ready()
                .with_context(|| format!("namespace {name}"))?;
            let path = format!("/proc/{}/ns/net", child.id());
            Self::found(name, By::Holder(child), Path::new(&path))
        });
        held.collect()
    }

    /// Of a whole machine, whose command to hold it says so as ours does.
    pub(super) fn machine(name: String, hold: Command) -> Result<Self> {
        let ready = Holder::of(hold)?.ready();
        let (first, holder) = ready.with_context(|| format!("machine {name}"))?;
        let path = format!("/proc/{first}/ns/net");
        let holder = Mutex::new(holder);
        Self::found(name, By::Machine { first, holder }, Path::new(&path))
    }

    /// One that somebody else holds, and that is here whatever becomes of them.
    pub fn at(name: String, path: &Path) -> Result<Self> {
        Self::found(name, By::Other(path.to_owned()), path)
    }

    fn found(name: String, by: By, path: &Path) -> Result<Self> {
        let network = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            name: name.into(),
            held: Arc::new(Held { by, network }),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the process that holds it, which others name it by; 0 where we know of none.
    pub fn pid(&self) -> u32 {
        match &self.held.by {
            By::Holder(child) => child.id(),
            By::Machine { first, .. } => *first,
            By::Other(_) => 0,
        }
    }

    /// A file or directory of this one, as it is found from everywhere.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid()))
    }

    /// Writes one of them, and makes the directories above.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(path);
        let directory = path.parent().context("a file is in a directory")?;
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// A command whose process is in here, and dies with this one.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = process::mortal("nsenter");
        let pid = self.pid().to_string();
        match &self.held.by {
            By::Holder(_) => command.args(["-t", &pid, "-n", "-m", "--"]),
            // Only a child of nsenter is in the machine's namespace of processes.
            By::Machine { .. } => command
                .args(["-t", &pid, "-n", "-m", "-u", "-p", "--"])
                .args(["setpriv", "--pdeathsig", "KILL"]),
            By::Other(path) => command.arg(format!("--net={}", path.display())).arg("--"),
        };
        command.arg(program);
        command
    }

    /// Ends the machine and all that runs there, and comes back when it has.
    pub(super) fn end(&self) {
        if let By::Machine { first, holder } = &self.held.by {
            let mut holder = holder.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(None) = holder.try_wait() {
                drop(process::signal_to(*first, "-KILL"));
                drop(holder.wait());
            }
        }
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
        let write = || fs::write(&path, value).with_context(|| format!("{path} = {value}"));
        self.inside(write).with_context(|| self.name.to_string())
    }

    /// Starts what runs until it is killed or dropped.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Running> {
        self.spawn_with(arguments, Stdio::null(), Stdio::null())
    }

    /// The same; what it says is added to a file.
    pub fn spawn_into(&self, arguments: &[&str], log: &Path) -> Result<Running> {
        let log = File::options().create(true).append(true).open(log)?;
        self.spawn_with(arguments, log.try_clone()?.into(), log.into())
    }

    fn spawn_with(&self, arguments: &[&str], out: Stdio, err: Stdio) -> Result<Running> {
        let mut command = self.of(arguments)?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
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

impl Drop for By {
    fn drop(&mut self) {
        let holder = match self {
            Self::Holder(child) => child,
            Self::Machine { holder, .. } => {
                holder.get_mut().unwrap_or_else(PoisonError::into_inner)
            }
            Self::Other(_) => return,
        };
        drop(holder.kill());
        drop(holder.wait());
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
        drop(process::kill(&mut self.child));
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
        Self::of(command)
    }

    fn of(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = keep(command)?;
        let stdout = child.stdout.take().context("the output was asked for")?;
        Ok(Self { child, stdout })
    }

    /// With the process that says so.
    fn ready(mut self) -> Result<(u32, Child)> {
        let mut line = String::new();
        BufReader::new(self.stdout).read_line(&mut line)?;
        let Some(pid) = line.strip_prefix("held ") else {
            drop(self.child.kill());
            let mut said = String::new();
            if let Some(stderr) = &mut self.child.stderr {
                stderr.read_to_string(&mut said)?;
            }
            drop(self.child.wait());
            bail!("the lab makes network namespaces, which only root may: {said}");
        };
        Ok((pid.trim().parse()?, self.child))
    }
}
