//! Many clients on three controllers and one etcd, while all of these are killed:
//! what the clients were told goes to the judge of [`history`].

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Context, Result, ensure};
use overlay::name::NodeName;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    client::{Client, grant},
    controller::Controller,
    etcd::Etcd,
    history::{self, Did, Event, Outcome, Seen, Violation},
    wait::{eventually, within},
};

mod caller;
mod trouble;

use caller::Caller;
use trouble::{Troubles, trouble};

/// Enough for every node, and few enough that subnets go from hand to hand.
const POOLS: &str = "10.0.0.0/15,fd00::/55";

#[derive(Debug, Clone)]
pub struct Plan {
    pub clients: usize,
    pub nodes_of_each: usize,
    pub time: Duration,
    pub etcd_restarts: u32,
    pub seed: u64,
}

/// What happened. An empty list of violations is what it is about.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub took: Duration,
    pub acknowledged: BTreeMap<&'static str, usize>,
    /// Requests that were not answered, or with UNAVAILABLE.
    pub unknown: usize,
    /// Of the acknowledged ones, those after the last trouble.
    pub after_trouble: usize,
    pub troubles: Troubles,
    pub violations: Vec<Violation>,
    /// How the controllers ended, for whoever must find out why.
    pub logs: String,
}

/// The fleet under test.
struct Ground {
    etcd: Etcd,
    controllers: Vec<Controller>,
}

pub async fn run(plan: Plan) -> Result<Report> {
    let ground = Ground::start()?;
    let clients = ground.clients()?;
    let start = Instant::now();
    let (stop, stopped) = watch::channel(false);
    let mut callers = JoinSet::new();
    for number in 0..plan.clients {
        let caller = Caller::new(&plan, number, clients.clone(), start)?;
        callers.spawn(caller.run(stopped.clone()));
    }
    let planned = plan.clone();
    let troubled = tokio::task::spawn_blocking(move || trouble(&planned, ground, start.into_std()));
    let (mut ground, troubles, calm) = troubled.await.context("the trouble")??;
    stop.send_replace(true);
    let mut events = Vec::new();
    while let Some(told) = within("the clients end", callers.join_next()).await? {
        events.extend(told.context("a client")?);
    }
    let after_trouble = |event: &&Event| event.began > calm && !unknown(event);
    let after_trouble = events.iter().filter(after_trouble).count();
    events.extend(look_everywhere(&clients, &events, start).await?);
    let report = Report {
        seed: plan.seed,
        took: start.elapsed(),
        acknowledged: count(&events),
        unknown: events.iter().filter(|event| unknown(event)).count(),
        after_trouble,
        troubles,
        violations: history::check(&events),
        logs: ground.logs(),
    };
    ground.hush();
    Ok(report)
}

impl Ground {
    fn start() -> Result<Self> {
        let etcd = Etcd::start()?;
        let flags = ["--default-network", POOLS];
        let controllers = (0..3).map(|_| Controller::etcd(&etcd, &flags));
        Ok(Self {
            controllers: controllers.collect::<Result<_>>()?,
            etcd,
        })
    }

    fn clients(&self) -> Result<Vec<Client>> {
        let client = |controller: &Controller| Ok(Client::new(controller.channel()?));
        self.controllers.iter().map(client).collect()
    }

    fn logs(&self) -> String {
        let logs: Vec<String> = self.controllers.iter().map(|one| one.log()).collect();
        logs.join("\n---\n")
    }

    fn hush(&mut self) {
        self.controllers.iter_mut().for_each(|one| one.hush());
    }
}

/// In the end every controller shows every lease.
async fn look_everywhere(
    clients: &[Client],
    events: &[Event],
    start: Instant,
) -> Result<Vec<Event>> {
    let newest = events.iter().filter_map(revision).max().unwrap_or(0);
    let mut nodes: Vec<&NodeName> = events.iter().map(|event| &event.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut looks = Vec::new();
    for client in clients {
        let listed = eventually("every controller sees the last revision", async || {
            let listed = client.list("").await?;
            ensure!(listed.revision >= newest, "it is at {}", listed.revision);
            Ok(listed)
        });
        let listed = listed.await?;
        let at = start.elapsed();
        let leases: BTreeMap<&str, _> = listed
            .leases
            .iter()
            .map(|lease| (lease.node.as_str(), lease))
            .collect();
        for node in &nodes {
            let lease = leases.get(node.as_str()).map(|lease| grant(lease));
            let seen = Seen {
                revision: listed.revision,
                lease: lease.transpose()?,
            };
            looks.push(Event {
                node: (*node).clone(),
                began: at,
                ended: at,
                did: Did::Look(Outcome::Done(seen)),
            });
        }
    }
    Ok(looks)
}

fn revision(event: &Event) -> Option<u64> {
    match &event.did {
        Did::Acquire(Outcome::Done(grant)) | Did::Renew(_, Outcome::Done(grant)) => {
            Some(grant.revision)
        }
        Did::Release(_, Outcome::Done(revision)) => Some(*revision),
        _ => None,
    }
}

fn unknown(event: &Event) -> bool {
    matches!(
        event.did,
        Did::Acquire(Outcome::Unknown)
            | Did::Renew(_, Outcome::Unknown)
            | Did::Release(_, Outcome::Unknown)
            | Did::Look(Outcome::Unknown)
    )
}

fn count(events: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| !unknown(event)) {
        let name = match event.did {
            Did::Acquire(_) => "acquires",
            Did::Renew(..) => "renewals",
            Did::Release(..) => "releases",
            Did::Look(_) => "looks",
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:.1?}", self.seed, self.took)?;
        for (what, count) in &self.acknowledged {
            writeln!(f, "  {count:>8} {what} answered")?;
        }
        writeln!(f, "  {:>8} requests without an answer", self.unknown)?;
        writeln!(
            f,
            "  {:>8} answers after the last trouble",
            self.after_trouble
        )?;
        let Troubles {
            kills,
            etcd_restarts,
            compactions,
        } = self.troubles;
        writeln!(
            f,
            "  {kills} controllers killed, etcd restarted {etcd_restarts} and compacted {compactions} times"
        )?;
        write!(f, "  {} violations", self.violations.len())?;
        for violation in self.violations.iter().take(20) {
            write!(f, "\n    {violation:?}")?;
        }
        Ok(())
    }
}
