//! Puts the plugin where engines look for it. A file is there whole or not at all.

use std::{
    env, fs,
    fs::File,
    io::{self, ErrorKind, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
};

use cni::conf::SOCKET;
use overlay::name::NetworkName;
use serde::Serialize;
use serde_json::Value;

/// By this name engines find it, as a plugin and as a driver.
pub const PROGRAM: &str = "weft";

pub enum Engine {
    Cni,
    Netavark,
}

pub struct Place {
    pub engine: Engine,
    pub network: NetworkName,
    pub name: String,
    pub conf_dir: PathBuf,
    pub bin_dir: PathBuf,
    pub plugin_dir: PathBuf,
    pub socket: PathBuf,
}

/// An old engine takes `cniVersion` for all there is and knows no `cniVersions`; a new
/// one takes the newest of these.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conflist<'a> {
    cni_version: &'static str,
    cni_versions: [&'static str; 3],
    name: &'a str,
    plugins: [Plugin<'a>; 1],
}

#[derive(Serialize)]
struct Plugin<'a> {
    #[serde(rename = "type")]
    program: &'static str,
    network: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<&'a Path>,
    capabilities: Capabilities,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    port_mappings: bool,
    bandwidth: bool,
    ips: bool,
    mac: bool,
    dns: bool,
    aliases: bool,
}

impl Place {
    /// The program first: a configuration without its plugin would fail every container.
    pub fn install(&self) -> io::Result<Vec<String>> {
        let program = self.program();
        let this = env::current_exe().map_err(named("find", Path::new("this program")))?;
        let bytes = fs::read(&this).map_err(named("read", &this))?;
        put(&program, &bytes, 0o755)?;
        let mut lines = vec![format!("installed {}", program.display())];
        match self.engine {
            Engine::Cni => {
                let conflist = self.conflist();
                put(&conflist, self.conf().as_bytes(), 0o644)?;
                lines.push(format!("installed {}", conflist.display()));
                lines.extend(self.earlier()?.map(|first| {
                    format!(
                        "note: most engines take the first configuration by name, and that is {}",
                        first.display()
                    )
                }));
            }
            Engine::Netavark => {
                let network = &self.network;
                lines.push(format!(
                    "now: podman network create -d {PROGRAM} -o network={network} {network}"
                ));
            }
        }
        Ok(lines)
    }

    /// The program stays while another configuration needs it.
    pub fn uninstall(&self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        if let Engine::Cni = self.engine {
            lines.extend(remove(&self.conflist())?);
            if let Some(other) = self.needed_by()? {
                lines.push(format!(
                    "{} stays: {} needs it",
                    self.program().display(),
                    other.display()
                ));
                return Ok(lines);
            }
        }
        lines.extend(remove(&self.program())?);
        if lines.is_empty() {
            lines.push("nothing was installed".into());
        }
        Ok(lines)
    }

    fn program(&self) -> PathBuf {
        match self.engine {
            Engine::Cni => self.bin_dir.join(PROGRAM),
            Engine::Netavark => self.plugin_dir.join(PROGRAM),
        }
    }

    fn conflist(&self) -> PathBuf {
        self.conf_dir.join(format!("10-{}.conflist", self.name))
    }

    fn conf(&self) -> String {
        let plugin = Plugin {
            program: PROGRAM,
            network: self.network.as_str(),
            socket: Some(self.socket.as_path()).filter(|socket| *socket != Path::new(SOCKET)),
            capabilities: Capabilities {
                port_mappings: true,
                bandwidth: true,
                ips: true,
                mac: true,
                dns: true,
                aliases: true,
            },
        };
        let conflist = Conflist {
            cni_version: "1.0.0",
            cni_versions: ["0.4.0", "1.0.0", "1.1.0"],
            name: &self.name,
            plugins: [plugin],
        };
        let text = serde_json::to_string_pretty(&conflist);
        text.expect("names and paths are text") + "\n"
    }

    /// A configuration that engines see before this one.
    fn earlier(&self) -> io::Result<Option<PathBuf>> {
        let ours = self.conflist();
        let all = configurations(&self.conf_dir)?;
        Ok(all.into_iter().next().filter(|first| *first != ours))
    }

    /// Another configuration with this plugin.
    fn needed_by(&self) -> io::Result<Option<PathBuf>> {
        let needs = |path: &PathBuf| {
            let conf = fs::read(path).unwrap_or_default();
            let conf: Value = serde_json::from_slice(&conf).unwrap_or_default();
            let plugins = conf["plugins"].as_array().cloned().unwrap_or_default();
            let mut types = plugins.iter().chain([&conf]).map(|plugin| &plugin["type"]);
            types.any(|of| of == PROGRAM)
        };
        Ok(configurations(&self.conf_dir)?.into_iter().find(needs))
    }
}

/// In the order in which engines read them.
fn configurations(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(named("read", directory))?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        matches!(kind, Some("conf" | "conflist" | "json"))
    });
    paths.sort_unstable();
    Ok(paths)
}

/// Written beside it under a name that no engine reads, and put in its place.
fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).map_err(named("make", directory))?;
    let beside = directory.join(format!(".weft-cni-{}.new", process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    let written = write();
    if written.is_err() {
        // What could not be written need not be there to be removed.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(named("write", path))
}

fn remove(path: &Path) -> io::Result<Option<String>> {
    match fs::remove_file(path) {
        Ok(()) => Ok(Some(format!("removed {}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named("remove", path)(error)),
    }
}

fn named(what: &'static str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| {
        let sentence = format!("cannot {what} {}: {error}", path.display());
        io::Error::new(error.kind(), sentence)
    }
}
