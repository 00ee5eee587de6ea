//! How every Weft binary reads its flags and its config file, logs, prints tables and
//! times for people, and what its exit code means.
//!
//! Every option is a flag. A config file (`--config FILE`, TOML) holds the same
//! options under their long names, so there is nothing to learn twice:
//!
//! ```toml
//! controller = ["http://10.0.0.1:7440", "http://10.0.0.2:7440"]
//! insecure = true
//! ```
//!
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

use clap::{ArgMatches, Parser};
use thiserror::Error;

pub mod address;
pub mod clock;
pub mod daemon;
pub mod duration;
pub mod exit;
pub mod file;
pub mod log;
mod nearest;
pub mod table;

pub use address::parse_address;
pub use daemon::serve;
pub use duration::{format_duration, parse_duration};
pub use exit::{BadUsage, Exit, NotReady};
pub use log::{Common, LogFormat};

/// Why there are no arguments to go on with.
#[derive(Debug, Error)]
pub enum Stop {
    /// Bad usage, or a request for `--help` or `--version`.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    File(#[from] file::FileError),
}

/// Reads the arguments of this process. Where that cannot be done it says why
/// and ends the process with the code for bad usage; `--help` and `--version` end it with 0.
pub fn parse<T: Parser>() -> T {
    let stop = match parse_from(std::env::args_os(), |path| fs::read_to_string(path)) {
        Ok(parsed) => return parsed,
        Err(stop) => stop,
    };
    match stop {
        Stop::Usage(error) => error.exit(),
        Stop::File(error) => {
            let name = T::command().get_name().to_owned();
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "{name}: {}", sentence(&error));
            process::exit(Exit::BadUsage as i32)
        }
    }
}

/// The same for the given arguments (the first is the program's name), with a
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
    let Some(path) = config_path(&said) else {
        return Ok(T::try_parse_from(args)?);
    };

    let settings = file::read(&path, read_file, &T::command())?;
    let unsaid = file::unsaid(settings, &T::command(), &said);
    let program = args.len().min(1);
    args.splice(
        program..program,
        unsaid.iter().flat_map(file::Setting::arguments),
    );
    T::try_parse_from(args).map_err(|error| match file::blame(&unsaid, &path, &error) {
        Some(error) => Stop::File(error),
        None => Stop::Usage(error),
    })
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

fn config_path(said: &ArgMatches) -> Option<PathBuf> {
    said.try_get_one::<PathBuf>("config").ok()?.cloned()
}

#[cfg(test)]
mod tests;
