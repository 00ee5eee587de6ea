//! The programs of iptables.

use std::{
    env, io,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use overlay::{
    datapath::forward::{Backend, Filter},
    subnet::Family,
};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum ForwardError {
    #[error(
        "there is no {0} to change it with, and packets of containers may be dropped; install \
         the package iptables"
    )]
    NoProgram(Filter),
    #[error("{program} did not end within {} s", PATIENCE.as_secs())]
    Late { program: String },
    #[error("{program} cannot be run: {error}")]
    Run { program: String, error: io::Error },
    #[error("{program}: {said}")]
    Refused { program: String, said: String },
}

/// Another program that changes the table is waited for, and that is most of it.
const PATIENCE: Duration = Duration::from_secs(10);
const LOCK_SECONDS: &str = "5";
/// A listing takes a millisecond or two.
const POLL: Duration = Duration::from_millis(1);
/// Where they are, also when a service's path does not say so.
const PLACES: &str = "/usr/sbin:/sbin";

/// The lines of a chain; none: there is no such chain.
pub fn list(filter: Filter, chain: &str) -> Result<Option<Vec<String>>, ForwardError> {
    let done = run(filter, "", &["-w", LOCK_SECONDS, "-S", chain], "")?;
    if done.status.success() {
        return Ok(Some(done.said.lines().map(str::to_owned).collect()));
    }
    // Both kinds end so where a chain is not there, and with other numbers otherwise.
    if done.status.code() == Some(1) {
        return Ok(None);
    }
    Err(done.refused())
}

/// Everything that this program keeps, with how many packets each rule had.
pub fn counted(filter: Filter) -> Result<String, ForwardError> {
    let done = run(filter, "-save", &["-c"], "")?;
    if done.status.success() {
        Ok(done.said)
    } else {
        Err(done.refused())
    }
}

/// All of these lines, or nothing. Chains of which they do not speak stay as they are.
pub fn restore(filter: Filter, lines: &[String]) -> Result<(), ForwardError> {
    let text = format!("*filter\n{}\nCOMMIT\n", lines.join("\n"));
    let words = ["--noflush", "-w", LOCK_SECONDS];
    let done = run(filter, "-restore", &words, &text)?;
    if done.status.success() {
        Ok(())
    } else {
        Err(done.refused())
    }
}

struct Done {
    program: String,
    status: ExitStatus,
    said: String,
    complained: String,
}

impl Done {
    fn refused(self) -> ForwardError {
        let lines = self.complained.lines().map(str::trim);
        let said = lines.filter(|line| !line.is_empty()).take(2);
        ForwardError::Refused {
            program: self.program,
            said: said.collect::<Vec<_>>().join(" "),
        }
    }
}

fn run(filter: Filter, kind: &str, words: &[&str], text: &str) -> Result<Done, ForwardError> {
    let program = format!("{filter}{kind}");
    match run_program(&program, words, text) {
        Err(ForwardError::Run { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    // Where there is only one kind, it has the plain name.
    let plain = match filter.family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let version = run_program(plain, &["--version"], "");
    let is_nft = version.is_ok_and(|done| done.said.contains("nf_tables"));
    if is_nft != (filter.backend == Backend::Nft) {
        return Err(ForwardError::NoProgram(filter));
    }
    match run_program(&format!("{plain}{kind}"), words, text) {
        Err(ForwardError::Run { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Err(ForwardError::NoProgram(filter))
        }
        done => done,
    }
}

fn run_program(program: &str, words: &[&str], text: &str) -> Result<Done, ForwardError> {
    let failed = |error| ForwardError::Run {
        program: program.to_owned(),
        error,
    };
    let path = env::var("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(words)
        .env("PATH", format!("{path}:{PLACES}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // One that ends before it has read everything says itself why.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(text.as_bytes())));
        let said = scope.spawn(move || read(stdout));
        let complained = scope.spawn(move || read(stderr));
        let status = wait(&mut child).map_err(failed)?;
        let text = |reader: thread::ScopedJoinHandle<'_, String>| reader.join().unwrap_or_default();
        let (said, complained) = (text(said), text(complained));
        let program = program.to_owned();
        match status {
            Some(status) => Ok(Done {
                program,
                status,
                said,
                complained,
            }),
            None => Err(ForwardError::Late { program }),
        }
    })
}

/// None: it was killed, for it took too long.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

fn read(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // What was read until then counts.
        let _ = from.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
