//! What daemons tell systemd, and what systemd says of their units.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::{lab::Lab, process};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/systemd");
/// Longer than signs of life are apart, also on a busy machine.
const SILENCE: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);

/// Until a word begins so.
fn hear(listener: &UnixDatagram, start: &str) -> Result<String> {
    listener.set_read_timeout(Some(DEADLINE))?;
    let mut bytes = [0; 1024];
    let mut heard = Vec::new();
    loop {
        let length = listener.recv(&mut bytes);
        let length = length.with_context(|| format!("{start} is not said, but {heard:?}"))?;
        let word = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if word.starts_with(start) {
            return Ok(word);
        }
        heard.push(word);
    }
}

fn is_silent(listener: &UnixDatagram) -> Result<()> {
    listener.set_read_timeout(Some(SILENCE))?;
    let mut bytes = [0; 1024];
    // What was said before it was frozen.
    listener.set_nonblocking(true)?;
    while listener.recv(&mut bytes).is_ok() {}
    listener.set_nonblocking(false)?;
    ensure!(listener.recv(&mut bytes).is_err(), "a frozen one is alive");
    Ok(())
}

#[test]
fn daemons_say_that_they_run_how_they_are_and_that_they_live() -> Result<()> {
    let lab = Lab::new(1)?;
    let host = lab.host(1);
    let directory = tempfile::tempdir()?;
    let state = directory.path().join("state").display().to_string();
    let socket = directory.path().join("agent.sock").display().to_string();
    for (program, options, status) in [
        (
            "weft-controller",
            vec!["--data-dir", state.as_str()],
            "STATUS=ready",
        ),
        (
            "weft-agent",
            vec!["--state-dir", &state, "--socket", &socket],
            "STATUS=not ready: ",
        ),
    ] {
        let path = directory.path().join(program);
        let listener = UnixDatagram::bind(&path)?;
        let told = format!("NOTIFY_SOCKET={}", path.display());
        let program = process::weft(program)?.display().to_string();
        let start = ["env", &told, "WATCHDOG_USEC=500000", &program];
        let mut running = host.spawn(&[&start[..], &options].concat())?;
        hear(&listener, "READY=1")?;
        hear(&listener, status)?;
        for _ in 0..3 {
            hear(&listener, "WATCHDOG=1")?;
        }
        running.signal("-STOP")?;
        is_silent(&listener)?;
        running.signal("-CONT")?;
        hear(&listener, "WATCHDOG=1")?;
        running.signal("-TERM")?;
        hear(&listener, "STOPPING=1")?;
        ensure!(running.child().wait()?.success(), "{program}");
    }
    Ok(())
}

/// The units, with the programs that were built.
fn units(directory: &Path) -> Result<Vec<String>> {
    let built = process::weft("weft-agent")?;
    let built = built.parent().context("a program is in a directory")?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(UNITS)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".service") || name.ends_with(".socket") {
            let text = fs::read_to_string(entry.path())?;
            let text = text.replace("/usr/bin", &built.to_string_lossy());
            let path = directory.join(name);
            fs::write(&path, text)?;
            paths.push(path.display().to_string());
        }
    }
    ensure!(paths.len() == 3, "{paths:?}");
    Ok(paths)
}

#[test]
fn systemd_knows_every_word_of_the_units() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    verify.args(units(directory.path())?);
    let said = process::said(verify)?;
    let ours = said.stderr.lines().filter(|line| line.contains("weft"));
    // Of a word that it does not know it only warns.
    ensure!(said.code == 0 && ours.count() == 0, "{said:?}");
    Ok(())
}

/// In tenths of systemd's measure, of which 10 is everything that root may do.
#[test]
fn units_leave_daemons_little() -> Result<()> {
    for (unit, most) in [("weft-controller", 15), ("weft-agent", 35)] {
        let mut security = Command::new("systemd-analyze");
        let threshold = format!("--threshold={most}");
        security.args(["security", "--offline=true", "--no-pager", &threshold]);
        security.arg(format!("{UNITS}/{unit}.service"));
        let said = process::said(security)?;
        let overall = said.stdout.lines().find(|line| line.contains("Overall"));
        let overall = overall.with_context(|| format!("{said:?}"))?;
        ensure!(said.code == 0, "{unit}: {overall}");
    }
    Ok(())
}
