//! The programs of a lab, and what can be done to each.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use tests::{daemon::Daemon, etcd::Etcd};

use crate::words::{Deed, State};

/// How long one that was started is waited for.
const READY: Duration = Duration::from_secs(5);

/// What can be killed and started again.
pub enum Program<'a> {
    Weft(String, &'a mut Daemon),
    Etcd(&'a mut Etcd),
}

impl Program<'_> {
    /// What was done, in a sentence.
    pub fn touch(&mut self, deed: Deed) -> Result<String> {
        match deed {
            Deed::Kill => self.kill(),
            Deed::Stop => self.stop(),
            Deed::Start => self.start(),
            Deed::Pause => self.pause(),
            Deed::Resume => self.resume(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Weft(name, _) => name,
            Self::Etcd(_) => "etcd",
        }
    }

    fn state(&self) -> State {
        process(match self {
            Self::Weft(_, daemon) => daemon.pid().ok(),
            Self::Etcd(etcd) => etcd.pid().ok(),
        })
    }

    fn kill(&mut self) -> Result<String> {
        self.must_be(&[State::Ready, State::Paused])?;
        match self {
            Self::Weft(_, daemon) => daemon.kill()?,
            Self::Etcd(etcd) => etcd.kill()?,
        }
        Ok(format!("{} is killed", self.name()))
    }

    fn stop(&mut self) -> Result<String> {
        self.must_be(&[State::Ready])?;
        match self {
            Self::Weft(_, daemon) => {
                daemon.terminate()?;
                daemon.ended()?;
            }
            Self::Etcd(etcd) => etcd.stop()?,
        }
        Ok(format!("{} has ended", self.name()))
    }

    fn start(&mut self) -> Result<String> {
        self.must_be(&[State::Down])?;
        let name = self.name().to_owned();
        let daemon = match self {
            Self::Weft(_, daemon) => daemon,
            Self::Etcd(etcd) => {
                etcd.restart()?;
                return Ok(format!("{name} is ready"));
            }
        };
        // It may have ended by itself.
        daemon.kill()?;
        daemon.launch()?;
        let began = Instant::now();
        loop {
            match state(daemon) {
                (State::Ready, _) => return Ok(format!("{name} is ready")),
                (State::Down, _) => bail!("{name} ended:\n{}", daemon.log()),
                (_, reason) if began.elapsed() > READY => {
                    let reason = reason.unwrap_or_default();
                    return Ok(format!("{name} runs, and is not ready yet: {reason}"));
                }
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn pause(&mut self) -> Result<String> {
        self.must_be(&[State::Ready])?;
        match self {
            Self::Weft(_, daemon) => daemon.pause()?,
            Self::Etcd(etcd) => etcd.pause()?,
        }
        Ok(format!("{} is frozen", self.name()))
    }

    fn resume(&mut self) -> Result<String> {
        self.must_be(&[State::Paused])?;
        match self {
            Self::Weft(_, daemon) => daemon.resume()?,
            Self::Etcd(etcd) => etcd.resume()?,
        }
        Ok(format!("{} goes on", self.name()))
    }

    /// As a process; whether it is ready to work is not asked.
    fn must_be(&self, states: &[State]) -> Result<()> {
        let (name, state) = (self.name(), self.state());
        ensure!(
            states.contains(&state),
            "{name} {}",
            match state {
                State::Down => "does not run",
                State::Paused => "is frozen: resume or kill it",
                State::Ready | State::NotReady => "runs already",
            }
        );
        Ok(())
    }
}

/// Of one of Weft's programs, and why it is not ready.
pub fn state(daemon: &Daemon) -> (State, Option<String>) {
    let process = process(daemon.pid().ok());
    if process != State::Ready {
        return (process, None);
    }
    match daemon.ops("/readyz") {
        Ok(answer) if answer.status == 200 => (State::Ready, None),
        Ok(answer) => (State::NotReady, Some(answer.body.trim().to_owned())),
        Err(error) => (State::NotReady, Some(format!("{error:#}"))),
    }
}

/// As the kernel sees it.
pub fn process(pid: Option<u32>) -> State {
    let stat = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    let state = stat.as_deref().and_then(|stat| stat.rsplit_once(") "));
    match state.and_then(|(_, rest)| rest.chars().next()) {
        None | Some('Z' | 'X') => State::Down,
        Some('T' | 't') => State::Paused,
        Some(_) => State::Ready,
    }
}
