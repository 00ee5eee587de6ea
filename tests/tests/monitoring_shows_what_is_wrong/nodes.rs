//! What goes wrong on hosts and between them.

use std::net::UdpSocket;

use anyhow::{Result, ensure};
use tests::{lab::Lab, prometheus::Prometheus, wait::patiently};

use super::{Watched, files};

pub const TRIED: &[&str] = &[
    "WeftAttachRefused",
    "WeftPacketsLost",
    "WeftPeerUnreachable",
    "WeftKernelRefuses",
    "WeftNodeNotReady",
    "WeftAgentDown",
    "WeftDriftAgainAndAgain",
];
pub const TRIED_ALONE: &[&str] = &["WeftCertificateEnds"];

#[test]
fn each_fault_of_a_node_is_told_and_every_panel_shows_something() -> Result<()> {
    let mut watched = Watched::new(3, 1, &["--probe-every", "200ms"])?;
    let _container = watched.agents[0].attached("web")?;
    watched.fires("WeftAttachRefused", |it| {
        let elsewhere = "198.51.100.7".parse()?;
        let refused = it.agents[0].attached_with("none", |wish| wish.addresses = vec![elsewhere]);
        ensure!(refused.is_err(), "an address of another network was given");
        Ok(())
    })?;
    watched.fires("WeftPacketsLost", |it| it.lab.hole(1, 2))?;
    watched.lab.heal()?;
    watched.silent(&["WeftPacketsLost"])?;
    watched.fires("WeftPeerUnreachable", |it| it.lab.cut(2, 3))?;
    watched.lab.heal()?;
    watched.silent(&["WeftPeerUnreachable", "WeftPacketsLost"])?;
    refuses(&mut watched)?;
    watched.fires("WeftNodeNotReady", |it| it.lab.cut_from_controllers(1))?;
    watched.lab.heal()?;
    watched.fires("WeftAgentDown", |it| it.agents[2].kill())?;
    watched.agents[2].start()?;
    watched.silent(&["WeftAgentDown", "WeftNodeNotReady"])?;
    changes(&mut watched)?;
    panels(&watched.prometheus)
}

/// Somebody has the port of a network.
fn refuses(watched: &mut Watched) -> Result<()> {
    let blue = ["network", "create", "blue", "--pool", "10.70.0.0/16"];
    let port = ["--vni", "2", "--port", "4790"];
    watched.lab.weft(&[&blue[..], &port].concat())?;
    let socket = watched.lab.host(1);
    let socket = socket.inside(|| Ok(UdpSocket::bind("0.0.0.0:4790")?))?;
    watched.fires("WeftKernelRefuses", |it| {
        let said = it.agents[0].run(&["join", "blue"])?;
        ensure!(said.code != 0, "{said:?}");
        Ok(())
    })?;
    drop(socket);
    watched.silent(&["WeftKernelRefuses", "WeftNodeNotReady"])
}

/// Somebody has another opinion about the device.
fn changes(watched: &mut Watched) -> Result<()> {
    let name = "WeftDriftAgainAndAgain";
    watched.fires(name, |it| {
        patiently("so much was put back", || {
            it.lab.host(1).ip(&["link set weft1 mtu 1300"])?;
            ensure!(!it.prometheus.firing(name)?.is_empty());
            Ok(())
        })
    })
}

fn panels(prometheus: &Prometheus) -> Result<()> {
    let mut empty = Vec::new();
    for (title, asked) in files::panels()? {
        for expression in asked {
            // What Grafana puts in its place.
            let expression = expression.replace("$__rate_interval", "1m");
            if prometheus.query(&expression)?.is_empty() {
                empty.push((title.clone(), expression));
            }
        }
    }
    ensure!(empty.is_empty(), "nothing is shown for {empty:#?}");
    Ok(())
}

/// A controller that nobody replaces renews nothing.
#[test]
fn a_certificate_that_is_not_renewed_is_told() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.trust()?;
    lab.start_controller(&["--cert-ttl", "12s"])?;
    let agents = lab.agents(&[])?;
    let prometheus = Prometheus::watch(&lab)?;
    let mut watched = Watched {
        prometheus,
        agents,
        lab,
    };
    watched.fires("WeftCertificateEnds", |it| it.lab.controllers[0].kill())?;
    watched.lab.controllers[0].start()?;
    watched.silent(&["WeftCertificateEnds"])
}
