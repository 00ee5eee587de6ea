//! Which process a container is, as the engines of this host know it: those with
//! Docker's API are asked; the others leave the states of containers in files.

use std::{fmt, path::Path, str::FromStr, time::Duration};

use thiserror::Error;

mod api;
mod state;

/// A container's id, or the beginning of one, or its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a container's id or name has letters, digits, dots, dashes and underscores")]
pub struct NameError;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    #[error(
        "there is no container engine on this host to ask for {0}; name it by --pid or --netns"
    )]
    Nobody(Name),
    #[error(
        "container {name} is not known to {}; name it by --pid or --netns",
        asked.join(", ")
    )]
    Unknown { name: Name, asked: Vec<String> },
    #[error("container {name} of {engine} is not running")]
    Stopped { name: Name, engine: &'static str },
    #[error("{0} is the beginning of several containers' ids; write more of it")]
    Several(Name),
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub pid: u32,
    pub id: String,
    pub name: Option<String>,
}

/// What one engine says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Running(Known),
    Stopped,
    Several,
    Nothing,
    /// It could not be asked, and why.
    Silent(String),
}

/// Asks one engine after the other.
pub fn find(name: &Name, within: Duration) -> Result<Known, EngineError> {
    find_below(Path::new("/"), name, within)
}

fn find_below(root: &Path, name: &Name, within: Duration) -> Result<Known, EngineError> {
    let apis = api::ENGINES.iter().map(|(engine, socket)| {
        let socket = root.join(socket);
        let said = || api::ask(&socket, name, within);
        (*engine, socket.exists().then(said))
    });
    let states = state::ENGINES.iter().map(|(engine, read)| {
        let said = read(root, name);
        (*engine, said)
    });
    let mut asked = Vec::new();
    for (engine, said) in apis.chain(states) {
        let name = || name.clone();
        match said {
            None => {}
            Some(Said::Running(known)) => return Ok(known),
            Some(Said::Stopped) => {
                let name = name();
                return Err(EngineError::Stopped { name, engine });
            }
            Some(Said::Several) => return Err(EngineError::Several(name())),
            Some(Said::Nothing) => asked.push(engine.to_owned()),
            Some(Said::Silent(why)) => asked.push(format!("{engine} ({why})")),
        }
    }
    let name = name.clone();
    if asked.is_empty() {
        Err(EngineError::Nobody(name))
    } else {
        Err(EngineError::Unknown { name, asked })
    }
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let first = text.chars().next().ok_or(NameError)?;
        if first.is_ascii_alphanumeric() && text.chars().all(good) {
            Ok(Self(text.into()))
        } else {
            Err(NameError)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
