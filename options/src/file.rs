//! The config file: each of its keys is the long name of an option.
//!
//! A setting becomes the flag it stands for, so that clap judges it like any
//! other; only those are used that neither a flag nor the environment has set.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use clap::{
    Arg, ArgAction, ArgMatches, Command, Id,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use thiserror::Error;
use toml::de::{DeTable, DeValue};

use crate::{ask, nearest::nearest};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub line: usize,
}

#[derive(Debug, Error)]
pub enum FileError {
    #[error("cannot read the config file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{place}: {message}")]
    Toml { place: Place, message: String },
    #[error("{place}: unknown option `{key}`{}", hint(nearest.as_ref()))]
    Unknown {
        place: Place,
        key: String,
        nearest: Option<String>,
    },
    #[error("{place}: `{key}` {problem}")]
    Kind {
        place: Place,
        key: String,
        problem: &'static str,
    },
    /// What clap says of the value.
    #[error("{place}: {message}")]
    Value { place: Place, message: String },
}

/// One option that the file sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub(crate) id: Id,
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) given: Given,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    Values(Vec<String>),
    /// A flag without a value, this many times.
    Times(usize),
}

/// Reads the file at `path` as settings of `command`.
pub fn read(
    path: &Path,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
    command: &Command,
) -> Result<Vec<Setting>, FileError> {
    let text = read_file(path).map_err(|source| FileError::Read {
        path: path.into(),
        source,
    })?;
    let place = |at: usize| Place {
        path: path.into(),
        line: line(&text, at),
    };
    let table = DeTable::parse(&text).map_err(|error| FileError::Toml {
        place: place(error.span().map_or(0, |span| span.start)),
        message: error.message().trim_end().replace('\n', ", "),
    })?;

    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let place = place(key.span().start);
        let key = key.get_ref().as_ref();
        let arg = option(command, key).ok_or_else(|| unknown(place.clone(), key, command))?;
        let line = place.line;
        let given = given(arg, value.get_ref()).map_err(|problem| FileError::Kind {
            place,
            key: key.into(),
            problem,
        })?;
        settings.push(Setting {
            id: arg.get_id().clone(),
            key: key.into(),
            line,
            given,
        });
    }
    Ok(settings)
}

/// The settings that nobody has overruled: neither their own option nor one
/// that excludes it is said as a flag or in the environment.
pub fn unsaid(settings: Vec<Setting>, command: &Command, said: &ArgMatches) -> Vec<Setting> {
    let is_said = |arg: &Arg| {
        matches!(
            said.value_source(arg.get_id().as_str()),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let said: Vec<&Arg> = command.get_arguments().filter(|arg| is_said(arg)).collect();
    let overruled = |setting: &Setting| {
        said.iter()
            .any(|arg| *arg.get_id() == setting.id || exclude_each_other(command, arg, &setting.id))
    };
    settings
        .into_iter()
        .filter(|setting| !overruled(setting))
        .collect()
}

/// The same error with the place in the file, if it is about one of its values.
pub fn blame(used: &[Setting], path: &Path, error: &clap::Error) -> Option<FileError> {
    error.get(ContextKind::InvalidValue)?;
    let ContextValue::String(shown) = error.get(ContextKind::InvalidArg)? else {
        return None;
    };
    let name = shown.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    let setting = used.iter().find(|setting| setting.key == name)?;
    let text = error.to_string();
    let paragraph = text.split("\n\n").next()?.trim_start_matches("error: ");
    Some(FileError::Value {
        place: Place {
            path: path.into(),
            line: setting.line,
        },
        message: paragraph.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

impl Setting {
    /// The flags it stands for. `--key=value` in one piece: a value may begin with a dash.
    pub fn arguments(&self) -> Vec<OsString> {
        match &self.given {
            Given::Values(values) => values
                .iter()
                .map(|value| format!("--{}={value}", self.key).into())
                .collect(),
            Given::Times(times) => vec![format!("--{}", self.key).into(); *times],
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

fn option<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    options(command).find(|arg| arg.get_long() == Some(key))
}

/// What a file may set: everything but another file and questions.
pub(crate) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        id != "config" && !ask::IDS.contains(&id)
    })
}

fn unknown(place: Place, key: &str, command: &Command) -> FileError {
    FileError::Unknown {
        place,
        key: key.into(),
        nearest: nearest(key, options(command).filter_map(Arg::get_long)).map(Into::into),
    }
}

fn hint(nearest: Option<&String>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

fn given(arg: &Arg, value: &DeValue<'_>) -> Result<Given, &'static str> {
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => match value.as_bool() {
            Some(on) => Ok(Given::Times(usize::from(on))),
            None => Err("is a switch; write true or false"),
        },
        ArgAction::Count => scalar(value)
            .and_then(|times| times.parse().ok())
            .map(Given::Times)
            .ok_or("is counted; write a number"),
        ArgAction::Append => match value.as_array() {
            Some(values) => values
                .iter()
                .map(|value| scalar(value.get_ref()))
                .collect::<Option<_>>()
                .map(Given::Values)
                .ok_or(
                    "is a list; write each of its values as a string, a number or true or false",
                ),
            None => one(value),
        },
        _ => one(value),
    }
}

fn one(value: &DeValue<'_>) -> Result<Given, &'static str> {
    scalar(value)
        .map(|value| Given::Values(vec![value]))
        .ok_or("takes one value: a string, a number or true or false")
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(decimal.to_string())
        }
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn exclude_each_other(command: &Command, arg: &Arg, id: &Id) -> bool {
    let excludes = |arg: &Arg, id: &Id| {
        let others = command.get_arg_conflicts_with(arg);
        others.iter().any(|other| other.get_id() == id)
    };
    let other = command.get_arguments().find(|arg| arg.get_id() == id);
    let one_of_a_group = command.get_groups().cloned().any(|mut group| {
        let has = |id| group.get_args().any(|member| member == id);
        has(id) && has(arg.get_id()) && !group.is_multiple()
    });
    one_of_a_group || excludes(arg, id) || other.is_some_and(|other| excludes(other, arg.get_id()))
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
