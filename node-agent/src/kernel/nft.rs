//! The firewall in the kernel: the table `inet weft`.
//!
//! It is installed whole, in one transaction that first throws away what was there, so
//! no packet ever finds it half. Only the peers' addresses are changed in place. What
//! others do to it is noticed by reading it: right after an install the kernel's own
//! telling of it is kept ([`Shape`]), and later compared.

mod abi;
mod answer;
mod layout;
mod link;
mod message;
mod rule;
mod shape;
mod sources;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

use overlay::datapath::firewall::{Firewall, Frame, Seen, TABLE};
use rustix::net::{AddressFamily, SocketType, netdevice};
use thiserror::Error;

use self::{
    abi::{chain, hook, netlink},
    layout::Chain,
    link::Link,
    message::{Attributes, Batch},
    shape::Shape,
};
pub use self::{link::Trouble, watch::Watch};

#[derive(Debug, Error)]
pub enum NftError {
    #[error("cannot open a netfilter socket: {0}")]
    Open(io::Error),
    #[error("cannot {what} the table inet {TABLE}: {trouble}")]
    Kernel {
        what: &'static str,
        trouble: Trouble,
    },
    #[error("cannot guard the device {device}: {error}")]
    Device { device: String, error: io::Error },
}

/// The table `inet weft` of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Table {
    link: Link,
    installed: Option<Installed>,
}

#[derive(Debug)]
struct Installed {
    frame: Frame,
    /// The uplinks as they were: a device of the same name may be another one by now.
    indices: BTreeMap<String, u32>,
    shape: Shape,
}

/// How often the table is installed until nobody else changed any rule between the
/// install and the reading.
const ATTEMPTS: u32 = 4;

impl Table {
    pub fn open() -> Result<Self, NftError> {
        let link = Link::open().map_err(NftError::Open)?;
        Ok(Self {
            link,
            installed: None,
        })
    }

