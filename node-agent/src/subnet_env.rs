//! flannel's `subnet.env`, so that containers can come by flannel's own CNI plugin.
//!
//! That plugin gives addresses by itself, from the same subnet: an agent that serves
//! this file attaches nothing to that network.

use std::{
    fs::{self, File},
    future::pending,
    io::{self, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use overlay::{
    name::NetworkName,
    subnet::{Family, Subnet},
};
use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use crate::endpoints::{Grounds, ground::Ground};

/// A disk that was full may have room again.
const AGAIN: Duration = Duration::from_secs(30);

/// Keeps the file as the network is, until the agent ends, if it was asked for. It stays
/// then, as what is in the kernel does.
pub async fn keep(asked: Option<(PathBuf, NetworkName)>, mut grounds: watch::Receiver<Grounds>) {
    let Some((path, network)) = asked else {
        return pending().await;
    };
    let mut file = SubnetEnv::new(path);
    loop {
        let ground = grounds.borrow_and_update().get(&network).cloned();
        file.follow(ground.as_ref());
        let again = async {
            if file.failed {
                sleep(AGAIN).await;
            } else {
                pending::<()>().await;
            }
        };
        // Both arms are cancel-safe: a change that was not seen is still one.
        tokio::select! {
            changed = grounds.changed() => {
                // The reconciler ends the agent when it ends.
                if changed.is_err() {
                    return;
                }
            }
            () = again => {}
        }
    }
}

struct SubnetEnv {
    path: PathBuf,
    /// What it holds, once it has been written.
    written: Option<String>,
    /// Before that the network is about to be joined, and has not been left.
    joined: bool,
    failed: bool,
}

impl SubnetEnv {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            written: None,
            joined: false,
            failed: false,
        }
    }

    /// Not joined, not known yet, or known.
    fn follow(&mut self, ground: Option<&Option<Ground>>) {
        let text = match ground {
            None if !self.joined => return,
            None => None,
            Some(None) => {
                self.joined = true;
                return;
            }
            Some(Some(ground)) => {
                self.joined = true;
                Some(text(ground))
            }
        };
        if self.written == text && !self.failed {
            return;
        }
        let done = match &text {
            Some(text) => put(&self.path, text),
            None => remove(&self.path),
        };
        let path = self.path.display();
        match &done {
            Ok(()) if text.is_some() => info!(%path, "subnet.env is as the network is"),
            Ok(()) => info!(%path, "subnet.env is removed: the network was left"),
            Err(error) if !self.failed => warn!(%path, %error, "cannot keep subnet.env"),
            Err(_) => {}
        }
        (self.failed, self.written) = (done.is_err(), text);
    }
}

/// The gateway is the address after the first: there the plugin puts its bridge. What is
/// masqueraded is ours to say; that it is done already keeps the plugin from doing it,
/// between hosts as well.
fn text(ground: &Ground) -> String {
    let mut lines = Vec::new();
    for (family, infix) in [(Family::V4, ""), (Family::V6, "IPV6_")] {
        let of_family = |subnet: &&Subnet| subnet.family() == family;
        let pool = ground.pools.iter().find(of_family);
        let own = ground.subnets.iter().find(of_family);
        if let (Some(pool), Some(own)) = (pool, own) {
            let gateway = second(*own);
            lines.push(format!("FLANNEL_{infix}NETWORK={pool}"));
            lines.push(format!("FLANNEL_{infix}SUBNET={gateway}/{}", own.length()));
        }
    }
    lines.push(format!("FLANNEL_MTU={}", ground.mtu));
    lines.push("FLANNEL_IPMASQ=true".into());
    lines.join("\n") + "\n"
}

fn second(subnet: Subnet) -> IpAddr {
    match subnet.address() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().saturating_add(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().saturating_add(1)).into(),
    }
}

/// Written beside it, and put in its place: no plugin reads half of it.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension("env.new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
