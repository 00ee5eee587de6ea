//! Takes every trace of Weft out of a host's kernel, when no agent runs there.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use credentials::key_file;
use overlay::{
    datapath::{plan::farewell, step::Step},
    record::Mac,
};

use crate::{
    access,
    endpoints::journal,
    identity::{self, Identity, IdentityError},
    kept,
    kernel::{Kernel, Outcome, endpoint::Links},
    lock::{KernelLock, StateLock},
};

/// Of more steps of one kind than this, only their number is told.
const MOST_LINES: usize = 20;
/// No device has it: without an identity ours are known by their names.
const NOBODY: Mac = Mac([0xff; 6]);

pub fn run(state_dir: &Path, socket: &Path, forget: bool) -> anyhow::Result<()> {
    let _alone = alone(state_dir).context("stop the agent first")?;
    let mac = match Identity::peek(state_dir) {
        Ok(identity) => identity.map_or(NOBODY, |identity| identity.mac()),
        Err(error @ IdentityError::Damaged { .. }) => {
            say(&format!(
                "going on without the identity: {}",
                options::sentence(&error)
            ));
            NOBODY
        }
        Err(error @ IdentityError::Io { .. }) => return Err(error.into()),
    };
    let left = clean(mac)?;
    // A start would restore from it what was just removed.
    remove(&state_dir.join(kept::FILE))?;
    remove(&state_dir.join(journal::FILE))?;
    remove(socket)?;
    let identity = state_dir.join(identity::FILE);
    if forget {
        remove(&identity)?;
        remove(&state_dir.join(access::FILE))?;
        remove(&key_file(&state_dir.join(access::FILE)))?;
        for file in options::events::FILES {
            remove(&state_dir.join(file))?;
        }
    } else if identity.exists() {
        say(&format!(
            "left on purpose: {}, so that this host comes back as the same node; --forget \
             removes it",
            identity.display()
        ));
    }
    match left.as_slice() {
        [] => Ok(()),
        [first, ..] => bail!(
            "{} things of Weft are still in this kernel, the first of them for `{first}`",
            left.len()
        ),
    }
}

/// Nobody else works on this kernel or in this directory, for as long as this is kept.
fn alone(state_dir: &Path) -> anyhow::Result<(KernelLock, Option<StateLock>)> {
    let kernel = KernelLock::take()?;
    // A directory that is not there is nobody's, and need not be made.
    let directory = state_dir.exists().then(|| StateLock::take(state_dir));
    Ok((kernel, directory.transpose()?))
}

/// The steps that would still have to be done.
fn clean(mac: Mac) -> anyhow::Result<Vec<Step>> {
    let mut kernel = Kernel::open()?;
    // While the guard is still there.
    let links = Links::open()?.sweep()?;
    if let Some(first) = links.first() {
        say(&format!(
            "{} links of containers, such as {first}",
            links.len()
        ));
    }
    let steps = farewell(&kernel.look(&[], mac)?, mac);
    if steps.is_empty() && !links.is_empty() {
        return Ok(steps);
    }
    if steps.is_empty() {
        say("nothing of Weft is in this kernel");
        return Ok(steps);
    }
    for steps in steps.chunk_by(|step, next| step.kind() == next.kind()) {
        let outcome = kernel.apply(steps);
        tell(steps, &outcome);
    }
    say(
        "left on purpose: net.ipv4.ip_forward and net.ipv6.conf.all.forwarding as they are, \
         for others may forward as well",
    );
    // What the kernel says now counts, and not what it answered.
    Ok(farewell(&kernel.look(&[], mac)?, mac))
}

fn tell(steps: &[Step], outcome: &Outcome) {
    let failed = |step: &Step| outcome.failures.iter().any(|failure| failure.step == *step);
    if steps.len() <= MOST_LINES {
        for step in steps.iter().filter(|step| !failed(step)) {
            say(&step.to_string());
        }
    } else if let Some(first) = steps.first() {
        let done = steps.len() - outcome.failures.len();
        say(&format!(
            "{done} of {} steps such as `{first}`",
            steps.len()
        ));
    }
    for failure in outcome.failures.iter().take(MOST_LINES) {
        say(&format!("FAILED: {}: {}", failure.step, failure.reason));
    }
    if let more @ 1.. = outcome.failures.len().saturating_sub(MOST_LINES) {
        say(&format!("FAILED: {more} more"));
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Ok(()) => say(&format!("removed {}", file.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot remove {}", file.display()));
        }
    }
    Ok(())
}

/// Whether or not somebody reads it, the work goes on.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
