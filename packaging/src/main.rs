//! `weft-cni-pages DIR` writes the manual pages of weft-cni, `weft-cni-pages SHELL` prints its
//! completions. weft-cni has no parser of flags itself: it starts for every container.

use std::{env, path::Path};

use anyhow::Context;
use clap::{Arg, ArgAction, Command, ValueEnum, ValueHint};
use cni::usage::{ABOUT, EXAMPLES, FLAGS, Flag, VERBS};
use options::pages::{self, Shell};

fn main() -> anyhow::Result<()> {
    let what = env::args()
        .nth(1)
        .context("usage: weft-cni-pages DIR|SHELL")?;
    print!(
        "{}",
        match Shell::from_str(&what, false) {
            Ok(shell) => pages::completions(shell, &mut command()),
            Err(_) => pages::write_manual(command(), Path::new(&what))?,
        }
    );
    Ok(())
}

fn command() -> Command {
    let verbs =
        VERBS.map(|(name, about)| Command::new(name).about(about).args(FLAGS.iter().map(arg)));
    Command::new("weft-cni")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(EXAMPLES)
        .subcommands(verbs)
        .disable_help_subcommand(true)
}

fn arg(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.about);
    match flag.value {
        None => arg.action(ArgAction::SetTrue),
        Some((value, default)) => {
            arg.value_name(value)
                .default_value(default)
                .value_hint(match value {
                    "DIR" => ValueHint::DirPath,
                    "PATH" => ValueHint::FilePath,
                    _ => ValueHint::Other,
                })
        }
    }
}
