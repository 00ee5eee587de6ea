//! What `weft-cni --help` prints, and what its manual page and completions are made of.

use crate::conf::{NETWORK, SOCKET};

pub const ABOUT: &str =
    "Attaches containers to Weft's networks. Engines start it; a person installs it.";
pub const VERBS: [(&str, &str); 2] = [
    ("install", "Put the plugin where engines look for it"),
    ("uninstall", "Take it away again"),
];
pub const CONF_DIR: &str = "/etc/cni/net.d";
pub const BIN_DIR: &str = "/opt/cni/bin";
pub const PLUGIN_DIR: &str = "/usr/local/libexec/netavark";
pub const NAME: &str = "weft";

/// An option of both verbs.
pub struct Flag {
    pub name: &'static str,
    /// What its value is called, and what it is if nothing is said; none: a switch.
    pub value: Option<(&'static str, &'static str)>,
    pub about: &'static str,
}

pub const FLAGS: [Flag; 7] = [
    flag("network", "NAME", NETWORK, "Weft's network"),
    flag(
        "name",
        "NAME",
        NAME,
        "What engines call it; the file is 10-NAME.conflist",
    ),
    flag(
        "conf-dir",
        "DIR",
        CONF_DIR,
        "Where engines read configurations",
    ),
    flag("bin-dir", "DIR", BIN_DIR, "Where engines find plugins"),
    flag("socket", "PATH", SOCKET, "Where this host's agent listens"),
    Flag {
        name: "netavark",
        value: None,
        about: "Be a driver of `podman network create` in place of a CNI plugin",
    },
    flag(
        "plugin-dir",
        "DIR",
        PLUGIN_DIR,
        "Where Podman finds drivers",
    ),
];

pub const EXAMPLES: &str = "\
Examples:
  weft-cni install
  ctr run --cni docker.io/library/busybox:latest c1 ip addr

  weft-cni install --name blue --network blue
  podman --network-backend cni run --network blue busybox ip addr

  weft-cni install --netavark
  podman network create -d weft -o network=blue blue
  podman run --network blue busybox ip addr

In a configuration, beside \"type\": \"weft\":
  \"network\": \"blue\"    Weft's network; without it \"default\"
  \"socket\": \"PATH\"     where the agent listens
  \"told\": true         a container starts only when the fleet knows of it
  \"dns\": {...}         for the container's resolv.conf

Exit codes: 0 done, 1 failed, 2 bad usage";

pub fn help() -> String {
    let mut options = String::new();
    for Flag { name, value, about } in &FLAGS {
        let (value, default) = value.unzip();
        let flag = format!("--{name} {}", value.unwrap_or_default());
        let default = default.map_or(String::new(), |value| format!(" [default: {value}]"));
        options.push_str(&format!("      {flag:<18}{about}{default}\n"));
    }
    format!(
        "{ABOUT}

Usage:
  weft-cni install [OPTIONS]               for containerd, Kubernetes, CRI-O, nerdctl, Podman with CNI
  weft-cni uninstall [OPTIONS]
  weft-cni install --netavark [OPTIONS]    for Podman 4.5 and newer
  weft-cni uninstall --netavark [OPTIONS]

Options:
{options}  -h, --help            Print this
  -V, --version         Print the version

{EXAMPLES}"
    )
}

const fn flag(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    about: &'static str,
) -> Flag {
    Flag {
        name,
        value: Some((value, default)),
        about,
    }
}
