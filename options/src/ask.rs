//! What every binary tells of its own options.

use std::{io, path::PathBuf};

use clap::{ArgMatches, Command};

use crate::{
    example,
    pages::{self, Shell},
};

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Ask {
    /// Print each option in force and where it comes from; secrets are left out
    #[arg(long)]
    pub print_config: bool,
    /// Print a config file with every option, commented
    #[arg(long)]
    pub example_config: bool,
    /// Print what completes commands in this shell
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,
    /// Write manual pages into this directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub man: Option<PathBuf>,
}

/// They are of the command line alone.
pub const IDS: [&str; 4] = ["print_config", "example_config", "completions", "man"];

/// The answer to a question that needs nothing but the options' names.
pub fn answer(said: &ArgMatches, mut command: Command) -> Option<io::Result<String>> {
    if flag(said, "example_config") {
        return Some(Ok(example::text(&command)));
    }
    if let Ok(Some(shell)) = said.try_get_one::<Shell>("completions") {
        return Some(Ok(pages::completions(*shell, &mut command)));
    }
    let directory = said.try_get_one::<PathBuf>("man").ok()??;
    Some(pages::write_manual(command, directory))
}

pub fn wants_config(said: &ArgMatches) -> bool {
    flag(said, "print_config")
}

fn flag(said: &ArgMatches, id: &str) -> bool {
    matches!(said.try_get_one::<bool>(id), Ok(Some(true)))
}
