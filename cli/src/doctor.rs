//! `weft doctor`: what keeps hosts from being part of the overlay, as their agents find it.

use std::time::Duration;

use clap::Args;
use options::Exit;
use overlay::{
    doctor::{Finding, State, summary},
    name::NodeName,
};
use serde::Serialize;
use socket::client::AskError;

use crate::{
    agent::At,
    ask::{Asker, Question},
    connect::Reach,
    failure::Failure,
    output::{self, Output, Row, table_of},
};

/// An agent tries every peer, and waits for those that do not answer.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft doctor
  weft doctor --node h3
  weft doctor --all -o json

The agent of the host looks at its kernel, settings, disk, clock, controllers, firewall and at the
way to every peer: a few packets are sent, and nothing is changed. Where no agent runs,
`weft-agent doctor` looks by itself. Of several hosts only what is not well is listed. The exit code
is 1 if anything is wrong.")]
pub struct Doctor {
    /// Ask the agents of these nodes instead of this host's
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "all"
    )]
    node: Vec<NodeName>,
    /// Ask the agents of all nodes
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    at: At,
}

/// One finding on one host.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeName>,
    #[serde(flatten)]
    finding: Finding,
}

/// On this host, where nobody has to be told which.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Here(Found);

impl Row for Found {
    const COLUMNS: &'static [&'static str] = &["NODE", "STATE", "ABOUT", "FOUND"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _: u64) -> Vec<String> {
        let node = self.node.as_ref().map_or("-".into(), ToString::to_string);
        let finding = &self.finding;
        let state = finding.state.to_string();
        vec![node, state, finding.about.clone(), finding.sentence()]
    }
}

impl Row for Here {
    const COLUMNS: &'static [&'static str] = &["STATE", "ABOUT", "FOUND"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        self.0.cells(now_ms).split_off(1)
    }
}

pub async fn run(doctor: Doctor, reach: &Reach, output: &Output) -> Result<Exit, Failure> {
    if doctor.node.is_empty() && !doctor.all {
        return here(&doctor.at, output);
    }
    let asker = Asker::open(reach).await?;
    let nodes = match doctor.all {
        true => asker.agents(None).await?,
        false => doctor.node,
    };
    let several = nodes.len() > 1;
    let question = Question::post("/doctor", &(), PATIENCE);
    let questions = nodes.into_iter().map(|node| (node, question.clone()));
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    asker
        .ask_all(questions, |node, answer| {
            match answer.and_then(|answer| answer.words::<Vec<Finding>>(&node)) {
                Ok(findings) => found.extend(findings.into_iter().map(|finding| Found {
                    node: Some(node.clone()),
                    finding,
                })),
                Err(failure) => silent.push((node, failure)),
            }
        })
        .await;
    silent.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Stable: of one node they stay in their order.
    found.sort_by(|a, b| a.node.cmp(&b.node));
    let all: Vec<Finding> = found.iter().map(|found| found.finding.clone()).collect();
    if several && output.is_for_people() {
        found.retain(|found| found.finding.state != State::Ok);
    }
    said(&found, &all, output)?;
    for (node, failure) in &silent {
        output::note(&format!(
            "node {node} was not asked: {}",
            options::sentence(failure)
        ));
    }
    Ok(match silent.is_empty() {
        true => exit(&all),
        false => Exit::Failed,
    })
}

fn here(at: &At, output: &Output) -> Result<Exit, Failure> {
    let asked = at.agent(PATIENCE).ask("POST", "/doctor", &());
    let findings: Vec<Finding> = asked.map_err(|failure| match failure {
        Failure::Agent(nobody @ AskError::Nobody { .. }) => Failure::NodeNotReady(format!(
            "{nobody}; `weft-agent doctor` looks at this host without it"
        )),
        other => other,
    })?;
    let found = findings.iter().cloned();
    let found: Vec<Here> = found
        .map(|finding| {
            Here(Found {
                node: None,
                finding,
            })
        })
        .collect();
    said(&found, &findings, output)?;
    Ok(exit(&findings))
}

fn said<R: Row>(rows: &[R], findings: &[Finding], output: &Output) -> Result<(), Failure> {
    output.print(&rows, || {
        let end = summary(findings);
        if rows.is_empty() {
            return format!("{end}\n");
        }
        let table = table_of(rows, output.now_ms, output.width);
        format!("{table}\n{end}\n")
    })
}

fn exit(findings: &[Finding]) -> Exit {
    match findings.iter().any(|finding| finding.state == State::Wrong) {
        true => Exit::Failed,
        false => Exit::Done,
    }
}
