//! The firewall in the kernel: the table `inet weft`.
//!
//! It is installed whole, in one transaction that first throws away what was there, so
//! no packet ever finds it half. Only the peers' addresses and the published ports are
//! changed in place. What others do to it is noticed by reading it: right after an
//! install the kernel's own telling of it is kept, and later compared.

mod abi;
mod answer;
mod elements;
mod layout;
mod link;
mod message;
mod ports;
mod rule;
mod shape;
mod sources;
mod transaction;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

use overlay::{
    datapath::firewall::{Firewall, Frame, Published, Seen, TABLE, published::Place},
    subnet::Family,
};
use rustix::net::{AddressFamily, SocketType, netdevice};
use thiserror::Error;

pub use self::{elements::Counted, link::Trouble, watch::Watch};
use self::{link::Link, message::Attributes, shape::Shape};

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

/// Of the table that is made to be compared with.
const REHEARSAL: &str = "weft-rehearsal";

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

    /// Takes over a table that an earlier run installed for this frame, if it is still
    /// what an install would make: the kernel is asked to make the same under another
    /// name, where no packet meets it, and to tell it.
    ///
    /// To install it again would cost some packet on its way: while rules are
    /// exchanged, one that has begun with the old ones finds their sets empty.
    pub fn recognise(&mut self, frame: &Frame) -> Result<(), NftError> {
        if self.installed.is_some() {
            return Ok(());
        }
        let failed = |trouble| NftError::Kernel {
            what: "recognise",
            trouble,
        };
        let Some(shape) = Shape::read(&mut self.link, TABLE, 0).map_err(failed)? else {
            return Ok(());
        };
        let indices = indices(frame)?;
        // One that was left by a run that died in between.
        self.forget(REHEARSAL)?;
        self.link
            .commit(transaction::rehearse(REHEARSAL, frame, &indices))
            .map_err(failed)?;
        let rehearsed = Shape::read(&mut self.link, REHEARSAL, abi::table::DORMANT);
        self.forget(REHEARSAL)?;
        if rehearsed.map_err(failed)?.as_ref() == Some(&shape) {
            self.installed = Some(Installed {
                frame: frame.clone(),
                indices,
                shape,
            });
        }
        Ok(())
    }

    /// None: there is no such table.
    pub fn look(&mut self) -> Result<Option<Seen>, NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "read",
            trouble,
        };
        let Some(shape) = Shape::read(&mut self.link, TABLE, 0).map_err(failed)? else {
            return Ok(None);
        };
        let sources = sources::read(&mut self.link).map_err(failed)?;
        let published = ports::read(&mut self.link).map_err(failed)?;
        let untouched = self.installed.as_ref().filter(|installed| {
            let same_devices = |indices| indices == installed.indices;
            installed.shape == shape && indices(&installed.frame).is_ok_and(same_devices)
        });
        Ok(Some(Seen {
            frame: untouched.map(|installed| installed.frame.clone()),
            sources,
            published,
        }))
    }

    /// What came from each peer since its address was put there.
    pub fn counted(&mut self) -> Result<BTreeMap<IpAddr, Counted>, NftError> {
        sources::counted(&mut self.link).map_err(|trouble| NftError::Kernel {
            what: "read the counters of",
            trouble,
        })
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
                .commit(transaction::install(firewall, &indices))
                .map_err(failed)?;
            let shape = Shape::read(&mut self.link, TABLE, 0).map_err(failed)?;
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
        self.forget(REHEARSAL)?;
        self.forget(TABLE)
    }

    fn forget(&mut self, name: &str) -> Result<(), NftError> {
        match self.link.commit(transaction::remove(name)) {
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
            let batch = transaction::change_sources(admit, &bar);
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

    /// One transaction. What is published in the place of a new one goes; of the gone
    /// those stay that lead elsewhere by now.
    pub fn change_ports(
        &mut self,
        new: &BTreeSet<Published>,
        gone: &BTreeSet<Published>,
    ) -> Result<(), NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "change the ports of",
            trouble,
        };
        let places: BTreeSet<Place> = new.iter().map(Published::place).collect();
        let mut attempts = 1..=ATTEMPTS;
        loop {
            let there = ports::read(&mut self.link).map_err(failed)?;
            let goes = |port: &&Published| {
                gone.contains(port) || (places.contains(&port.place()) && !new.contains(port))
            };
            let gone: BTreeSet<Published> = there.iter().filter(goes).copied().collect();
            let new: BTreeSet<Published> = new.difference(&there).copied().collect();
            if new.is_empty() && gone.is_empty() {
                return Ok(());
            }
            attempts.next();
            match self.link.commit(transaction::change_ports(&new, &gone)) {
                Ok(()) => return Ok(()),
                // Somebody was faster with one of them.
                Err(trouble) if trouble.is_conflict() && !attempts.is_empty() => {}
                Err(trouble) => return Err(failed(trouble)),
            }
        }
    }

    /// Could iptables-nft, whose table is an ordinary one, drop what is forwarded? Or has
    /// it a chain of this name? Nothing is dropped where nothing was ever asked for.
    pub fn could_filter(&mut self, family: Family, chain: &str) -> Result<bool, NftError> {
        let failed = |trouble| NftError::Kernel {
            what: "look beside",
            trouble,
        };
        let of = match family {
            Family::V4 => abi::FAMILY_IPV4,
            Family::V6 => abi::FAMILY_IPV6,
        };
        let mut find = |name| {
            let mut which = Attributes::default();
            which
                .text(abi::chain::TABLE, "filter")
                .text(abi::chain::NAME, name);
            let found = self.link.one_of(of, abi::message::GET_CHAIN, &which);
            found.map_err(failed)
        };
        if find(chain)?.is_some() {
            return Ok(true);
        }
        let Some(forward) = find("FORWARD")? else {
            return Ok(false);
        };
        let number = |kind| answer::attribute(&forward, kind).map(<[u8]>::to_vec);
        let accepts = Some(abi::verdict::ACCEPT.to_be_bytes().to_vec());
        let nobody = Some(0u32.to_be_bytes().to_vec());
        Ok(number(abi::chain::POLICY) != accepts || number(abi::chain::USERS) != nobody)
    }

    /// The chains of others, of IP packets that come, go or pass, that drop whatever they
    /// do not accept.
    pub fn closed(&mut self) -> Result<Vec<String>, NftError> {
        let mut closed = Vec::new();
        for (family, of) in [
            (abi::FAMILY_INET, "inet"),
            (abi::FAMILY_IPV4, "ip"),
            (abi::FAMILY_IPV6, "ip6"),
        ] {
            let all = Attributes::default();
            let chains = self.link.list_of(family, abi::message::GET_CHAIN, &all);
            let chains = chains.map_err(|trouble| NftError::Kernel {
                what: "look beside",
                trouble,
            })?;
            let drop = abi::verdict::DROP.to_be_bytes();
            for chain in chains {
                let text = |kind| answer::attribute(&chain, kind).map(answer::text);
                let names = (text(abi::chain::TABLE), text(abi::chain::NAME));
                if answer::attribute(&chain, abi::chain::POLICY) == Some(&drop)
                    && let (Some(table), Some(name)) = names
                    && (family, table.as_str()) != (abi::FAMILY_INET, TABLE)
                {
                    closed.push(format!("chain {name} of table {of} {table}"));
                }
            }
        }
        Ok(closed)
    }

    /// It counts the transactions of everybody in this namespace.
    pub fn generation_of_all(&mut self) -> Result<u32, NftError> {
        self.generation().map_err(|trouble| NftError::Kernel {
            what: "look beside",
            trouble,
        })
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

#[cfg(test)]
pub mod tests;
