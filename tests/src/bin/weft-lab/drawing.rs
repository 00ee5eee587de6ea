//! A cluster as a person sees it.

use std::net::IpAddr;

use options::table;
use serde::Serialize;

use crate::words::{MachineStatus, State, Status};

/// Links, what is on them, and what was done to them.
pub fn cluster(status: &Status) -> String {
    let Status {
        name,
        store,
        underlay,
        network,
        ..
    } = status;
    let mut text = format!("lab {name}: {store}, network {network}, underlay {underlay}\n\n");
    let mut rows = Vec::new();
    let routed = status.links.len() > 1;
    if routed {
        rows.push(vec!["router".to_owned()]);
    }
    for (number, link) in status.links.iter().enumerate() {
        let (corner, trunk) = match (routed, number + 1 == status.links.len()) {
            (false, _) => ("", ""),
            (true, false) => ("|-- ", "|   "),
            (true, true) => ("`-- ", "    "),
        };
        rows.push(vec![format!("{corner}link"), link.subnets.join(" ")]);
        for (place, machine) in link.machines.iter().enumerate() {
            let last = place + 1 == link.machines.len();
            let (corner, below) = if last {
                ("`-- ", "    ")
            } else {
                ("|-- ", "|   ")
            };
            rows.push(row(&format!("{trunk}{corner}"), machine));
            let count = machine.containers.len();
            for (place, container) in machine.containers.iter().enumerate() {
                let corner = if place + 1 == count { "`-- " } else { "|-- " };
                rows.push(vec![
                    format!("{trunk}{below}{corner}{}", container.container),
                    words(&container.addresses),
                ]);
            }
        }
    }
    text.push_str(&table::aligned(rows));
    if !status.faults.is_empty() {
        text.push_str(&format!("\nfaults: {}\n", status.faults.join("; ")));
    }
    text
}

/// A line of `weft-lab container list`.
#[derive(Serialize)]
pub struct ContainerRow<'a> {
    pub container: &'a str,
    host: &'a str,
    pub addresses: &'a [IpAddr],
}

/// A line of `weft-lab list`.
#[derive(Serialize)]
pub struct LabRow<'a> {
    lab: &'a str,
    hosts: usize,
    containers: usize,
    store: &'a str,
    underlay: &'a str,
}

pub fn container_rows(status: &Status) -> Vec<ContainerRow<'_>> {
    let machines = status.links.iter().flat_map(|link| &link.machines);
    let rows = machines.flat_map(|machine| {
        let containers = machine.containers.iter();
        containers.map(|container| ContainerRow {
            container: &container.container,
            host: &machine.machine,
            addresses: &container.addresses,
        })
    });
    rows.collect()
}

pub fn containers(rows: &[ContainerRow<'_>]) -> String {
    let rows = rows.iter().map(|row| {
        let addresses = words(row.addresses);
        vec![row.container.to_owned(), row.host.to_owned(), addresses]
    });
    let heads = ["CONTAINER", "HOST", "ADDRESSES"];
    table::fitted(&heads, &[], rows, None)
}

pub fn lab_row(status: &Status) -> LabRow<'_> {
    let machines = status.links.iter().flat_map(|link| &link.machines);
    LabRow {
        lab: &status.name,
        hosts: machines.filter(|machine| machine.is_host()).count(),
        containers: container_rows(status).len(),
        store: &status.store,
        underlay: &status.underlay,
    }
}

pub fn labs(rows: &[LabRow<'_>]) -> String {
    let rows = rows.iter().map(|row| {
        vec![
            row.lab.to_owned(),
            row.hosts.to_string(),
            row.containers.to_string(),
            row.store.to_owned(),
            row.underlay.to_owned(),
        ]
    });
    let heads = ["LAB", "HOSTS", "CONTAINERS", "STORE", "UNDERLAY"];
    table::fitted(&heads, &[], rows, None)
}

fn row(branch: &str, machine: &MachineStatus) -> Vec<String> {
    let state = match (&machine.state, &machine.reason) {
        (State::NotReady, Some(reason)) => format!("not ready: {reason}"),
        (state, _) => state.to_string(),
    };
    let mut row = vec![
        format!("{branch}{}", machine.machine),
        machine.address.to_string(),
        state,
    ];
    if !machine.subnets.is_empty() {
        row.push(machine.subnets.join(" "));
    }
    row
}

fn words(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    addresses.join(" ")
}