    /// None: there is no such table.
    pub fn look(&mut self) -> Result<Option<Seen>, NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "read",
            trouble,
        };
        let Some(shape) = Shape::read(&mut self.link).map_err(failed)? else {
            return Ok(None);
        };
        let sources = sources::read(&mut self.link).map_err(failed)?;
        let untouched = self.installed.as_ref().filter(|installed| {
            let same_devices = |indices| indices == installed.indices;
            installed.shape == shape && indices(&installed.frame).is_ok_and(same_devices)
        });
        Ok(Some(Seen {
            frame: untouched.map(|installed| installed.frame.clone()),
            sources,
        }))
    }

    /// Puts the table in place of whatever was there.
    pub fn install(&mut self, firewall: &Firewall) -> Result<(), NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "install",
            trouble,
        };
        self.installed = None;
        let indices = indices(&firewall.frame)?;
        for _ in 0..ATTEMPTS {
            let before = self.generation().map_err(failed)?;
            self.link
                .commit(whole(firewall, &indices))
                .map_err(failed)?;
            let shape = Shape::read(&mut self.link).map_err(failed)?;
            let after = self.generation().map_err(failed)?;
            // Else another's change may be in what was read, and would be taken for ours.
            if let Some(shape) = shape
                && after == before.wrapping_add(1).max(1)
            {
                self.installed = Some(Installed {
                    frame: firewall.frame.clone(),
                    indices,
                    shape,
                });
                return Ok(());
            }
        }
        Err(failed(Trouble::Restless))
    }

    /// A table that is gone already is a success.
    pub fn remove(&mut self) -> Result<(), NftError> {
        self.installed = None;
        let mut batch = Batch::new();
        batch.add(abi::message::DEL_TABLE, 0, &table());
        match self.link.commit(batch) {
            Err(trouble) if !trouble.is_absence() => Err(NftError::Kernel {
                what: "remove",
                trouble,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// One transaction. It is no error if one to admit is there, or one to bar is not.
    pub fn change_sources(&mut self, admit: &[IpAddr], bar: &[IpAddr]) -> Result<(), NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "change the peers of",
            trouble,
        };
        let mut bar: BTreeSet<IpAddr> = bar.iter().copied().collect();
        loop {
            if admit.is_empty() && bar.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            sources::bar(&mut batch, bar.iter().copied());
            sources::admit(&mut batch, admit.iter().copied());
            let trouble = match self.link.commit(batch) {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            // The kernel refuses to delete what is not there, and all the rest with it.
            let there = sources::read(&mut self.link).map_err(failed)?;
            let absent: Vec<IpAddr> = bar.difference(&there).copied().collect();
            if !trouble.is_absence() || absent.is_empty() {
                return Err(failed(trouble));
            }
            for source in absent {
                bar.remove(&source);
            }
        }
    }

    fn port(&self) -> u32 {
        self.link.port()
    }

    /// It counts the transactions of everybody, and is never 0.
    fn generation(&mut self) -> Result<u32, Trouble> {
        let found = self
            .link
            .one(abi::message::GET_GENERATION, &Attributes::default())?;
        let id = found.as_deref().and_then(|generation| {
            let id = answer::attribute(generation, abi::GENERATION_ID)?;
            Some(u32::from_be_bytes(id.try_into().ok()?))
        });
        Ok(id.unwrap_or(0))
    }
}

/// The numbers of the uplinks. Linux takes a chain for devices that are not there, and
/// guards nothing: since 6.16 it waits for them.
fn indices(frame: &Frame) -> Result<BTreeMap<String, u32>, NftError> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .map_err(|errno| NftError::Open(errno.into()))?;
    let uplinks = frame.uplinks.iter();
    uplinks
        .map(|device| match netdevice::name_to_index(&socket, device) {
            Ok(index) => Ok((device.clone(), index)),
            Err(errno) => Err(NftError::Device {
                device: device.clone(),
                error: errno.into(),
            }),
        })
        .collect()
}

/// The transaction after which the table is this and nothing else.
fn whole(firewall: &Firewall, indices: &BTreeMap<String, u32>) -> Batch {
    let mut batch = Batch::new();
    // To delete one that is not there is an error; to make one that is there is none.
    batch.add(abi::message::NEW_TABLE, netlink::CREATE, &table());
    batch.add(abi::message::DEL_TABLE, 0, &table());
    batch.add(abi::message::NEW_TABLE, netlink::CREATE, &table());
    sources::declare(&mut batch);
    sources::admit(&mut batch, firewall.sources.iter().copied());
    let chains = layout::chains(&firewall.frame, indices);
    for chain in &chains {
        batch.add(
            abi::message::NEW_CHAIN,
            netlink::CREATE,
            &declaration(chain),
        );
    }
    for chain in &chains {
        for rule in &chain.rules {
            let mut attributes = Attributes::default();
            attributes
                .text(abi::rule::TABLE, TABLE)
                .text(abi::rule::CHAIN, chain.name)
                .nest(abi::rule::EXPRESSIONS, |list| {
                    list.append(rule.expressions());
                });
            let flags = netlink::CREATE | netlink::APPEND;
            batch.add(abi::message::NEW_RULE, flags, &attributes);
        }
    }
    batch
}

fn table() -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .text(abi::table::NAME, TABLE)
        .number(abi::table::FLAGS, 0);
    attributes
}

fn declaration(chain: &Chain) -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .text(chain::TABLE, TABLE)
        .text(chain::NAME, chain.name);
    if let Some(base) = &chain.base {
        let accept = abi::verdict::ACCEPT.to_be_bytes();
        attributes
            .text(chain::TYPE, base.kind)
            .bytes(chain::POLICY, &accept)
            .nest(chain::HOOK, |at| {
                at.number(hook::NUMBER, base.hook);
                at.bytes(hook::PRIORITY, &base.priority.to_be_bytes());
                if !base.devices.is_empty() {
                    at.nest(hook::DEVICES, |devices| {
                        for device in &base.devices {
                            devices.text(hook::DEVICE_NAME, device);
                        }
                    });
                }
            });
    }
    attributes
}

#[cfg(test)]
mod tests;
