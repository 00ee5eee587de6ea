//! How everything is, asked of the programs and the kernel themselves.

use anyhow::Result;
use serde_json::Value;
use tests::lab::{Agent, Container};

use super::Cluster;
use crate::{
    program::{process, state},
    words::{ContainerStatus, Fault, Link, Machine, MachineStatus, State, Status},
};

impl Cluster {
    pub fn status(&self) -> Status {
        let plan = self.lab.plan;
        let machines = self.machines();
        let links = plan.links().map(|link| {
            let here = machines
                .iter()
                .filter(|(number, _)| plan.link(*number) == link);
            Link {
                subnets: plan.subnets(link),
                machines: here.map(|(_, machine)| machine.clone()).collect(),
            }
        });
        Status {
            name: self.name.clone(),
            store: self.store.clone(),
            underlay: self.underlay.clone(),
            network: self.network.clone(),
            links: links.collect(),
            faults: self.faults.iter().map(Fault::to_string).collect(),
        }
    }

    fn machines(&self) -> Vec<(u32, MachineStatus)> {
        let plan = self.lab.plan;
        let mut all = Vec::new();
        let mut tell = |number: u32, machine: Machine, (state, reason): (State, Option<String>)| {
            all.push((
                number,
                MachineStatus {
                    machine: machine.to_string(),
                    address: plan.v4(number).into(),
                    state,
                    reason,
                    subnets: Vec::new(),
                    containers: Vec::new(),
                },
            ));
        };
        if let Some(etcd) = &self.lab.etcd {
            tell(plan.etcd(), Machine::Etcd, (process(etcd.pid().ok()), None));
        }
        for (index, controller) in (0..).zip(&self.lab.controllers) {
            tell(
                plan.controller(index),
                Machine::Controller(index + 1),
                state(controller),
            );
        }
        for (number, agent) in &self.agents {
            tell(*number, Machine::Host(*number), state(agent));
        }
        for (number, machine) in &mut all {
            let agent = self.agents.get(number);
            let runs = matches!(machine.state, State::Ready | State::NotReady);
            if let Some(agent) = agent.filter(|_| runs) {
                machine.subnets = subnets(agent).unwrap_or_default();
            }
            let here = |(_, (host, _)): &(&String, &(u32, Container))| host == number;
            let containers = self.containers.iter().filter(here);
            machine.containers = containers
                .map(|(name, (_, container))| ContainerStatus {
                    container: name.clone(),
                    addresses: container.addresses.clone(),
                })
                .collect();
        }
        all
    }
}

fn subnets(agent: &Agent) -> Result<Vec<String>> {
    let status = agent.status()?;
    let all = status["networks"].as_array().into_iter().flatten();
    let subnets = all.flat_map(|network| network["subnets"].as_array().into_iter().flatten());
    let text = |subnet: &Value| subnet.as_str().map(ToOwned::to_owned);
    Ok(subnets.filter_map(text).collect())
}
