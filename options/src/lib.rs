//! How every Weft binary reads its flags and its config file, logs and keeps what it logged,
//! prints tables and times for people, what it tells systemd, and what its exit code means.
//!
//! Every option is a flag. A config file (`--config FILE`, TOML) holds the same
//! options under their long names, so there is nothing to learn twice:
//!
//! ```toml
//! controller = ["http://10.0.0.1:7440", "http://10.0.0.2:7440"]
//! insecure = true
//! ```
//!
//! Without `--config` it is the file of its name in `/etc/weft`, where there is one.
//! A flag beats the environment, which beats the file, which beats the default.
//! A binary flattens [`Common`] into its arguments and calls [`parse`].

use std::{
    error::Error,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use clap::{ArgMatches, Command, Parser};
use thiserror::Error;

pub mod address;
mod ask;
pub mod clock;
pub mod daemon;
pub mod duration;
pub mod events;
mod example;
pub mod exit;
pub mod file;
mod in_force;
pub mod log;
mod nearest;
pub mod notify;
pub mod pages;
pub mod scrub;
pub mod table;
mod written;

pub use address::parse_address;
pub use ask::Ask;
pub use daemon::{Process, serve};
pub use duration::{format_duration, parse_duration};
pub use events::Events;
pub use exit::{BadUsage, Exit, NotReady};
pub use log::{Common, LogFormat};
pub use notify::Notify;
pub use scrub::scrub;

/// Where config files are.
const DIRECTORY: &str = "/etc/weft";

/// Why there are no arguments to go on with.
#[derive(Debug, Error)]
pub enum Stop {
    /// Bad usage, or a request for `--help` or `--version`.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    File(#[from] file::FileError),
    /// What was asked of the options themselves.
    #[error("{0}")]
    Answer(String),
    #[error("cannot write manual pages")]
    Pages(#[source] io::Error),
}

/// Reads the arguments of this process. Where that cannot be done it says why
/// and ends the process with the code for bad usage; `--help` and the like end it with 0.
pub fn parse<T: Parser>() -> T {
    let stop = match parse_from(std::env::args_os(), |path| fs::read_to_string(path)) {
        Ok(parsed) => return parsed,
        Err(stop) => stop,
    };
    // Nobody may be there to read it.
    let code = match stop {
        Stop::Usage(error) => error.exit(),
        Stop::Answer(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            Exit::Done
        }
        Stop::File(_) | Stop::Pages(_) => {
            let name = T::command().get_name().to_owned();
            let _ = writeln!(io::stderr(), "{name}: {}", sentence(&stop));
            match stop {
                Stop::Pages(_) => Exit::Failed,
                _ => Exit::BadUsage,
            }
        }
    };
    process::exit(code as i32)
}

/// What `--print-config` says of the arguments of this process.
fn in_force<T: Parser>() -> String {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    args.insert(args.len().min(1), "--print-config".into());
    match parse_from::<T>(args, |path| fs::read_to_string(path)) {
        Err(Stop::Answer(text)) => scrub(&text),
        Err(other) => format!("# {}\n", sentence(&other)),
        Ok(_) => String::new(),
    }
}

/// The same as [`parse`] for the given arguments (the first is the program's name), with a
/// reader for the config file.
pub fn parse_from<T: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString>>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<T, Stop> {
    let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    // What is said outside the file. An error in it is met again below, when
    // required options may have come from the file.
    let said = T::command()
        .ignore_errors(true)
        .try_get_matches_from(&args)?;
    if let Some(answer) = ask::answer(&said, T::command()) {
        return Err(answer.map_or_else(Stop::Pages, Stop::Answer));
    }
    let (path, settings) = from_file(&said, &T::command(), read_file)?;
    let used = file::unsaid(settings, &T::command(), &said);
    let program = args.len().min(1);
    args.splice(
        program..program,
        used.iter().flat_map(file::Setting::arguments),
    );
    let blame = |error| match path.as_deref() {
        Some(path) => match file::blame(&used, path, &error) {
            Some(error) => Stop::File(error),
            None => Stop::Usage(error),
        },
        None => Stop::Usage(error),
    };
    if ask::wants_config(&said) {
        let command = T::command().subcommand_required(false);
        let matches = command.clone().try_get_matches_from(args).map_err(blame)?;
        let text = in_force::text(&command, &matches, path.as_deref(), &used);
        return Err(Stop::Answer(text));
    }
    T::try_parse_from(args).map_err(blame)
}

/// Where the config file of a program is, unless another is named.
fn config_file(program: &str) -> PathBuf {
    let name = program.strip_prefix("weft-").unwrap_or(program);
    Path::new(DIRECTORY).join(format!("{name}.toml"))
}

/// The file that was read and what it sets: the one that is named, or the program's own if
/// it is there.
fn from_file(
    said: &ArgMatches,
    command: &Command,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<(Option<PathBuf>, Vec<file::Setting>), file::FileError> {
    let Ok(named) = said.try_get_one::<PathBuf>("config") else {
        return Ok((None, Vec::new()));
    };
    let path = match named {
        Some(path) => path.clone(),
        None => config_file(command.get_name()),
    };
    match file::read(&path, read_file, command) {
        Err(file::FileError::Read { source, .. })
            if named.is_none() && source.kind() == io::ErrorKind::NotFound =>
        {
            Ok((None, Vec::new()))
        }
        read => Ok((Some(path), read?)),
    }
}

/// An error and its causes as one line.
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The innermost cause, where the layers above it only repeat that there is one.
pub fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests;
