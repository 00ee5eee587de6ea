//! The network namespace that is meant, and what names it: a path, a process, or a
//! container that some engine knows.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use overlay::{endpoint::Key, name::NetworkName};
use thiserror::Error;

use super::engine;
use crate::failure::Failure;

/// Where `ip netns` keeps its names.
const NAMED: [&str; 2] = ["/run/netns", "/var/run/netns"];
const OWN: &str = "/proc/thread-self/ns/net";

#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    pub named: Named,
    /// The name of its end of the link
    #[arg(long, value_name = "NAME", default_value = "eth0")]
    pub interface: Interface,
    /// Which network
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub network: NetworkName,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Named {
    /// Its network namespace: a path, or a name as `ip netns list` shows it
    #[arg(long, value_name = "PATH")]
    pub netns: Option<PathBuf>,
    /// A process in it
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: Option<u32>,
    /// A container of Docker, Podman, containerd, runc or systemd-nspawn, by its id or name
    #[arg(long, value_name = "ID")]
    pub container: Option<engine::Name>,
}

/// A name that a device can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface(String);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InterfaceError {
    #[error("a device's name has 1 to 15 characters")]
    Length,
    #[error("a device's name has no space, slash or colon, and is not . or ..")]
    Character,
}

#[derive(Debug, Error)]
pub enum SandboxError {
    #[error("there is no network namespace {}: `ip netns list` shows those that have a name", name.display())]
    NoName { name: PathBuf },
    #[error("there is no network namespace at {}", path.display())]
    NoPath { path: PathBuf },
    #[error("there is no process {pid}")]
    NoProcess { pid: u32 },
    #[error("cannot look at {}", path.display())]
    Hidden {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what} is in the host's own network namespace, which is no container's")]
    Host { what: String },
    #[error("{} is no text, and names in Weft are", path.display())]
    NoText { path: PathBuf },
}

/// A network namespace that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub path: String,
    inode: u64,
}

/// A sandbox, and what its engine says about it.
#[derive(Debug)]
pub struct Found {
    pub sandbox: Sandbox,
    pub container: Option<String>,
    pub name: Option<String>,
}

impl Place {
    pub fn find(&self, within: Duration) -> Result<Found, Failure> {
        let Named {
            netns,
            pid,
            container,
        } = &self.named;
        if let Some(container) = container {
            let known = engine::find(container, within)?;
            let what = format!("container {container}");
            return Ok(Found {
                sandbox: Sandbox::of_process(known.pid, &what)?,
                container: Some(known.id),
                name: known.name,
            });
        }
        let sandbox = match (netns, pid) {
            (Some(path), _) => Sandbox::at(path)?,
            (None, Some(pid)) => Sandbox::of_process(*pid, &format!("process {pid}"))?,
            (None, None) => unreachable!("clap wants one of three"),
        };
        Ok(Found {
            sandbox,
            container: None,
            name: None,
        })
    }

    /// What is attached by these words may be found by them when the namespace is gone.
    pub fn fits(&self, endpoint: &overlay::endpoint::Endpoint) -> bool {
        let Named {
            netns,
            pid,
            container,
        } = &self.named;
        let path = &endpoint.sandbox.path;
        let by_path = netns
            .as_ref()
            .is_some_and(|netns| candidates(netns).iter().any(|one| one == Path::new(path)));
        let by_pid = pid.is_some_and(|pid| *path == process(pid));
        let by_container = container.as_ref().is_some_and(|name| {
            let who = &endpoint.who;
            who.container
                .as_ref()
                .is_some_and(|id| id.starts_with(name.as_str()))
                || who.name.as_deref() == Some(name.as_str())
        });
        endpoint.network == self.network
            && endpoint.sandbox.interface == self.interface.as_str()
            && endpoint.key.as_str().starts_with("attach/")
            && (by_path || by_pid || by_container)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.netns, self.pid, &self.container) {
            (Some(netns), _, _) => write!(f, "{}", netns.display()),
            (None, Some(pid), _) => write!(f, "process {pid}"),
            (None, None, Some(container)) => write!(f, "container {container}"),
            (None, None, None) => unreachable!("clap wants one of three"),
        }
    }
}

impl Sandbox {
    fn at(named: &Path) -> Result<Self, SandboxError> {
        let candidates = candidates(named);
        for path in &candidates {
            match fs::metadata(path) {
                Ok(seen) => return Self::new(path, seen.ino(), &named.display().to_string()),
                Err(error) if is_missing(&error) => {}
                Err(source) => {
                    let path = path.clone();
                    return Err(SandboxError::Hidden { path, source });
                }
            }
        }
        if is_name(named) {
            let name = named.to_owned();
            return Err(SandboxError::NoName { name });
        }
        let path = named.to_owned();
        Err(SandboxError::NoPath { path })
    }

    fn of_process(pid: u32, what: &str) -> Result<Self, SandboxError> {
        let path = PathBuf::from(process(pid));
        match fs::metadata(&path) {
            Ok(seen) => Self::new(&path, seen.ino(), what),
            Err(error) if is_missing(&error) => Err(SandboxError::NoProcess { pid }),
            Err(source) => Err(SandboxError::Hidden { path, source }),
        }
    }

    fn new(path: &Path, inode: u64, what: &str) -> Result<Self, SandboxError> {
        let own = fs::metadata(OWN).map_err(|source| SandboxError::Hidden {
            path: OWN.into(),
            source,
        })?;
        if own.ino() == inode {
            let what = what.to_owned();
            return Err(SandboxError::Host { what });
        }
        let text = path.to_str().ok_or_else(|| SandboxError::NoText {
            path: path.to_owned(),
        })?;
        Ok(Self {
            path: text.to_owned(),
            inode,
        })
    }

    /// The same whatever named the namespace.
    pub fn key(&self, interface: &Interface) -> Key {
        let text = format!("attach/{}/{interface}", self.inode);
        text.parse()
            .expect("a number and a device's name are short and can be printed")
    }
}

/// Where a namespace of these words may be. A relative path is meant from here, and the
/// agent is elsewhere.
fn candidates(named: &Path) -> Vec<PathBuf> {
    if is_name(named) {
        return NAMED
            .iter()
            .map(|place| Path::new(place).join(named))
            .collect();
    }
    vec![std::path::absolute(named).unwrap_or_else(|_| named.to_owned())]
}

fn is_name(named: &Path) -> bool {
    !named.as_os_str().to_string_lossy().contains('/')
}

fn process(pid: u32) -> String {
    format!("/proc/{pid}/ns/net")
}

/// A process that has ended, and nobody has asked how, has no namespaces either.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl Interface {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Interface> for String {
    fn from(interface: Interface) -> Self {
        interface.0
    }
}

impl FromStr for Interface {
    type Err = InterfaceError;

    fn from_str(text: &str) -> Result<Self, InterfaceError> {
        let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if text.is_empty() || text.len() > 15 {
            Err(InterfaceError::Length)
        } else if text.contains(bad) || text == "." || text == ".." {
            Err(InterfaceError::Character)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
