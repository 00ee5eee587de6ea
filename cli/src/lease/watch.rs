//! `weft lease watch`: what has become of the leases, event by event.

use std::collections::BTreeMap;

use clap::Args;
use options::{clock, table};
use overlay::name::NetworkName;
use proto::v1;
use serde::Serialize;

use super::row::LeaseRow;
use crate::{
    connect::Connection,
    failure::Failure,
    output::{Output, Row},
};

#[derive(Debug, Args)]
pub struct Watch {
    /// Only of this network
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    /// Continue after this revision
    #[arg(long, value_name = "REVISION", requires = "cluster")]
    since: Option<u64>,
    /// The cluster that the revision is of
    #[arg(long, value_name = "ID", requires = "since")]
    cluster: Option<String>,
}

impl Watch {
    pub async fn run(self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        let request = v1::WatchRequest {
            network: self.network.map(String::from).unwrap_or_default(),
            cluster: self.cluster.unwrap_or_default(),
            revision: self.since.unwrap_or_default(),
        };
        let mut followed = Followed {
            revision: request.revision,
            cluster: request.cluster.clone(),
            continues: self.since.is_some(),
            ..Followed::default()
        };
        let mut stream = connection
            .answer(connection.leases().watch(request))
            .await?;
        loop {
            let response = stream.message().await;
            let response = response.map_err(|status| connection.failure(&status))?;
            let Some(response) = response else {
                return Err(Failure::WatchEnded {
                    cluster: followed.cluster,
                    revision: followed.revision,
                });
            };
            let taken = followed.take(response);
            if let Some(reset) = taken.reset {
                output.event(&reset, || reset.line())?;
            }
            for event in taken.events {
                output.event(&event, || event.line())?;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Became {
    Added,
    Changed,
    Gone,
}

/// Of the columns of a lease: what is to come is not known when a line is written.
/// A longer cell moves the rest of its line.
const WIDTHS: [usize; 8] = [10, 16, 18, 15, 17, 5, 6, 7];

/// A gone lease is shown as it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Event {
    event: Became,
    cluster: String,
    watch_revision: u64,
    #[serde(flatten)]
    lease: LeaseRow,
}

/// What happened in between is not known: the reader must forget all it held. The
/// leases that there are follow, each as added.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reset {
    event: &'static str,
    cluster: String,
    watch_revision: u64,
}

/// What a revision brought.
#[derive(Debug, Default)]
struct Taken {
    reset: Option<Reset>,
    events: Vec<Event>,
}

/// What the watch has told so far.
#[derive(Debug, Default)]
struct Followed {
    cluster: String,
    revision: u64,
    /// The reader holds something, from this watch or from one before it.
    continues: bool,
    leases: BTreeMap<(String, String), LeaseRow>,
    /// The parts of a revision of which more will follow.
    part: v1::WatchResponse,
}

impl Followed {
    /// The events of a revision, once all its parts are here: whoever continues
    /// after a revision must have seen all of it.
    fn take(&mut self, response: v1::WatchResponse) -> Taken {
        self.part.snapshot |= response.snapshot;
        self.part.leases.extend(response.leases);
        self.part.gone.extend(response.gone);
        if response.partial {
            return Taken::default();
        }
        let whole = std::mem::take(&mut self.part);
        self.cluster = response.cluster;
        self.revision = response.revision;

        let set: BTreeMap<_, _> = whole
            .leases
            .into_iter()
            .map(|lease| ((lease.network.clone(), lease.node.clone()), lease.into()))
            .collect();
        let gone = whole.gone.into_iter().map(|gone| (gone.network, gone.node));
        let reset = (whole.snapshot && self.continues).then(|| Reset {
            event: "reset",
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
        });
        self.continues = true;
        if whole.snapshot {
            self.leases.clear();
        }

        let mut events = Vec::new();
        for key in gone {
            let last_seen = self.leases.remove(&key);
            let lease = last_seen.unwrap_or_else(|| unseen(key));
            events.push(self.event(Became::Gone, lease));
        }
        for (key, lease) in set {
            let became = match self.leases.get(&key) {
                Some(held) if *held == lease => continue,
                Some(_) => Became::Changed,
                None => Became::Added,
            };
            self.leases.insert(key, LeaseRow::clone(&lease));
            events.push(self.event(became, lease));
        }
        Taken { reset, events }
    }

    fn event(&self, event: Became, lease: LeaseRow) -> Event {
        Event {
            event,
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
            lease,
        }
    }
}

impl Reset {
    fn line(&self) -> String {
        format!(
            "! this watch begins anew at revision {}: all leases seen before are stale",
            self.watch_revision
        )
    }
}

impl Event {
    fn line(&self) -> String {
        let mark = match self.event {
            Became::Added => '+',
            Became::Changed => '~',
            Became::Gone => '-',
        };
        let cells = self.lease.cells(clock::now_ms());
        format!("{mark} {}", table::padded(cells, &WIDTHS))
    }
}

/// A lease of which only the end was seen.
fn unseen((network, node): (String, String)) -> LeaseRow {
    v1::Lease {
        network,
        node,
        ..Default::default()
    }
    .into()
}

#[cfg(test)]
mod tests;
