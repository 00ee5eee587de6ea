//! `weft endpoint watch`: what has become of the endpoints, event by event.

use std::collections::BTreeMap;

use clap::Args;
use options::{clock, table};
use overlay::name::NetworkName;
use proto::v1;
use serde::Serialize;

use super::row::EndpointRow;
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
        let request = v1::WatchEndpointsRequest {
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
        let mut endpoints = connection.endpoints();
        let mut stream = connection.answer(endpoints.watch(request)).await?;
        loop {
            let response = stream.message().await;
            let response = response.map_err(|status| connection.failure(&status))?;
            let Some(response) = response else {
                return Err(Failure::WatchEnded {
                    cluster: followed.cluster,
                    revision: followed.revision,
                });
            };
            for told in followed.take(response) {
                match told {
                    Told::Mark(mark) if mark.event == BOOKMARK && output.is_for_people() => {}
                    Told::Mark(mark) => output.event(&mark, || mark.line())?,
                    Told::Event(event) => output.event(&event, || event.line())?,
                }
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

/// Of the columns of an endpoint: what is to come is not known when a line is written.
const WIDTHS: [usize; 8] = [10, 16, 16, 20, 17, 12, 12, 6];

const RESET: &str = "reset";
const BOOKMARK: &str = "bookmark";

/// A gone endpoint is shown as it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Event {
    event: Became,
    cluster: String,
    watch_revision: u64,
    #[serde(flatten)]
    endpoint: EndpointRow,
}

/// About no endpoint: what was seen before is stale, or nothing else has happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Mark {
    event: &'static str,
    cluster: String,
    watch_revision: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Told {
    Mark(Mark),
    Event(Box<Event>),
}

type Place = (String, String, String);

/// What the watch has told so far.
#[derive(Debug, Default)]
struct Followed {
    cluster: String,
    revision: u64,
    /// The reader holds something, from this watch or from one before it.
    continues: bool,
    /// All there are are known: one that is gone and is not here was never told.
    whole: bool,
    endpoints: BTreeMap<Place, EndpointRow>,
    /// The parts of a revision of which more will follow.
    part: v1::WatchEndpointsResponse,
}

impl Followed {
    /// What a revision brought, once all its parts are here: whoever continues after a
    /// revision must have seen all of it.
    fn take(&mut self, response: v1::WatchEndpointsResponse) -> Vec<Told> {
        self.part.snapshot |= response.snapshot;
        self.part.endpoints.extend(response.endpoints);
        self.part.gone.extend(response.gone);
        if response.partial {
            return Vec::new();
        }
        let whole = std::mem::take(&mut self.part);
        self.cluster = response.cluster;
        self.revision = response.revision;
        let mut told = Vec::new();
        if !whole.snapshot && whole.endpoints.is_empty() && whole.gone.is_empty() {
            told.push(self.mark(BOOKMARK));
        }
        if whole.snapshot && self.continues {
            told.push(self.mark(RESET));
        }
        self.continues = true;
        if whole.snapshot {
            self.whole = true;
            self.endpoints.clear();
        }
        for gone in whole.gone {
            let place = (gone.network, gone.node, gone.id);
            match self.endpoints.remove(&place) {
                Some(last_seen) => told.push(self.event(Became::Gone, last_seen)),
                None if self.whole => {}
                None => told.push(self.event(Became::Gone, unseen(place))),
            }
        }
        for endpoint in whole.endpoints {
            let row = EndpointRow::from(endpoint);
            let place = (row.network.clone(), row.node.clone(), row.id.clone());
            let became = match self.endpoints.get(&place) {
                Some(held) if *held == row => continue,
                Some(_) => Became::Changed,
                None => Became::Added,
            };
            self.endpoints.insert(place, row.clone());
            told.push(self.event(became, row));
        }
        told
    }

    fn event(&self, event: Became, endpoint: EndpointRow) -> Told {
        Told::Event(Box::new(Event {
            event,
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
            endpoint,
        }))
    }

    fn mark(&self, event: &'static str) -> Told {
        Told::Mark(Mark {
            event,
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
        })
    }
}

impl Mark {
    fn line(&self) -> String {
        format!(
            "! this watch begins anew at revision {}: all endpoints seen before are stale",
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
        let cells = self.endpoint.cells(clock::now_ms());
        format!("{mark} {}", table::padded(cells, &WIDTHS))
    }
}

/// An endpoint of which only the end was seen.
fn unseen((network, node, id): Place) -> EndpointRow {
    v1::Endpoint {
        network,
        node,
        id,
        ..Default::default()
    }
    .into()
}

#[cfg(test)]
mod tests;
