//! The agent's options.

use std::{net::IpAddr, path::PathBuf};

use clap::Parser;
use overlay::name::{NetworkName, NodeName};

/// Holds this host's session and lease with a Weft controller.
#[derive(Debug, Clone, Parser)]
#[command(name = "weft-agent", version, after_help = EXAMPLES)]
pub struct Options {
    /// Where controllers listen; any of them will do
    #[arg(
        long,
        value_name = "URL[,URL]",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7440"
    )]
    pub controller: Vec<String>,
    /// The name of this node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub node: Option<NodeName>,
    /// This host's address on the underlay
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<IpAddr>,
    /// Where the identity is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/weft/agent")]
    pub state_dir: PathBuf,
    /// The networks to join
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "default"
    )]
    pub networks: Vec<NetworkName>,
    #[command(flatten)]
    pub common: options::Common,
}

const EXAMPLES: &str = "\
Example:
  weft-agent --controller http://10.0.0.2:7440,http://10.0.0.3:7440 --node-ip 10.0.0.7

This version holds the lease and follows the peers; it does not program the kernel yet.";
