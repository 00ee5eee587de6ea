//! The kernel of this host: looked at as an
//! [`Observed`](overlay::datapath::observed::Observed), changed by [`Step`]s.
//!
//! Everything here blocks, for as long as the kernel takes and no longer: a batch of
//! a few hundred entries is one call of about a millisecond. Only [`events`] waits.
//!
//! - [`netlink`]: a socket; [`decode`] reads what it hears, [`message`] says what it asks.
//! - [`look`]: everything that could be ours; [`apply`]: steps, done.
//! - [`uplink`]: where packets leave the host; [`offload`]: who makes their checksums.
//! - [`bandwidth`]: how fast endpoints may be.
//! - [`forward`]: the way through somebody else's iptables.
//! - [`nft`]: the firewall; [`sysctl`]: settings.
//! - [`endpoint`]: the links of containers on the host's side; [`inside`]: on theirs.
//! - [`traffic`]: what devices have counted.
//! - [`path`]: where packets go, for whoever asks why; [`features`]: what the kernel can do.
//! - [`events`]: what others change meanwhile.

use std::{collections::BTreeMap, io};

use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{
    datapath::{firewall::Frame, step::Step},
    network::Vni,
};
use thiserror::Error;

use self::{
    forward::Forward,
    netlink::{NetlinkError, Socket},
    nft::NftError,
    offload::Ethtool,
};

pub mod apply;
pub mod bandwidth;
pub mod decode;
pub mod endpoint;
pub mod events;
pub mod features;
pub mod forward;
pub mod inside;
pub mod look;
pub mod message;
pub mod netlink;
pub mod nft;
pub mod offload;
pub mod path;
pub mod sysctl;
pub mod traffic;
pub mod uplink;

#[derive(Debug, Error)]
pub enum KernelError {
    #[error("cannot talk with the kernel about devices and routes")]
    Netlink(#[source] NetlinkError),
    #[error("cannot talk with the kernel about the features of devices")]
    Ethtool(#[source] NetlinkError),
    #[error("cannot talk with the kernel about the firewall, which takes CAP_NET_ADMIN")]
    Firewall(#[source] NftError),
}

#[derive(Debug)]
pub struct Kernel {
    socket: Socket,
    /// None: this kernel cannot tell.
    ethtool: Option<Ethtool>,
    firewall: nft::Table,
    forward: Forward,
    devices: BTreeMap<u32, Vni>,
}

/// What became of the steps of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub failures: Vec<Failure>,
    /// The kernel's answers were lost: more may have failed, and only a look tells.
    pub uncertain: bool,
}

/// A step that the kernel refused. The others were done all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub step: Step,
    /// The kernel's own words where it has some, such as `Nexthop has invalid gateway`.
    pub reason: String,
}

impl Kernel {
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self {
            socket: Socket::open(NETLINK_ROUTE).map_err(KernelError::Netlink)?,
            ethtool: Ethtool::open().map_err(KernelError::Ethtool)?,
            firewall: nft::Table::open().map_err(KernelError::Firewall)?,
            forward: Forward::default(),
            devices: BTreeMap::new(),
        })
    }

    /// Takes over a firewall that an earlier run installed, if it is one that should be.
    pub fn recognise_firewall(&mut self, frames: &[Frame]) -> Result<(), NftError> {
        frames
            .iter()
            .try_for_each(|frame| self.firewall.recognise(frame))
    }

    /// Tells when somebody else changes the firewall.
    pub fn watch_firewall(&self) -> io::Result<nft::Watch> {
        nft::Watch::open(&self.firewall)
    }

    /// Our devices by index, as of the last look and what was done since.
    pub fn devices(&self) -> &BTreeMap<u32, Vni> {
        &self.devices
    }
}

#[cfg(test)]
mod tests;
