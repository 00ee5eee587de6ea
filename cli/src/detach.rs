//! `weft detach`: the end of what `weft attach` began.

use std::time::Duration;

use clap::Args;
use overlay::endpoint::Key;
use socket::words::{self, Shown};

use crate::{
    agent::{self, Agent},
    attach::{
        engine::EngineError,
        sandbox::{Place, SandboxError},
    },
    failure::Failure,
    output::Output,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft detach --netns blue
  weft detach --container 4f2a7c --interface eth1 --network backend

What is not attached is detached already. A namespace that is gone is found by what
it was attached by.")]
pub struct Detach {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    at: agent::At,
}

pub fn run(detach: Detach, within: Duration, output: &Output) -> Result<(), Failure> {
    let Detach { place, at } = detach;
    let agent = at.agent(within);
    let keys = match place.find(within) {
        Ok(found) => vec![found.sandbox.key(&place.interface)],
        Err(Failure::Sandbox(error)) if is_gone(&error) => remembered(&agent, &place)?,
        Err(Failure::Engine(error)) if !matches!(error, EngineError::Several(_)) => {
            remembered(&agent, &place)?
        }
        Err(failure) => return Err(failure),
    };
    for key in keys {
        let words = words::Detach {
            network: place.network.clone(),
            key,
            seq: None,
        };
        agent.ask::<()>("DELETE", "/endpoints", &words)?;
    }
    let Place { named, network, .. } = place;
    output.done(&format!("{named} is detached from {network}"))
}

fn is_gone(error: &SandboxError) -> bool {
    match error {
        SandboxError::NoName { .. }
        | SandboxError::NoPath { .. }
        | SandboxError::NoProcess { .. } => true,
        SandboxError::Hidden { .. } | SandboxError::Host { .. } | SandboxError::NoText { .. } => {
            false
        }
    }
}

/// The attachments that the agent knows by these words.
fn remembered(agent: &Agent, place: &Place) -> Result<Vec<Key>, Failure> {
    let all: Vec<Shown> = agent.get("GET", "/endpoints")?;
    let endpoints = all.into_iter().map(|shown| shown.endpoint);
    let of_it = endpoints.filter(|endpoint| place.fits(endpoint));
    Ok(of_it.map(|endpoint| endpoint.key).collect())
}
