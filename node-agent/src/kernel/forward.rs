//! Our chain in the tables `filter` of iptables, read and written by its own programs:
//! the two kinds of tables have nothing else in common. Where no such table is in use,
//! no program is started.

mod program;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use overlay::{
    datapath::forward::{Backend, CHAIN, Filter, Filters, Passage, Seen},
    subnet::Family,
};
use tracing::debug;

use super::nft::{NftError, Table};
pub use program::ForwardError;

/// Of iptables-legacy nobody tells when it is changed; between looks that others cause
/// it is not asked more often than this.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of the tables of this network namespace.
#[derive(Debug, Default)]
pub struct Forward {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    filters: Filters,
    at: Instant,
    /// Of nftables, which counts every change.
    generation: u32,
}

impl Forward {
    pub fn look(&mut self, nft: &mut Table) -> Result<Filters, NftError> {
        let generation = nft.generation_of_all()?;
        let same = self
            .known
            .as_ref()
            .filter(|known| known.generation == generation);
        let (mut filters, mut at) = (Filters::new(), Instant::now());
        for family in Family::BOTH {
            let filter = Filter {
                backend: Backend::Legacy,
                family,
            };
            let fresh = self
                .known
                .as_ref()
                .filter(|known| known.at.elapsed() < FRESH);
            let known = fresh.and_then(|known| Some((known.at, known.filters.get(&filter)?)));
            match known {
                Some((then, seen)) => {
                    at = then;
                    filters.insert(filter, seen.clone());
                }
                None if is_in_use(family) => {
                    filters.insert(filter, read(filter));
                }
                None => {}
            }
            let filter = Filter {
                backend: Backend::Nft,
                family,
            };
            match same {
                Some(known) => filters.extend(
                    known
                        .filters
                        .get(&filter)
                        .map(|seen| (filter, seen.clone())),
                ),
                None if nft.could_filter(family, CHAIN)? => {
                    filters.insert(filter, read(filter));
                }
                None => {}
            }
        }
        self.known = Some(Known {
            filters: filters.clone(),
            at,
            generation,
        });
        Ok(filters)
    }

    /// One transaction: the chain has these rules, and `FORWARD` jumps there first.
    pub fn open(&mut self, passage: &Passage) -> Result<(), ForwardError> {
        self.known = None;
        let mut lines = vec![format!(":{CHAIN} - [0:0]")];
        lines.extend(passage.rules.iter().cloned());
        lines.extend(vec![format!("-D FORWARD -j {CHAIN}"); passage.jumps]);
        lines.push(format!("-I FORWARD 1 -j {CHAIN}"));
        program::restore(passage.filter, &lines)
    }

    pub fn close(&mut self, filter: Filter, jumps: usize) -> Result<(), ForwardError> {
        self.known = None;
        let mut lines = vec![format!(":{CHAIN} - [0:0]")];
        lines.extend(vec![format!("-D FORWARD -j {CHAIN}"); jumps]);
        lines.push(format!("-X {CHAIN}"));
        program::restore(filter, &lines)
    }
}

/// The rules and policies of iptables that drop, and how many packets each has. Where
/// there is no program to ask, there are none.
pub fn drops(family: Family) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for backend in [Backend::Legacy, Backend::Nft] {
        // To ask for a table of the old kind would make it.
        if backend == Backend::Legacy && !is_in_use(family) {
            continue;
        }
        let filter = Filter { backend, family };
        let lines = program::counted(filter).unwrap_or_default();
        let mut table = "";
        for line in lines.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if let Some((rule, packets)) = dropping(line) {
                drops.insert(format!("{filter} -t {table} {rule}"), packets);
            }
        }
    }
    drops
}

/// Of `[7:420] -A INPUT -j DROP` or `:INPUT DROP [7:420]` the rule and the packets.
fn dropping(line: &str) -> Option<(String, u64)> {
    if let Some(policy) = line.strip_prefix(':') {
        let mut words = policy.split(' ');
        let (chain, target, count) = (words.next()?, words.next()?, words.next()?);
        let packets = count.strip_prefix('[')?.split(':').next()?.parse().ok()?;
        return (target == "DROP").then(|| (format!("-P {chain} DROP"), packets));
    }
    let (count, rule) = line.strip_prefix('[')?.split_once("] ")?;
    let drops = rule.contains("-j DROP") || rule.contains("-j REJECT");
    let packets = count.split(':').next()?.parse().ok()?;
    drops.then(|| (rule.to_owned(), packets))
}

/// Has iptables-legacy ever been asked for its table here? To ask it would make one.
fn is_in_use(family: Family) -> bool {
    let names = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    fs::read_to_string(names).is_ok_and(|names| names.lines().any(|name| name == "filter"))
}

fn read(filter: Filter) -> Seen {
    let forward = match program::list(filter, "FORWARD") {
        Ok(lines) => lines.unwrap_or_default(),
        Err(error) => {
            // Nobody can tell: what is done next will fail by the same, and say so.
            debug!(%filter, %error);
            return Seen {
                could_drop: true,
                ..Seen::default()
            };
        }
    };
    let jump = format!("-A FORWARD -j {CHAIN}");
    let rules = forward.iter().filter(|line| line.starts_with("-A "));
    let jumps = (1..).zip(rules.clone());
    let jumps = jumps.filter(|(_, rule)| **rule == jump);
    let accepts = forward.iter().any(|line| line == "-P FORWARD ACCEPT");
    Seen {
        could_drop: !accepts || rules.clone().any(|rule| *rule != jump),
        jumps: jumps.map(|(place, _)| place).collect(),
        rules: program::list(filter, CHAIN)
            .unwrap_or_default()
            .map(|lines| {
                let rules = lines.into_iter();
                rules.filter(|line| line.starts_with("-A ")).collect()
            }),
    }
}

#[cfg(test)]
mod tests;
