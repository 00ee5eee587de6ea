//! What is watched, event by event: `weft lease watch`, `weft endpoint watch`.

use std::collections::BTreeMap;

use clap::Args;
use options::{clock, table};
use overlay::name::NetworkName;
use serde::Serialize;
use tonic::Streaming;

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

/// A row that comes, changes and goes while it is watched.
pub trait Watched: Row + Clone + PartialEq {
    type Response: Into<Part<Self>>;
    type Place: Ord;
    /// Several of them, in a sentence.
    const NOUN: &'static str;
    /// Of its columns: what is to come is not known when a line is written. A longer
    /// cell moves the rest of its line.
    const WIDTHS: [usize; 8];

    /// What tells it from all others.
    fn place(&self) -> Self::Place;
}

/// What a revision brought, or a part of that.
#[derive(Debug)]
pub struct Part<R> {
    pub cluster: String,
    pub revision: u64,
    /// These are all there are.
    pub snapshot: bool,
    pub set: Vec<R>,
    /// Of each as much as is told of its end.
    pub gone: Vec<R>,
    /// More of this revision will follow.
    pub partial: bool,
}

impl Watch {
    /// The network, the cluster and the revision, as a controller is asked.
    pub fn asked(&self) -> (String, String, u64) {
        let network = self.network.clone().map(String::from);
        let cluster = self.cluster.clone();
        (
            network.unwrap_or_default(),
            cluster.unwrap_or_default(),
            self.since.unwrap_or_default(),
        )
    }

    pub async fn follow<R: Watched>(
        self,
        mut stream: Streaming<R::Response>,
        connection: &Connection,
        output: &Output,
    ) -> Result<(), Failure> {
        let (_, cluster, revision) = self.asked();
        let mut followed = Followed::<R> {
            cluster,
            revision,
            continues: self.since.is_some(),
            ..Followed::default()
        };
        loop {
            let response = stream.message().await;
            let response = response.map_err(|status| connection.failure(&status))?;
            let Some(response) = response else {
                return Err(Failure::WatchEnded {
                    cluster: followed.cluster,
                    revision: followed.revision,
                });
            };
            for told in followed.take(response.into()) {
                match told {
                    Told::Mark(mark) if mark.event == BOOKMARK && output.is_for_people() => {}
                    Told::Mark(mark) => output.event(&mark, || mark.line(R::NOUN))?,
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

const RESET: &str = "reset";
const BOOKMARK: &str = "bookmark";

/// What is gone is shown as it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Event<R> {
    event: Became,
    cluster: String,
    watch_revision: u64,
    #[serde(flatten)]
    row: R,
}

/// About no row. A reset: what happened in between is not known, the reader must forget
/// all it held, and what there is follows, each as added. A bookmark: nothing else has
/// happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Mark {
    event: &'static str,
    cluster: String,
    watch_revision: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Told<R> {
    Mark(Mark),
    Event(Box<Event<R>>),
}

/// What the watch has told so far.
#[derive(Debug)]
struct Followed<R: Watched> {
    cluster: String,
    revision: u64,
    /// The reader holds something, from this watch or from one before it.
    continues: bool,
    /// All there are are known: one that is gone and is not here was never told.
    whole: bool,
    rows: BTreeMap<R::Place, R>,
    /// The parts of a revision of which more will follow.
    parts: Vec<Part<R>>,
}

impl<R: Watched> Default for Followed<R> {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            revision: 0,
            continues: false,
            whole: false,
            rows: BTreeMap::new(),
            parts: Vec::new(),
        }
    }
}

impl<R: Watched> Followed<R> {
    /// What a revision brought, once all its parts are here: whoever continues after a
    /// revision must have seen all of it.
    fn take(&mut self, part: Part<R>) -> Vec<Told<R>> {
        if part.partial {
            self.parts.push(part);
            return Vec::new();
        }
        self.cluster.clone_from(&part.cluster);
        self.revision = part.revision;
        let mut parts = std::mem::take(&mut self.parts);
        parts.push(part);
        let mut told = Vec::new();
        let snapshot = parts.iter().any(|part| part.snapshot);
        let is_empty = |part: &Part<R>| part.set.is_empty() && part.gone.is_empty();
        if !snapshot && parts.iter().all(is_empty) {
            told.push(self.mark(BOOKMARK));
        }
        if snapshot && self.continues {
            told.push(self.mark(RESET));
        }
        self.continues = true;
        if snapshot {
            self.whole = true;
            self.rows.clear();
        }
        let (gone, set): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.gone, part.set)).unzip();
        for unseen in gone.into_iter().flatten() {
            match self.rows.remove(&unseen.place()) {
                Some(last_seen) => told.push(self.event(Became::Gone, last_seen)),
                None if self.whole => {}
                None => told.push(self.event(Became::Gone, unseen)),
            }
        }
        for row in set.into_iter().flatten() {
            let became = match self.rows.get(&row.place()) {
                Some(held) if *held == row => continue,
                Some(_) => Became::Changed,
                None => Became::Added,
            };
            self.rows.insert(row.place(), row.clone());
            told.push(self.event(became, row));
        }
        told
    }

    fn event(&self, event: Became, row: R) -> Told<R> {
        Told::Event(Box::new(Event {
            event,
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
            row,
        }))
    }

    fn mark(&self, event: &'static str) -> Told<R> {
        Told::Mark(Mark {
            event,
            cluster: self.cluster.clone(),
            watch_revision: self.revision,
        })
    }
}

impl Mark {
    fn line(&self, noun: &str) -> String {
        format!(
            "! this watch begins anew at revision {}: all {noun} seen before are stale",
            self.watch_revision
        )
    }
}

impl<R: Watched> Event<R> {
    fn line(&self) -> String {
        let mark = match self.event {
            Became::Added => '+',
            Became::Changed => '~',
            Became::Gone => '-',
        };
        let cells = self.row.cells(clock::now_ms());
        format!("{mark} {}", table::padded(cells, &R::WIDTHS))
    }
}

#[cfg(test)]
mod tests;
