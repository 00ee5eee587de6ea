//! The controller's options.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use options::BadUsage;
use overlay::{decide::decay::Patience, network::NetworkSpec, subnet::Subnet};
use proto::decode::DEFAULT_NETWORK;

use crate::{
    keeper::Timing,
    store::{
        Store,
        embedded::{Embedded, Offline},
        etcd::{Etcd, EtcdIdentity, EtcdOptions, EtcdTls},
    },
    trust::{Authority, Mode, init::Init, seal::Seal},
};

const DEFAULT_ETCD: &str = "http://127.0.0.1:2379";
/// A certificate that is renewed more often than this is renewed all the time.
const SHORTEST_CERT: Duration = Duration::from_secs(3);
/// Of a package, and of systemd's unit.
const DATA: &str = "/var/lib/weft";
/// The store's file in the data directory.
const FILE: &str = "store.redb";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// One crash-safe file, for one controller.
    Embedded,
    /// For any number of controllers.
    Etcd,
}

/// Leases subnets to hosts over gRPC, from an embedded store or etcd.
#[derive(Debug, Clone, Parser)]
#[command(name = "weft-controller", version, after_help = EXAMPLES)]
pub struct Options {
    /// Address for agents and `weft` (gRPC)
    #[arg(long, default_value = "127.0.0.1:7440", value_parser = options::parse_address, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Address for /metrics, /healthz, /readyz, /status and /events (HTTP)
    #[arg(long, default_value = "127.0.0.1:7441", value_parser = options::parse_address, value_name = "ADDR")]
    pub ops_listen: SocketAddr,
    /// Where leases are kept
    #[arg(long, global = true, value_enum, default_value = "embedded")]
    pub store: StoreKind,
    /// Directory of the embedded store and of events [default: /var/lib/weft; with etcd events
    /// are in memory alone]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// etcd's client URLs; any of them will do [default: http://127.0.0.1:2379]
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',')]
    pub etcd_endpoints: Vec<String>,
    /// Everything is kept below this key in etcd
    #[arg(long, global = true, default_value = "/weft", value_name = "KEY")]
    pub etcd_prefix: String,
    /// User of etcd's own authentication
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        requires = "etcd_password_file"
    )]
    pub etcd_user: Option<String>,
    /// File with that user's password
    #[arg(long, global = true, value_name = "FILE", requires = "etcd_user")]
    pub etcd_password_file: Option<PathBuf>,
    /// Certificate authority of etcd's servers (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    pub etcd_ca: Option<PathBuf>,
    /// Client certificate for etcd (PEM)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "etcd_key",
        requires = "etcd_ca"
    )]
    pub etcd_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
    /// Pools of the network `default`, made where there is no network yet
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        default_value = "10.32.0.0/12"
    )]
    pub default_network: Vec<Subnet>,
    /// What the key of the fleet's certificate authority is sealed with: a file with a key or
    /// a passphrase, the same on every controller. With it this controller speaks TLS
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "ca_cert")]
    pub seal_file: Option<PathBuf>,
    /// Certificate of an authority of your own (PEM), in place of the fleet's
    #[arg(long, global = true, value_name = "FILE", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
    /// How long the certificates of nodes are good; they are renewed at two thirds of it
    #[arg(long, default_value = "24h", value_parser = options::parse_duration, value_name = "TIME")]
    pub cert_ttl: Duration,
    /// Serve plain text beyond this machine, to everybody
    #[arg(long)]
    pub insecure: bool,
    /// Serve what --ops-listen says, and only that, in plain text beyond this machine
    #[arg(long)]
    pub insecure_ops: bool,
    /// A controller that dies ends its sessions after this
    #[arg(long, default_value = "15s", value_parser = options::parse_duration, value_name = "TIME")]
    pub session_ttl: Duration,
    /// An agent may be gone this long before its lease lapses
    #[arg(long, default_value = "60s", value_parser = options::parse_duration, value_name = "TIME")]
    pub grace: Duration,
    /// How far clocks may be apart: leases are reclaimed this much late
    #[arg(long, default_value = "60s", value_parser = options::parse_duration, value_name = "TIME")]
    pub clock_skew: Duration,
    /// A lease must be seen unchanged this long before it is reclaimed
    #[arg(long, default_value = "15m", value_parser = options::parse_duration, value_name = "TIME")]
    pub reclaim_hold: Duration,
    /// An agent that reads nothing for this long is dropped
    #[arg(long, default_value = "60s", value_parser = options::parse_duration, value_name = "TIME")]
    pub stuck_reader: Duration,
    /// Shutdown waits this long for agents to move
    #[arg(long, default_value = "10s", value_parser = options::parse_duration, value_name = "TIME")]
    pub drain: Duration,
    #[command(flatten)]
    pub common: options::Common,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Make the fleet's certificate authority, and a token for its first operator
    #[command(after_help = "\
