//! Processes that a test starts: they die with it, and can be told of death before.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Child, Command},
    sync::{LazyLock, mpsc},
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

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

/// Sends a signal such as `-STOP` to the very process that was started.
pub fn signal(child: &Child, signal: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .map_err(|error| missing("kill", error))?;
    if !status.success() {
        bail!("kill {signal} {}: {status}", child.id());
    }
    Ok(())
}

pub fn missing(program: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return anyhow!("{program} is not installed: run `make setup`");
    }
    anyhow!(error).context(format!("run {program}"))
}

/// One of Weft's own programs: it was built beside this one.
pub fn weft(program: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("where this program is")?;
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
