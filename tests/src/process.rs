//! Processes that a test starts: they die with it, and can be told of death before.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// For a program that should come to its end; the slowest waits for others meanwhile.
const LIMIT: Duration = Duration::from_secs(60);

/// What a program said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

type Job = (Command, mpsc::Sender<std::io::Result<Child>>);

/// A command whose process dies with this one, however this one dies.
pub fn mortal(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Spawns from a thread that never ends: to the kernel the parent whose death kills
/// a child is the thread, and that of a test may end before the test does.
pub fn keep(command: Command) -> Result<Child> {
    static KEEPER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in queue {
                drop(reply.send(command.spawn()));
            }
        });
        jobs
    });
    let program = format!("{:?}", command.get_program());
    let (reply, child) = mpsc::channel();
    KEEPER
        .send((command, reply))
        .with_context(|| format!("start {program}"))?;
    let child = child.recv().with_context(|| format!("start {program}"))?;
    child.map_err(|error| missing("setpriv", error))
}

/// Runs a program to its end.
pub fn said(command: Command) -> Result<Said> {
    said_to(command, "")
}

/// The same for one that reads.
pub fn said_to(mut command: Command, input: &str) -> Result<Said> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = format!("run {command:?}");
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().map_err(|error| missing(&program, error))?;
    let id = child.id().to_string();
    let input = input.to_owned();
    let (done, output) = mpsc::channel();
    thread::spawn(move || drop(done.send(finish(child, &input))));
    match output.recv_timeout(LIMIT) {
        Ok(output) => Ok(Said::of(&output.with_context(|| what)?)),
        Err(_) => {
            drop(Command::new("kill").args(["-KILL", &id]).status());
            bail!("{what}: it did not end within {LIMIT:?}");
        }
    }
}

/// Sends a signal such as `-STOP` to the very process that was started.
pub fn signal(child: &Child, signal: &str) -> Result<()> {
    signal_to(child.id(), signal)
}

pub fn signal_to(process: u32, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([signal, &process.to_string()])
        .status()
        .map_err(|error| missing("kill", error))?;
    if !status.success() {
        bail!("kill {signal} {process}: {status}");
    }
    Ok(())
}

/// SIGKILL. In a machine the program itself is a child of the nsenter that was started,
/// which ends with it.
pub fn kill(child: &mut Child) -> Result<()> {
    let id = child.id();
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    match children(id)?.first() {
        Some(inner) if name == "nsenter\n" => drop(signal_to(*inner, "-KILL")),
        _ => child.kill().context("kill")?,
    }
    child.wait().context("wait for its end").map(drop)
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let process = entry?.file_name().to_string_lossy().parse();
        let child = |process: &u32| parent_of(*process) == Some(parent);
        children.extend(process.ok().filter(child));
    }
    Ok(children)
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    fields.nth(1)?.parse().ok()
}

pub fn missing(program: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return anyhow!("{program} is not installed: run `make setup`");
    }
    anyhow!(error).context(format!("run {program}"))
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            // As a shell counts a death by signal.
            code: output
                .status
                .code()
                .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

fn finish(mut child: Child, input: &str) -> std::io::Result<Output> {
    if let Some(mut stdin) = child.stdin.take() {
        // One that reads nothing is none the worse for it.
        drop(stdin.write_all(input.as_bytes()));
    }
    child.wait_with_output()
}

/// One of Weft's own programs: it was built beside this one, unless `WEFT_PROGRAMS` names
/// a directory that has others to be tried.
pub fn weft(program: &str) -> Result<PathBuf> {
    if let Some(others) = env::var_os("WEFT_PROGRAMS") {
        let other = Path::new(&others).join(program);
        if other.is_file() {
            return Ok(other);
        }
    }
    let this = env::current_exe().context("where this program is")?;
    // A test is in target/<profile>/deps, a program one above.
    let beside = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|place| place.join(program));
    let found = beside.clone().find(|place| place.is_file());
    let places: Vec<String> = beside.map(|place| place.display().to_string()).collect();
    ensure!(
        found.is_some(),
        "{program} is not built (looked for {}): run `make build`",
        places.join(" and ")
    );
    found.context("it was found")
}
