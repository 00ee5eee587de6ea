//! `weft events`: what happened, at all controllers and on all nodes, in one row.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use clap::Args;
use overlay::{
    event::{Event, Level, Wish},
    name::NodeName,
    time::WallMs,
};
use proto::{decode, v1};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    ask::{Asker, Question},
    connect::{Connection, Reach},
    failure::Failure,
    output::{self, Output, table_of},
};
pub use row::EventRow;
use row::Kind;

mod row;

/// Between two looks of a watch.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft events
  weft events --since 24h --level warn
  weft events --node web-1,web-2 --watch
  weft events -o json

Controllers and agents keep what their logs say at info and above, for a day; also over a
restart. With --node it is what these nodes' agents say, and what controllers say of them.")]
pub struct Events {
    /// How far back
    #[arg(long, value_name = "TIME", value_parser = options::parse_duration, default_value = "1h")]
    since: Duration,
    /// Only of these nodes
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    node: Vec<NodeName>,
    /// This one and above: info, warn or error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    level: Level,
    /// The newest of them
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on with what happens
    #[arg(long)]
    watch: bool,
}

/// Whom was asked: a controller by its id, or a node.
type Source = (Kind, String);

/// What has been told so far.
pub struct Look {
    /// Only of these; none: of all.
    nodes: Vec<NodeName>,
    wish: Wish,
    /// The number of the last event of each.
    seen: BTreeMap<Source, u64>,
    /// Who could not be asked, and why.
    silent: BTreeSet<String>,
}

pub async fn run(events: Events, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let mut asker = Asker::open(reach).await?;
    let most = usize::try_from(events.limit).unwrap_or(usize::MAX);
    let now = WallMs(output.now_ms);
    let wish = Wish {
        since: WallMs(0).after(now.since(WallMs(0)).saturating_sub(events.since)),
        least: events.level,
        most,
        ..Wish::default()
    };
    let mut look = Look::new(events.node, wish);
    let mut rows = look.round(&asker, reach.timeout).await;
    let older = rows.len().saturating_sub(most);
    rows.drain(..older);
    if !events.watch {
        output.list(&rows, "nothing happened; --since looks further back")?;
        look.tell_silent(&BTreeSet::new());
        if older > 0 {
            output::note("weft: there are older ones; --limit shows more");
        }
        return Ok(());
    }
    if output.is_for_people() {
        // Under one head, as far as they go.
        output.print(&rows, || table_of(&rows, output.now_ms, None))?;
    } else {
        each(&rows, output)?;
    }
    let mut told = BTreeSet::new();
    look.wish.most = usize::MAX;
    loop {
        look.tell_silent(&told);
        told = std::mem::take(&mut look.silent);
        sleep(PAUSE).await;
        if !asker.unreachable().is_empty()
            && let Ok(again) = Asker::open(reach).await
        {
            asker = again;
        }
        each(&look.round(&asker, reach.timeout).await, output)?;
    }
}

fn each(rows: &[EventRow], output: &Output) -> Result<(), Failure> {
    for row in rows {
        output.event(row, || row.line())?;
    }
    Ok(())
}

/// All that controllers and these nodes still know, and who does not answer.
pub async fn everything(
    asker: &Asker,
    nodes: &[NodeName],
    within: Duration,
) -> (Vec<EventRow>, BTreeSet<String>) {
    let mut look = Look::new(Vec::new(), Wish::default());
    let mut rows = look.of_controllers(asker).await;
    rows.extend(look.of_nodes(asker, nodes.to_vec(), within).await);
    rows.sort_by(EventRow::in_time);
    (rows, look.silent)
}

impl Look {
    pub fn new(nodes: Vec<NodeName>, wish: Wish) -> Self {
        Self {
            nodes,
            wish,
            seen: BTreeMap::new(),
            silent: BTreeSet::new(),
        }
    }

