//! Where a program runs: on this machine as it is, or in a namespace of a lab.

use std::{ffi::OsStr, process::Command};

use anyhow::{Result, bail};

use super::Namespace;
use crate::process;

#[derive(Debug, Clone)]
pub enum Place {
    Here,
    In(Namespace),
}

impl Place {
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Here => Command::new(program),
            Self::In(namespace) => namespace.command(program),
        }
    }

    /// A command whose process dies with this one.
    pub fn mortal(&self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Here => process::mortal(program),
            Self::In(namespace) => namespace.command(program),
        }
    }

    pub fn namespace(&self) -> Result<&Namespace> {
        match self {
            Self::Here => bail!("it runs on this machine as it is"),
            Self::In(namespace) => Ok(namespace),
        }
    }

    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        match self {
            Self::Here => act(),
            Self::In(namespace) => namespace.inside(act),
        }
    }
}
