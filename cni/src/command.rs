//! What a person types. Engines never come here but for netavark's verbs.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use cni::{
    call::is_plain,
    conf::{NETWORK, SOCKET},
    usage::{self, BIN_DIR, CONF_DIR, NAME, PLUGIN_DIR},
};

use crate::{
    install::{Engine, Place},
    podman, say,
};

const FAILED: u8 = 1;
const BAD_USAGE: u8 = 2;

pub fn run(words: &[String]) -> ExitCode {
    let Some((first, rest)) = words.split_first() else {
        return misused("nothing was asked for");
    };
    match first.as_str() {
        "-h" | "--help" | "help" => printed(&usage::help()),
        "-V" | "--version" => printed(concat!("weft-cni ", env!("CARGO_PKG_VERSION"))),
        "install" | "uninstall" if rest.iter().any(|word| word == "-h" || word == "--help") => {
            printed(&usage::help())
        }
        "install" => act(rest, |place| place.install()),
        "uninstall" => act(rest, |place| place.uninstall()),
        "netavark" => podman::run(rest),
        verb if podman::VERBS.contains(&verb) => podman::run(words),
        other => misused(&format!("there is no {other:?}")),
    }
}

fn act(words: &[String], act: impl Fn(&Place) -> io::Result<Vec<String>>) -> ExitCode {
    let place = match place(words) {
        Ok(place) => place,
        Err(problem) => return misused(&problem),
    };
    match act(&place) {
        Ok(lines) => printed(&lines.join("\n")),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(FAILED)
        }
    }
}

/// Options, as `--network blue` or `--network=blue`.
fn place(words: &[String]) -> Result<Place, String> {
    let mut place = Place {
        engine: Engine::Cni,
        network: NETWORK.parse().map_err(|_| "no network".to_owned())?,
        name: NAME.into(),
        conf_dir: CONF_DIR.into(),
        bin_dir: BIN_DIR.into(),
        plugin_dir: PLUGIN_DIR.into(),
        socket: SOCKET.into(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (option, with) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            let value = with.clone().or_else(|| words.next().cloned());
            value.ok_or_else(|| format!("{option} needs a value"))
        };
        match option {
            "--network" => {
                let network = value()?.parse();
                place.network = network.map_err(|error| format!("--network: {error}"))?;
            }
            "--name" => place.name = name(value()?)?,
            "--conf-dir" => place.conf_dir = PathBuf::from(value()?),
            "--bin-dir" => place.bin_dir = PathBuf::from(value()?),
            "--plugin-dir" => place.plugin_dir = PathBuf::from(value()?),
            "--socket" => place.socket = PathBuf::from(value()?),
            "--netavark" if with.is_none() => place.engine = Engine::Netavark,
            _ => return Err(format!("there is no option {word}")),
        }
    }
    Ok(place)
}

/// As the specification wants it, and as a file's name needs it.
fn name(name: String) -> Result<String, String> {
    if is_plain(&name) && name.len() <= 128 {
        return Ok(name);
    }
    Err(format!(
        "--name {name:?}: it begins with a letter or digit and goes on with letters, digits, '_', '.' and '-'"
    ))
}

fn printed(text: &str) -> ExitCode {
    say(text);
    ExitCode::SUCCESS
}

fn misused(problem: &str) -> ExitCode {
    complain(&format!("{problem}; see weft-cni --help"));
    ExitCode::from(BAD_USAGE)
}

fn complain(problem: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "weft-cni: {problem}");
}

#[cfg(test)]
mod tests;
