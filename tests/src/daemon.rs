//! One of Weft's own long-running programs: its log, its signals, its end, and what
//! its operator's side says.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    lab::Place,
    ops::{self, Answer},
    process::{self, Said, keep},
    wait::patiently,
};

/// Lines of a log that are shown.
const TAIL: usize = 150;

#[derive(Debug)]
pub struct Daemon {
    program: &'static str,
    place: Place,
    arguments: Vec<OsString>,
    ops: SocketAddr,
    log: PathBuf,
    child: Option<Child>,
    quiet: bool,
}

impl Daemon {
    /// It is not started yet. The log and the operator's address are told apart from
    /// the arguments because they are used here.
    pub fn new(
        program: &'static str,
        place: Place,
        arguments: Vec<OsString>,
        ops: SocketAddr,
        log: PathBuf,
    ) -> Self {
        Self {
            program,
            place,
            arguments,
            ops,
            log,
            child: None,
            quiet: false,
        }
    }

    /// Also after a death, in the same place; ready.
    pub fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.ready()
    }

    /// The same without waiting for it.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.program);
        self.child = Some(keep(self.command()?)?);
        Ok(())
    }

    /// Waits until it does its work.
    pub fn ready(&mut self) -> Result<()> {
        let program = self.program;
        let (place, ops, child) = (&self.place, self.ops, &mut self.child);
        let waited = patiently(&format!("{program} is ready"), || {
            if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok()?) {
                return Ok(Some(status));
            }
            let answer = place.inside(|| ops::get(ops, "/readyz"))?;
            ensure!(answer.status == 200, "{}", answer.body);
            Ok(None)
        });
        match waited {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("{program} ended, {status}:\n{}", self.log()),
            Err(error) => Err(error.context(self.log())),
        }
    }

    /// Runs it with its own arguments and more to its end: with a verb.
    pub fn run(&self, more: &[&str]) -> Result<Said> {
        let mut command = self.place.command(process::weft(self.program)?);
        command.args(&self.arguments).args(more);
        process::said(command)
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            process::kill(&mut child).with_context(|| self.program)?;
        }
        Ok(())
    }

    /// SIGTERM, without waiting for the end.
    pub fn terminate(&self) -> Result<()> {
        self.signal("-TERM")
    }

    /// Waits for it to end by itself.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        let (program, log) = (self.program, self.log.clone());
        let child = self.child.as_mut();
        let child = child.with_context(|| format!("{program} does not run"))?;
        let status = patiently(&format!("{program} ends"), || {
            child.try_wait()?.with_context(|| tail(&log))
        })?;
        self.child = None;
        Ok(status)
    }

    /// How it ended by itself, if it did.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        let program = self.program;
        let child = self.child.as_mut();
        let child = child.with_context(|| format!("{program} does not run"))?;
        child
            .try_wait()
            .with_context(|| format!("wait for {program}"))
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    pub fn pid(&self) -> Result<u32> {
        self.running().map(Child::id)
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes = kilobytes.context("VmRSS in /proc")?.parse::<u64>()?;
        Ok(kilobytes * 1024)
    }

    /// The time that it has computed so far.
    pub fn computed(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // Its name, in parentheses, may hold anything.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
    }

    /// What the operator's side answers.
    pub fn ops(&self, path: &str) -> Result<Answer> {
        self.place.inside(|| ops::get(self.ops, path))
    }

    pub fn metric(&self, name: &str) -> Result<f64> {
        self.place.inside(|| ops::metric(self.ops, name))
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&self.log)
    }

    /// The lines of its log, from the first on, that might wake somebody. One that has
    /// not been started has said nothing.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let text = match fs::read(&self.log) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.with_context(|| format!("read {}", self.log.display()))?,
        };
        let text = String::from_utf8_lossy(&text);
        let loud = |line: &&str| {
            let level = line.split_whitespace().nth(1);
            level.is_some_and(|level| ["WARN", "ERROR"].contains(&level))
        };
        let named = |line| format!("{}: {line}", self.log.display());
        Ok(text.lines().filter(loud).map(named).collect())
    }

    /// Its log need not be shown when it is dropped.
    pub fn hush(&mut self) {
        self.quiet = true;
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    fn command(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = self.place.mortal(process::weft(self.program)?);
        command.args(&self.arguments);
        command.stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        process::signal(self.running()?, signal)
    }

    fn running(&self) -> Result<&Child> {
        let child = self.child.as_ref();
        child.with_context(|| format!("{} does not run", self.program))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.kill());
        // Of a test, only one that failed has its output shown.
        if !self.quiet {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
