//! The agent's options.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use options::BadUsage;
use overlay::{
    name::{NetworkName, NodeName},
    trust::Token,
};

/// Joins this host to Weft's networks: holds its lease with a controller, and keeps
/// VXLAN devices, FDB, neighbours and routes as they should be.
#[derive(Debug, Clone, Parser)]
#[command(name = "weft-agent", version, after_help = EXAMPLES)]
pub struct Options {
    /// Where controllers listen; any of them will do
    #[arg(
        long,
        global = true,
        value_name = "URL[,URL]",
        value_delimiter = ',',
        value_parser = parse_url,
        default_value = "http://127.0.0.1:7440"
    )]
    pub controller: Vec<String>,
    /// The name of this node [default: the host's name]
    #[arg(long, global = true, value_name = "NAME")]
    pub node: Option<NodeName>,
    /// The device that leads to the other hosts [default: that of the route to the controller]
    #[arg(long, global = true, value_name = "IF")]
    pub iface: Option<String>,
    /// This host's address on the underlay [default: the first of --iface]
    #[arg(long, global = true, value_name = "IP", value_parser = parse_node_ip)]
    pub node_ip: Option<IpAddr>,
    /// Where identity, last good state and events are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/weft-agent"
    )]
    pub state_dir: PathBuf,
    /// Where `weft-agent status` and container engines find this agent
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/run/weft/agent.sock"
    )]
    pub socket: PathBuf,
    /// Address for /metrics, /healthz, /readyz, /status, /probes and /events (HTTP)
    #[arg(long, default_value = "127.0.0.1:7442", value_parser = options::parse_address, value_name = "ADDR")]
    pub ops_listen: SocketAddr,
    /// The networks to join
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "default"
    )]
    pub networks: Vec<NetworkName>,
    /// The networks whose containers are ports of a bridge, and not routed one by one
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub bridge: Vec<NetworkName>,
    /// Keep flannel's subnet.env here (as /run/flannel/subnet.env) for the first network: its
    /// containers then come by flannel's own CNI plugin alone, which gives the same addresses
    #[arg(long, value_name = "PATH")]
    pub subnet_env: Option<PathBuf>,
    /// Serve this host's Docker its network driver `weft`; systemd's socket has it served as well
    #[arg(
        long,
        value_name = "PATH",
        num_args = 0..=1,
        default_missing_value = crate::docker::SOCKET
    )]
    pub docker: Option<PathBuf>,
    /// Leave checksums of overlay packets to the hardware; off where TCP stalls and ping works
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub checksum_offload: ChecksumOffload,
    /// How long a sudden loss of most peers is held back
    #[arg(long, default_value = "5m", value_parser = options::parse_duration, value_name = "TIME")]
    pub hold_losses: Duration,
    /// How often the whole kernel state is compared, besides whenever it tells of a change
    #[arg(long, default_value = "10s", value_parser = options::parse_duration, value_name = "TIME")]
    pub look_every: Duration,
    /// How often chosen peers are asked whether packets pass, or `off`; peers are answered anyway
    #[arg(long, default_value = "10s", value_parser = parse_pace, value_name = "TIME|off")]
    pub probe_every: Pace,
    /// Print what would be changed in the kernel, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Speak plain text to controllers beyond this machine, and serve it there
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Serve --ops-listen, which only shows, in plain text beyond this machine
    #[arg(long)]
    pub insecure_ops: bool,
    #[command(flatten)]
    pub common: options::Common,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Show what the running agent does: networks, peers, what fails and why
    #[command(after_help = "Example:\n  weft-agent status -o json")]
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Join the fleet by a token and run; or have the running agent join another network
    #[command(after_help = "\
Examples:
  weft-agent join --controller https://10.0.0.2:7440 --token TOKEN
  weft-agent join --controller https://10.0.0.2:7440 --token TOKEN --exit && systemctl start weft-agent
  weft-agent join backend

Another network is joined until the agent is restarted; --networks joins it for good.")]
    Join(Join),
    /// Look for what keeps this host from being part of the overlay, agent or not
    #[command(after_help = "\
Example:
  weft-agent doctor

A few packets are sent, and nothing is changed. The exit code is 1 if anything is wrong.")]
    Doctor {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: OutputFormat,
    },
    /// Have the running agent leave a network and release its lease
    #[command(after_help = "Example:\n  weft-agent leave backend")]
    Leave { network: NetworkName },
    /// Take every trace of Weft out of this host's kernel, when no agent runs
    #[command(after_help = "\
Example:
  weft-agent cleanup