    /// What is new, in the order in which it happened.
    pub async fn round(&mut self, asker: &Asker, within: Duration) -> Vec<EventRow> {
        for failure in asker.unreachable() {
            let text = match failure {
                Failure::NoController { tried } => tried.clone(),
                other => options::sentence(other),
            };
            self.silent.insert(text);
        }
        let mut rows = self.of_controllers(asker).await;
        let nodes = match self.nodes.as_slice() {
            [] => nodes(asker.any()).await.unwrap_or_else(|failure| {
                self.silent.insert(options::sentence(&failure));
                Vec::new()
            }),
            named => named.to_vec(),
        };
        rows.extend(self.of_nodes(asker, nodes, within).await);
        rows.sort_by(EventRow::in_time);
        rows
    }

    pub async fn of_controllers(&mut self, asker: &Asker) -> Vec<EventRow> {
        let mut asking = JoinSet::new();
        for connection in asker.all() {
            let connection = connection.clone();
            let request = v1::EventsRequest {
                since_ms: self.wish.since.0,
                // Which of them it is will be known by its answer.
                after: 0,
                level: self.wish.least.to_string(),
                limit: 0,
            };
            asking.spawn(async move {
                let answer = connection.answer(connection.fleet().events(request)).await;
                (connection, answer)
            });
        }
        let mut rows = Vec::new();
        let mut known = BTreeSet::new();
        for (connection, answer) in asking.join_all().await {
            match answer {
                // Two addresses of one.
                Ok(answer) if !known.insert(answer.controller.clone()) => {}
                Ok(answer) => {
                    let source = (Kind::Controller, answer.controller);
                    let events = answer.events.into_iter().map(decode::event);
                    let events = self.news(source, events.collect());
                    rows.extend(events.into_iter().filter_map(|event| {
                        let node = event.fields.get("node");
                        let wanted = &self.nodes;
                        let is_wanted = wanted.is_empty()
                            || wanted
                                .iter()
                                .any(|name| Some(name.as_str()) == node.map(String::as_str));
                        is_wanted
                            .then(|| EventRow::new(Kind::Controller, place(&connection), event))
                    }));
                }
                Err(failure) => drop(self.silent.insert(options::sentence(&failure))),
            }
        }
        rows
    }

    async fn of_nodes(
        &mut self,
        asker: &Asker,
        nodes: Vec<NodeName>,
        within: Duration,
    ) -> Vec<EventRow> {
        let questions: Vec<(NodeName, Question)> = nodes
            .into_iter()
            .map(|node| {
                let source = (Kind::Node, node.to_string());
                let wish = Wish {
                    after: self.seen.get(&source).copied().unwrap_or(0),
                    ..self.wish
                };
                (node, Question::get(&format!("/events?{wish}"), within))
            })
            .collect();
        let mut rows = Vec::new();
        asker
            .ask_all(questions, |node, answer| {
                match answer.and_then(|answer| answer.words::<Vec<Event>>(&node)) {
                    Ok(events) => {
                        let events = self.news((Kind::Node, node.to_string()), events);
                        let row = |event| EventRow::new(Kind::Node, node.to_string(), event);
                        rows.extend(events.into_iter().map(row));
                    }
                    Err(failure) => drop(self.silent.insert(options::sentence(&failure))),
                }
            })
            .await;
        rows
    }

    /// What of it was not told before.
    fn news(&mut self, source: Source, mut events: Vec<Event>) -> Vec<Event> {
        let seen = self.seen.entry(source).or_default();
        events.retain(|event| event.seq > *seen);
        *seen = events.iter().map(|event| event.seq).fold(*seen, u64::max);
        events
    }

    fn tell_silent(&self, told: &BTreeSet<String>) {
        for text in self.silent.difference(told) {
            output::note(&format!("weft: {text}"));
        }
    }
}

/// Where a controller listens, which its operator knows it by.
pub fn place(connection: &Connection) -> String {
    let url = connection.url.as_str();
    url.split_once("://").map_or(url, |(_, place)| place).into()
}

/// Those that have an agent.
pub async fn nodes(connection: &Connection) -> Result<Vec<NodeName>, Failure> {
    let request = v1::ListNodesRequest {};
    let answer = connection.answer(connection.nodes().list(request)).await?;
    let agents = answer
        .nodes
        .iter()
        .filter(|node| matches!(node.state.as_str(), "connected" | "disconnected"));
    Ok(agents.filter_map(|node| node.name.parse().ok()).collect())
}