Example:
  weft-controller init --seal-file /etc/weft/seal.key

The controller must not be running where the store is embedded. Once more, it makes another
token: for whoever has lost every operator's certificate.")]
    Init(Init),
    /// Write all that the store keeps into a file, whether or not controllers run
    #[command(after_help = "\
Examples:
  weft-controller backup /root/weft.backup
  weft-controller backup weft.backup --store etcd --etcd-endpoints http://10.0.0.5:2379")]
    Backup { file: PathBuf },
    /// Have the store hold what a backup holds, while no controller runs
    #[command(after_help = "\
Example:
  weft-controller restore /root/weft.backup

A backup of either kind of store can be restored into either.")]
    Restore {
        file: PathBuf,
        /// Replace what the store holds
        #[arg(long)]
        force: bool,
    },
    /// Move everything to the other kind of store, while no controller runs
    #[command(after_help = "\
Examples:
  weft-controller move etcd --data-dir /var/lib/weft --etcd-endpoints http://10.0.0.5:2379
  weft-controller move embedded --data-dir /var/lib/weft --etcd-endpoints http://10.0.0.5:2379

Agents stay up. Should it be killed, give the same command again.")]
    Move {
        #[arg(value_enum)]
        to: StoreKind,
    },
}

/// The store, opened for controllers.
pub enum Opened {
    Embedded(Arc<Embedded>),
    Etcd(Arc<Etcd>),
}

impl Opened {
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Etcd(store) => store.clone(),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  One controller, everything in /var/lib/weft:
    weft-controller
  One of several, on an etcd, for hosts of a trusted network:
    weft-controller --store etcd --etcd-endpoints http://10.0.0.5:2379 \\
        --listen 10.0.0.2:7440 --insecure
  One that speaks TLS and lets in who was given a token:
    weft-controller init --seal-file /etc/weft/seal.key
    weft-controller --seal-file /etc/weft/seal.key --listen 10.0.0.2:7440
  The same from a file (every option under its long name):
    weft-controller --config /etc/weft/controller.toml";

impl Options {
    /// Plain text may be heard and forged by everybody on the way.
    pub fn check_plain_text(&self) -> anyhow::Result<()> {
        let certified = self.seal_file.is_some() || self.ca_cert.is_some();
        let ops_allowed = self.insecure || self.insecure_ops;
        let doors = [
            ("--listen", self.listen, self.insecure, certified),
            ("--ops-listen", self.ops_listen, ops_allowed, false),
        ];
        for (flag, address, allowed, certified) in doors {
            if address.ip().is_loopback() || certified && !allowed {
                continue;
            }
            if !allowed {
                let instead = match flag {
                    "--listen" => {
                        "make certificates with `weft-controller init`, say --insecure if the network is trusted, or listen on 127.0.0.1"
                    }
                    _ => "say --insecure-ops if the network is trusted, or listen on 127.0.0.1",
                };
                return Err(usage(format!(
                    "{flag} {address} would serve plain text beyond this machine; {instead}"
                )));
            }
            tracing::warn!(%address, "serving plain text beyond this machine, as --insecure says");
        }
        // Who can write there makes itself an admin.
        let is_far = |url: &&String| url.starts_with("http://") && !is_local(url);
        if certified
            && self.store == StoreKind::Etcd
            && let Some(url) = self.etcd_endpoints.iter().find(is_far)
            && !self.insecure
        {
            return Err(usage(format!(
                "--etcd-endpoints {url} would carry tokens and roles in plain text; say https://, or --insecure if the network is trusted"
            )));
        }
        Ok(())
    }