The identity stays in --state-dir, so that the host can come back as the same node.")]
    Cleanup {
        /// Forget the identity as well: the host becomes a new machine
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Join {
    /// The network that the running agent is to join
    #[arg(required_unless_present_any = ["token", "token_file"])]
    pub network: Option<NetworkName>,
    /// What `weft token create` printed
    #[arg(long, conflicts_with_all = ["network", "token_file"])]
    pub token: Option<String>,
    /// A file that holds it: on the command line others of this host may see it
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    pub token_file: Option<PathBuf>,
    /// Only join: systemd, or somebody else, runs the agent
    #[arg(long, conflicts_with = "network")]
    pub exit: bool,
}

impl Join {
    /// The token, if it is to join the fleet.
    pub fn token(&self) -> anyhow::Result<Option<Token>> {
        let text = match (&self.token, &self.token_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("--token-file {}", file.display()))?,
            (None, None) => return Ok(None),
        };
        let token = text.parse();
        token
            .map(Some)
            .map_err(|error| BadUsage(format!("--token: {error}")).into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    Table,
    Json,
}

/// None: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(pub Option<Duration>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChecksumOffload {
    /// Off where the driver or kernel is known to make wrong ones.
    Auto,
    On,
    Off,
}

const LEAST_PACE: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Example:
  weft-agent join --controller https://10.0.0.2:7440,https://10.0.0.3:7440 --token TOKEN
  weft-agent --controller http://10.0.0.2:7440,http://10.0.0.3:7440 --iface eth0 --insecure
  weft-agent status
  weft-agent --dry-run";

impl Options {
    /// Plain text may be heard and forged by everybody on the way.
    pub fn check_plain_text(&self) -> anyhow::Result<()> {
        for url in &self.controller {
            let far = url.starts_with("http://") && !is_local(url);
            if far && !self.insecure {
                let problem = format!(
                    "--controller {url} would be spoken to in plain text; say https://, or --insecure if the network is trusted"
                );
                return Err(BadUsage(problem).into());
            }
            if far {
                tracing::warn!(%url, "speaking plain text, as --insecure says");
            }
        }
        let ops = self.ops_listen;
        if !ops.ip().is_loopback() && !self.insecure && !self.insecure_ops {
            let problem = format!(
                "--ops-listen {ops} would serve plain text beyond this machine; say --insecure-ops if the network is trusted, or listen on 127.0.0.1"
            );
            return Err(BadUsage(problem).into());
        }
        Ok(())
    }
}

/// A controller's URL, such as `http://10.0.0.2:7440`.
fn parse_url(url: &str) -> Result<String, String> {
    let rest = match url.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some((scheme, _)) => return Err(format!("{scheme}:// is not spoken: say https://")),
        None => return Err(format!("no scheme: say https://{url}")),
    };
    let authority = rest.trim_end_matches('/');
    let port = authority.strip_prefix(host(url)).or_else(|| {
        let inside = authority.strip_prefix('[')?.strip_prefix(host(url))?;
        inside.strip_prefix(']')
    });
    match port.and_then(|port| port.strip_prefix(':')) {
        _ if host(url).is_empty() => Err("it names no host".into()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(url.into()),
        Some(port) => Err(format!("{port:?} is no port")),
        None if port == Some("") => Err(format!("no port: say {url}:7440")),
        None => Err("it is not such as http://10.0.0.2:7440".into()),
    }
}

/// A time between probes, of a tenth of a second at least.
fn parse_pace(text: &str) -> Result<Pace, String> {
    if text == "off" {
        return Ok(Pace(None));
    }
    let every = options::parse_duration(text).map_err(|error| error.to_string())?;
    if every < LEAST_PACE {
        return Err("that is too often; say 100ms or more, or off".into());
    }
    Ok(Pace(Some(every)))
}

/// An address at which other hosts can reach this one.
fn parse_node_ip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .parse()
        .map_err(|_| "it is not an address such as 10.0.0.7 or fd00::7".to_owned())?;
    let (is_broadcast, is_link_local) = match address {
        IpAddr::V4(v4) => (v4.is_broadcast(), v4.is_link_local()),
        IpAddr::V6(v6) => (false, v6.is_unicast_link_local()),
    };
    let kind = if address.is_loopback() {
        "a loopback address"
    } else if address.is_multicast() || is_broadcast {
        "an address of many hosts"
    } else if address.is_unspecified() {
        "no host's address"
    } else if is_link_local {
        "an address of one link only"
    } else {
        return Ok(address);
    };
    Err(format!(
        "{address} is {kind}: other hosts could not reach this one there"
    ))
}

/// Does this URL lead to the machine itself?
fn is_local(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// The host of a URL such as `http://[::1]:7440`.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some((inside, _)) = authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        return inside;
    }
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests;
