//! Commands on a machine of a lab: this process becomes them.

use std::{env, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use options::Exit;

use crate::{
    home::Home,
    words::{Found, Machine},
};

pub fn exec(home: &Home, machine: &Machine, command: &[String]) -> Result<Exit> {
    become_one(&home.find(machine.clone())?, command)
}

pub fn shell(home: &Home, machine: &Machine) -> Result<Exit> {
    let found = home.find(machine.clone())?;
    let prompt = format!("PS1=[{machine}] \\w # ");
    let bash = ["env", &prompt, "bash", "--norc"].map(ToOwned::to_owned);
    become_one(&found, &bash)
}

/// Weft's programs are found there without a path, and `weft` finds the controllers.
fn become_one(found: &Found, command: &[String]) -> Result<Exit> {
    let this = env::current_exe().context("where this program is")?;
    let beside = this.parent().context("where this program is")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let places = [beside.to_owned()]
        .into_iter()
        .chain(env::split_paths(&path));
    let mut inside = Command::new("nsenter");
    inside.args(["-t", &found.pid.to_string(), "-n", "-m", "--"]);
    inside.args(command);
    inside.env("PATH", env::join_paths(places)?);
    inside.env("WEFT_CONTROLLER", &found.controllers);
    if let Some(credentials) = &found.credentials {
        inside.env("WEFT_CREDENTIALS", credentials);
    }
    // It only comes back when it could not begin.
    Err(inside.exec()).context("run nsenter")
}
