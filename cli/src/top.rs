//! `weft top`: what goes over the networks now, by network, node and pair of nodes.

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use options::clock;
use overlay::{
    event::Wish,
    name::{NetworkName, NodeName},
    time::WallMs,
};
use socket::words::Traffic;
use tokio::{
    pin,
    time::{Instant, sleep, sleep_until},
};

use self::{
    fleet::{Fleet, View},
    screen::{Key, Screen},
};
use crate::{
    ask::{Asker, Question},
    connect::Reach,
    events::{self, EventRow, Look},
    failure::Failure,
    mesh,
    output::Output,
};

mod fleet;
mod page;
mod screen;

/// A host that takes longer shows nothing, and holds nobody else up for longer.
const LONGEST: Duration = Duration::from_secs(3);
const SHORTEST: Duration = Duration::from_millis(200);
/// The list of nodes is asked for so often: in a large fleet it is long.
const NODES_EVERY: Duration = Duration::from_secs(10);
/// Controllers are looked for again so often, where somebody does not answer.
const OPEN_EVERY: Duration = Duration::from_secs(3);
/// Of these the last are shown.
const EVENTS_OF: Duration = Duration::from_secs(3600);
const EVENTS: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft top
  weft top --node web-1,web-2 --interval 1s
  weft top --once -o json

What is between two nodes is counted where it arrives, with the tunnel's headers, in all networks
together; what is routed directly, without a tunnel, is not counted. At most 200 nodes are asked in a
round: of a larger fleet the 100 busiest, and the others in turn. Without a terminal, two rounds
are made and what came between them is printed once. q ends.")]
pub struct Top {
    /// From one round to the next
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Only these nodes
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    node: Vec<NodeName>,
    /// Of networks only this one; pairs of nodes are of all networks
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    /// Two rounds, and what came between them
    #[arg(long)]
    once: bool,
}

/// Whom to ask, and what they have said.
struct Rounds<'a> {
    reach: &'a Reach,
    asker: Asker,
    opened: Instant,
    within: Duration,
    only: Vec<NodeName>,
    fleet: Fleet,
    /// Those that have a session.
    nodes: Vec<NodeName>,
    all: usize,
    ready: usize,
    listed: Option<Instant>,
    look: Look,
    events: Vec<EventRow>,
}

pub async fn run(top: Top, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let now = WallMs(clock::now_ms());
    let wish = Wish {
        since: WallMs(0).after(now.since(WallMs(0)).saturating_sub(EVENTS_OF)),
        most: EVENTS,
        ..Wish::default()
    };
    let mut rounds = Rounds {
        reach,
        asker: Asker::open(reach).await?,
        opened: Instant::now(),
        within: reach.timeout.min(LONGEST),
        look: Look::new(top.node.clone(), wish),
        events: Vec::new(),
        only: top.node,
        fleet: Fleet::new(top.network),
        nodes: Vec::new(),
        all: 0,
        ready: 0,
        listed: None,
    };
    let is_live = !top.once && output.is_for_people() && std::io::stdout().is_terminal();
    if is_live {
        return live(&mut rounds, top.interval).await;
    }
    rounds.round().await?;
    sleep(top.interval).await;
    rounds.round().await?;
    rounds.hear().await;
    let view = rounds.view();
    output.print(&view, || page::draw(&view, output.width, None))
}

/// Until somebody wants it to end.
async fn live(rounds: &mut Rounds<'_>, interval: Duration) -> Result<(), Failure> {
    rounds.round().await?;
    rounds.hear().await;
    let mut screen = Screen::open()?;
    loop {
        let next = Instant::now() + interval;
        let view = rounds.view();
        screen.show(|width, height| page::draw(&view, width, height))?;
        let wait_and_ask = async {
            sleep_until(next).await;
            // What cannot be had now is shown to be silent, and asked for again.
            let _ = rounds.round().await;
            rounds.hear().await;
        };
        pin!(wait_and_ask);
        loop {
            // A key that is not waited for is kept; a round that is cut off ends with all.
            tokio::select! {
                key = screen.key() => match key {
                    Key::End => return Ok(()),
                    Key::Resized => screen.show(|width, height| page::draw(&view, width, height))?,
                },
                () = &mut wait_and_ask => break,
            }
        }
    }
}

impl Rounds<'_> {
    async fn round(&mut self) -> Result<(), Failure> {
        let is_amiss = self.fleet.is_silent() || !self.asker.unreachable().is_empty();
        if is_amiss && self.opened.elapsed() > OPEN_EVERY {
            // A controller went, or is there again: agents may have moved.
            if let Ok(again) = Asker::open(self.reach).await {
                self.asker = again;
                self.listed = None;
            }
            self.opened = Instant::now();
        }
        let is_old = |listed: Instant| listed.elapsed() > NODES_EVERY;
        if self.listed.is_none_or(is_old) {
            match self.list().await {
                Ok(()) => self.listed = Some(Instant::now()),
                Err(failure) if self.listed.is_none() => return Err(failure),
                // Those that were known are asked all the same.
                Err(_) => {}
            }
        }
        let asked = self.fleet.whom(&self.nodes);
        let questions = asked.into_iter().map(|(node, peers)| {
            let path = format!("/traffic?peers={peers}");
            (node, Question::get(&path, self.within))
        });
        let fleet = &mut self.fleet;
        let each = |node: NodeName, answer: Result<crate::ask::Answer, Failure>| {
            let said = answer.and_then(|answer| answer.words::<Traffic>(&node));
            fleet.hear(&node, said.ok());
        };
        self.asker.ask_all(questions, each).await;
        Ok(())
    }

    async fn list(&mut self) -> Result<(), Failure> {
        let all = events::nodes(self.asker.any()).await?;
        if let Some(unknown) = self.only.iter().find(|name| !all.contains(name)) {
            return Err(Failure::BadRequest(format!(
                "there is no node {unknown} with an agent"
            )));
        }
        let wanted = |name: &NodeName| self.only.is_empty() || self.only.contains(name);
        let here = mesh::nodes(&self.asker).await?;
        let here = here
            .iter()
            .filter_map(|node| Some((node.name.parse().ok()?, node.ready)));
        let here: Vec<(NodeName, Option<bool>)> = here.filter(|(name, _)| wanted(name)).collect();
        self.all = all.iter().filter(|name| wanted(name)).count();
        self.ready = here
            .iter()
            .filter(|(_, ready)| *ready == Some(true))
            .count();
        self.nodes = here.into_iter().map(|(name, _)| name).collect();
        Ok(())
    }

    /// What happened meanwhile: of a large fleet, what controllers tell of it.
    async fn hear(&mut self) {
        let new = if fleet::is_large(self.nodes.len()) {
            self.look.of_controllers(&self.asker).await
        } else {
            self.look.round(&self.asker, self.within).await
        };
        self.events.extend(new);
        self.events.sort_by(EventRow::in_time);
        let older = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..older);
    }

    fn view(&self) -> View {
        View {
            events: self.events.clone(),
            ..self.fleet.view(self.all, self.ready)
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = options::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < SHORTEST {
        return Err("200ms is the least".into());
    }
    Ok(interval)
}
