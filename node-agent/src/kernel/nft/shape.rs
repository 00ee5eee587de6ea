//! The table as the kernel tells it, without what changes by itself: by this it is
//! known to be untouched.

use super::{
    abi::{chain, expression, message, rule, set, table},
    answer::{attribute, attributes, text},
    link::{Link, Trouble},
    message::Attributes,
};

/// Table, chains, rules in their order, and declarations of sets. No elements, no
/// handles, no counters, no numbers of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Attributes);

/// What is compared of each sort. Not "all but what varies": a later kernel tells more,
/// and one more thing that varies would have the table installed anew for ever.
const OF_TABLE: &[u16] = &[table::USERDATA, table::OWNER];
const OF_CHAIN: &[u16] = &[
    chain::NAME,
    chain::HOOK,
    chain::POLICY,
    chain::TYPE,
    chain::FLAGS,
    chain::USERDATA,
];
const OF_RULE: &[u16] = &[rule::CHAIN, rule::EXPRESSIONS, rule::USERDATA];
const OF_SET: &[u16] = &[
    set::NAME,
    set::FLAGS,
    set::KEY_TYPE,
    set::KEY_LENGTH,
    set::DATA_TYPE,
    set::DATA_LENGTH,
    set::POLICY,
    set::DESCRIPTION,
    set::TIMEOUT,
    set::USERDATA,
    set::EXPRESSION,
    set::EXPRESSIONS,
];

impl Shape {
    /// None: there is no such table. `made` are the flags that it was made with.
    pub fn read(link: &mut Link, name: &str, made: u32) -> Result<Option<Self>, Trouble> {
        let mut which = Attributes::default();
        which.text(table::NAME, name);
        let Some(table) = link.one(message::GET_TABLE, &which)? else {
            return Ok(None);
        };
        let mut shape = Attributes::default();
        keep(&mut shape, message::GET_TABLE, &table, OF_TABLE);
        let told = attribute(&table, table::FLAGS).and_then(|flags| flags.try_into().ok());
        // What differs from how it was made: somebody may have put it to sleep.
        shape.number(
            table::FLAGS,
            u32::from_be_bytes(told.unwrap_or_default()) ^ made,
        );

        // The kernel lists the chains of all tables, whatever it is asked for.
        for chain in link.list(message::GET_CHAIN, &Attributes::default())? {
            if attribute(&chain, chain::TABLE).is_some_and(|of| text(of) == name) {
                keep(&mut shape, message::GET_CHAIN, &chain, OF_CHAIN);
            }
        }
        let mut which = Attributes::default();
        which.text(rule::TABLE, name);
        for rule in link.list(message::GET_RULE, &which)? {
            keep(&mut shape, message::GET_RULE, &rule, OF_RULE);
        }
        let mut which = Attributes::default();
        which.text(set::TABLE, name);
        let sets = match link.list(message::GET_SET, &which) {
            Ok(sets) => sets,
            // The table went while it was read.
            Err(trouble) if trouble.is_absence() => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        for set in sets {
            keep(&mut shape, message::GET_SET, &set, OF_SET);
        }
        Ok(Some(Self(shape)))
    }
}

fn keep(shape: &mut Attributes, sort: u8, object: &[u8], wanted: &[u16]) {
    shape.nest(u16::from(sort), |kept| {
        for (kind, value) in attributes(object) {
            if !wanted.contains(&kind) {
                continue;
            }
            if sort == message::GET_RULE && kind == rule::EXPRESSIONS {
                kept.nest(kind, |kept| expressions(kept, value));
            } else {
                kept.bytes(kind, value);
            }
        }
    });
}

/// All of every expression but what a counter has counted.
fn expressions(kept: &mut Attributes, list: &[u8]) {
    for (kind, one) in attributes(list) {
        let name = attribute(one, expression::NAME).unwrap_or_default();
        if text(name) == "counter" {
            kept.bytes(kind, name);
        } else {
            kept.bytes(kind, one);
        }
    }
}
