//! `weft trace`: what a packet from one to another meets, on both hosts.

use std::{net::IpAddr, time::Duration};

use clap::Args;
use options::Exit;
use overlay::{
    name::{NetworkName, NodeName},
    subnet::Family,
    trace::{Course, End, Facts, Hop, Question, judge},
};
use serde::Serialize;

use crate::{
    ask::{self, Asker},
    connect::Reach,
    failure::Failure,
    output::{Output, Row, table_of},
};
use place::{Ground, Place};

mod place;

/// A host looks, and waits for answers that may not come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft trace web db
  weft trace 10.32.0.2 10.32.4.7
  weft trace h1 db -6 -o json

Both hosts are asked what their kernels have, not what they should have; a few packets
are sent. The exit code is 1 if anything is wrong, and the first that is is named.")]
pub struct Trace {
    /// A container by its name, address or id, or a node
    from: String,
    to: String,
    /// Where names are in several networks
    #[arg(long, value_name = "NETWORK")]
    network: Option<NetworkName>,
    /// By IPv6, where both have both
    #[arg(short = '6', long)]
    ipv6: bool,
}

#[derive(Debug, Serialize)]
struct Traced<'a> {
    network: &'a NetworkName,
    from: IpAddr,
    to: IpAddr,
    /// The first thing that is wrong.
    wrong: Option<&'a Hop>,
    hops: &'a [Hop],
}

impl Row for Hop {
    const COLUMNS: &'static [&'static str] = &["NODE", "ON THE WAY", "SEEN", "STATE"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _: u64) -> Vec<String> {
        let state = if self.wrong.is_some() { "WRONG" } else { "ok" };
        let cells = [&self.node, &self.object, &self.seen];
        let cells = cells.into_iter().cloned();
        cells.chain([state.into()]).collect()
    }
}

pub async fn run(trace: Trace, reach: &Reach, output: &Output) -> Result<Exit, Failure> {
    let asker = Asker::open(reach).await?;
    let names = [trace.from.as_str(), trace.to.as_str()];
    let ground = Ground::find(asker.any(), trace.network.as_ref(), names).await?;
    let (from, to) = (ground.place(names[0])?, ground.place(names[1])?);
    let family = family(&from, &to, trace.ipv6)?;
    let (from_at, to_at) = (from.address(family), to.address(family));
    let (Some(from_at), Some(to_at)) = (from_at, to_at) else {
        return Err(Failure::BadRequest("both ends need an address".into()));
    };
    let over = from.node != to.node;
    let question = |end, own: &Place, other: &Place| Question {
        vni: ground.vni,
        end,
        from: from_at,
        to: to_at,
        container: own.container.flatten(),
        peer: other.underlay.filter(|_| over),
    };
    let far = question(End::Far, &to, &from);
    let before = ask(&asker, &to.node, &far).await;
    let near = ask(&asker, &from.node, &question(End::Near, &from, &to)).await;
    // What the far host dropped while the near one sent.
    let mut seen = before;
    let lost = |facts: &Facts| {
        let mut reached = facts.reached.iter();
        reached.any(|reached| reached.full.is_err())
    };
    if near.as_ref().is_ok_and(lost)
        && let Ok(before) = &seen
        && let Ok(mut after) = ask(&asker, &to.node, &far).await
    {
        after.firewall.grown = after.firewall.grown_since(&before.firewall);
        seen = Ok(after);
    }
    let course = Course {
        vni: ground.vni,
        port: ground.port,
        from: from.stop(from_at),
        to: to.stop(to_at),
    };
    let sentence = |asked: &Result<Facts, Failure>| {
        asked
            .as_ref()
            .err()
            .map(|failure| options::sentence(failure))
    };
    let (no_near, no_far) = (sentence(&near), sentence(&seen));
    let hops = judge(
        &course,
        near.as_ref()
            .map_err(|_| no_near.as_deref().unwrap_or_default()),
        seen.as_ref()
            .map_err(|_| no_far.as_deref().unwrap_or_default()),
    );
    let wrong = hops.iter().find(|hop| hop.wrong.is_some());
    let traced = Traced {
        network: &ground.network,
        from: from_at,
        to: to_at,
        wrong,
        hops: &hops,
    };
    output.print(&traced, || said(&traced, output))?;
    Ok(match wrong {
        None => Exit::Done,
        Some(_) => Exit::Failed,
    })
}

fn said(traced: &Traced<'_>, output: &Output) -> String {
    let table = table_of(traced.hops, output.now_ms, output.width);
    let end = match traced
        .wrong
        .and_then(|hop| Some((hop, hop.wrong.as_ref()?)))
    {
        None => format!("nothing is wrong between {} and {}", traced.from, traced.to),
        Some((hop, why)) => format!("{}: {}: {why}", hop.node, hop.object),
    };
    format!("{table}\n{end}\n")
}

async fn ask(asker: &Asker, node: &NodeName, question: &Question) -> Result<Facts, Failure> {
    let question = ask::Question::post("/trace", question, PATIENCE);
    asker.words(node, &question).await
}

/// The one that was asked for, or typed as an address, or that both have.
fn family(from: &Place, to: &Place, ipv6: bool) -> Result<Family, Failure> {
    let both = |family: &Family| from.address(*family).is_some() && to.address(*family).is_some();
    let wanted = if ipv6 {
        [Family::V6].as_slice()
    } else {
        &[Family::V4, Family::V6]
    };
    let found = wanted.iter().copied().find(both);
    found.ok_or_else(|| {
        let text = format!(
            "{} and {} have no addresses of one family",
            from.name, to.name
        );
        Failure::BadRequest(text)
    })
}