    /// How callers are trusted.
    pub fn trust(&self) -> anyhow::Result<Mode> {
        if self.cert_ttl < SHORTEST_CERT {
            return Err(usage(format!(
                "--cert-ttl: {} is too short; {} is the least",
                options::format_duration(self.cert_ttl),
                options::format_duration(SHORTEST_CERT)
            )));
        }
        if let (Some(certificate), Some(key)) = (&self.ca_cert, &self.ca_key) {
            let authority = Authority::from_files(certificate, key).context("--ca-cert")?;
            return Ok(Mode::Files(authority.into()));
        }
        let Some(file) = &self.seal_file else {
            return Ok(Mode::Plain);
        };
        let flag = || format!("--seal-file {}", file.display());
        let content = std::fs::read(file).with_context(flag)?;
        Ok(Mode::Sealed(Seal::new(&content).with_context(flag)?))
    }

    pub fn open_store(&self) -> anyhow::Result<Opened> {
        let for_etcd =
            !self.etcd_endpoints.is_empty() || self.etcd_user.is_some() || self.etcd_ca.is_some();
        Ok(match self.store {
            StoreKind::Embedded if for_etcd => {
                let problem =
                    "options for etcd are given, and --store is embedded; say --store etcd";
                return Err(usage(problem.into()));
            }
            StoreKind::Embedded => {
                Opened::Embedded(Arc::new(Embedded::open(self.data_dir().join(FILE))?))
            }
            StoreKind::Etcd => Opened::Etcd(Arc::new(self.etcd_store()?)),
        })
    }

    pub fn data_dir(&self) -> &Path {
        let said = self.data_dir.as_deref();
        said.unwrap_or(Path::new(DATA))
    }

    /// A controller on etcd needs no disk.
    pub fn events_dir(&self) -> Option<&Path> {
        match self.store {
            StoreKind::Embedded => Some(self.data_dir()),
            StoreKind::Etcd => self.data_dir.as_deref(),
        }
    }

    pub fn etcd_store(&self) -> anyhow::Result<Etcd> {
        Ok(Etcd::connect(self.etcd()?)?)
    }

    /// The embedded store while no controller runs on it.
    pub fn embedded_offline(&self) -> anyhow::Result<Offline> {
        Ok(Offline::open(self.data_dir().join(FILE))?)
    }

    pub fn default_network(&self) -> anyhow::Result<NetworkSpec> {
        let name = DEFAULT_NETWORK
            .parse()
            .context("the default network's name")?;
        let spec = NetworkSpec::new(name, self.default_network.clone());
        spec.network(std::iter::empty())
            .map_err(|error| usage(format!("--default-network: {}", error.problem)))?;
        Ok(spec)
    }

    pub fn timing(&self) -> anyhow::Result<Timing> {
        if self.session_ttl < Duration::from_secs(2) {
            return Err(usage(format!(
                "--session-ttl: {} is too short; 2s is the least",
                options::format_duration(self.session_ttl)
            )));
        }
        Ok(Timing {
            session_ttl: self.session_ttl,
            patience: Patience {
                grace: self.grace,
                skew: self.clock_skew,
                hold: self.reclaim_hold,
            },
        })
    }

    fn etcd(&self) -> anyhow::Result<EtcdOptions> {
        let user = match (&self.etcd_user, &self.etcd_password_file) {
            (Some(user), Some(file)) => {
                let password = std::fs::read_to_string(file)
                    .with_context(|| format!("--etcd-password-file {}", file.display()))?;
                Some((
                    user.clone(),
                    password.trim_end_matches(['\r', '\n']).to_owned(),
                ))
            }
            _ => None,
        };
        let identity = match (&self.etcd_cert, &self.etcd_key) {
            (Some(cert), Some(key)) => Some(EtcdIdentity {
                cert: cert.clone(),
                key: key.clone(),
            }),
            _ => None,
        };
        Ok(EtcdOptions {
            endpoints: match self.etcd_endpoints.as_slice() {
                [] => vec![DEFAULT_ETCD.into()],
                given => given.to_vec(),
            },
            prefix: self.etcd_prefix.clone(),
            user,
            tls: self.etcd_ca.clone().map(|ca| EtcdTls { ca, identity }),
        })
    }
}

/// Of an endpoint such as `http://[::1]:2379`.
fn is_local(url: &str) -> bool {
    let uri = url.parse::<tonic::transport::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn usage(problem: String) -> anyhow::Error {
    BadUsage(problem).into()
}
