//! What runtimes leave in files about the containers that they run, for whichever
//! engine: Podman, containerd, CRI-O, or a person.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{Known, Name, Said};

/// None: nothing of that kind ever ran here.
type Read = fn(&Path, &Name) -> Option<Said>;

pub const ENGINES: [(&str, Read); 3] = [
    ("runc", |root, name| runtime(root, &RUNC, name)),
    ("crun", |root, name| runtime(root, &CRUN, name)),
    ("systemd-nspawn", machine),
];

struct Runtime {
    /// Directories with a directory for each container; `*` is any one name.
    roots: &'static [&'static str],
    file: &'static str,
}

const RUNC: Runtime = Runtime {
    roots: &[
        "run/runc",
        "run/containerd/runc/*",
        "run/docker/runtime-runc/*",
    ],
    file: "state.json",
};
const CRUN: Runtime = Runtime {
    roots: &["run/crun"],
    file: "status",
};
/// What Podman calls its containers.
const PODMAN: [&str; 2] = [
    "var/lib/containers/storage/overlay-containers/containers.json",
    "var/lib/containers/storage/vfs-containers/containers.json",
];
const MACHINES: &str = "run/systemd/machines";

/// The process of a container. Its number may be another's by now, its start is not.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Process {
    #[serde(alias = "init_process_pid")]
    pid: u32,
    #[serde(alias = "init_process_start", alias = "process-start-time")]
    start: u64,
}

#[derive(Debug, Deserialize)]
struct Podman {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

fn runtime(root: &Path, runtime: &Runtime, name: &Name) -> Option<Said> {
    let roots: Vec<PathBuf> = runtime
        .roots
        .iter()
        .flat_map(|pattern| places(root, pattern))
        .collect();
    if roots.is_empty() {
        return None;
    }
    let podman = podman(root);
    let named = podman
        .iter()
        .find(|container| container.names.iter().any(|one| one == name.as_str()));
    let wanted = named.map_or(name.as_str(), |container| container.id.as_str());
    let mut found: Vec<(String, PathBuf)> = roots
        .iter()
        .flat_map(|place| entries(place))
        .filter(|(id, _)| id.starts_with(wanted))
        .collect();
    // Docker's, for one, can be seen at several places.
    found.sort();
    found.dedup_by(|one, other| one.0 == other.0);
    if let Some(whole) = found.iter().position(|(id, _)| id == wanted) {
        found = vec![found.swap_remove(whole)];
    }
    Some(match &found[..] {
        [] => Said::Nothing,
        [(id, place)] => {
            let process: Option<Process> = json(&place.join(runtime.file));
            match process.filter(|process| started(process.pid) == Some(process.start)) {
                None => Said::Stopped,
                Some(process) => Said::Running(Known {
                    pid: process.pid,
                    id: id.clone(),
                    name: podman
                        .into_iter()
                        .find(|container| container.id == *id)
                        .and_then(|container| container.names.into_iter().next()),
                }),
            }
        }
        _ => Said::Several,
    })
}

/// A machine that systemd knows of, by the process that leads it.
fn machine(root: &Path, name: &Name) -> Option<Said> {
    let place = root.join(MACHINES);
    if !place.exists() {
        return None;
    }
    let Ok(text) = fs::read_to_string(place.join(name.as_str())) else {
        return Some(Said::Nothing);
    };
    let mut lines = text.lines();
    let leader = lines.find_map(|line| line.strip_prefix("LEADER=")?.parse().ok());
    Some(leader.map_or(Said::Stopped, |pid| {
        let name = name.to_string();
        Said::Running(Known {
            pid,
            id: name.clone(),
            name: Some(name),
        })
    }))
}

fn podman(root: &Path) -> Vec<Podman> {
    let files = PODMAN.iter().filter_map(|file| json(&root.join(file)));
    files.flat_map(|all: Vec<Podman>| all).collect()
}

/// The directories that a pattern means.
fn places(root: &Path, pattern: &str) -> Vec<PathBuf> {
    match pattern.strip_suffix("/*") {
        Some(above) => {
            let below = entries(&root.join(above)).into_iter();
            below.map(|(_, place)| place).collect()
        }
        None => Some(root.join(pattern))
            .filter(|place| place.exists())
            .into_iter()
            .collect(),
    }
}

/// What is in a directory, by name; nothing is in one that is not there.
fn entries(place: &Path) -> Vec<(String, PathBuf)> {
    let Ok(listed) = fs::read_dir(place) else {
        return Vec::new();
    };
    let entry = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
    listed.flatten().filter_map(entry).collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// When a process began, in the kernel's ticks; none of one that has ended, though
/// nobody may have asked how.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in brackets, and may hold any of them.
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ');
    let state = fields.next()?;
    fields.nth(18).filter(|_| state != "Z")?.parse().ok()
}
