//! `weft ipam`: the addresses that this host gives to containers.

use std::time::Duration;

use clap::{Args, Subcommand};
use options::Exit;
use socket::words::{Finding, Use};

use crate::{agent, failure::Failure, output::Output};
use row::{FindingRow, UseRow};

mod row;

#[derive(Debug, Args)]
pub struct Ipam {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    at: agent::At,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Verb {
    /// Show how much of this host's subnets is given out
    #[command(after_help = "\
Example:
  weft ipam show -o json

Cooling addresses were given back, and are not given out again yet.")]
    Show,
    /// Compare the book of addresses with the kernel; change nothing
    #[command(after_help = "\
Example:
  weft ipam check || weft ipam repair

The exit code is 0 if all is as it should be, and 1 if something is not.")]
    Check,
    /// Mend what a check finds, as far as that takes no person
    #[command(after_help = "\
Example:
  weft ipam repair

The exit code is 0 if nothing is left to mend, and 1 if a person has to decide.")]
    Repair,
}

pub fn run(ipam: &Ipam, within: Duration, output: &Output) -> Result<Exit, Failure> {
    let agent = ipam.at.agent(within);
    match ipam.verb {
        Verb::Show => {
            let all: Vec<Use> = agent.get("GET", "/ipam")?;
            let rows: Vec<UseRow> = all.into_iter().map(UseRow::from).collect();
            output.list(&rows, "this host has no subnets")?;
            Ok(Exit::Done)
        }
        Verb::Check => {
            let found: Vec<Finding> = agent.get("POST", "/ipam/check")?;
            let clean = found.is_empty();
            told(found, "every address is as it should be", output)?;
            Ok(done_if(clean))
        }
        Verb::Repair => {
            let found: Vec<Finding> = agent.get("POST", "/ipam/repair")?;
            let mended = found.iter().all(|finding| finding.remedy.is_some());
            told(found, "there was nothing to mend", output)?;
            Ok(done_if(mended))
        }
    }
}

fn told(found: Vec<Finding>, nothing: &str, output: &Output) -> Result<(), Failure> {
    let rows: Vec<FindingRow> = found.into_iter().map(FindingRow::from).collect();
    output.list(&rows, nothing)
}

fn done_if(good: bool) -> Exit {
    if good { Exit::Done } else { Exit::Failed }
}

#[cfg(test)]
mod tests;
