//! What is asked of the kernel at once: all of it is done, or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use overlay::datapath::firewall::{Firewall, Frame, Published, TABLE};

use super::{
    abi::{self, chain, hook, message, netlink},
    layout::{self, Chain},
    message::{Attributes, Batch},
    ports, sources,
};

/// The transaction after which the table is this and nothing else.
pub fn install(firewall: &Firewall, indices: &BTreeMap<String, u32>) -> Batch {
    let mut batch = Batch::new();
    // To delete one that is not there is an error; to make one that is there is none.
    batch.add(message::NEW_TABLE, netlink::CREATE, &table(TABLE, 0));
    batch.add(message::DEL_TABLE, 0, &table(TABLE, 0));
    batch.add(message::NEW_TABLE, netlink::CREATE, &table(TABLE, 0));
    sources::declare(&mut batch, TABLE);
    sources::admit(&mut batch, firewall.sources.iter().copied());
    fill(&mut batch, TABLE, &firewall.frame, indices);
    ports::publish(&mut batch, &firewall.published);
    batch
}

/// The same without peers, under another name and asleep: no packet meets it.
pub fn rehearse(name: &str, frame: &Frame, indices: &BTreeMap<String, u32>) -> Batch {
    let mut batch = Batch::new();
    let asleep = table(name, abi::table::DORMANT);
    batch.add(message::NEW_TABLE, netlink::CREATE, &asleep);
    sources::declare(&mut batch, name);
    fill(&mut batch, name, frame, indices);
    batch
}

fn fill(batch: &mut Batch, table: &str, frame: &Frame, indices: &BTreeMap<String, u32>) {
    if !frame.publishing.is_empty() {
        ports::declare(batch, table);
    }
    let chains = layout::chains(frame, indices);
    for chain in &chains {
        let declaration = declaration(table, chain);
        batch.add(message::NEW_CHAIN, netlink::CREATE, &declaration);
    }
    for chain in &chains {
        for rule in &chain.rules {
            let mut attributes = Attributes::default();
            attributes
                .text(abi::rule::TABLE, table)
                .text(abi::rule::CHAIN, chain.name)
                .nest(abi::rule::EXPRESSIONS, |list| {
                    list.append(rule.expressions());
                });
            let flags = netlink::CREATE | netlink::APPEND;
            batch.add(message::NEW_RULE, flags, &attributes);
        }
    }
}

pub fn remove(name: &str) -> Batch {
    let mut batch = Batch::new();
    batch.add(message::DEL_TABLE, 0, &table(name, 0));
    batch
}

/// Refused as a whole if one to bar is not there.
pub fn change_sources(admit: &[IpAddr], bar: &BTreeSet<IpAddr>) -> Batch {
    let mut batch = Batch::new();
    sources::bar(&mut batch, bar.iter().copied());
    sources::admit(&mut batch, admit.iter().copied());
    batch
}

/// Refused as a whole if one of the gone is not there, or something else is in the
/// place of a new one.
pub fn change_ports(new: &BTreeSet<Published>, gone: &BTreeSet<Published>) -> Batch {
    let mut batch = Batch::new();
    ports::unpublish(&mut batch, gone);
    ports::publish(&mut batch, new);
    batch
}

fn table(name: &str, flags: u32) -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .text(abi::table::NAME, name)
        .number(abi::table::FLAGS, flags);
    attributes
}

fn declaration(table: &str, chain: &Chain) -> Attributes {
    let mut attributes = Attributes::default();
    attributes
        .text(chain::TABLE, table)
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
