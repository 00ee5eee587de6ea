//! Packets of the overlay pass where the tables `filter` of iptables would drop what is
//! forwarded, as they do under Docker: by a chain of ours, to which `FORWARD` jumps
//! first. Nothing of others is changed, and where nothing could be dropped nothing of
//! ours is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::subnet::{Family, Subnet};

/// The chain that is ours in every table `filter`.
pub const CHAIN: &str = "WEFT-FORWARD";

/// A table `filter` of iptables: two programs keep such tables, apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    pub backend: Backend,
    pub family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    Legacy,
    Nft,
}

/// What is to pass, of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    pub pools: BTreeSet<Subnet>,
    /// Devices at which packets of a pool come and go without encapsulation.
    pub direct: BTreeSet<(String, Subnet)>,
}

/// A table as a kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Something besides our jump could drop what is forwarded, or nobody can tell.
    pub could_drop: bool,
    /// The places in `FORWARD`, counted from 1, that jump to our chain.
    pub jumps: Vec<usize>,
    /// The rules of our chain, as `iptables -S` says them; none: there is no such chain.
    pub rules: Option<Vec<String>>,
}

/// Every table `filter` that is in use.
pub type Filters = BTreeMap<Filter, Seen>;

/// Our chain as it should be, and first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    pub filter: Filter,
    /// How often `FORWARD` jumps there now.
    pub jumps: usize,
    pub rules: Vec<String>,
}

/// The names of containers' links and of bridges begin so, and those of all devices of
/// the overlay.
const CONTAINERS: [&str; 2] = ["wv+", "weftbr+"];
const OVERLAY: &str = "weft+";

impl Filter {
    /// The program that speaks with it.
    pub fn program(self) -> &'static str {
        match (self.backend, self.family) {
            (Backend::Legacy, Family::V4) => "iptables-legacy",
            (Backend::Legacy, Family::V6) => "ip6tables-legacy",
            (Backend::Nft, Family::V4) => "iptables-nft",
            (Backend::Nft, Family::V6) => "ip6tables-nft",
        }
    }
}

impl Pass {
    /// The rules of our chain, as `iptables -S` says them. Containers send where they
    /// like. To them comes what is of the overlay, by a device of the overlay; from
    /// elsewhere only what answers them, and what a published port leads to them:
    /// whoever merely routes to this host does not get in.
    pub fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        let mut rule = |what: String| rules.push(format!("-A {CHAIN} {what} -j ACCEPT"));
        for pool in &self.pools {
            rule(format!("-s {pool} -d {pool} -i {OVERLAY}"));
            for device in CONTAINERS {
                rule(format!("-s {pool} -i {device}"));
                rule(format!(
                    "-d {pool} -o {device} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT"
                ));
            }
        }
        for (device, pool) in &self.direct {
            rule(format!("-s {pool} -d {pool} -i {device}"));
        }
        rules
    }
}

impl Seen {
    /// Is anything of ours there?
    pub fn is_any(&self) -> bool {
        self.rules.is_some() || !self.jumps.is_empty()
    }

    /// These rules, and the jump to them is the first of all and the only one.
    pub fn is(&self, rules: &[String]) -> bool {
        self.jumps == [1] && self.rules.as_deref() == Some(rules)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (filter, rules) = (self.filter, self.rules.len());
        write!(
            f,
            "{filter} -I FORWARD -j {CHAIN}, which accepts packets of the overlay by {rules} rules"
        )
    }
}

#[cfg(test)]
mod tests;
