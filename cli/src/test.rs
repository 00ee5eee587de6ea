//! `weft test`: an endpoint on every node, and packets between all of them.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use clap::Args;
use options::Exit;
use overlay::{
    name::{NetworkName, NodeName},
    probe::window::Outcome,
    subnet::Family,
    trial::{MOST_WAYS, Place, Reach, Reached, Target},
};
use proto::decode::DEFAULT_NETWORK;
use serde::Serialize;

use crate::{
    ask::{Asker, Question},
    connect::Reach as ReachControllers,
    failure::Failure,
    output::{self, Output, Row, counted, table_of},
    trial::{PutUp, Trials},
};

/// An agent tries its ways side by side, and a lost packet twice.
const PATIENCE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft test
  weft test --network blue --node h1,h2,h3
  weft test -o json

Every node puts up an endpoint as a container has it, sends small and full-size packets to all the
others, by IPv4 and IPv6, and takes it away again; one that is left behind ends by itself within
5 minutes. The exit code is 1 if anything was lost twice, or a node could not take part.")]
pub struct Test {
    /// The network to try
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NETWORK)]
    network: NetworkName,
    /// Only between these nodes
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    node: Vec<NodeName>,
}

/// From one node to another, by one family.
#[derive(Debug, Serialize)]
struct Pair {
    from: NodeName,
    to: NodeName,
    address: IpAddr,
    family: Family,
    passes: bool,
    /// What does not; empty where all does.
    lost: String,
    /// There and back, of the small packet.
    rtt_us: Option<u32>,
}

impl Row for Pair {
    const COLUMNS: &'static [&'static str] = &["FROM", "TO", "ADDRESS", "LOST"];
    const SPARE: &'static [&'static str] = &["ADDRESS"];

    fn cells(&self, _: u64) -> Vec<String> {
        let names = [&self.from, &self.to].map(ToString::to_string);
        let [from, to] = names;
        vec![from, to, self.address.to_string(), self.lost.clone()]
    }
}

pub async fn run(test: Test, reach: &ReachControllers, output: &Output) -> Result<Exit, Failure> {
    let asker = Asker::open(reach).await?;
    let nodes = match test.node.is_empty() {
        true => asker.agents(Some(&test.network)).await?,
        false => test.node,
    };
    if nodes.len() < 2 {
        let text = format!("network {} has no two nodes to try", test.network);
        return Err(Failure::Refused(text));
    }
    let mut trials = Trials::new(asker);
    let tried = tokio::select! {
        tried = try_all(&mut trials, &nodes, &test.network, output) => Some(tried),
        _ = tokio::signal::ctrl_c() => None,
    };
    trials.take_away().await;
    let Some((pairs, absent)) = tried else {
        return Err(Failure::Refused(
            "interrupted; the endpoints are taken away".into(),
        ));
    };
    output.print(&pairs, || said(&pairs, output))?;
    for (node, failure) in &absent {
        output::note(&format!(
            "node {node} did not take part: {}",
            options::sentence(failure)
        ));
    }
    let passes = pairs.iter().all(|pair| pair.passes);
    Ok(match passes && absent.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

async fn try_all(
    trials: &mut Trials,
    nodes: &[NodeName],
    network: &NetworkName,
    output: &Output,
) -> (Vec<Pair>, Vec<(NodeName, Failure)>) {
    if output.is_for_people() {
        output::note(&format!(
            "putting up {}",
            counted(nodes.len() as u64, "endpoint")
        ));
    }
    let PutUp {
        open,
        failed: mut absent,
    } = trials.put_up(nodes, network, Place::Endpoint, LIFE).await;
    let targets: Vec<(NodeName, Target)> = open
        .iter()
        .flat_map(|(node, opened)| opened.targets.iter().map(|target| (node.clone(), *target)))
        .collect();
    let by_address: BTreeMap<IpAddr, &NodeName> = targets
        .iter()
        .map(|(node, target)| (target.address, node))
        .collect();
    let mut questions = Vec::new();
    for (node, opened) in &open {
        let others = targets.iter().filter(|(other, _)| other != node);
        let others: Vec<Target> = others.map(|(_, target)| *target).collect();
        questions.extend(others.chunks(MOST_WAYS).map(|some| {
            let path = format!("/trials/{}/reach", opened.id);
            let ask = Reach { to: some.to_vec() };
            (node.clone(), Question::post(&path, &ask, PATIENCE))
        }));
    }
    let mut pairs = Vec::new();
    let asker = trials.asker().clone();
    asker
        .ask_all(questions, |from, answer| {
            let reached = answer.and_then(|answer| answer.words::<Vec<Reached>>(&from));
            let reached = match reached {
                Ok(reached) => reached,
                Err(failure) => return absent.push((from, failure)),
            };
            let new = reached.into_iter().filter_map(|reached| {
                let to = (*by_address.get(&reached.to)?).clone();
                Some(Pair::of(from.clone(), to, reached))
            });
            let new: Vec<Pair> = new.collect();
            if output.is_for_people() {
                output::note(&progress(&from, &new));
            }
            pairs.extend(new);
        })
        .await;
    pairs.sort_by(|a, b| (&a.from, &a.to, a.address).cmp(&(&b.from, &b.to, b.address)));
    (pairs, absent)
}

impl Pair {
    fn of(from: NodeName, to: NodeName, reached: Reached) -> Self {
        let passes = |outcome| matches!(outcome, Outcome::Answered(_));
        let lost = match (passes(reached.small), passes(reached.full)) {
            (true, true) => String::new(),
            (true, false) => format!("packets of {} bytes", reached.size),
            (false, _) => "everything".into(),
        };
        Self {
            from,
            to,
            address: reached.to,
            family: Family::of(reached.to),
            passes: lost.is_empty(),
            lost,
            rtt_us: match reached.small {
                Outcome::Answered(us) => Some(us),
                Outcome::Lost | Outcome::Refused => None,
            },
        }
    }
}

/// Which of the others a node reaches, by name as long as that is a line.
fn progress(from: &NodeName, pairs: &[Pair]) -> String {
    const NAMED: usize = 8;
    let mut reached: BTreeMap<&NodeName, bool> = BTreeMap::new();
    for pair in pairs {
        *reached.entry(&pair.to).or_insert(true) &= pair.passes;
    }
    let of = |wanted: bool| -> Vec<&str> {
        let some = reached.iter().filter(|(_, passes)| **passes == wanted);
        some.map(|(node, _)| node.as_str()).collect()
    };
    let named = |names: &[&str]| match names.len() {
        0..=NAMED => names.join(", "),
        count => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
    };
    let (good, bad) = (of(true), of(false));
    match (good.is_empty(), bad.is_empty()) {
        (_, true) => format!("{from} reaches {}", named(&good)),
        (true, false) => format!("{from} DOES NOT REACH {}", named(&bad)),
        (false, false) => format!("{from} reaches {}; NOT {}", named(&good), named(&bad)),
    }
}

fn said(pairs: &[Pair], output: &Output) -> String {
    let lost: Vec<&Pair> = pairs.iter().filter(|pair| !pair.passes).collect();
    let passed = pairs.len() - lost.len();
    let end = format!("{passed} of {} pass", counted(pairs.len() as u64, "way"));
    let Some(first) = lost.first() else {
        return format!("{end}\n");
    };
    let table = table_of(&lost, output.now_ms, output.width);
    let (from, to) = (&first.from, &first.to);
    format!("\n{table}\n{end}; `weft trace {from} {to}` names what is wrong\n")
}
